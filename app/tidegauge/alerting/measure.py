"""From a window report to the value of one metric, signal by signal, and what it rests on."""

import math
from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from tidegauge.alerting.cohorts import CohortFigure, CohortWindow, figure_of
from tidegauge.alerting.metrics import METRICS, OF_COHORTS, OF_DRIFT, MetricName, Noise
from tidegauge.alerting.model import Rule
from tidegauge.contract import (
    AlarmBudget,
    Alert,
    Distribution,
    Drift,
    DriftPattern,
    Evidence,
    LatencySummary,
    MovedBin,
    Quality,
    ReportPart,
    SignalHistogram,
    SignalReport,
    WindowReport,
)

#: Signals tidegauge derives itself that are no input or output of the model: they have metrics of
#: their own (latency_…, error_share) and no baseline.
_NOT_WATCHED = frozenset({"latency_ms", "status"})

#: -ln of how probable a divergence of values may be by chance: beyond it is no noise. About the
#: threshold that the detector has with a budget of one false alarm a month.
NOISE_NATS = 16.0


class Measurement(NamedTuple):
    """One value of a metric.

    ``signal`` is ``None`` for a metric of the window. ``events`` is how many events the value rests
    on, ``minimum_events`` how many it takes at a threshold, where that follows from the window.
    ``baseline`` is the id of the baseline it was measured against or binned by ("" = none), and
    ``histogram`` what was counted of the signal. ``evidence`` and ``alarm_budget`` are what a
    surprise rests on, ``cohort`` what a figure of labels does.
    """

    signal: str | None
    value: float
    unit: str
    events: int
    baseline: str
    histogram: SignalHistogram | None
    evidence: Evidence | None = None
    alarm_budget: AlarmBudget | None = None
    noise: Noise | None = None
    cohort: CohortFigure | None = None

    def is_comparable(self, rule: Rule) -> bool:
        """Whether ``rule`` can be judged by it: not by a baseline's figure that isn't known."""
        if rule.drop_from_baseline is None or self.cohort is None:
            return True
        reference = self.cohort.reference
        return reference is not None and reference.value is not None

    def holds(self, rule: Rule) -> bool:
        """Whether the value lies beyond the threshold of ``rule``."""
        return rule.holds(self.value, None if self.cohort is None else self.cohort.base)

    def may_begin(self, rule: Rule) -> bool:
        """Whether that is large enough, and no chance, so that an alert may begin."""
        if self.cohort is None:
            return self.psi >= rule.required_psi
        return self.cohort.is_beyond_chance(rule)

    def limit(self, rule: Rule) -> float:
        """Return the threshold of ``rule`` in the unit of the value."""
        return rule.limit(None if self.cohort is None else self.cohort.base)

    @property
    def psi(self) -> float:
        """Size of a surprise, nats: corrected PSI, or that of one bin in terms of itself.

        Infinite for what has no size.
        """
        if self.evidence is None or self.evidence.psi_corrected is None:
            return math.inf
        return max(self.evidence.psi_corrected, self.evidence.psi_of_bin or 0.0)

    @property
    def rank(self) -> float:
        """Place among the signals in alarm, from 1; infinite for what is none of them."""
        change = self.evidence.change if self.evidence else None
        return change.rank if change else math.inf


def measure(
    metric: MetricName,
    report: WindowReport,
    *,
    outside: tuple[float, float] = (math.inf, -math.inf),
    always: Container[str | None] = (),
) -> Iterator[Measurement]:
    """Yield every value of ``metric`` in ``report``; nothing where it could not be measured.

    Only values below the first or above the second of ``outside`` are yielded, all of them if not
    given; and all those of the signals in ``always``.

    A metric of a signal is measured on each part of the report (parts differ if the baseline
    changed inside the window) for the features, ``prediction`` and ``label``, but for one that is
    the dimension of the report's segment: there it has one value. Of joint signals there is only
    how far they have drifted, by the events that have a value: the rest is said of their features.
    Those of the pattern of drifts are measured on the part that has one. ``mean`` and
    ``wasserstein`` rest on the values alone, so for them an event without one doesn't count.
    """
    if isinstance(report, CohortWindow):
        yield from _of_cohort(metric, report)
        return
    if METRICS[metric].of_signal:
        yield from _of_signals(metric, report, outside, always)
        return
    if metric in OF_COHORTS:
        return
    low, high = outside
    of_report = _of_patterns if metric in _PATTERN_FIGURES else _of_window
    yield from (it for it in of_report(metric, report) if it.value < low or it.value > high)


def _of_cohort(metric: MetricName, window: CohortWindow) -> Iterator[Measurement]:
    unit, baseline = METRICS[metric].unit, window.cohort.baseline
    for value, its in figure_of(metric, window) if metric in OF_COHORTS else ():
        yield Measurement(None, value, unit, its.figure.n, baseline, None, cohort=its)


def _of_signals(
    metric: MetricName,
    report: WindowReport,
    outside: tuple[float, float],
    always: Container[str | None],
) -> Iterator[Measurement]:
    low, high = outside
    figure = _SIGNAL_FIGURES[metric]
    unit = METRICS[metric].unit
    on_values = metric in ("mean", "wasserstein")
    left_out = _NOT_WATCHED.union(report.segment)
    for part in report.parts:
        for name, signal in part.signals.items():
            if name in left_out:
                continue
            if signal.features and (metric not in OF_DRIFT or left_out & signal.features.keys()):
                continue
            value = figure(part, signal)
            # Most are inside, and to make a measurement takes longer than to see that.
            if value is None or not (value < low or value > high or name in always):
                continue
            if not math.isfinite(value):
                continue
            of_values = on_values or signal.features
            events = _values(part, signal.histogram) if of_values else part.events
            found = Measurement(name, value, unit, events, part.baseline, signal.histogram)
            if metric == "kl_values":
                found = found._replace(noise=_noise_of_values(signal))
            if metric == "surprise":
                found = found._replace(evidence=signal.evidence, alarm_budget=part.alarm_budget)
            yield found


def _values(part: ReportPart, histogram: SignalHistogram) -> int:
    """Events of the part that had a value for the signal, be there bins for it or not."""
    without = histogram.absent + histogram.null + histogram.nan + histogram.invalid
    return max(part.events - without, 0)


def surprise(part: ReportPart, signal: SignalReport) -> float | None:
    """Return how far towards an alarm the signal is: 1 is the threshold of its budget."""
    if signal.evidence is None or part.alarm_budget is None:
        return None
    return signal.evidence.surprise_nats / part.alarm_budget.threshold_nats


_Figure = Callable[[ReportPart, SignalReport], float | None]


def _of_drift(figure: Callable[[Drift], float | None]) -> _Figure:
    return lambda part, signal: None if signal.drift is None else figure(signal.drift)


def _kl_values(part: ReportPart, signal: SignalReport) -> float | None:
    if signal.drift is None or not signal.histogram.n:
        return None
    if signal.drift.kl_values_nats is None:  # of an earlier release, which had no such figure
        return signal.drift.kl_current_reference_nats
    if (signal.drift.values_surprise_nats or 0.0) < NOISE_NATS:
        return 0.0
    evident = surprise(part, signal)  # not in a revision, whose first one had it
    if evident is not None and evident <= 1.0:
        return 0.0
    return max(signal.drift.kl_values_nats - (signal.drift.kl_values_noise_nats or 0.0), 0.0)


def _noise_of_values(signal: SignalReport) -> Noise | None:
    drift = signal.drift
    if drift is None or drift.kl_values_noise_nats is None or drift.values_bins is None:
        return None
    per_value = (drift.design_effect or 1.0) * max(drift.values_bins - 1, 0) / 2
    of_window = per_value / max(signal.histogram.n, 1)
    return Noise(per_value, max(drift.kl_values_noise_nats - of_window, 0.0))


def _of_quality(figure: Callable[[Quality], float]) -> _Figure:
    def measured(part: ReportPart, signal: SignalReport) -> float | None:
        if signal.quality is not None:
            return figure(signal.quality)
        return None if signal.drift is None else 0.0

    return measured


def _share(count: Callable[[SignalHistogram], int]) -> _Figure:
    return lambda part, signal: count(signal.histogram) / part.events if part.events else None


_SIGNAL_FIGURES: dict[MetricName, _Figure] = {
    "psi": _of_drift(lambda drift: drift.psi),
    "kl": _of_drift(lambda drift: drift.kl_current_reference_nats),
    "kl_reverse": _of_drift(lambda drift: drift.kl_reference_current_nats),
    "js": _of_drift(lambda drift: drift.js_nats),
    "wasserstein": _of_drift(lambda drift: drift.wasserstein_bins),
    "kl_values": _kl_values,
    "surprise": surprise,
    "missing_share": lambda part, signal: signal.missing_share,
    "absent_share": _share(lambda histogram: histogram.absent),
    "not_finite_share": _share(lambda histogram: histogram.nan),
    "invalid_share": _share(lambda histogram: histogram.invalid),
    "missing_excess": _of_quality(lambda quality: quality.missing_excess),
    "absent_excess": _of_quality(lambda quality: quality.absent_excess),
    "not_finite_excess": _of_quality(lambda quality: quality.not_finite_excess),
    "invalid_excess": _of_quality(lambda quality: quality.invalid_excess),
    "unseen_excess": _of_quality(lambda quality: quality.unseen_excess),
    "out_of_range_share": _of_quality(lambda quality: quality.out_of_range_share),
    "constant": _of_quality(lambda quality: float(quality.constant)),
    "unseen_share": lambda part, signal: signal.unseen_share,
    "mean": lambda part, signal: signal.mean,
}

_PATTERN_FIGURES: dict[MetricName, Callable[[DriftPattern], float]] = {
    "drifted_signals": lambda pattern: float(pattern.drifted_signals),
    "drifted_share": lambda pattern: pattern.drifted_share,
}


def _of_patterns(metric: MetricName, report: WindowReport) -> Iterator[Measurement]:
    for part in report.parts:
        if part.pattern is not None:
            value = _PATTERN_FIGURES[metric](part.pattern)
            yield Measurement(
                None, value, METRICS[metric].unit, part.events, part.baseline, None,
                alarm_budget=part.alarm_budget,
            )  # fmt: skip


_LATENCY_FIGURES: dict[MetricName, Callable[[LatencySummary], float]] = {
    "latency_mean_ms": lambda latency: latency.mean_ms,
    "latency_p50_ms": lambda latency: latency.p50_ms,
    "latency_p95_ms": lambda latency: latency.p95_ms,
    "latency_p99_ms": lambda latency: latency.p99_ms,
}


def _of_window(metric: MetricName, report: WindowReport) -> Iterator[Measurement]:
    events = report.events
    value: float | None
    if metric in _LATENCY_FIGURES:
        value = _LATENCY_FIGURES[metric](report.latency) if report.latency else None
        events = _with_latency(report)
    elif metric == "prediction_mean_5m":
        value = report.prediction_mean_5m
    elif metric == "error_share":
        value = report.errors / events if events else None
    elif metric == "seconds_without_events":
        value = 0.0 if events else None
    else:
        value = float(events)
    if value is not None and math.isfinite(value):
        yield Measurement(None, value, METRICS[metric].unit, events, "", None)


def _with_latency(report: WindowReport) -> int:
    """Events that said how long they took; all of them if the report has no histogram of it."""
    counted = [
        _values(part, signal.histogram)
        for part in report.parts
        if (signal := part.signals.get("latency_ms")) is not None
    ]
    return sum(counted) if counted else report.events


#: Bins that are named: enough to see where a change went, and little to carry.
MOST_MOVED = 5


def carry(alert: Alert, measured: Measurement) -> None:
    """Set what the value of ``alert`` rests on; its distribution is there already."""
    evidence, shown = measured.evidence, alert.distribution
    alert.evidence, alert.alarm_budget = evidence, measured.alarm_budget
    if evidence is not None and evidence.change is not None:
        alert.top_bins = evidence.change.moved
    elif shown is not None:
        alert.top_bins = top_bins(shown)
    alert.baseline_events = baseline_rows(measured, shown)


def baseline_rows(measured: Measurement, shown: Distribution | None) -> int | None:
    """Return how many rows of the baseline a value rests on; None if no baseline was compared."""
    if measured.evidence is not None:
        return measured.evidence.baseline_events
    return None if shown is None else sum(shown.reference)


def top_bins(distribution: Distribution) -> list[MovedBin]:
    """Return the bins that moved most, at most ``MOST_MOVED``; none if a side is empty.

    By what each adds to the likelihood ratio G of the two vectors, as in
    :func:`tidegauge.sequential.scores.bin_contributions`.

    >>> shown = Distribution(bins=["a", "b", "c"], reference=[50, 50, 0], current=[5, 15, 0])
    >>> [(it.bin, it.current_share, round(it.g, 6)) for it in top_bins(shown)]
    [('a', 0.25, -2.63978), ('b', 0.75, 1.758401)]
    """
    if not any(distribution.reference) or not any(distribution.current):
        return []
    found = [it for it in _bins(distribution) if it.g]
    return sorted(found, key=lambda it: -abs(it.g))[:MOST_MOVED]


def _bins(distribution: Distribution) -> Iterator[MovedBin]:
    m, n = sum(distribution.reference), sum(distribution.current)
    for label, b, a in zip(
        distribution.bins, distribution.reference, distribution.current, strict=True
    ):
        both = (a + b) / (n + m)
        g = 2 * (_likelihood(a, both * n) + _likelihood(b, both * m))
        signed = math.copysign(g, a / n - b / m)
        yield MovedBin(bin=label, baseline_share=b / m, current_share=a / n, g=signed)


def _likelihood(count: int, expected: float) -> float:
    return count * math.log(count / expected) if count else 0.0
