"""How long it takes until the default rules report a small drift, beside an oracle that knows it.

    python bench/alert_delay.py [--runs 200] [--baseline 100000] [--seed 1]

One drifted signal of a model with twenty, windows of 1,000 events, one false alarm in 30 days of
one-minute windows. An alert is what the rule ``feature-drift`` sends: evidence above the threshold,
of a drift that is large enough. The oracle is that of ``_detection_delay``; of the drifts of tails
it also knows which values are outside of the baseline's range. Prints a row a drift; the last line
is JSON.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

import _harness  # noqa: F401 - puts the product on the path
from _detection_delay import EVERY, of_shares
from _detection_worlds import shares_between
from support.sampled import sampled_histogram, sampled_signal
from tidegauge.alerting import DEFAULT_RULES
from tidegauge.baseline import NumericSignal
from tidegauge.sequential import (
    BatchInput,
    Budget,
    Memory,
    Reference,
    SignalReference,
    judge_batch,
)
from tidegauge.windows.outside import Range, with_outside

Floats = npt.NDArray[np.float64]

EVENTS = 1_000
_BEFORE, _LONGEST = 100, 200

#: Missing, not finite, invalid.
_BESIDE = [0, 0, 0]
_LEAST = next(it.required_psi for it in DEFAULT_RULES.rules if it.name == "feature-drift")

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


def _normal(mean: float) -> Floats:
    cuts = stats.norm.ppf(np.array([0.01, 0.05, *np.arange(1, 10) / 10, 0.95, 0.99])).tolist()
    return shares_between(lambda x: stats.norm.cdf(x, mean), cuts)


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
    Case(
        "mean 0.05 sd",
        _by_shares(_normal(0.0), _normal(0.05), 14), _normal(0.0), _normal(0.05),
    ),
)  # fmt: skip


class Found(NamedTuple):
    """Mean windows until the evidence, and until the alert; 200 if there was none."""

    evidence: float
    alert: float
    unseen: int


def delays(case: Case, runs: int, baseline: int, seed: int) -> Found:
    """Let the detector watch so many models with the drift."""
    rng = np.random.default_rng([seed, *map(ord, case.name)])
    reference, window = case.watched(runs, baseline, rng)
    # All runs together have what all of them are allowed: the threshold of each is the same.
    memory, budget = Memory.empty(*reference.counts.shape), Budget(float(runs), float(EVERY))
    evident, told = np.zeros(runs), np.zeros(runs)
    for number in range(_BEFORE + _LONGEST):
        drifted = number >= _BEFORE
        turn = BatchInput(reference, memory, window(drifted), budget)
        [(verdict, strongest)] = judge_batch([turn])
        memory = verdict.memory
        if drifted:
            age = number - _BEFORE + 1
            large = np.maximum(strongest.sizes, strongest.of_bin) >= _LEAST
            evident[verdict.alarms & (evident == 0)] = age
            told[verdict.alarms & large & (told == 0)] = age
            if told.all():
                break
    late = [float(np.where(it == 0, _LONGEST, it).mean()) for it in (evident, told)]
    return Found(*late, unseen=int((told == 0).sum()))


def _rows(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    for case in CASES:
        found = delays(case, options.runs, options.baseline, options.seed)
        oracle = of_shares(
            case.before, case.after, EVENTS, runs=400, seed=options.seed,
            baseline=options.baseline,
        )  # fmt: skip
        yield {
            "drift": case.name,
            "evidence": round(found.evidence, 2),
            "alert": round(found.alert, 2),
            "unseen": found.unseen,
            "oracle": round(oracle.mean, 2),
            "ratio": round(found.alert / oracle.mean, 2),
        }


def main() -> None:
    """Run what was asked for, print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--baseline", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rows = []
    for row in _rows(options):
        print(*(f"{name} {value}" for name, value in row.items()), sep=" | ", flush=True)
        rows.append(row)
    print(json.dumps({**vars(options), "alert_delay": rows}))


if __name__ == "__main__":
    main()
