"""What a small baseline, or one that missed values, costs: delays, and what can be seen at all."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from _detection_cases import CATEGORICAL, Case, Categories
from _detection_delay import Delay, after, detected, of_detector
from _detection_worlds import DRIFTS, draw
from tidegauge.baseline import counted_by_bin
from tidegauge.sequential import (
    BatchInput,
    Budget,
    Memory,
    Reference,
    SignalReference,
    judge_batch,
    surprises,
)
from tidegauge.windows.evidence import BaselineLayout

Floats = npt.NDArray[np.float64]

BASELINES = (2_000, 10_000, 100_000)

#: Events in a window, where a baseline is compared with nothing but the truth.
_ALL_THERE_IS = 1e9

_NAMES = (
    "mean 0.25 sd, n = 200", "mean 0.5 sd, n = 200", "variance x 1.2, n = 1,000",
    "missing 0 to 2 %, n = 200",
)  # fmt: skip

#: With shares of new values of 0.2, 1.7 and 2.4 %.
_INCOMPLETE = (
    Case("200 values, Zipf 1.55", Categories(200, 1.55), 10_000, 200),
    Case("1,000 values, Zipf 1", Categories(1_000, 1.0), 10_000, 200),
    Case("200 values, Zipf 1.5", Categories(200, 1.5), 2_000, 200),
)
NEW = (0.05, 0.02)


class Power(NamedTuple):
    """Of a drift by a baseline of so many rows: the delay, and what could be seen at all.

    ``visible`` is the share of the baselines by which windows of very many events would be
    evidence: by the others, no number of windows is.
    """

    drift: str
    baseline: int
    delay: Delay
    visible: float


def power(*, runs: int, seed: int) -> Iterator[Power]:
    """Let the detector watch so many signals with each drift, by baselines of each size."""
    for drift in (it for it in DRIFTS if it.name in _NAMES):
        for baseline in BASELINES:
            rng = np.random.default_rng([seed, 11, baseline, *map(ord, drift.name)])
            signals = draw(drift.kind, runs, baseline, rng)
            shares = after(drift, signals.shares, signals.edges)
            beyond = surprises(signals.reference, shares * _ALL_THERE_IS).max(axis=-1)
            found = of_detector(drift, runs=runs, seed=seed, baseline=baseline)
            visible = float((beyond > found.threshold).mean())
            yield Power(drift.name, baseline, found.evidence, visible)


class Compared(NamedTuple):
    """Shares of undisturbed windows in alarm, by the baseline's counts and by what it expects."""

    case: str
    by_counts: float
    by_expected: float


def compared(*, signals: int, seed: int, windows: int = 150) -> Iterator[Compared]:
    """Watch so many signals of each kind with one false alarm a month allowed for each."""
    for case in CATEGORICAL:
        rng = np.random.default_rng([seed, 13, *map(ord, str(case))])
        baseline = case.baseline(signals, rng)
        layout = BaselineLayout.of(baseline)
        shares = case.shares(baseline, layout)
        counts = Reference.of(
            [SignalReference(counted_by_bin(its), 0) for its in baseline.signals.values()]
        )
        references = counts, layout.reference
        memories = [Memory.empty(*shares.shape) for _ in references]
        in_alarm, budget = np.zeros(len(references)), Budget(float(signals), 43_200.0)
        for _ in range(windows):
            window = rng.multinomial(case.events, shares).astype(np.float64)
            turns = map(BatchInput, references, memories, [window] * 2, [budget] * 2)
            verdicts = [verdict for verdict, _ in judge_batch(list(turns))]
            memories = [it.memory for it in verdicts]
            in_alarm += [it.alarms.sum() for it in verdicts]
        yield Compared(str(case), *(in_alarm / (signals * windows)).tolist())


class Unseen(NamedTuple):
    """Of a signal whose baseline missed values: their true share, and delays of a new one."""

    case: str
    expected: float
    delays: list[Delay]


def unseen(*, runs: int, seed: int) -> Iterator[Unseen]:
    """Let a new value come up in so many signals of each kind, with each share of ``NEW``."""
    for case in _INCOMPLETE:
        rng = np.random.default_rng([seed, 12, *map(ord, str(case))])
        baseline = case.baseline(runs, rng)
        layout = BaselineLayout.of(baseline)
        shares = case.shares(baseline, layout)
        place = [len(baseline.signals[name].counts) - 1 for name in layout.names]
        delays = []
        for share in NEW:
            changed = shares * (1 - share)
            changed[np.arange(runs), place] += share
            window = partial(_window, case.events, shares, changed, rng)
            delays.append(detected(layout.reference, window).evidence)
        expected = float(shares[np.arange(runs), place].mean())
        yield Unseen(str(case), expected, delays)


def _window(
    events: int, before: Floats, after: Floats, rng: np.random.Generator, drifted: bool
) -> Floats:
    return rng.multinomial(events, after if drifted else before).astype(np.float64)
