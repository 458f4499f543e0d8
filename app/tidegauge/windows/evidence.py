"""From what the detector made of a window to what its report says of every signal. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import msgspec
import numpy as np

from tidegauge.baseline import Baseline, features_of, new_bin, ordered_bins, reference_excess
from tidegauge.contract import (
    AlarmBudget,
    DriftPattern,
    EarlierWindows,
    Evidence,
    Expectation,
    ReportPart,
)
from tidegauge.sequential import (
    BINS,
    LAMBDAS,
    MEAN,
    SCORES,
    SPREAD,
    BatchResult,
    Budget,
    Contrast,
    DailyReference,
    Expected,
    Reference,
    SignalReference,
    StrongestScores,
    counts_since,
    q_values,
    size_of,
)
from tidegauge.stats import Bools, Floats, Places
from tidegauge.windows.changes import (
    Bins,
    InAlarm,
    Standing,
    Strongest,
    changes,
    drifts_of_values,
    pattern_of,
    ranking,
)
from tidegauge.windows.hours import (
    CALENDAR_ENDED,
    SMALL_BASELINE,
    WITHOUT_HOURS,
    daily_reference,
    has_few_rows,
    reasons_of,
)

_SPANS = [round(1 / weight) for weight in LAMBDAS]


@dataclass(frozen=True)
class BaselineLayout:
    """The signals of a baseline that can be watched, in the order of ``names``, and how.

    ``events`` is how many the baseline has of each signal, ``widths`` in how many bins. ``reasons``
    are those why no number of false alarms can be promised by it. ``effects`` (signals) are design
    effects: counts of both sides are divided by them. ``known_until`` is the epoch second at which
    the baseline's calendar ends, if it does.
    """

    names: list[str]
    events: list[int]
    widths: list[int]
    reference: Reference
    bins: dict[str, Bins]
    importances: Mapping[str, float]
    daily: DailyReference | None = None
    reasons: Sequence[str] = ()
    effects: Floats | None = None
    known_until: int | None = None

    @cached_property
    def joint(self) -> dict[str, list[str]]:
        """Return of each joint signal what it is the sum of."""
        found = {name: features_of(its.signal) for name, its in self.bins.items()}
        return {name: its for name, its in found.items() if its}

    def in_part(self, part: ReportPart, dimensions: Collection[str] = ()) -> Bools:
        """Return which signals are judged by a part of a report on a segment of ``dimensions``.

        A signal of the same name as one of these has one value in it, so there is nothing to say of
        it, nor of a sum of it.
        """
        return np.array(
            [
                name in part.signals
                and name not in dimensions
                and (name not in self.joint or not set(dimensions).intersection(self.joint[name]))
                for name in self.names
            ],
            dtype=bool,
        )

    @classmethod
    def of(cls, baseline: Baseline) -> "BaselineLayout":
        """Lay out the signals that the baseline has counts of."""
        bins = {name: Bins(signal) for name, signal in baseline.signals.items()}
        laid_out = {
            name: SignalReference(
                its.reference,
                ordered_bins(its.signal),
                reference_excess(its.signal),
                new_bin(its.signal),
            )
            for name, its in bins.items()
        }
        known = {name: it for name, it in laid_out.items() if any(it.counts)}
        names = list(known)
        effects = [baseline.design_effect(name) for name in names]
        divided = (its.divided(effect) for its, effect in zip(known.values(), effects, strict=True))
        reference = Reference.of(list(divided))
        return cls(
            names,
            [int(sum(it.counts)) for it in known.values()],
            [len(it.counts) for it in known.values()],
            reference,
            {
                name: Bins(baseline.signals[name], effect)
                for name, effect in zip(names, effects, strict=True)
            },
            baseline.importances or {},
            daily_reference(baseline, names, reference),
            reasons_of(baseline),
            np.array(effects) if max(effects, default=1.0) > 1 else None,
            calendar.until if baseline.daily and (calendar := baseline.daily.calendar) else None,
        )

    def reasons_at(self, window_end: int) -> list[str]:
        """Return why no number of false alarms can be promised of a window, whatever its rows."""
        ended = self.known_until is not None and window_end > self.known_until
        return [*self.reasons, *([CALENDAR_ENDED] if ended else ())]

    @cached_property
    def _places(self) -> Places:
        """Where the bins that exist are in an array of (signals, bins), one after the other."""
        return np.flatnonzero(self.reference.exists)

    def counts(self, parts: Sequence[ReportPart]) -> Floats:
        """Return the counts of each part, (parts, signals, bins); 0 of a signal it does not have.

        Divided by the design effects.

        Raises ``ValueError`` naming the signal if one was not binned by this baseline.
        """
        shape = self.reference.counts.shape
        table = np.zeros((len(parts), shape[0] * shape[1]))
        for flat, part in zip(table, parts, strict=True):
            rows = [
                [0] * width
                if (it := part.signals.get(name)) is None
                else self.bins[name].current(it.histogram)
                for name, width in zip(self.names, self.widths, strict=True)
            ]
            self._check(part, rows)
            flat[self._places] = np.fromiter(chain.from_iterable(rows), np.float64)
        counts = table.reshape(len(parts), *shape)
        return counts if self.effects is None else counts / self.effects[:, None]

    def late(self, news: Floats) -> Floats:
        """Return what late events add to counts, (signals, bins), with none below 0.

        Of more values it may follow that fewer are outside of the range: then these stay in the bin
        that they are counted in. A record that somebody forged may also say that there was less: of
        what is remembered nothing is taken back.
        """
        if not (news < 0).any():
            return news
        news = news.copy()
        for row in np.flatnonzero((news < 0).any(axis=-1)).tolist():
            if self.bins[self.names[row]].range is None:
                continue
            last, outside = int(self.reference.ordered[row].sum()) - 1, self.widths[row] - 1
            news[row, last] += news[row, outside]
            news[row, outside] = 0.0
            news[row, 0], news[row, last] = _without_debt(news[row, 0], news[row, last])
        return np.maximum(news, 0.0)

    def _check(self, part: ReportPart, rows: Sequence[Sequence[int]]) -> None:
        widths = list(map(len, rows))
        if widths != self.widths:
            row = next(at for at, width in enumerate(self.widths) if widths[at] != width)
            expected = self.widths[row] - (self.bins[self.names[row]].range is not None)
            raise ValueError(
                f"a report has {widths[row]} bins of the signal {self.names[row]!r} by the "
                f"baseline {part.baseline}, which has {expected}: the report or the baseline is "
                "damaged"
            )

    def evidence(self, rows: Places, strongest: StrongestScores) -> list[Evidence]:
        """Return the evidence of the signal in each row, without what explains an alarm."""
        columns = (column.tolist() for column in (rows, *strongest))
        effects = [self.bins[name].effect for name in self.names]
        return [
            Evidence(
                score=SCORES[score],
                span_windows=_SPANS[span],
                surprise_nats=surprise,
                events=events,
                baseline_events=self.events[row],
                bins=self.widths[row],
                psi_corrected=size,
                size=size_of(size),
                since_onset=since if age else None,
                psi_of_bin=of_bin if age else None,
                design_effect=its if (its := effects[row]) > 1 else msgspec.UNSET,
            )
            for row, surprise, span, score, events, size, age, since, of_bin in zip(
                *columns, strict=True
            )
        ]

    def pattern(
        self,
        part: ReportPart,
        judged: Collection[str],
        alarmed: Places,
        counts: Floats,
        compared: Floats,
    ) -> DriftPattern | None:
        """Return what the signals that were judged say together; None if none was.

        ``alarmed`` are the rows of those in alarm, ``counts`` (alarmed, bins) their effective
        counts since the onset, ``compared`` (alarmed, bins) what these are compared with.
        """
        if not judged:
            return None
        in_alarm = {self.names[row] for row in alarmed.tolist()}
        # If one of its features is in alarm, that explains a joint signal's change.
        own = [
            at
            for at, row in enumerate(alarmed.tolist())
            if in_alarm.isdisjoint(self.joint.get(self.names[row], ()))
        ]
        names = [self.names[row] for row in alarmed[own].tolist()]
        sizes = drifts_of_values(
            [(part.signals[name], self.bins[name]) for name in names], counts[own], compared[own]
        )
        drifts = {name: size for name, size in zip(names, sizes, strict=True) if size is not None}
        return pattern_of(judged, drifts, self.joint)


def _without_debt(first: float, last: float) -> tuple[float, float]:
    """Let one of two counts pay what the other lacks."""
    return max(first + min(last, 0.0), 0.0), max(last + min(first, 0.0), 0.0)


def alarm_budget(
    budget: Budget, threshold: float, looks: float, reasons: Sequence[str]
) -> AlarmBudget:
    """Return what a report says of the budget that its window was judged by.

    ``reasons`` are those not to rely on it.
    """
    return AlarmBudget(
        threshold_nats=threshold,
        looks=looks,
        alarms_per_month=budget.alarms,
        windows_per_month=budget.windows,
        slices=budget.slices,
        guaranteed=not reasons,
        reason="baseline_without_hours" if WITHOUT_HOURS in reasons else None,
        reasons=list(reasons),
    )


def with_evidence(
    part: ReportPart,
    layout: BaselineLayout,
    judged: BatchResult,
    budget: Budget,
    onsets: Floats,
    window_end: int,
    dimensions: Collection[str] = (),
) -> ReportPart:
    """Return a part with the evidence of its signals.

    ``onsets`` are the ends of the windows in which the changes of the signals in alarm began, and
    ``dimensions`` those of the segment: see :meth:`BaselineLayout.in_part`.
    """
    verdict, strongest = judged
    surprises, spans, sizes = strongest.surprises, strongest.spans, strongest.sizes
    expected = verdict.expected.at(spans, np.arange(len(spans))) if verdict.expected else None
    scored = layout.in_part(part, dimensions) & (verdict.events[0] > 0)
    alarmed = np.flatnonzero(scored & (surprises > verdict.threshold))
    seen = [layout.names[row] for row in np.flatnonzero(scored).tolist()]
    names = [layout.names[row] for row in alarmed.tolist()]
    changed = changes(
        names,
        layout.bins,
        expected.reference if expected else layout.reference,
        verdict.memory,
        Strongest(alarmed, spans[alarmed], onsets[alarmed]),
        part,
        _standing(layout, surprises, sizes, scored, alarmed),
    )
    remembered = verdict.memory.effective_at(spans[alarmed], alarmed)
    compared = (expected.reference if expected else layout.reference).counts[alarmed]
    whole = verdict.expected.reference if verdict.expected else layout.reference
    few = [SMALL_BASELINE] if has_few_rows(whole, scored) else []
    by_span = verdict.expected.reference.counts[:, alarmed] if verdict.expected else None
    changed_counts = counts_since(
        verdict.memory.of(alarmed), compared, strongest.ages[alarmed], by_span
    )
    since = dict(zip(names, changed_counts.tolist(), strict=True))
    counts = dict(zip(names, remembered.tolist(), strict=True))
    earlier = {} if expected else _earlier(layout, names, alarmed, judged)
    signals = dict(part.signals)
    rows = np.flatnonzero(scored)
    for row, evidence in zip(
        rows.tolist(), layout.evidence(rows, strongest.part(rows)), strict=True
    ):
        name = layout.names[row]
        change = changed.get(name)
        if change is not None:
            evidence.counts = counts[name][: evidence.bins]
            evidence.counts_since = since[name][: evidence.bins]
            evidence.earlier = earlier.get(name, msgspec.UNSET)
            evidence.change = change
            evidence.expectation = _expectation(expected, row, evidence.bins) if expected else None
        signals[name] = msgspec.structs.replace(signals[name], evidence=evidence)
    return msgspec.structs.replace(
        part,
        signals=signals,
        alarm_budget=alarm_budget(
            budget, verdict.threshold, verdict.looks, [*layout.reasons_at(window_end), *few]
        ),
        pattern=layout.pattern(part, seen, alarmed, changed_counts, compared),
    )


def _earlier(
    layout: BaselineLayout, names: Sequence[str], alarmed: Places, judged: BatchResult
) -> dict[str, EarlierWindows]:
    """Return what means are contrasted with, of those signals in alarm of which one was."""
    memory, strongest = judged.verdict.memory.of(alarmed), judged.strongest
    contrast = Contrast.of(memory, layout.reference.total[alarmed, 0])
    found = {}
    for at, (name, row) in enumerate(zip(names, alarmed.tolist(), strict=True)):
        span = int(strongest.spans[row])
        weight = float(contrast.weights[span, at])
        if SCORES[int(strongest.scores[row])] == "mean" and weight > 0:
            found[name] = EarlierWindows(
                weight=weight,
                events=float(contrast.events[span, at]),
                counts=contrast.counts[0, at, : layout.widths[row]].tolist(),
            )
    return found


def _expectation(expected: Expected, row: int, bins: int) -> Expectation:
    return Expectation(
        expected=expected.reference.counts[row, :bins].tolist(),
        excess=expected.excess[row, : BINS + bins].tolist(),
        degrees=expected.degrees[row, : BINS + bins].tolist(),
        skewness=expected.skewness[row, [MEAN, SPREAD]].tolist(),
    )


def _standing(
    layout: BaselineLayout,
    surprises: Floats,
    sizes: Floats,
    scored: Bools,
    alarmed: Places,
) -> dict[str, Standing]:
    if not len(alarmed):
        return {}
    scores = np.where(layout.reference.is_ordered, len(SCORES), len(SCORES) - 2)
    rates = np.ones(len(scored))
    rates[scored] = q_values(surprises[scored], scores[scored] * len(LAMBDAS))
    in_alarm = (
        InAlarm(layout.names[row], float(surprises[row]), float(sizes[row]), float(rates[row]))
        for row in alarmed.tolist()
    )
    return ranking(in_alarm, layout.importances, layout.joint)
