"""From a window's counts to its report: merging, figures, sources. Pure."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple, TypeVar

import msgspec

from tidegauge.baseline import (
    Baseline,
    CategoricalSignal,
    NumericSignal,
    current_counts,
    nan_is_missing,
    ordered_bins,
    reference_counts,
    tells_unseen,
    value_bins,
)
from tidegauge.contract import (
    LATENCY_EDGES_MS,
    OUTPUT_SIGNALS,
    STATUS_CATEGORIES,
    CountedRange,
    Drift,
    LatencySummary,
    ReportPart,
    SignalHistogram,
    SignalReport,
    WindowReport,
    deterministic_id,
    encode,
)
from tidegauge.sequential import ValueTable, with_values
from tidegauge.stats import DriftTable, drift_table, histogram_quantile
from tidegauge.windows.merging import bounded_sum, merge, merge_tenures
from tidegauge.windows.quality import quality_of
from tidegauge.windows.sources import may_be_one
from tidegauge.windows.values import CellCounts, Counts, PastSeries, ScoreSum, TenureCounts

Name = TypeVar("Name", bound=Hashable)

_ERROR = STATUS_CATEGORIES.index("error")

#: What "the last five minutes" of the mean prediction are, seconds.
SCORE_SECONDS = 300


class ReportInput(NamedTuple):
    """A report to make: of a window's counts by baseline; ``scores`` are of the windows before."""

    counts: Counts
    scores: Sequence[ScoreSum]
    revision: int


Signals = Mapping[str, SignalHistogram]


class _LaidOut(NamedTuple):
    names: list[str]
    table: DriftTable
    values: ValueTable


class Comparisons:
    """Compares windows with baselines, each of which is laid out once and remembered by its id."""

    def __init__(self) -> None:
        self._known: dict[str, _LaidOut] = {}

    def keep(self, baselines: Set[str]) -> None:
        """Forget how baselines other than these are laid out."""
        for baseline_id in self._known.keys() - baselines:
            del self._known[baseline_id]

    def drifts(
        self, baseline_id: str, baseline: Baseline, signals: Signals
    ) -> dict[str, Drift | None]:
        """Return the figures of the signals that the baseline has.

        Raises ``ValueError`` if one was binned by another baseline.
        """
        return self.drifts_together([(baseline_id, baseline, signals)])[0]

    def drifts_together(
        self, windows: Sequence[tuple[str, Baseline, Signals]]
    ) -> list[dict[str, Drift | None]]:
        """Return those of many windows, each by its own baseline: the same, and in less time."""
        laid_out = [self._laid_out(*window) for window in windows]
        currents = [
            [current_counts(baseline.signals[name], signals[name]) for name in it.names]
            for it, (_, baseline, signals) in zip(laid_out, windows, strict=True)
        ]
        figures = DriftTable.together([it.table for it in laid_out], currents)
        of_values = ValueTable.together([it.values for it in laid_out], currents)
        return [
            dict(zip(it.names, map(with_values, its, values), strict=True))
            for it, its, values in zip(laid_out, figures, of_values, strict=True)
        ]

    def _laid_out(self, baseline_id: str, baseline: Baseline, signals: Signals) -> _LaidOut:
        names = [name for name in signals if name in baseline.signals]
        known = self._known.get(baseline_id)
        if known is None or known.names != names:
            references = [baseline.signals[name] for name in names]
            counts = [reference_counts(it) for it in references]
            ordered = [ordered_bins(it) for it in references]
            table = DriftTable(counts, ordered)
            effects = [baseline.design_effect(name) for name in names]
            values = ValueTable(counts, list(map(value_bins, counts, ordered)), effects)
            known = self._known[baseline_id] = _LaidOut(names, table, values)
        return known


def make_reports(
    asked: Sequence[ReportInput], *, baselines: Mapping[str, Baseline], comparisons: Comparisons
) -> list[tuple[WindowReport, ScoreSum]]:
    """Report windows; all their signals are compared with their baselines at once.

    With each report comes the window's own score sum, for the reports to come.
    """
    merged = [
        {baseline: merge_tenures(tenures) for baseline, tenures in one.counts.parts.items()}
        for one in asked
    ]
    compared = [
        (at, baseline, signals)
        for at, parts in enumerate(merged)
        for baseline, signals in parts.items()
        if baseline in baselines
    ]
    figures = comparisons.drifts_together(
        [(baseline, baselines[baseline], signals) for _, baseline, signals in compared]
    )
    found = {(at, baseline): its for (at, baseline, _), its in zip(compared, figures, strict=True)}
    return [
        _report(one, parts, baselines, {name: found.get((at, name), {}) for name in parts})
        for at, (one, parts) in enumerate(zip(asked, merged, strict=True))
    ]


def _report(
    asked: ReportInput,
    merged: Mapping[str, Mapping[str, SignalHistogram]],
    baselines: Mapping[str, Baseline],
    figures: Mapping[str, Mapping[str, Drift | None]],
) -> tuple[WindowReport, ScoreSum]:
    counts, scores, revision = asked
    window, parts = counts.window, counts.parts
    tenures = [one for part in parts.values() for one in part.values()]
    prediction = merge(
        # Bins may differ between parts; only sums are used, and those add up in any binning.
        msgspec.structs.replace(signals["prediction"], counts=[signals["prediction"].n])
        for signals in merged.values()
    )
    score = ScoreSum(window_end=window.end, sum=prediction.sum, n=prediction.n)
    where = window.slice
    report = WindowReport(
        id=deterministic_id(
            "window", where.model, where.version, where.variant, *_flat(where.segment),
            window.start, window.seconds, revision,
        ),
        model=where.model,
        version=where.version,
        variant=where.variant,
        segment=dict(where.segment),
        window_start=window.start,
        window_end=window.end,
        revision=revision,
        closed_by=counts.watermark,
        events=sum(one.events for one in tenures),
        errors=sum(signals["status"].counts[_ERROR] for signals in merged.values()),
        counted=counted_ranges(tenures, counts.covered, counts.past),
        prediction_mean_5m=_mean_score([*scores, score], window.end),
        latency=_latency(merge(signals["latency_ms"] for signals in merged.values())),
        parts=[
            ReportPart(
                baseline=baseline,
                baseline_age_seconds=_baseline_age(parts[baseline]) if baseline else None,
                events=sum(one.events for one in parts[baseline].values()),
                signals=_signal_reports(signals, baselines.get(baseline), figures[baseline]),
            )
            for baseline, signals in merged.items()
        ],
    )  # fmt: skip
    return report, score


def _baseline_age(tenures: CellCounts) -> float | None:
    """Return the largest age among the workers that counted; none if one never had the store."""
    ages = [one.baselines_age_seconds for one in tenures.values()]
    known = [age for age in ages if age is not None]
    return max(known) if len(known) == len(ages) else None


def _flat(segment: Iterable[tuple[str, str]]) -> list[str]:
    return [text for pair in segment for text in pair]


def counted_ranges(
    tenures: Iterable[TenureCounts],
    covered: Mapping[str, Mapping[int, int]],
    past: Mapping[str, Mapping[int, Sequence[PastSeries]]],
) -> list[CountedRange]:
    """Return, by source partition, offsets in which every event of the window was counted.

    From where the first tenure that saw one of its events began, to what is covered now, or to the
    end of its series of offsets.
    """
    starts: dict[tuple[str, int, int], dict[str, int]] = {}
    for counts in tenures:
        for partition, start in counts.starts.items():
            key = (counts.source, partition, counts.series.get(partition, 0))
            its = starts.setdefault(key, {})
            its[counts.topic_id] = min(start, its.get(counts.topic_id, start))
    ranges = []
    for (topic, partition, series), its in sorted(starts.items()):
        if "" in its and len(its) == 2:  # of the one that workers have named since
            unnamed = its.pop("")
            its = {topic_id: min(start, unnamed) for topic_id, start in its.items()}
        for topic_id, start in sorted(its.items()):
            over = [
                one.to
                for one in past.get(topic, {}).get(partition, ())
                if one.series == series and may_be_one(one.topic_id, topic_id)
            ]
            ranges.append(
                CountedRange(
                    topic=topic,
                    partition=partition,
                    start=start,
                    to=over[-1] if over else covered[topic][partition],
                    topic_id=topic_id,
                )
            )
    return ranges


def _mean_score(scores: Sequence[ScoreSum], end: int) -> float | None:
    recent = [s for s in scores if end - SCORE_SECONDS < s.window_end <= end]
    n = sum(s.n for s in recent)
    return bounded_sum(s.sum for s in recent) / n if n else None


def _latency(histogram: SignalHistogram) -> LatencySummary | None:
    n = histogram.n
    if not n:
        return None

    def quantile(q: float) -> float:
        value = histogram_quantile(
            LATENCY_EDGES_MS,
            histogram.counts,
            q,
            minimum=histogram.minimum,
            maximum=histogram.maximum,
        )
        assert value is not None  # noqa: S101 - something was counted
        return value

    return LatencySummary(
        mean_ms=histogram.sum / n,
        p50_ms=quantile(0.5),
        p95_ms=quantile(0.95),
        p99_ms=quantile(0.99),
    )


def signal_reports(
    signals: Mapping[str, SignalHistogram], baseline: Baseline | None
) -> dict[str, SignalReport]:
    """Report what was counted of each signal of one part."""
    figures = Comparisons().drifts("", baseline, signals) if baseline is not None else {}
    return _signal_reports(signals, baseline, figures)


def _signal_reports(
    signals: Mapping[str, SignalHistogram],
    baseline: Baseline | None,
    figures: Mapping[str, Drift | None],
) -> dict[str, SignalReport]:
    references = baseline.signals if baseline is not None else {}
    return {
        name: signal_report(
            name,
            its,
            references.get(name),
            figures.get(name),
            baseline.design_effect(name) if baseline is not None else 1.0,
        )
        for name, its in signals.items()
    }


def signal_report(
    name: str,
    histogram: SignalHistogram,
    reference: NumericSignal | CategoricalSignal | None,
    drift: Drift | None,
    effect: float = 1.0,
) -> SignalReport:
    """Report what was counted of one signal, whose design effect is ``effect``.

    ``drift`` is what :func:`drifts` says of it.
    """
    n = histogram.n
    features = reference.sum_of if isinstance(reference, NumericSignal) else msgspec.UNSET
    missing = histogram.absent + histogram.null
    # No worker counts nothing at all; of nothing, no share is missing.
    events = n + missing + histogram.nan + histogram.invalid or 1
    if reference is not None and nan_is_missing(reference):
        missing += histogram.nan
    numeric = (
        name in ("prediction", "latency_ms")
        if name in OUTPUT_SIGNALS
        else isinstance(reference, NumericSignal)
    )
    # What is in the last bin of a feature only its baseline can say.
    tells = name in OUTPUT_SIGNALS if reference is None else tells_unseen(reference)
    unseen = histogram.counts[-1] if tells and not numeric else None
    return SignalReport(
        kind="numeric" if numeric else "categorical",
        histogram=histogram,
        mean=histogram.sum / n if numeric and n else None,
        missing_share=missing / events,
        unseen_share=None if unseen is None else unseen / events,
        drift=drift,
        # Of a sum, nothing is malformed that is not so of its features.
        quality=None if reference is None or features else quality_of(histogram, reference, effect),
        features=features,
    )


def drifts(
    compared: Mapping[Name, tuple[SignalHistogram, NumericSignal | CategoricalSignal, float]],
) -> dict[Name, Drift | None]:
    """Compare windows of signals with their baselines and design effects, all at once."""
    references = [reference_counts(reference) for _, reference, _ in compared.values()]
    ordered = [ordered_bins(reference) for _, reference, _ in compared.values()]
    effects = [effect for *_, effect in compared.values()]
    currents = [
        current_counts(reference, histogram) for histogram, reference, _ in compared.values()
    ]
    figures = drift_table(references, currents, ordered)
    table = ValueTable(references, list(map(value_bins, references, ordered)), effects)
    (values,) = ValueTable.together([table], [currents])
    return dict(zip(compared, map(with_values, figures, values), strict=True))


#: Signals in alarm of which the details are tried to be kept, the first by rank.
_DETAILED = (1_000, 300, 100, 30, 10, 0)


def shortened(report: WindowReport, most_bytes: int) -> WindowReport | None:
    """Return the report with the details of as many of its drifts as fit; None if none fits.

    Details are the counts, the change and the expectation of an evidence. Every signal stays, with
    its histogram, its figures and its surprise.
    """
    for candidate in _shorter(report):
        if len(encode(candidate)) <= most_bytes:
            return candidate
    return None


def _shorter(report: WindowReport) -> Iterator[WindowReport]:
    for detailed in _DETAILED:
        parts = [_with_details(part, detailed) for part in report.parts]
        yield msgspec.structs.replace(report, parts=parts)


def _with_details(part: ReportPart, detailed: int) -> ReportPart:
    signals = {
        name: signal if _rank(signal) <= detailed else _bare(signal)
        for name, signal in part.signals.items()
    }
    return msgspec.structs.replace(part, signals=signals)


def _rank(signal: SignalReport) -> float:
    change = signal.evidence.change if signal.evidence else None
    return change.rank if change else float("inf")


def _bare(signal: SignalReport) -> SignalReport:
    if signal.evidence is None:
        return signal
    bare = msgspec.structs.replace(
        signal.evidence,
        counts=None,
        change=None,
        expectation=None,
        counts_since=msgspec.UNSET,
        earlier=msgspec.UNSET,
    )
    return msgspec.structs.replace(signal, evidence=bare)
