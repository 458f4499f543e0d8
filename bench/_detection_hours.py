"""Undisturbed signals with a daily cycle, and what goes on within their days: a first day of each.

Baselines of 14 days with hours, windows of a minute, through the detector as DETECT runs it. Each
signal is a model of its own, with one false alarm a month allowed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

import _harness  # noqa: F401 - puts the product on the path
from _detection_phases import MONTH, Phase
from support.days import CUTS, MINUTES, counted, levels
from support.window_reports import window_report
from tidegauge.baseline import Baseline, DailyCycle, NumericSignal
from tidegauge.baseline.io.daily import signal_hours
from tidegauge.contract import ReportPart, SignalHistogram
from tidegauge.windows import DriftDetector
from tidegauge.windows.report import signal_reports

Floats = npt.NDArray[np.float64]

DAYS = 14
EVENTS = 1_000

#: The windows in which the memories of a baseline with hours are watched for a cold start.
FIRST = 64

#: A midnight.
_BEGIN = 19_676 * 86_400

_BINS = len(CUTS) + 1


@dataclass(frozen=True)
class World:
    """What the level of a signal does: ``level`` of days by minute, the last of them watched.

    One window in ``burst`` has 50 times the events of the others, if any has.
    """

    name: str
    level: Callable[[int, np.random.Generator], Floats]
    burst: int = 0

    def counts(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return counts by minute, of the baseline's days and the watched one: (minutes, bins)."""
        level = self.level(DAYS + 1, rng)
        events: int | npt.NDArray[np.int64] = EVENTS
        if self.burst:
            events = np.where(rng.random(len(level)) * self.burst < 1, 50 * EVENTS, EVENTS)
        return counted(level, events, rng)[:, :_BINS].astype(np.int64)  # type: ignore[arg-type]


def _noise(days: int, rng: np.random.Generator) -> Floats:
    return levels(days, rng, cycle=0.2, noise=0.1)


def _heavy(days: int, rng: np.random.Generator) -> Floats:
    level = levels(days, rng, cycle=0.2)
    return level + 0.1 * rng.standard_t(3, len(level)) / np.sqrt(3)


def _batch(days: int, rng: np.random.Generator) -> Floats:
    level = levels(days, rng, cycle=0.2)
    at = np.arange(len(level)) % MINUTES
    level[(at >= 125) & (at < 135)] += 0.5
    return level


def _clocks(days: int, rng: np.random.Generator) -> Floats:
    level = levels(days, rng, cycle=0.2)
    level[-MINUTES:] = np.roll(level[-MINUTES:], -60)
    return level


def _amplitude(days: int, rng: np.random.Generator) -> Floats:
    level = levels(days, rng, cycle=0.3)
    level[-MINUTES:] *= 1.1
    return level


NOISE = World("level varies by .1 from minute to minute", _noise)
WORLDS: Sequence[World] = (
    NOISE,
    World("the same, 1 % of windows with 50 x the events", _noise, 100),
    World("a level with heavy tails, .1", _heavy),
    World("a batch of ten minutes each night, off by .5", _batch),
    World("clocks change: an hour earlier than in the baseline", _clocks),
    World("the cycle's amplitude goes from .3 to .33", _amplitude),
)


def hours(world: World, *, signals: int, windows: int, seed: int) -> Iterator[Phase]:
    """Watch so many signals on the day after their baseline: ``FIRST`` windows, and more."""
    rng = np.random.default_rng([seed, 14, *map(ord, world.name)])
    counts = {f"s{at}": world.counts(rng) for at in range(signals)}
    baseline = _baseline(counts)
    baselines, detector, memory = {baseline.id: baseline}, DriftDetector(lambda _: signals), None
    before = np.zeros(signals, dtype=bool)
    for name, part in (
        (f"1 to {FIRST}", range(FIRST)),
        (f"from {FIRST + 1}", range(FIRST, windows)),
    ):
        starts, above = np.zeros(signals, dtype=int), np.zeros(signals, dtype=int)
        reasons: list[str] = []
        for minute in part:
            report = window_report(minute, _part(baseline, counts, minute))
            report = msgspec.structs.replace(
                report, window_start=_BEGIN + 60 * minute, window_end=_BEGIN + 60 * minute + 60
            )
            memory, report = detector.take(memory, report, baselines)
            (seen,) = report.parts
            assert seen.alarm_budget
            limit, reasons = seen.alarm_budget.threshold_nats, seen.alarm_budget.reasons
            evidence = [seen.signals[it].evidence for it in counts]
            now = np.array([it is not None and it.surprise_nats > limit for it in evidence])
            starts += now & ~before
            above += now
            before = now
        allowed, total = len(part) * signals / MONTH, len(part) * signals
        error = max(float(starts.std()) * signals**0.5, 1.0) / allowed
        yield Phase(
            name, allowed, int(starts.sum()), error, float(above.sum() / total),
            float((above > 0).mean()), None, 0.0, sorted(reasons),
        )  # fmt: skip


def _baseline(counts: dict[str, npt.NDArray[np.int64]]) -> Baseline:
    signals, hours, spans = {}, {}, []
    for name, its in counts.items():
        days = its[: DAYS * MINUTES].reshape(DAYS, MINUTES, _BINS)
        signals[name] = NumericSignal(
            edges=CUTS.tolist(), counts=days.sum(axis=(0, 1)).tolist(), missing=0, nan=0,
            mean=0.0, std=1.0, minimum=None, maximum=None,
        )  # fmt: skip
        beside = np.zeros((DAYS, MINUTES, 3), dtype=np.int64)
        spans, hours[name] = signal_hours(signals[name], np.concatenate([days, beside], axis=-1))
    rows = DAYS * MINUTES * EVENTS
    daily = DailyCycle(days=DAYS, spans_seconds=spans, signals=hours)
    return Baseline(model="m", version="1", rows=rows, source="bench", signals=signals, daily=daily)


def _part(baseline: Baseline, counts: dict[str, npt.NDArray[np.int64]], minute: int) -> ReportPart:
    found = {
        name: SignalHistogram(counts=its[DAYS * MINUTES + minute].tolist())
        for name, its in counts.items()
    }
    events = sum(next(iter(found.values())).counts)
    return ReportPart(
        baseline=baseline.id, baseline_age_seconds=0.0, events=events,
        signals=signal_reports(found, baseline),
    )  # fmt: skip
