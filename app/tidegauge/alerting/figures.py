"""The figures that an alert carries beside its value, so that others can judge it. Pure."""

import math
from collections.abc import Iterator

from tidegauge.alerting.measure import Measurement
from tidegauge.contract import Alert, Distribution, MovedBin

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
