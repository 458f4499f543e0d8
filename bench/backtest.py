"""How long a month takes: reports of one model through rules and detector, decoding included.

    python bench/backtest.py [--signals 50] [--windows 43200] [--hourly] [--drifted 1] [--inject]
        [--calibrate] [--profile]

Kafka is left out: records come from memory. ``--hourly``: the baseline has the hours of the day.
``--drifted`` is how many signals are in alarm always. ``--inject`` puts a drift of half a standard
deviation into one signal from the middle on; ``--calibrate`` counts false alarms in place of rules.
The last line is JSON; times are of one core.
"""

import argparse
import cProfile
import json
import resource
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr

import _harness  # noqa: F401 - puts the tests' support on the path
from support.sampled import sampled_histogram, sampled_signal
from support.window_reports import latency, part_of, window_report
from tidegauge.alerting.ruleset import parse_rules
from tidegauge.backtest import BacktestPlan, Calibration, Injection, Result, backtest, calibrate
from tidegauge.baseline import Baseline, DailyCycle, NumericSignal, Signal, reference_counts
from tidegauge.baseline.io.daily import signal_hours
from tidegauge.contract import encode
from tidegauge.kafka import KafkaRecord
from tidegauge.windows import DriftDetector
from tidegauge.windows.report import signal_reports

EVENTS = 1_000
ROWS = 100_000

#: Windows that are made; the others repeat them. So many pass before one comes again that none of
#: the detector's memories holds both.
MADE = 1_000

RULES = """
rules:
  - {name: drift-alarm, metric: surprise, above: 1, severity: medium}
  - {name: drift, metric: kl, above: 0.05, severity: medium}
  - {name: latency, metric: latency_mean_ms, above: 200, severity: critical}
"""


def a_baseline(signals: int, rng: np.random.Generator) -> Baseline:
    """Return a baseline of numeric signals, 14 bins each."""
    found: dict[str, Signal] = {
        f"f{number}": sampled_signal(rng.normal(size=ROWS)) for number in range(signals)
    }
    return Baseline(model="credit", version="3", rows=ROWS, source="bench", signals=found)


def with_hours(baseline: Baseline, rng: np.random.Generator) -> Baseline:
    """Give a baseline 14 days, all hours of which are alike: of the law that windows are of."""
    hours = {}
    for name, signal in baseline.signals.items():
        assert isinstance(signal, NumericSignal)
        values = np.diff(ndtr([-np.inf, *signal.edges, np.inf]))
        shares = np.zeros(len(reference_counts(signal)))
        shares[: len(values)] = values
        minutes = rng.multinomial(EVENTS, shares, size=(14, 1440))
        spans, hours[name] = signal_hours(signal, minutes)
    baseline.daily = DailyCycle(days=14, spans_seconds=spans, signals=hours)
    return baseline


def made(
    baseline: Baseline, number: int, rng: np.random.Generator, drifted: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Yield start and JSON of windows, with evidence as DETECT writes it.

    The first ``drifted`` signals are off by half a standard deviation, all others have no drift.
    """
    watch, memory = DriftDetector(lambda model: 1.0), None
    known = {baseline.id: baseline}
    for window in range(number):
        histograms = {}
        for at, (name, signal) in enumerate(baseline.signals.items()):
            assert isinstance(signal, NumericSignal)
            # As the days of the hours do, which are more than the rows, windows have the range of
            # the rows.
            values = rng.normal(0.5 * (at < drifted), size=EVENTS)
            values = values.clip(signal.minimum, signal.maximum)
            histograms[name] = sampled_histogram(values, signal)
        part = part_of(EVENTS, baseline.id, **signal_reports(histograms, baseline))
        report = window_report(window, part, latency=latency(50.0), prediction_mean_5m=0.5)
        memory, report = watch.take(memory, report, known)
        yield report.window_start, encode(report)


class Month:
    """Records of a month; ``seconds`` is what making them has cost."""

    def __init__(self, windows: int, some: list[tuple[int, bytes]]) -> None:
        self._windows = windows
        self._parts = []
        for start, raw in some:
            # Only times and id differ from repetition to repetition.
            before, after = raw.split(b'"window_start":%d,"window_end":%d' % (start, start + 60))
            self._parts.append((before.partition(b'"model"')[2], after))
        self.start = some[0][0]
        self.bytes = 0
        self.seconds = 0.0

    def __iter__(self) -> Iterator[KafkaRecord]:
        for window in range(self._windows):
            began = time.process_time()
            before, after = self._parts[window % len(self._parts)]
            start = self.start + 60 * window
            times = b'"window_start":%d,"window_end":%d' % (start, start + 60)
            raw = b'{"id":"%d","model"%s%s%s' % (window, before, times, after)
            self.bytes += len(raw)
            self.seconds += time.process_time() - began
            yield KafkaRecord("bench", raw)


def _found(result: Result | Calibration) -> dict[str, object]:
    if isinstance(result, Calibration):
        return {"verdicts": Counter(it.verdict for it in result.models[0].signals)}
    seen = result.injection.seen if result.injection else ()
    return {
        "alarms": {it.rule: it.alarms for it in result.rules},
        "seen_after_windows": {it.rule: it.windows for it in seen},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--signals", type=int, default=50)
    parser.add_argument("--windows", type=int, default=43_200)
    parser.add_argument("--hourly", action="store_true")
    parser.add_argument("--drifted", type=int, default=0, help="signals that are in alarm always")
    parser.add_argument("--inject", action="store_true")
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    baseline = a_baseline(options.signals, rng)
    if options.hourly:
        baseline = with_hours(baseline, rng)
    some = made(baseline, min(MADE, options.windows), rng, options.drifted)
    month = Month(options.windows, list(some))
    until = month.start + 60.0 * options.windows
    middle = month.start + 60 * (options.windows // 2)
    plan = BacktestPlan(
        rules=parse_rules(RULES, source="bench"),
        alarms_of=lambda model: 1.0,
        since=float(month.start),
        until=until,
        injection=Injection("f0", "mean", 0.5, middle) if options.inject else None,
    )
    began, profile = time.process_time(), cProfile.Profile()
    if options.profile:
        profile.enable()
    known = {baseline.id: baseline}.get
    result: Result | Calibration
    if options.calibrate:
        result = calibrate(plan, lambda _: month, known)
    else:
        result = backtest(plan, month, known)
    profile.disable()
    took = time.process_time() - began - month.seconds
    if options.profile:
        profile.print_stats("tottime")
    assert result.windows == options.windows
    print(
        json.dumps(
            {
                "windows": result.windows,
                "signals": options.signals,
                "megabytes": round(month.bytes / 1e6),
                "hourly": options.hourly,
                "drifted": options.drifted,
                "injected": options.inject,
                "seconds": round(took, 1),
                "ms_per_window": round(1e3 * took / result.windows, 3),
                **_found(result),
                "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
            }
        )
    )


if __name__ == "__main__":
    main()
