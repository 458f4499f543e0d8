"""What a window of many signals takes to judge, by a fixed baseline and by hour of day.

    python bench/judge.py [--signals 1000] [--bins 21] [--windows 50] [--seed 1]

One process, no broker: ``judge_batch`` of tidegauge.sequential.engine on windows of 1,000 events;
every fifth signal is categorical. "quiet" windows have no drift, in "alarm" each signal has another
distribution than its baseline from the first window on. "slices" are the same quiet signals, fifty
in each of many slices. CPU milliseconds a window, the median and the least (on a machine that has
other work too, the median has that in it). Prints the figures, and one JSON line last. To compare
with another checkout, run the same program by turns with its ``app`` in PYTHONPATH.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import numpy.typing as npt

import _harness  # noqa: F401 - puts the product on the path
from tidegauge.sequential import (
    BINS,
    HOURS,
    BatchInput,
    Budget,
    DailyReference,
    Dispersion,
    HourlyInput,
    HoursMemory,
    Memory,
    ProfileCalendar,
    Reference,
    SignalReference,
    judge_batch,
)

Floats = npt.NDArray[np.float64]

_BUDGET = Budget(alarms=1.0, windows=43_200.0)
_SPANS = (60, 240, 900, 3600, 14_400, 86_400)
_BESIDE = 3
_BASELINE_EVENTS = 100_000
_EVENTS = 1_000

#: Of the logarithm of a share, from the middle to either end.
_DRIFT = 0.5

#: Signals of a slice.
_SLICE = 50

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


def _by_hour(pooled: Reference, rng: np.random.Generator, kinds: int = 1) -> DailyReference:
    signals, bins = pooled.counts.shape
    calendar = ProfileCalendar(kinds=kinds)
    shares = pooled.counts / pooled.counts.sum(axis=-1, keepdims=True)
    events = rng.integers(3_000, 6_000, size=calendar.profiles).tolist()
    counts = np.stack([rng.multinomial(n, shares) for n in events], axis=1).astype(np.float64)
    by_direction = signals, len(_SPANS), BINS + bins
    dispersion = Dispersion(
        _SPANS,
        rng.random(by_direction) * 1e-5,
        rng.uniform(13.0, 200.0, by_direction),
        np.zeros(by_direction),
        np.ones((signals, HOURS)),
    )
    own = np.full((signals, kinds), 0.8) if kinds > 1 else None
    return DailyReference.of(pooled, counts, dispersion, calendar, own)


class _Slices:
    """Slices that are judged window by window; all have the signals of ``references``."""

    def __init__(self, references: list[Reference], daily: list[DailyReference] | None) -> None:
        self._references = references
        self._daily = daily
        self._memories = [Memory.empty(*it.counts.shape) for it in references]
        profiles = [it.calendar.profiles for it in daily or ()] or [HOURS] * len(references)
        sizes = [len(it.counts) for it in references]
        self._hours = list(map(HoursMemory.empty, sizes, profiles))

    def take(self, number: int, windows: list[Floats]) -> float:
        """Judge a window of each; return what it took, CPU milliseconds."""
        start = _BEGIN + 60 * number
        turns = []
        for at, its in enumerate(zip(self._references, self._memories, windows, strict=True)):
            hourly = self._daily and HourlyInput(
                self._daily[at], self._hours[at], (start, start + 60)
            )
            turns.append(BatchInput(*its, _BUDGET, hourly or None))
        began = time.thread_time()
        found = [it.verdict for it in judge_batch(turns)]
        took = (time.thread_time() - began) * 1e3
        self._memories = [it.memory for it in found]
        self._hours = [it.hours or HoursMemory.empty(0) for it in found]
        return took


def _timed(windows: int, step: Callable[[int], float]) -> dict[str, float]:
    taken = list(map(step, range(windows)))
    return {"median_ms": round(statistics.median(taken), 1), "least_ms": round(min(taken), 1)}


def measure(signals: int, bins: int, windows: int, seed: int) -> dict[str, dict[str, float]]:
    """Judge the same windows by each kind of baseline."""
    rng = np.random.default_rng(seed)
    pooled = _reference(signals, bins, rng)
    daily, weekly = _by_hour(pooled, rng), _by_hour(pooled, rng, kinds=7)
    shares = pooled.counts / pooled.counts.sum(axis=-1, keepdims=True)
    tilted = shares * np.exp(_DRIFT * np.linspace(-1, 1, bins))
    tilted /= tilted.sum(axis=-1, keepdims=True)
    quiet, drifted = (
        [rng.multinomial(_EVENTS, its).astype(np.float64) for _ in range(16)]
        for its in (shares, tilted)
    )
    parts = [slice(at, at + _SLICE) for at in range(0, signals, _SLICE)]
    many = [
        Reference(*(getattr(pooled, one.name)[its] for one in fields(Reference))) for its in parts
    ]

    def judged(drawn: list[Floats], hours: DailyReference | None = None) -> dict[str, float]:
        whole = _Slices([pooled], hours and [hours])
        return _timed(windows, lambda at: whole.take(at, [drawn[at % len(drawn)]]))

    slices = _Slices(many, None)
    return {
        "fixed": judged(quiet),
        "fixed_alarm": judged(drifted),
        "hourly": judged(quiet, daily),
        "hourly_alarm": judged(drifted, daily),
        "weekly": judged(quiet, weekly),
        "slices": _timed(
            windows, lambda at: slices.take(at, [quiet[at % len(quiet)][its] for its in parts])
        ),
    }


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
        print(f"{kind:12} {figures['median_ms']:>8} ms {figures['least_ms']:>8} ms at least")
    print(json.dumps({**vars(options), **result}))


if __name__ == "__main__":
    main()
