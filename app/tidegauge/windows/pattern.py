"""What signals in alarm say together. Pure."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from tidegauge.alerting import MINIMUM_PSI
from tidegauge.contract import DriftedSignal, DriftPattern, SignalReport
from tidegauge.stats import degrees_of_freedom, psi_corrected
from tidegauge.windows.changes import Bins
from tidegauge.windows.ranking import OUTCOMES

Floats = npt.NDArray[np.float64]

#: Standard deviations of the noise of PSI that values must be apart to have drifted.
_NOISE = 3.0

#: A signal of which more than this is lost is broken: what is left of it says nothing of a drift.
_BROKEN = 0.05


def drift_of_values(
    report: SignalReport, bins: Bins, spans: Floats, reference: Floats
) -> float | None:
    """Return how far the values of a signal in alarm have drifted, by the span that shows it most.

    ``spans`` are the effective counts of each span, (spans, bins). The corrected PSI, nats, of the
    bins of values: the largest, since a long span still holds what came before the drift. None if
    that is too little to raise an alert, or no more than noise, or if the signal is broken: then it
    is in alarm because of that.
    """
    quality = report.quality
    if quality is not None and (
        quality.constant
        or max(
            quality.missing_excess,
            quality.not_finite_excess,
            quality.invalid_excess,
            quality.unseen_excess,
            quality.out_of_range_share,
        )
        > _BROKEN
    ):
        return None
    compared = _of_values(reference, bins)
    sizes = (size_of_values(_of_values(it, bins), compared) for it in spans)
    return max((size for size in sizes if size is not None), default=None)


def _of_values(counts: Floats, bins: Bins) -> Floats:
    return np.bincount(bins.values, counts)[1:].astype(np.float64, copy=False)


def size_of_values(current: Floats, reference: Floats) -> float | None:
    """Return the corrected PSI, nats, of counts; None if it is too little, or no more than noise.

    >>> even = np.full(10, 1000.0)
    >>> size_of_values(even + 30, even), size_of_values(even / 100 * np.arange(6, 16), even) is None
    (None, False)
    """
    n, m = float(current.sum()), float(reference.sum())
    if not (n and m):
        return None
    size = float(psi_corrected(current, reference))
    noise = (2 * float(degrees_of_freedom(current, reference))) ** 0.5 * (1 / n + 1 / m)
    return size if size >= max(MINIMUM_PSI, _NOISE * noise) else None


def pattern_of(judged: Iterable[str], drifts: Mapping[str, float]) -> DriftPattern:
    """Return the pattern of the signals that were ``judged``, some with ``drifts`` of their values.

    >>> pattern_of(["age", "income", "prediction"], {"age": 0.2}).reading
    'inputs_only'
    >>> pattern_of(["age", "income", "prediction"], {"prediction": 0.2}).reading
    'score_only'
    """
    names = set(judged)
    features = names.difference(OUTCOMES)
    drifted = len(features & drifts.keys())
    outcomes = names.intersection(OUTCOMES)
    outcome_drifted = bool(outcomes & drifts.keys()) if outcomes else None
    pattern = DriftPattern(
        signals=len(features),
        drifted_signals=drifted,
        drifted_share=drifted / len(features) if features else 0.0,
        prediction_drifted=outcome_drifted,
        reading=None,
        drifts=[
            DriftedSignal(signal=name, psi_corrected=size)
            for name, size in sorted(drifts.items(), key=lambda it: (-it[1], it[0]))
            if name in features
        ],
    )
    if not drifted:
        pattern.reading = "score_only" if outcome_drifted else "no_drift"
    elif outcome_drifted is not None:
        pattern.reading = "inputs_and_score" if outcome_drifted else "inputs_only"
    return pattern
