"""The one knob: how many false alarms a model may raise in a month, and the threshold for it.

A false alarm is a *start*: a score that goes above the threshold after a window in which it was
below. Scores of long spans move slowly, and all of them carry the baseline's own error along, so
they start less often than they are above. With every score standardised to a normal process of
correlation r from window to window, it starts with probability p · θ(r) in a window, where p is its
tail probability and θ the chance that it was not above already. The threshold is where

    windows · slices · Σ over signals, spans and scores of p · θ(r) = alarms

By Boole's inequality that bounds the starts of any of them (Rice 1944 for the starts).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri_exp

from tidegauge.sequential.ewma import LAMBDAS
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.scores import SCORES

Floats = npt.NDArray[np.float64]

#: What a score is above a high threshold by is nearly exponential: nodes for the mean over it.
_NODES, _WEIGHTS = np.polynomial.laguerre.laggauss(12)

_ROUNDS = 6

_LN_2 = math.log(2.0)

_KEEP = np.array([1 - it for it in LAMBDAS])[:, None]


@dataclass(frozen=True)
class Budget:
    """``alarms`` false ones a month for one model, whose windows there are ``windows`` of.

    Each of its ``slices`` (version, variant, segment) has an equal share of them, and so many
    windows of its own.
    """

    alarms: float
    windows: float
    slices: int = 1

    def threshold(
        self, reference: Reference, events: Floats, baseline_events: Floats | None = None
    ) -> tuple[float, float]:
        """Return the threshold as -ln p, nats, and the sum of θ that it comes from.

        ``events`` are the effective numbers of events behind each signal, (4, signals); where there
        are none, nothing is scored, and nothing counts. ``baseline_events`` are the totals of the
        reference, if they are known better than by adding up counts that were rounded: what is the
        same of several signals, here and there, is computed once.
        """
        at, looks = self.thresholds(reference, events[None], baseline_events)
        return float(at[0]), float(looks[0])

    def thresholds(
        self, reference: Reference, events: Floats, baseline_events: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """Return :meth:`threshold` of each of many windows; ``events`` are (windows, 4, signals).

        Signals of the same numbers of events on both sides have the same correlations, and most of
        a model's are such: these are computed once.
        """
        scores = np.where(reference.is_ordered, len(SCORES), len(SCORES) - 2)
        m = reference.total[..., 0] if baseline_events is None else baseline_events
        some, many = _alike(events, m, scores)
        correlation = _correlations(m[..., some], events[..., some])
        counted = (events[..., some] > 0) * (scores[..., some] * many)
        rest = _own_share(correlation)
        looks: Floats = counted.sum(axis=(-2, -1)).astype(np.float64)
        for _ in range(_ROUNDS):
            at = self._thresholds_of(looks)
            share = _starts(at[:, None, None], correlation, rest)
            looks = (counted * share).sum(axis=(-2, -1))
        return self._thresholds_of(looks), looks

    def _thresholds_of(self, looks: Floats) -> Floats:
        return np.array([self.threshold_of(one) for one in looks.tolist()])

    def threshold_of(self, looks: float) -> float:
        """Return ln(windows · looks · slices / alarms), nats; at least ln 2, whatever is allowed.

        >>> round(Budget(alarms=1.0, windows=43_200.0).threshold_of(100.0), 6)
        15.278766
        >>> round(Budget(alarms=3.0, windows=43_200.0, slices=3).threshold_of(100.0), 6)
        15.278766
        >>> round(Budget(alarms=1e9, windows=30.0).threshold_of(1.0), 6)
        0.693147
        """
        return math.log(max(self.windows * looks * self.slices / self.alarms, 2.0))


def _alike(*columns: npt.NDArray[np.generic]) -> tuple[list[int], npt.NDArray[np.int64]]:
    """Return one signal of each kind, and how many there are of it; signals are the last axis."""
    signals = columns[0].shape[-1]
    rows = np.vstack([one.reshape(-1, signals) for one in columns]).T.copy()
    if bool((rows == rows[:1]).all()):
        return [0][:signals], np.full(min(signals, 1), signals)
    as_one = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel()
    _, first, many = np.unique(as_one, return_index=True, return_counts=True)
    in_order = np.argsort(first)  # so that what is added up is in the order of the signals
    return first[in_order].tolist(), many[in_order].astype(np.int64)


def correlations(reference: Reference, events: Floats) -> Floats:
    """Return how much of a score is in the next window's too, (4, signals).

    Of its variance 1/n + 1/m, the baseline's part stays, and of the counts' part 1 - λ.

    >>> from tidegauge.sequential.reference import SignalReference
    >>> one = Reference.of([SignalReference([50, 50], 2)])
    >>> correlations(one, np.array([[100.0], [300.0], [0.0], [np.inf]])).round(4).ravel().tolist()
    [0.5, 0.9375, 0.9381, 1.0]
    """
    return _correlations(reference.total[..., 0], events)


def _correlations(m: Floats, events: Floats) -> Floats:
    per_event = np.divide(1.0, events, out=np.ones_like(events), where=events > 0)
    baseline = 1 / m
    result: Floats = (baseline + _KEEP * per_event) / (baseline + per_event)
    return result


def starts(threshold: npt.ArrayLike, correlation: Floats) -> Floats:
    """Return θ: of the windows in which a score is above, the share where it was not before.

    Both broadcast.

    >>> starts(10.0, np.array([0.0, 0.9, 1.0])).round(3).tolist()
    [1.0, 0.676, 0.0]
    """
    return _starts(np.asarray(threshold), correlation, _own_share(correlation))


def _own_share(correlation: Floats) -> Floats:
    """Return the standard deviation of what is in a window's score and was not in the last one."""
    return np.asarray(np.sqrt(np.maximum(1 - correlation**2, 1e-12)))


def _starts(threshold: Floats, correlation: Floats, rest: Floats) -> Floats:
    level = -ndtri_exp(-threshold - _LN_2)[..., None]  # of two tails
    beyond = _NODES / level
    weights = _WEIGHTS * np.exp(-(beyond**2) / 2)
    inside = ndtr((correlation[..., None] * (level + beyond) - level) / rest[..., None])
    stays = (inside * weights).sum(axis=-1) / weights.sum(axis=-1)
    result: Floats = np.minimum(np.maximum(1 - stays, 0.0), 1.0)
    return result
