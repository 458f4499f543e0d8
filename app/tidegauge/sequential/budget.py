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
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri_exp

from tidegauge.sequential.contrast import CARRIED, CONTRASTED
from tidegauge.sequential.ewma import KEEP
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.scores import SCORES
from tidegauge.stats import Bools, Floats, Places

#: What a score is above a high threshold by is nearly exponential: nodes for the mean over it.
_NODES, _WEIGHTS = np.polynomial.laguerre.laggauss(12)

_ROUNDS = 6

_LN_2 = math.log(2.0)


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
        at, looks = thresholds([self], reference, events[None], baseline_events)
        return float(at[0, 0]), float(looks[0, 0])

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


def thresholds(
    budgets: Sequence[Budget],
    reference: Reference,
    events: Floats,
    baseline_events: Floats | None = None,
    whose: Places | None = None,
    *,
    contrasts: bool = False,
) -> tuple[Floats, Floats]:
    """Return :meth:`Budget.threshold` of each window of each slice, both (windows, slices).

    ``events`` is (windows, 4, signals), with the signals of all slices, one slice after the other;
    ``whose`` is the place of each signal's slice in ``budgets``, and may be left out if there is
    only one. Signals of the same numbers of events on both sides have the same correlations, and
    most of a model's are such: these are computed once. With ``contrasts`` the means over some
    spans are those of ``contrast.py``, which start more often.
    """
    if whose is None:
        whose = np.zeros(events.shape[-1], dtype=np.intp)
    shape = len(events), len(budgets)
    scores = np.where(reference.is_ordered, len(SCORES), len(SCORES) - 2)
    scores = np.broadcast_to(scores, np.broadcast_shapes(scores.shape, events.shape[1:]))
    if contrasts:
        scores, events = _with_contrasts(scores, reference.is_ordered, events)
    m = reference.total[..., 0] if baseline_events is None else baseline_events
    some, many = _alike(scores, whose, m, events)
    events, m = events[..., some], m[..., some]
    many = _as_one_by_one(many, whose[some], m, events)
    correlation = _correlations(m, events[:, : len(KEEP)])
    if contrasts:
        correlation = _beside(correlation, CARRIED)
    rest = _own_share(correlation).ravel()
    counted = ((events > 0) * many).ravel().astype(np.float64)
    first = np.arange(len(events))[:, None, None] * len(budgets)
    of = np.broadcast_to(first + whose[some], events.shape).ravel()
    flat = correlation.ravel()

    def sums(values: Floats) -> Floats:
        # One after the other, so that nobody's sum depends on who else is there.
        return np.asarray(np.bincount(of, values, minlength=shape[0] * shape[1]), dtype=np.float64)

    def looks_at(found: Floats) -> Floats:
        level, places, weights = _nodes_above(found)
        share = _stays_away(level[of], places[of], weights[of], flat, rest)
        return sums(counted * share)

    def thresholds_of(looks: Floats) -> Floats:
        pairs = zip(chain(*repeat(budgets, len(events))), looks.tolist(), strict=True)
        return np.array([budget.threshold_of(one) for budget, one in pairs])

    looks = sums(counted)
    for _ in range(_ROUNDS):
        looks = looks_at(thresholds_of(looks))
    return thresholds_of(looks).reshape(shape), looks.reshape(shape)


def _with_contrasts(
    scores: npt.NDArray[np.int64], is_ordered: Bools, events: Floats
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Count means of contrasts apart from other scores, after these: (6, signals)."""
    means = is_ordered.astype(np.int64)
    its = scores.copy()
    its[list(CONTRASTED)] -= means
    beside = np.broadcast_to(means, (len(CONTRASTED), len(means)))
    return np.concatenate([its, beside]), np.concatenate([events, events[:, CONTRASTED]], axis=1)


def _beside(correlation: Floats, carried: Sequence[float]) -> Floats:
    windows, _, kinds = correlation.shape
    its = np.broadcast_to(np.array(carried)[:, None], (windows, len(carried), kinds))
    return np.concatenate([correlation, its], axis=1)


def _alike(
    scores: npt.NDArray[np.int64], *columns: npt.NDArray[np.generic]
) -> tuple[Places, npt.NDArray[np.int64]]:
    """Return one signal of each kind, and how many scores these have; signals are the last axis."""
    signals = scores.shape[-1]
    rows = np.concatenate([one.reshape(-1, signals) for one in columns])
    differs = (rows[:, 1:] != rows[:, :-1]).any(axis=0)
    first = np.concatenate([[0], np.flatnonzero(differs) + 1])[:signals].astype(np.intp)
    many = np.add.reduceat(scores, first, axis=-1) if signals else scores
    if len(first) <= len(np.unique(columns[0])):
        return first, many
    kinds = rows[:, first].T.copy()
    as_one = kinds.view(np.dtype((np.void, kinds.shape[1] * kinds.itemsize))).ravel()
    _, earliest, kind = np.unique(as_one, return_index=True, return_inverse=True)
    flat = many.reshape(-1, many.shape[-1])
    total = np.stack([np.bincount(kind, row) for row in flat]).astype(np.int64)
    total = total.reshape(*many.shape[:-1], -1)
    in_order = np.argsort(earliest)  # so that what is added up is in the order of the signals
    return first[earliest[in_order]], total[..., in_order]


def _as_one_by_one(
    many: npt.NDArray[np.int64], whose: Places, m: Floats, events: Floats
) -> npt.NDArray[np.int64]:
    """Return how many scores each kind has in each window, as if each window were alone.

    Kinds that differ in other windows may be one in this one; their scores are those of the first
    of them then. To add up the same share twice is rounded otherwise than to take it twice.
    """
    windows, kinds = len(events), events.shape[-1]
    if windows == 1 or kinds <= len(np.unique(whose)):
        return many
    found = np.zeros(events.shape, dtype=np.int64)
    by_window = [np.broadcast_to(it, events.shape) for it in (many, m)]
    for at, its in enumerate(events):
        first, total = _alike(by_window[0][at], whose, by_window[1][at], its)
        found[at][:, first] = total
    return found


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
    result: Floats = (baseline + KEEP[:, None] * per_event) / (baseline + per_event)
    return result


def starts(threshold: npt.ArrayLike, correlation: Floats) -> Floats:
    """Return θ: of the windows in which a score is above, the share where it was not before.

    Both broadcast.

    >>> starts(10.0, np.array([0.0, 0.9, 1.0])).round(3).tolist()
    [1.0, 0.676, 0.0]
    """
    own = _own_share(correlation)
    return _stays_away(*_nodes_above(np.asarray(threshold)), correlation, own)


def _own_share(correlation: Floats) -> Floats:
    """Return the standard deviation of what is in a window's score and was not in the last one."""
    return np.asarray(np.sqrt(np.maximum(1 - correlation**2, 1e-12)))


def _nodes_above(threshold: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the level of a normal score, and places above it, (…, 12), with their weights."""
    level = -ndtri_exp(-threshold - _LN_2)[..., None]  # of two tails
    beyond = _NODES / level
    weights = _WEIGHTS * np.exp(-(beyond**2) / 2)
    return level, level + beyond, weights / weights.sum(axis=-1, keepdims=True)


def _stays_away(
    level: Floats, places: Floats, weights: Floats, correlation: Floats, rest: Floats
) -> Floats:
    """Return the share of the windows above the level before which the score was below it."""
    inside = ndtr((correlation[..., None] * places - level) / rest[..., None])
    stays = (inside * weights).sum(axis=-1)
    result: Floats = np.minimum(np.maximum(1 - stays, 0.0), 1.0)
    return result
