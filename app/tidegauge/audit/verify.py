"""Verifying an alert: its figures are computed again from the counts that it carries."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from tidegauge.alerting import NOISE_NATS, SILENCE
from tidegauge.baseline import BESIDE, OUTSIDE, value_bins
from tidegauge.contract import Alert, Change, Distribution, Drift, Evidence, Expectation
from tidegauge.sequential import (
    BINS,
    CONTRASTED,
    GRAINS,
    LAMBDAS,
    MEAN,
    SCORES,
    SPREAD,
    Budget,
    Contrast,
    Expected,
    Reference,
    SignalReference,
    ValueTable,
    bin_contributions,
    since_onset,
    size_of,
    size_of_bin,
    surprises,
)
from tidegauge.stats import Floats, drift, psi_corrected

#: Figures are sums of floats, whose order may differ in the last digits.
TOLERANCE = 1e-9


class Check(NamedTuple):
    """One figure of an alert: as it is claimed, and as it was computed again."""

    what: str
    claimed: float | str
    found: float | str

    @property
    def holds(self) -> bool:
        """Whether both are the same."""
        if isinstance(self.claimed, str) or isinstance(self.found, str):
            return self.claimed == self.found
        return math.isclose(self.claimed, self.found, rel_tol=TOLERANCE, abs_tol=1e-12)


def verify(alert: Alert) -> list[Check]:
    """Compute the figures of an alert again; raises ``ValueError`` if there are none.

    An alert by a figure of one window's counts carries both count vectors, one by ``surprise`` its
    evidence. Means and latencies rest on sums that are in the report alone. Of a silence there is
    how long it has been.
    """
    if alert.state == "no_data":
        raise ValueError(f"alert {alert.id} says that there is no data, so it has no figure")
    figures = [*_of_counts(alert), *_of_evidence(alert)]
    if alert.metric == SILENCE and alert.state == "firing":
        figures.append(Check("value", alert.value, float(alert.window_end - alert.window_start)))
    if not figures:
        raise ValueError(
            f"alert {alert.id} by {alert.metric} carries no counts; "
            f"its figure is in report {alert.report}"
        )
    return [*figures, *_of_list(alert)]


def _of_list(alert: Alert) -> Iterator[Check]:
    """Check that the figures are of the first of the list, as long as it is firing."""
    if alert.signals and alert.state == "firing":
        yield Check("signals[0].value", alert.signals[0].value, alert.value)


def _of_counts(alert: Alert) -> Iterator[Check]:
    counted = alert.distribution
    if counted is None:
        return
    if alert.metric in _DRIFT:
        figures = drift(counted.reference, counted.current, _ordered(counted))
        if figures is not None:
            found = _DRIFT[alert.metric](figures)
            yield Check(alert.metric, alert.value, math.nan if found is None else found)
    elif alert.metric == "kl_values":
        found = _kl_values(counted)
        # It may be 0 for want of evidence, which its report has.
        yield Check(alert.metric, alert.value, found if alert.value else 0.0)
    elif alert.metric == "missing_share":
        missing = counted.current[counted.bins.index(BESIDE[0])]
        yield Check(alert.metric, alert.value, missing / sum(counted.current))
    elif alert.metric == "unseen_share":
        unseen = counted.current[-len(BESIDE) - 1]
        yield Check(alert.metric, alert.value, unseen / sum(counted.current))
    else:
        return
    if alert.metric != "wasserstein":  # that is of the values alone
        yield Check("events", alert.events, sum(counted.current))


def _kl_values(counted: Distribution) -> float:
    bins = value_bins(counted.reference, _ordered(counted))
    ((found,),) = ValueTable.together(
        [ValueTable([counted.reference], [bins], [counted.design_effect or 1.0])],
        [[counted.current]],
    )
    if found is None:
        return math.nan
    return max(found.kl_nats - found.noise_nats, 0.0) if found.surprise_nats >= NOISE_NATS else 0.0


_DRIFT: dict[str, Callable[[Drift], float | None]] = {
    "psi": lambda figures: figures.psi,
    "kl": lambda figures: figures.kl_current_reference_nats,
    "kl_reverse": lambda figures: figures.kl_reference_current_nats,
    "js": lambda figures: figures.js_nats,
    "wasserstein": lambda figures: figures.wasserstein_bins,
}


def _ordered(counted: Distribution) -> int:
    """How many bins have an order: those of values, where they are no categories."""
    values = counted.bins.index(BESIDE[0], len(counted.bins) - len(BESIDE) - 1)
    return 0 if counted.bins[values - 1] == "never seen" else values


def _of_evidence(alert: Alert) -> Iterator[Check]:
    evidence, budget = alert.evidence, alert.alarm_budget
    counted = _with_outside(alert.evidence, alert.distribution)
    if evidence is None or budget is None:
        return
    allowed = Budget(budget.alarms_per_month, budget.windows_per_month, budget.slices)
    yield Check("threshold_nats", budget.threshold_nats, allowed.threshold_of(budget.looks))
    yield Check("value", alert.value, evidence.surprise_nats / budget.threshold_nats)
    if evidence.counts is None or counted is None:
        return
    yield Check("evidence.events", evidence.events, sum(evidence.counts))
    yield Check("evidence.baseline_events", evidence.baseline_events, sum(counted.reference))
    yield Check("evidence.bins", evidence.bins, len(counted.reference))
    yield Check("surprise_nats", evidence.surprise_nats, _surprise(evidence, counted))
    compared = _compared(evidence, counted)
    same = len(evidence.counts) == len(counted.reference) == len(compared)
    same &= len(evidence.counts_since or evidence.counts) == len(compared)
    if evidence.psi_corrected is not None:
        size = _size(evidence, compared) if same else math.nan
        yield Check("psi_corrected", evidence.psi_corrected, size)
        yield Check("size", evidence.size or "", size_of(evidence.psi_corrected))
    if evidence.psi_of_bin is not None:
        found = float(size_of_bin(*_since(evidence, compared))[0]) if same else math.nan
        yield Check("psi_of_bin", evidence.psi_of_bin, found)
    if evidence.change is not None and same:
        yield from _of_change(evidence.change, evidence, counted)


def _with_outside(evidence: Evidence | None, counted: Distribution | None) -> Distribution | None:
    """Add the bin of what is outside of the baseline's range, if the evidence has it."""
    if evidence is None or evidence.counts is None or counted is None:
        return counted
    if len(evidence.counts) != len(counted.reference) + 1:
        return counted
    return msgspec.structs.replace(
        counted, bins=[*counted.bins, OUTSIDE], reference=[*counted.reference, 0]
    )


def _size(evidence: Evidence, compared: Sequence[float]) -> float:
    """Return the corrected PSI of the windows since the onset."""
    return float(psi_corrected(*_since(evidence, compared))[0])


def _since(evidence: Evidence, compared: Sequence[float]) -> tuple[Floats, Floats]:
    """Return the counts since the onset, and what they are compared with."""
    counts, expected = (np.array([it], dtype=np.float64) for it in (evidence.counts, compared))
    if evidence.counts_since:
        return np.array([evidence.counts_since], dtype=np.float64), expected
    share = 1.0 if evidence.since_onset is None else evidence.since_onset
    return since_onset(counts, expected, np.array([share])), expected


def _compared(evidence: Evidence, counted: Distribution) -> Sequence[float]:
    """Return the counts to compare with: the baseline's, or those expected at this hour."""
    if evidence.expectation:
        return evidence.expectation.expected
    return SignalReference(counted.reference, 0).divided(evidence.design_effect or 1.0).counts


def _of_change(change: Change, evidence: Evidence, counted: Distribution) -> Iterator[Check]:
    compared = np.array(_compared(evidence, counted), dtype=np.float64)
    bins = bin_contributions(compared, np.array(evidence.counts))
    for one in change.moved:
        found = [math.nan] * 3
        if one.bin in counted.bins:
            at = counted.bins.index(one.bin)
            found = [float(its[at]) for its in bins]
        claimed = (one.baseline_share, one.current_share, one.g)
        for field, said, value in zip(_MOVED_FIELDS, claimed, found, strict=True):
            yield Check(f"{one.bin}: {field}", said, value)
    missing = counted.bins.index(BESIDE[0])
    delta = float(bins.current[missing] - bins.baseline[missing])
    yield Check("missing_share_delta", change.missing_share_delta, delta)


_SPANS = [round(1 / weight) for weight in LAMBDAS]
_MOVED_FIELDS = ("baseline_share", "current_share", "g")


def _surprise(evidence: Evidence, counted: Distribution) -> float:
    ordered = _ordered(counted)
    place = len(counted.reference) - len(BESIDE) - 1
    new = None if ordered or place < 0 else place
    signal = SignalReference(counted.reference, ordered, counted.excess or (), new)
    if len(signal.excess) > len(signal.counts):
        return math.nan
    reference = Reference.of([signal.divided(evidence.design_effect or 1.0)])
    counts = np.array([evidence.counts], dtype=np.float64)
    if counts.shape != reference.counts.shape or not _is_whole(evidence.expectation, counts.size):
        return math.nan
    if evidence.span_windows not in _SPANS:
        return math.nan
    if evidence.expectation is None:
        span = _SPANS.index(evidence.span_windows)
        earlier = evidence.earlier or None
        if earlier and (span not in CONTRASTED or len(earlier.counts) != counts.size):
            return math.nan
        contrast = earlier and Contrast.again(
            span, earlier.weight, earlier.events, np.array([earlier.counts], dtype=np.float64)
        )
        found = surprises(reference, counts, GRAINS[span], contrast)
    else:
        found = _expected(evidence.expectation, reference).surprises(counts)
    return float(found[0, SCORES.index(evidence.score)])


def _is_whole(its: Expectation | None, bins: int) -> bool:
    """Whether an expectation has an entry for each bin and score."""
    return its is None or (
        len(its.expected) == bins
        and len(its.excess) == len(its.degrees) == BINS + bins
        and len(its.skewness) == len((MEAN, SPREAD))
    )


def _expected(its: Expectation, pooled: Reference) -> Expected:
    skewness = np.zeros((1, len(its.excess)))
    skewness[0, [MEAN, SPREAD]] = its.skewness
    expected, excess, degrees = (np.array([it]) for it in (its.expected, its.excess, its.degrees))
    return Expected.of(pooled, expected, excess, degrees, skewness)
