"""Small drifts that the default rules report, beside an oracle that knows them.

Windows of 1,000 events. Of the drifts of tails values are drawn, since what is outside of the
baseline's range follows from them; the oracle knows which these are.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

import _harness  # noqa: F401 - puts the product on the path
from _detection_delay import BASELINE, Delay, Detected, detected, of_shares
from support.sampled import sampled_histogram, sampled_signal
from tidegauge.baseline import NumericSignal
from tidegauge.sequential import Reference, SignalReference
from tidegauge.windows.outside import Range, with_outside

Floats = npt.NDArray[np.float64]

EVENTS = 1_000

#: Missing, not finite, invalid.
_BESIDE = [0, 0, 0]

#: The category that grows has 3.3 % of the rows, nineteen others the rest.
_CATEGORIES = np.array([*[(1 - 0.033) / 19] * 19, 0.033, 0.0, 0.0, *_BESIDE])
_GROWN = np.array([*[(1 - 0.043) / 19] * 19, 0.043, 0.0, 0.0, *_BESIDE])
_TAIL = float(stats.norm.ppf(0.99))


class Watched(NamedTuple):
    """Baselines of some signals, and their windows before and after the drift."""

    reference: Reference
    window: Callable[[bool], Floats]


class Case(NamedTuple):
    """A drift: what is watched of it, and the oracle's shares before and after."""

    name: str
    watched: Callable[[int, int, np.random.Generator], Watched]
    before: Floats
    after: Floats


def _by_shares(before: Floats, after: Floats, ordered: int) -> Callable[..., Watched]:
    def watched(runs: int, baseline: int, rng: np.random.Generator) -> Watched:
        counts = rng.multinomial(baseline, before, size=runs).tolist()
        reference = Reference.of([SignalReference(its, ordered) for its in counts])
        return Watched(
            reference,
            lambda drifted: rng.multinomial(EVENTS, after if drifted else before, size=runs).astype(
                np.float64
            ),
        )

    return watched


def _by_values(change: Callable[[Floats, np.random.Generator], Floats]) -> Callable[..., Watched]:
    def watched(runs: int, baseline: int, rng: np.random.Generator) -> Watched:
        signals = [sampled_signal(rng.normal(size=baseline)) for _ in range(runs)]
        ranges = [its for it in signals if (its := Range.of(it)) is not None]
        width = len(signals[0].counts)
        references = [SignalReference([*it.counts, *_BESIDE, 0], width) for it in signals]

        def row(signal: NumericSignal, its: Range, *, drifted: bool) -> list[int]:
            values = rng.normal(size=EVENTS)
            found = sampled_histogram(change(values, rng) if drifted else values, signal)
            return with_outside([*found.counts, *_BESIDE], width, its.outside(found))

        return Watched(
            Reference.of(references),
            lambda drifted: np.array(
                [row(*both, drifted=drifted) for both in zip(signals, ranges, strict=True)],
                dtype=np.float64,
            ),
        )

    return watched


def _corrupted(values: Floats, rng: np.random.Generator) -> Floats:
    return np.where(rng.random(values.shape) < 0.01, 1_000 * values, values)


def _longer_tail(values: Floats, rng: np.random.Generator) -> Floats:
    return np.where(values > _TAIL, 10 * values, values)


CASES = (
    Case(
        "1 % of values x 1,000",
        _by_values(_corrupted), np.array([1.0, 0.0]), np.array([0.99, 0.01]),
    ),
    Case(
        "values beyond the 99 % quantile x 10",
        _by_values(_longer_tail), np.array([0.99, 0.01, 0.0]), np.array([0.99, 0.0, 0.01]),
    ),
    Case(
        "a category from 3.3 to 4.3 %",
        _by_shares(_CATEGORIES, _GROWN, 0), _CATEGORIES, _GROWN,
    ),
)  # fmt: skip


class Row(NamedTuple):
    """A drift: what the detector and the default rules took, and the oracle."""

    drift: str
    found: Detected
    oracle: Delay


def rows(*, runs: int, seed: int, baseline: int = BASELINE) -> Iterator[Row]:
    """Let the detector watch so many models with each drift."""
    for case in CASES:
        rng = np.random.default_rng([seed, *map(ord, case.name)])
        found = detected(*case.watched(runs, baseline, rng))
        oracle = of_shares(
            case.before, case.after, EVENTS, runs=max(runs, 200), seed=seed, baseline=baseline
        )
        yield Row(case.name, found, oracle)
