"""What the default rules send of undisturbed data: windows through the product's own path.

Reports, evidence and alerts are made as DETECT makes them, of models with twenty signals and
windows of a minute.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from _detection_cases import CATEGORICAL, CLUSTERS, RARE, Case, Continuous
from support.window_reports import window_report
from tidegauge.alerting import DEFAULT_RULES, AlertState, evaluate
from tidegauge.baseline import Baseline
from tidegauge.contract import ReportPart, SignalHistogram
from tidegauge.windows import DriftDetector
from tidegauge.windows.report import signal_reports

SIGNALS = 20

#: By window, from 0, and signal: what it counts.
Histograms = Callable[[int, str], SignalHistogram]


class FirstDay(NamedTuple):
    """How many windows of all models there were, and the incidents sent, by rule."""

    name: str
    windows: int
    sent: Mapping[str, int]
    reasons: Sequence[str]


class Day(NamedTuple):
    """A case, and by how much the mean of a signal, by its number, is off in a window."""

    name: str
    case: Case
    models: int
    windows: int
    off: Callable[[int, int], float] = lambda window, number: 0.0


def _numeric(rows: int, events: int = 1_000) -> Case:
    return Case("numeric", Continuous(), rows, events)


_ALIKE = [Day(str(it), it, 3, 100) for it in (*CATEGORICAL[:3], *RARE, CLUSTERS[1])]
DAYS: Sequence[Day] = (
    *_ALIKE,
    *(Day(str(it), it, 3, 100) for it in (_numeric(150, 2_000), _numeric(300, 2_000))),
    Day(
        "numeric, three of twenty off by .05 sd, n=1000, m=100000",
        _numeric(100_000), 1, 150, lambda window, number: 0.05 if number < 3 else 0.0,
    ),
    Day(
        "numeric, a daily cycle of .05 sd, fixed baseline, n=1000, m=100000",
        _numeric(100_000), 1, 720, lambda window, _: 0.05 * float(np.sin(np.pi * window / 720)),
    ),
)  # fmt: skip
QUICK: Sequence[Day] = (_ALIKE[0], _ALIKE[3], DAYS[-4], DAYS[-2])


def first_day(day: Day, *, seed: int) -> FirstDay:
    """Watch models of a case from their first window on."""
    rng = np.random.default_rng([seed, 9, *map(ord, day.name)])
    sent: Counter[str] = Counter()
    reasons: set[str] = set()
    for _ in range(day.models):
        baseline = day.case.baseline(SIGNALS, rng)

        def counted(window: int, name: str, its: Baseline = baseline) -> SignalHistogram:
            law, off = day.case.law, day.off(window, int(name[1:]))
            if isinstance(law, Continuous) and off:
                law = Continuous(law.moved(off))
            events, each = day.case.events, day.case.each
            found = law.histogram(its.signals[name], events // each, rng)
            return found if each == 1 else repeated(found, each)

        found, why = sent_of(baseline, counted, day.windows, day.case.events)
        sent += found
        reasons.update(why)
    return FirstDay(day.name, day.models * day.windows, dict(sent), sorted(reasons))


def sent_of(
    baseline: Baseline, counted: Histograms, windows: int, events: int
) -> tuple[Counter[str], list[str]]:
    """Return how many incidents each default rule sends of a model, and the budget's reasons."""
    detector, memory, state = DriftDetector(lambda model: 1.0), None, AlertState()
    baselines, sent, reasons = {baseline.id: baseline}, Counter[str](), list[str]()
    for number in range(windows):
        counts = {name: counted(number, name) for name in baseline.signals}
        part = ReportPart(
            baseline=baseline.id, baseline_age_seconds=0.0, events=events,
            signals=signal_reports(counts, baseline),
        )  # fmt: skip
        memory, report = detector.take(memory, window_report(number, part), baselines)
        judged = evaluate(DEFAULT_RULES, report, state, distribution=lambda *_: None)
        state = judged.state
        sent.update(it.rule for it in judged.alerts if it.event == "firing")
        budget = report.parts[0].alarm_budget
        reasons = budget.reasons if budget else reasons
    return sent, reasons


def repeated(histogram: SignalHistogram, times: int) -> SignalHistogram:
    """Return a histogram with each value so many times."""
    return SignalHistogram(
        counts=[times * it for it in histogram.counts],
        sum=times * histogram.sum,
        sumsq=times * histogram.sumsq,
        minimum=histogram.minimum,
        maximum=histogram.maximum,
    )
