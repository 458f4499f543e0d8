"""How long a drift of one signal among twenty goes unseen, beside an oracle that knows the drift.

The oracle knows the shares before and after, though not which of the twenty signals it will be: on
each it runs Page's CUSUM of the window's log-likelihood ratio, all together at the same rate of
false alarms. Nothing that alarms as rarely is faster against that very drift (Moustakides 1986).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from _detection_worlds import Drift, draw
from tidegauge.alerting import DEFAULT_RULES
from tidegauge.sequential import BatchInput, Budget, Memory, Reference, judge_batch

Floats = npt.NDArray[np.float64]
#: From shares and a number to so many windows' log-likelihood ratios.
Steps = Callable[[Floats, int], Floats]

SIGNALS = 20
BASELINE = 100_000
#: One false alarm in 30 days of one-minute windows.
WINDOWS = 30 * 24 * 60
#: ... for a model of so many signals: windows of one signal from one false alarm to the next.
EVERY = WINDOWS * SIGNALS

#: Undisturbed windows before the drift: by then a memory of 64 is full.
BEFORE = 100
LONGEST = 400

#: Stands in for a share of 0: half an event of the baseline. That something never happens without
#: the drift is more than any baseline tells.
_NEVER = 0.5

_CYCLES = 4_000

#: Nats: the smallest drift that the default rules report.
_LEAST = next(it.required_psi for it in DEFAULT_RULES.rules if it.name == "feature-drift")


class Delay(NamedTuple):
    """Mean windows from the drift's first to the alarm, that window included.

    Those that were not alarmed within 400 windows are ``unseen``, and count as 400.
    """

    mean: float
    standard_error: float
    unseen: int = 0

    def __str__(self) -> str:
        missed = f", {self.unseen} unseen" if self.unseen else ""
        return f"{self.mean:.2f} ± {self.standard_error:.2f}{missed}"


class Detected(NamedTuple):
    """When there was evidence above the threshold, and when the default rules sent an alert.

    An alert needs a drift that is large enough, too (``feature-drift``). ``threshold`` is that of
    the last window, nats.
    """

    evidence: Delay
    alert: Delay
    threshold: float


def of_detector(
    drift: Drift, *, runs: int, seed: int, baseline: int = BASELINE, every: int = EVERY
) -> Detected:
    """Let the detector watch ``runs`` models, one drifted signal each.

    Of one signal alone it raises a false alarm every so many windows.
    """
    rng = np.random.default_rng([seed, 1, *map(ord, drift.name)])
    signals = draw(drift.kind, runs, baseline, rng)
    changed = after(drift, signals.shares, signals.edges)

    def window(drifted: bool) -> Floats:
        shares = changed if drifted else signals.shares
        return rng.multinomial(drift.events, shares).astype(np.float64)

    return detected(signals.reference, window, every=every)


def detected(
    reference: Reference, window: Callable[[bool], Floats], *, every: int = EVERY
) -> Detected:
    """Let the detector watch signals, whose windows have the drift or not."""
    runs = len(reference.counts)
    # All runs together have what all of them are allowed: the threshold of each is the same.
    memory, budget = Memory.empty(*reference.counts.shape), Budget(float(runs), float(every))
    evident, alerted = np.zeros(runs), np.zeros(runs)
    for number in range(BEFORE + LONGEST):
        drifted = number >= BEFORE
        [(verdict, strongest)] = judge_batch(
            [BatchInput(reference, memory, window(drifted), budget)]
        )
        memory = verdict.memory
        if drifted:
            age = number - BEFORE + 1
            large = np.maximum(strongest.sizes, strongest.of_bin) >= _LEAST
            evident[verdict.alarms & (evident == 0)] = age
            alerted[verdict.alarms & large & (alerted == 0)] = age
            if alerted.all():
                break
    return Detected(delay_of(evident), delay_of(alerted), verdict.threshold)


def of_oracle(
    drift: Drift, *, runs: int, seed: int, baseline: int = BASELINE, every: int = EVERY
) -> Delay:
    """Let the oracle watch as many."""
    rng = np.random.default_rng([seed, 2, *map(ord, drift.name)])
    signals = draw(drift.kind, 1, baseline, rng)
    before = signals.shares[0]
    changed = after(drift, signals.shares, signals.edges)[0]
    return _of_oracle(before, changed, drift.events, rng, runs, baseline, every)


def of_shares(
    before: Floats,
    changed: Floats,
    events: int,
    *,
    runs: int,
    seed: int,
    baseline: int = BASELINE,
    every: int = EVERY,
) -> Delay:
    """Let the oracle watch as many, of any shares before and after the drift."""
    rng = np.random.default_rng([seed, 2])
    return _of_oracle(before, changed, events, rng, runs, baseline, every)


def _of_oracle(
    before: Floats,
    changed: Floats,
    events: int,
    rng: np.random.Generator,
    runs: int,
    baseline: int,
    every: float,
) -> Delay:
    never = _NEVER / baseline
    ratio = np.log(np.maximum(changed, never) / np.maximum(before, never))

    def steps(shares: Floats, size: int) -> Floats:
        return np.asarray(rng.multinomial(events, shares, size=size) @ ratio)

    threshold = _threshold(steps, before, changed, float(every))
    statistic = np.zeros(runs)
    for _ in range(BEFORE):
        statistic = np.maximum(statistic + steps(before, runs), 0.0)
        statistic[statistic >= threshold] = 0.0  # a false alarm: begin again
    delays = np.zeros(runs)
    for number in range(LONGEST):
        statistic = np.maximum(statistic + steps(changed, runs), 0.0)
        delays[(statistic >= threshold) & (delays == 0)] = number + 1
        if delays.all():
            break
    return delay_of(delays)


def _threshold(steps: Steps, before: Floats, changed: Floats, every: float) -> float:
    """Find the threshold at which a false alarm of one CUSUM comes once in ``every`` windows.

    By Page's renewal argument it takes E0[N] / P0(the cycle ends above), a cycle being the
    sum from 0 until it is below 0 or above the threshold; the rare event is sampled under the
    drift, and weighed by the likelihood ratio: P0(above) = E1[exp(-sum); above].
    """
    low, high = 0.0, float(np.log(every)) + 1.0
    paths = [_sums(steps, shares, high) for shares in (before, changed)]
    for _ in range(40):
        middle = (low + high) / 2
        length = _cycles(paths[0], middle)[0].mean()
        _, ends = _cycles(paths[1], middle)
        above = np.where(ends >= middle, np.exp(-ends), 0.0).mean()
        if above * every > length:
            low = middle
        else:
            high = middle
    return high


def _sums(steps: Steps, shares: Floats, high: float) -> Floats:
    """Return the sums of independent cycles, (windows, cycles), until all have ended."""
    sums = [steps(shares, _CYCLES)]
    while ((sums[-1] > 0) & (np.max(sums, axis=0) < high) & (np.min(sums, axis=0) > 0)).any():
        sums.append(sums[-1] + steps(shares, _CYCLES))
    return np.array(sums)


def _cycles(sums: Floats, threshold: float) -> tuple[Floats, Floats]:
    """Return each cycle's length, and its sum at the end."""
    over = (sums <= 0) | (sums >= threshold)
    length = over.argmax(axis=0)
    return length + 1.0, sums[length, np.arange(sums.shape[1])]


def after(drift: Drift, shares: Floats, edges: list[list[float]]) -> Floats:
    """Return the shares of every signal after the drift."""
    cuts = edges or [[]] * len(shares)
    return np.array([drift.shares(row, its) for row, its in zip(shares, cuts, strict=True)])


def delay_of(delays: Floats) -> Delay:
    """Return the mean of delays, in windows; 0 where there was no alarm."""
    unseen = delays == 0
    waited = np.where(unseen, LONGEST, delays)
    error = float(waited.std() / np.sqrt(len(waited)))
    return Delay(float(waited.mean()), error, int(unseen.sum()))
