"""From what the detector made of a window to what its report says of every signal. Pure."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tidegauge.contract import AlarmBudget, Evidence, Expectation, ReportPart
from tidegauge.sequential import (
    BINS,
    LAMBDAS,
    MEAN,
    SCORES,
    SPREAD,
    BatchResult,
    Budget,
    DailyReference,
    Expected,
    Reference,
    q_values,
    size_of,
)
from tidegauge.windows.changes import Bins, Strongest, changes
from tidegauge.windows.pattern import drift_of_values, pattern_of
from tidegauge.windows.ranking import InAlarm, Standing, ranking

Floats = npt.NDArray[np.float64]

_SPANS = [round(1 / weight) for weight in LAMBDAS]


class BaselineLayout(NamedTuple):
    """The signals of a baseline that can be watched, in the order of ``names``, and how.

    ``events`` is how many the baseline has of each signal, ``widths`` in how many bins.
    """

    names: list[str]
    events: list[int]
    widths: list[int]
    reference: Reference
    bins: dict[str, Bins]
    importances: Mapping[str, float]
    daily: DailyReference | None = None


def with_evidence(
    part: ReportPart,
    watched: BaselineLayout,
    judged: BatchResult,
    budget: Budget,
    window: tuple[int, int],
    dimensions: Collection[str] = (),
) -> ReportPart:
    """Return a part with the evidence of its signals; ``window`` is its start and its end.

    ``dimensions`` are those of the segment: a signal of the same name has one value in it, so there
    is nothing to say of it.
    """
    verdict, (surprises, spans, scores, events, sizes) = judged
    expected = verdict.expected.at(spans, np.arange(len(spans))) if verdict.expected else None
    there = [name in part.signals and name not in dimensions for name in watched.names]
    said = np.array(there) & (verdict.events[0] > 0)
    alarmed = np.flatnonzero(said & (surprises > verdict.threshold))
    seen = [watched.names[row] for row in np.flatnonzero(said).tolist()]
    names = [watched.names[row] for row in alarmed.tolist()]
    changed = changes(
        names,
        watched.bins,
        expected.reference if expected else watched.reference,
        verdict.memory,
        Strongest(alarmed, spans[alarmed], scores[alarmed]),
        part,
        window,
        _standing(watched, surprises, sizes, said, alarmed),
    )
    effective = verdict.memory.effective_at(spans[alarmed], alarmed)
    counts = dict(zip(alarmed.tolist(), effective.tolist(), strict=True))
    signals = dict(part.signals)
    figures = zip(
        watched.names,
        said.tolist(),
        scores.tolist(),
        spans.tolist(),
        surprises.tolist(),
        events.tolist(),
        watched.events,
        watched.widths,
        sizes.tolist(),
        strict=True,
    )
    for row, (name, is_said, score, span, surprise, n, m, bins, size) in enumerate(figures):
        if not is_said:
            continue
        change = changed.get(name)
        evidence = Evidence(
            score=SCORES[score],
            span_windows=_SPANS[span],
            surprise_nats=surprise,
            events=n,
            baseline_events=m,
            bins=bins,
            psi_corrected=size,
            size=size_of(size),
        )
        if change is not None:
            evidence.counts = counts[row][:bins]
            evidence.change = change
            evidence.expectation = _expectation(expected, row, bins) if expected else None
        signals[name] = msgspec.structs.replace(signals[name], evidence=evidence)
    spent = AlarmBudget(
        threshold_nats=verdict.threshold,
        looks=verdict.looks,
        alarms_per_month=budget.alarms,
        windows_per_month=budget.windows,
        slices=budget.slices,
        guaranteed=expected is not None,
        reason=None if expected else "baseline_without_hours",
    )
    compared = (expected.reference if expected else watched.reference).counts
    remembered = verdict.memory.effective() if names else np.empty(0)
    sizes_of_values = {
        name: drift_of_values(
            part.signals[name], watched.bins[name],
            remembered[:, row, : watched.widths[row]], compared[row, : watched.widths[row]],
        )
        for row, name in zip(alarmed.tolist(), names, strict=True)
    }  # fmt: skip
    drifts = {name: size for name, size in sizes_of_values.items() if size is not None}
    pattern = pattern_of(seen, drifts) if seen else None
    return msgspec.structs.replace(part, signals=signals, alarm_budget=spent, pattern=pattern)


def _expectation(expected: Expected, row: int, bins: int) -> Expectation:
    return Expectation(
        expected=expected.reference.counts[row, :bins].tolist(),
        excess=expected.excess[row, : BINS + bins].tolist(),
        degrees=expected.degrees[row, : BINS + bins].tolist(),
        skewness=expected.skewness[row, [MEAN, SPREAD]].tolist(),
    )


def _standing(
    watched: BaselineLayout,
    surprises: Floats,
    sizes: Floats,
    said: npt.NDArray[np.bool_],
    alarmed: npt.NDArray[np.intp],
) -> dict[str, Standing]:
    if not len(alarmed):
        return {}
    scores = np.where(watched.reference.is_ordered, len(SCORES), len(SCORES) - 2)
    rates = np.ones(len(said))
    rates[said] = q_values(surprises[said], scores[said] * len(LAMBDAS))
    in_alarm = (
        InAlarm(watched.names[row], float(surprises[row]), float(sizes[row]), float(rates[row]))
        for row in alarmed.tolist()
    )
    return ranking(in_alarm, watched.importances)
