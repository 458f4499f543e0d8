"""What a window of many signals takes to judge, by a fixed baseline and by hour of day.

    python bench/judge.py [--signals 1000] [--bins 21] [--windows 50] [--seed 1]

One process, no broker: ``judge`` and ``judge_daily`` of tidegauge.sequential.engine on windows of
1,000 events without drift; every fifth signal is categorical. CPU milliseconds a window, the median
and the least (on a machine that has other work too, the median has that in it). Prints the figures,
and one JSON line last.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

import _harness  # noqa: F401 - puts the product on the path
from tidegauge.sequential import (
    BINS,
    HOURS,
    Budget,
    DailyReference,
    Dispersion,
    HoursMemory,
    Memory,
    Reference,
    SignalReference,
)
from tidegauge.sequential.engine import Verdict, judge, judge_daily

Floats = npt.NDArray[np.float64]

_BUDGET = Budget(alarms=1.0, windows=43_200.0)
_SPANS = (60, 240, 900, 3600, 14_400, 86_400)
_BESIDE = 3
_BASELINE_EVENTS = 100_000
_EVENTS = 1_000

#: Any full minute.
_BEGIN = 1_750_000_020


def _reference(signals: int, bins: int, rng: np.random.Generator) -> Reference:
    values = bins - _BESIDE
    shares = rng.dirichlet(np.full(values, 20.0), size=signals)
    counts = np.zeros((signals, bins), dtype=np.int64)
    counts[:, :values] = rng.multinomial(_BASELINE_EVENTS, shares)
    counts[:, values] = _BASELINE_EVENTS // 1_000  # missing
    return Reference.of(
        [
            SignalReference(row, 0 if number % 5 == 0 else values)
            for number, row in enumerate(counts.tolist())
        ]
    )


def _by_hour(pooled: Reference, rng: np.random.Generator) -> DailyReference:
    signals, bins = pooled.counts.shape
    shares = pooled.counts / pooled.counts.sum(axis=-1, keepdims=True)
    events = rng.integers(3_000, 6_000, size=HOURS).tolist()
    counts = np.stack([rng.multinomial(n, shares) for n in events], axis=1).astype(np.float64)
    by_direction = signals, len(_SPANS), BINS + bins
    dispersion = Dispersion(
        _SPANS,
        rng.random(by_direction) * 1e-5,
        rng.uniform(13.0, 200.0, by_direction),
        np.zeros(by_direction),
        np.ones((signals, HOURS)),
    )
    return DailyReference.of(pooled, counts, dispersion)


def _timed(windows: int, step: Callable[[int], Verdict]) -> dict[str, float]:
    """Return what a window takes, CPU milliseconds."""
    taken = []
    for number in range(windows):
        began = time.thread_time()
        step(number)
        taken.append((time.thread_time() - began) * 1e3)
    return {"median_ms": round(statistics.median(taken), 1), "least_ms": round(min(taken), 1)}


def measure(signals: int, bins: int, windows: int, seed: int) -> dict[str, dict[str, float]]:
    """Judge the same windows both ways."""
    rng = np.random.default_rng(seed)
    pooled = _reference(signals, bins, rng)
    daily = _by_hour(pooled, rng)
    shares = pooled.counts / pooled.counts.sum(axis=-1, keepdims=True)
    drawn = [rng.multinomial(_EVENTS, shares).astype(np.float64) for _ in range(16)]
    memory = {it: Memory.empty(signals, bins) for it in ("fixed", "hourly")}
    hours = HoursMemory.empty(signals)

    def fixed(number: int) -> Verdict:
        verdict = judge(pooled, memory["fixed"], drawn[number % len(drawn)], _BUDGET)
        memory["fixed"] = verdict.memory
        return verdict

    def hourly(number: int) -> Verdict:
        nonlocal hours
        start = _BEGIN + 60 * number
        window, between = drawn[number % len(drawn)], (start, start + 60)
        verdict = judge_daily(daily, memory["hourly"], hours, window, between, _BUDGET)
        assert verdict.hours is not None
        memory["hourly"], hours = verdict.memory, verdict.hours
        return verdict

    return {"fixed": _timed(windows, fixed), "hourly": _timed(windows, hourly)}


def main() -> None:
    """Run what was asked for, print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--signals", type=int, default=1_000)
    parser.add_argument("--bins", type=int, default=21)
    parser.add_argument("--windows", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    result = measure(options.signals, options.bins, options.windows, options.seed)
    for kind, figures in result.items():
        print(f"{kind:8} {figures['median_ms']:>8} ms {figures['least_ms']:>8} ms at least")
    print(json.dumps({**vars(options), **result}))


if __name__ == "__main__":
    main()
