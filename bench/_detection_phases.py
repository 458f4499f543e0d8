"""False alarms of undisturbed models while the memories fill, and in the steady state after that.

The promise is checked at one false alarm a month of a model of one signal, where there are enough
to count. What a model of fifty signals would see, whose threshold is 17 nats, is counted beside.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from _detection_cases import Case
from tidegauge.sequential import BatchInput, Budget, Memory, judge_batch
from tidegauge.windows.hours import SMALL_BASELINE, has_few_rows

#: One-minute windows of 30 days.
MONTH = 43_200.0

#: The memory of 64 windows is full after 256: what came before has 2 % of its weight.
FULL = 256

#: Signals of a model whose share of the budget is looked at too.
MANY = 50


class Phase(NamedTuple):
    """What undisturbed models did in some of their windows.

    ``starts`` of alarms were seen where ``allowed`` were; ``in_alarm`` is the share of the windows,
    ``ever`` that of the models that were in alarm at all. ``many`` and ``many_in_alarm`` are starts
    and the share of windows with the threshold of a model of fifty signals, None if that was not
    looked at. ``standard_error`` is
    that of starts ÷ allowed, by models: one with an unlucky baseline may start several.
    """

    name: str
    allowed: float
    starts: int
    standard_error: float
    in_alarm: float
    ever: float
    many: int | None
    many_in_alarm: float
    reasons: list[str]

    @property
    def ratio(self) -> float:
        """Achieved ÷ promised."""
        return self.starts / self.allowed


def phases(case: Case, *, signals: int, windows: int, seed: int) -> Iterator[Phase]:
    """Watch so many signals for ``FULL`` windows, and for as many as given after these."""
    rng = np.random.default_rng([seed, 7, *map(ord, str(case))])
    layout, window = case.watched(signals, rng)
    signals = len(layout.names)  # without those that have nothing to compare
    memory = Memory.empty(*layout.reference.counts.shape)
    # All together have what each is allowed: the threshold of each is the same.
    budget = Budget(float(signals), MONTH)
    many = Budget(signals / MANY, MONTH)
    reasons = set(layout.reasons)
    before = np.zeros((2, signals), dtype=bool)
    for name, its in ((f"1 to {FULL}", FULL), (f"from {FULL + 1}", windows)):
        starts, above = np.zeros((2, signals), dtype=int), np.zeros(2, dtype=int)
        ever = np.zeros(signals, dtype=bool)
        for _ in range(its):
            [(verdict, strongest)] = judge_batch(
                [BatchInput(layout.reference, memory, window(rng), budget)]
            )
            memory = verdict.memory
            stricter = verdict.threshold + np.log(budget.alarms / many.alarms)
            now = np.stack([strongest.surprises > it for it in (verdict.threshold, stricter)])
            starts += now & ~before
            above += now.sum(axis=1)
            ever |= now[0]
            before = now
        scored = verdict.events[0] > 0
        if has_few_rows(layout.reference, scored):
            reasons.add(SMALL_BASELINE)
        total, (seen, stricter_seen) = signals * its, starts.sum(axis=1).tolist()
        error = max(float(starts[0].std()) * np.sqrt(signals), 1.0) / (total / MONTH)
        yield Phase(
            name, total / MONTH, seen, error, float(above[0] / total), float(ever.mean()),
            stricter_seen, float(above[1] / total), sorted(reasons),
        )  # fmt: skip
