"""The signals in alarm: rank, changed bins and onset of each, and the pattern of all. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from msgspec import UNSET

from tidegauge.alerting import MINIMUM_PSI, MOST_MOVED
from tidegauge.baseline import (
    OUTSIDE,
    NumericSignal,
    Signal,
    bin_labels,
    current_counts,
    ordered_bins,
    reference_counts,
    tells_unseen,
    value_bins,
)
from tidegauge.contract import (
    Change,
    DriftedSignal,
    DriftPattern,
    MovedBin,
    ReportPart,
    SignalHistogram,
    SignalReport,
)
from tidegauge.sequential import Memory, Reference, bin_contributions
from tidegauge.stats import Floats, Places, degrees_of_freedom, histogram_quantile, psi_corrected
from tidegauge.windows.outside import Range, with_outside

#: What a model says, as opposed to what it sees.
OUTCOMES = ("prediction", "label")


class InAlarm(NamedTuple):
    """A signal in alarm: -ln p of its strongest score, nats, and the size of its drift, nats."""

    name: str
    surprise: float
    psi_corrected: float
    q_value: float


class Standing(NamedTuple):
    """A signal's place among those in alarm, from 1; its false discovery rate and importance."""

    rank: int
    q_value: float
    importance: float | None


def ranking(
    in_alarm: Iterable[InAlarm],
    importances: Mapping[str, float],
    joint: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> dict[str, Standing]:
    """Rank by importance · corrected PSI; without importances, and between equals, by surprise.

    Importances are taken as shares of their sum. The prediction and the label, which are what all
    features together lead to, weigh 1 and have none of their own; a feature that is not named
    weighs 0. ``joint`` signals, by what they are sums of, weigh as the most important of it; they
    come last if one of their features is in alarm, whose change explains theirs.

    >>> drifts = [InAlarm("age", 90.0, 0.1, 0.0), InAlarm("income", 40.0, 0.3, 0.0)]
    >>> {name: one.rank for name, one in ranking(drifts, {}).items()}
    {'age': 1, 'income': 2}
    >>> ranking(drifts, {"income": 6.0, "age": 2.0})["income"]
    Standing(rank=1, q_value=0.0, importance=0.75)
    """
    total = sum(importances.values())
    found = list(in_alarm)
    names = {one.name for one in found}

    def importance(name: str) -> float | None:
        own = total and name not in OUTCOMES and name not in joint
        return importances.get(name, 0.0) / total if own else None

    def order(one: InAlarm) -> tuple[bool, float, float, str]:
        features = joint.get(one.name, ())
        share = importance(one.name)
        if features and total:
            share = max(importances.get(name, 0.0) for name in features) / total
        weight = (1.0 if share is None else share) * one.psi_corrected if total else 0.0
        return not names.isdisjoint(features), -weight, -one.surprise, one.name

    return {
        one.name: Standing(rank, one.q_value, importance(one.name))
        for rank, one in enumerate(sorted(found, key=order), start=1)
    }


#: By span: a window, up to a quarter of an hour, an hour; of windows of a minute.
_SPAN_WORDS: tuple[Literal["spike", "minutes", "hour"], ...] = (
    "spike", "minutes", "minutes", "hour",
)  # fmt: skip


class Strongest(NamedTuple):
    """Of some signals, by their rows, the span that shows a change most, and its onset."""

    rows: Places
    spans: Places
    onsets: Floats


@dataclass(frozen=True)
class Bins:
    """A signal of the baseline, its design effect, and what its bins are called."""

    signal: Signal
    effect: float = 1.0

    @cached_property
    def range(self) -> Range | None:
        """Return the baseline's range; where it is known, the last bin is what is outside of it."""
        return Range.of(self.signal)

    @cached_property
    def reference(self) -> list[int]:
        """Return the baseline's counts; outside of its own range it has none."""
        counts = reference_counts(self.signal)
        return counts if self.range is None else [*counts, 0]

    def current(self, histogram: SignalHistogram) -> list[int]:
        """Return a window's counts."""
        counts = current_counts(self.signal, histogram)
        if self.range is None or len(histogram.counts) != len(self.signal.counts):
            return counts
        return with_outside(counts, len(histogram.counts), self.range.outside(histogram))

    @cached_property
    def labels(self) -> list[str]:
        """Return a label for each bin; most signals are never in alarm, and none is made."""
        labels = bin_labels(self.signal)
        return labels if self.range is None else [*labels, OUTSIDE]

    @cached_property
    def values(self) -> Places:
        """Return for each bin which bin of values it is, from 1; 0 if it holds none.

        What is outside of the range is broken rather than drifted, as categories never seen are.
        """
        bins = value_bins(reference_counts(self.signal), ordered_bins(self.signal))
        beside = [] if self.range is None else [-1]
        return np.array([*bins, *beside], dtype=np.intp) + 1


def changes(
    names: Sequence[str],
    bins: Mapping[str, Bins],
    reference: Reference,
    memory: Memory,
    strongest: Strongest,
    part: ReportPart,
    standing: Mapping[str, Standing],
) -> dict[str, Change]:
    """Return what has changed, by name.

    ``names`` are those of ``strongest.rows``, all of which are in ``part`` and have been scored.
    """
    rows, spans, _ = strongest
    if not names:
        return {}
    counts = memory.effective()[spans, rows]
    baseline, current, g = bin_contributions(reference.counts[rows], counts)
    most = np.argsort(-np.abs(g), axis=-1, kind="stable")[:, :MOST_MOVED].tolist()
    onsets = strongest.onsets.astype(int).tolist()
    found = {}
    for at, name in enumerate(names):
        its, report = bins[name], part.signals[name]
        missing = len(its.signal.counts)  # the bins of values come before it
        deltas = (current[at] - baseline[at]).tolist()
        place = standing[name]
        found[name] = Change(
            span=_SPAN_WORDS[spans[at]],
            moved=[
                MovedBin(
                    bin=its.labels[i],
                    baseline_share=float(baseline[at, i]),
                    current_share=float(current[at, i]),
                    g=float(g[at, i]),
                )
                for i in most[at]
                if g[at, i]
            ],
            mean_delta=_mean_delta(its.signal, report),
            median_delta=_median_delta(
                its.signal,
                reference.counts[rows[at], :missing].tolist(),
                counts[at, :missing].tolist(),
                report,
            ),
            missing_share_delta=deltas[missing],
            unseen_share_delta=deltas[missing - 1] if tells_unseen(its.signal) else None,
            onset_window_end=onsets[at],
            q_value=place.q_value,
            rank=place.rank,
            importance=place.importance,
        )
    return found


def _mean_delta(signal: Signal, report: SignalReport) -> float | None:
    if not isinstance(signal, NumericSignal) or signal.mean is None or report.mean is None:
        return None
    return report.mean - signal.mean


def _median_delta(
    signal: Signal, baseline: list[float], values: list[float], report: SignalReport
) -> float | None:
    before, now = _median(signal, baseline, None), _median(signal, values, report)
    return None if before is None or now is None else now - before


def _median(signal: Signal, counts: Sequence[float], report: SignalReport | None) -> float | None:
    if not isinstance(signal, NumericSignal):
        return None
    seen = [report.histogram.minimum, report.histogram.maximum] if report else []
    ends = [it for it in (signal.minimum, signal.maximum, *seen) if it is not None]
    return histogram_quantile(
        signal.edges,
        counts,
        0.5,
        minimum=min(ends, default=None),
        maximum=max(ends, default=None),
    )


#: Standard deviations of the noise of PSI that values must be apart to have drifted.
_NOISE = 3.0

#: A signal of which more than this is lost is broken: what is left of it says nothing of a drift.
_BROKEN = 0.05


def drifts_of_values(
    signals: Sequence[tuple[SignalReport, Bins]], counts: Floats, reference: Floats
) -> list[float | None]:
    """Return how far the values of signals in alarm have drifted: corrected PSI of each, nats.

    ``counts`` (signals, bins) are the effective counts since the onset; of these, the bins of
    values count. None if that is too little, or no more than noise, or if the signal is broken:
    then it is in alarm because of that.
    """
    found: list[float | None] = [None] * len(signals)
    #: Signals of as many bins of values, one row each: sums depend on how far they are padded.
    alike: dict[int, list[tuple[int, Floats, Floats]]] = {}
    for at, (report, bins) in enumerate(signals):
        if not _is_broken(report):
            now, before = (_of_values(side[at], bins) for side in (counts, reference))
            alike.setdefault(len(now), []).append((at, now, before))
    for rows in alike.values():
        places, current, baseline = zip(*rows, strict=True)
        sizes = sizes_of_values(np.stack(current), np.stack(baseline))
        for at, size in zip(places, sizes, strict=True):
            found[at] = size
    return found


def _is_broken(report: SignalReport) -> bool:
    quality = report.quality
    return quality is not None and (
        quality.constant
        or max(
            quality.missing_excess,
            quality.not_finite_excess,
            quality.invalid_excess,
            quality.unseen_excess,
            quality.out_of_range_share,
        )
        > _BROKEN
    )


def _of_values(counts: Floats, bins: Bins) -> Floats:
    its = counts[: len(bins.values)]
    return np.bincount(bins.values, its)[1:].astype(np.float64, copy=False)


def sizes_of_values(current: Floats, reference: Floats) -> list[float | None]:
    """Return the corrected PSI, nats, of counts (signals, bins), one for each signal.

    None if it is too little, or no more than noise, or if a side has counted nothing.

    >>> even = np.full(10, 1000.0)
    >>> current = np.stack([even + 30, even / 100 * np.arange(6, 16)])
    >>> [size is None for size in sizes_of_values(current, np.stack([even, even]))]
    [True, False]
    """
    n, m = current.sum(axis=-1), reference.sum(axis=-1)
    sizes, degrees = psi_corrected(current, reference), degrees_of_freedom(current, reference)
    columns = (column.tolist() for column in (sizes, degrees, n, m))
    return [
        size if n and m and size >= _least_size(of_freedom, n, m) else None
        for size, of_freedom, n, m in zip(*columns, strict=True)
    ]


def _least_size(degrees: int, n: float, m: float) -> float:
    noise: float = (2 * degrees) ** 0.5 * (1 / n + 1 / m)
    return max(MINIMUM_PSI, _NOISE * noise)


def pattern_of(
    judged: Iterable[str],
    drifts: Mapping[str, float],
    joint: Collection[str] = (),
) -> DriftPattern:
    """Return the pattern of the signals that were ``judged``, some with ``drifts`` of their values.

    ``joint`` signals are no features.

    >>> pattern_of(["age", "income", "prediction"], {"age": 0.2}).reading
    'inputs_only'
    >>> pattern_of(["age", "income", "prediction"], {"prediction": 0.2}).reading
    'score_only'
    >>> pattern_of(["age", "income", "sum"], {"sum": 0.2}, ["sum"]).together
    [DriftedSignal(signal='sum', psi_corrected=0.2)]
    """
    names = set(judged)
    features = names.difference(OUTCOMES, joint)
    together = {name: size for name, size in drifts.items() if name in joint}
    drifted = len(features & drifts.keys())
    outcomes = names.intersection(OUTCOMES)
    outcome_drifted = bool(outcomes & drifts.keys()) if outcomes else None
    pattern = DriftPattern(
        signals=len(features),
        drifted_signals=drifted,
        drifted_share=drifted / len(features) if features else 0.0,
        prediction_drifted=outcome_drifted,
        reading=None,
        drifts=_by_size({name: size for name, size in drifts.items() if name in features}),
        together=_by_size(together) or UNSET,
    )
    if not (drifted or together):
        pattern.reading = "score_only" if outcome_drifted else "no_drift"
    elif outcome_drifted is not None:
        pattern.reading = "inputs_and_score" if outcome_drifted else "inputs_only"
    return pattern


def _by_size(drifts: Mapping[str, float]) -> list[DriftedSignal]:
    return [
        DriftedSignal(signal=name, psi_corrected=size)
        for name, size in sorted(drifts.items(), key=lambda it: (-it[1], it[0]))
    ]
