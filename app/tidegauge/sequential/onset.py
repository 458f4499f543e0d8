"""When a change began, estimated from what the four spans remember of it, and how big it is since.

Of a step that began k windows ago, a span with memory q = 1 - λ of T windows has seen the share
f(k) = (1 - q^k) / (1 - q^T): the short ones nearly all of it, the long ones little. So the four
of them, each with its own noise, tell how old it is.

Of a span's weight, the windows since the onset have the share f (:func:`share_since`). What the
span shows of the change is diluted by as much: with the shares p of the baseline, those since the
onset are p + (span - p) / f. Their noise is 1/f times as large, so that they are as certain as
those of a sample of n' events, 1/n' = (1/n + 1/m) / f² - 1/m.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.sequential.ewma import KEEP, LAMBDAS, Memory
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.scores import SCORES, Score, bin_g, g_terms
from tidegauge.stats import Floats, Places

#: Ages that are tried, in windows; further back, the longest span can hardly tell one from another.
AGES = np.unique(np.round(np.geomspace(1, 256, 90)).astype(int))

_LAMBDAS = np.array(LAMBDAS)
_KEEP = 1 - _LAMBDAS


def age_windows(
    memory: Memory,
    reference: Reference,
    rows: Places,
    directions: Floats,
    expected: Floats | None = None,
) -> npt.NDArray[np.int_]:
    """Return for how many windows the signals in ``rows`` have been changed, the last one included.

    ``directions`` (rows, bins) weigh the bins: how far the shares of each span are from the
    baseline's is taken along them. Between spans the noise of that has the covariance
    n Σ_j (q_a q_b)^j / (N_a N_b) + 1/m, the latter for the baseline. Found is the age at which a
    step of any size is most likely (a generalised least-squares fit for each of :data:`AGES`).
    ``expected`` (4, signals, bins) are the counts that each span is compared with, if these are not
    the baseline's own.

    A guess: windows are taken to hold about as many events as the last one, and the change for a
    step, so a slow one reads as a step midway. In the window in which the detector first sees it,
    half of the guesses are off by no more than 1 window for a step of 0.25 or 0.5 standard
    deviations, and 4 for one of 0.1 that took 18 windows to see (tests/sequential/test_onset.py,
    200 events a window). What is older than 256 windows reads as that.

    Windows with few events are pooled until there are 200; then a "window" here is such a pool.
    """
    last = memory.total[0, rows]  # of weight 1: the latest window alone
    total = memory.total[:, rows].T
    windows = remembered_windows(memory, rows)
    p = _smoothed_shares(reference, rows)
    by_span = p[:, None] if expected is None else _of_spans(expected, reference, rows)
    shares = memory.counts[:, rows].transpose(1, 0, 2) / total[..., None]
    seen = ((shares - by_span) * directions[:, None]).sum(axis=-1)
    # The signals of a model are mostly in the same events, and so one kind.
    kinds = np.stack([last, windows, reference.counts[rows].sum(axis=-1)])
    is_new = np.concatenate([[True], (kinds[:, 1:] != kinds[:, :-1]).any(axis=0)])[: len(rows)]
    fraction, weights = _fit_of(*kinds[:, is_new])
    kind = is_new.cumsum() - 1 if len(weights) > 1 else np.zeros(1, dtype=np.intp)
    # What noise there is along the directions makes all ages as much less likely.
    gain = _summed_over_spans(weights[kind], seen[:, None])
    gain **= 2
    gain /= _summed_over_spans(weights, fraction)[kind]
    gain[AGES[None] > windows[:, None]] = -np.inf
    found: npt.NDArray[np.int_] = AGES[gain.argmax(axis=-1)]
    return found


def _fit_of(last: Floats, windows: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """Return f of each age and span, and its weight in the fit, both (rows, ages, spans)."""
    fraction = share_since(AGES[:, None], _KEEP, windows[:, None, None])
    covariance = _covariance(last, windows, reference)
    weights = np.linalg.solve(covariance, fraction.transpose(0, 2, 1)).transpose(0, 2, 1)
    return fraction, np.asarray(weights, dtype=np.float64)


def _summed_over_spans(one: Floats, other: Floats) -> Floats:
    """Return Σ one · other over the last axis, one span after the other: there are four."""
    found = one[..., 0] * other[..., 0]
    for span in range(1, len(_KEEP)):
        found += one[..., span] * other[..., span]
    return np.asarray(found)


def directions(reference: Reference, rows: Places, counts: Floats, scores: Places) -> Floats:
    """Return what a change is seen by, (rows, bins): the score that was the strongest.

    ``counts`` (rows, bins) are the effective ones in which that score, a place in ``SCORES``, was
    found: it weighs the bins by itself, is one bin, or the whole shape of the change.
    """
    p, exists = _smoothed_shares(reference, rows), reference.exists[rows]
    shares = counts / counts.sum(axis=-1, keepdims=True)
    tables = np.where(exists, bin_g(counts, reference.counts[rows]), -1.0)
    by_score: dict[Score, Floats] = {
        "shape": np.divide(shares - p, p, out=np.zeros_like(p), where=exists),
        "mean": reference.linear[rows],
        "spread": reference.quadratic[rows],
        "bin": (tables == tables.max(axis=-1, keepdims=True)).astype(np.float64),
    }
    choices = np.stack([by_score[score] for score in SCORES])
    found: Floats = choices[scores, np.arange(len(rows))]
    return found


def _smoothed_shares(reference: Reference, rows: Places) -> Floats:
    """Return the baseline's shares with half an event in each bin: what is new has a variance."""
    smoothed = (reference.counts[rows] + 0.5) * reference.exists[rows]
    result: Floats = smoothed / smoothed.sum(axis=-1, keepdims=True)
    return result


def _of_spans(expected: Floats, reference: Reference, rows: Places) -> Floats:
    """Return the smoothed shares that each span is compared with, (rows, spans, bins)."""
    smoothed = (expected[:, rows] + 0.5) * reference.exists[rows]
    result: Floats = smoothed / smoothed.sum(axis=-1, keepdims=True)
    return result.transpose(1, 0, 2)


def share_since(ages: npt.ArrayLike, keep: npt.ArrayLike, windows: npt.ArrayLike) -> Floats:
    """Return the share of a span's weight that the last ``ages`` of ``windows`` windows have.

    (1 - q^age) / (1 - q^windows), with q the weight that a span keeps from window to window. All
    broadcast.

    >>> share_since([1, 2, 4], 0.75, 100).round(4).tolist()
    [0.25, 0.4375, 0.6836]
    """
    ages, keep, windows = (np.asarray(it, dtype=np.float64) for it in (ages, keep, windows))
    return np.asarray((1 - keep**ages) / (1 - keep**windows))


def remembered_windows(memory: Memory, rows: Places) -> Floats:
    """Return of how many windows like the last one the longest span is the sum; at most 2,000."""
    last, longest = memory.total[0, rows], memory.total[-1, rows]
    keep, weight = _KEEP[-1], _LAMBDAS[-1]
    left = np.maximum(1 - longest * weight / last, keep**2000)
    return np.asarray(np.maximum(np.round(np.log(left) / np.log(keep)), 1.0))


def _covariance(last: Floats, windows: Floats, reference: Floats) -> Floats:
    q = _KEEP[:, None] * _KEEP
    lengths = (1 - _KEEP ** windows[:, None]) / _LAMBDAS
    overlap = (1 - q ** windows[:, None, None]) / (1 - q)
    shared = overlap / (lengths[:, :, None] * lengths[:, None]) / last[:, None, None]
    result: Floats = shared + 1 / reference[:, None, None]
    # With fewer windows than spans the spans say the same, and their covariance has no inverse.
    result += 1e-6 * result[:, :1, :1] * np.eye(len(_KEEP))
    return result


class Onsets(NamedTuple):
    """For how many windows signals have been changed, and the share f of the span's weight."""

    ages: npt.NDArray[np.int_]
    shares: Floats


def onsets(
    memory: Memory,
    reference: Reference,
    spans: Places,
    scores: Places,
    expected: Floats | None = None,
) -> Onsets:
    """Estimate when the changes of signals began; ``memory`` and ``reference`` are theirs alone.

    ``spans`` and ``scores`` are what shows each of them most. ``expected`` (4, signals, bins) are
    the counts that the spans are compared with, if not those of the reference.
    """
    rows = np.arange(len(spans))
    seen_by = directions(reference, rows, memory.effective_at(spans, rows), scores)
    ages = age_windows(memory, reference, rows, seen_by, expected)
    windows = np.maximum(remembered_windows(memory, rows), ages)
    return Onsets(ages, share_since(ages, KEEP[spans], windows))


def counts_since(
    memory: Memory,
    reference: Floats,
    ages: npt.NDArray[np.int_],
    expected: Floats | None = None,
) -> Floats:
    """Return the effective counts of the windows since the onset, from all spans, (signals, bins).

    Each span shows the change diluted by f, and with a noise of its own: taken is the change that
    fits all of them best, Σ w (span - p), with the weights w = V^-1 f / (f V^-1 f) of generalised
    least squares and V the covariance of the spans' noise, that of the baseline aside. It is as
    certain as a sample of f V^-1 f events. What noise has brought below 0 is 0.

    ``ages`` are those of the changes, windows, and ``reference`` (signals, bins) the counts that
    they are compared with; ``expected`` as in :func:`onsets`.
    """
    rows = np.arange(len(ages))
    last, windows = memory.total[0], np.maximum(remembered_windows(memory, rows), ages)
    fraction = share_since(ages[:, None], _KEEP, windows[:, None])
    alike = _covariance(last, windows, np.full(len(rows), np.inf))
    size = np.sqrt(np.einsum("raa->ra", alike))
    own = np.sqrt(memory.squared / memory.total**2).T
    covariance = alike / (size[:, :, None] * size[:, None]) * (own[:, :, None] * own[:, None])
    weights = np.linalg.solve(covariance, fraction[..., None])[..., 0]
    events = _summed_over_spans(weights, fraction)
    weights /= events[:, None]
    shares = memory.counts / memory.total[..., None]
    p = reference / reference.sum(axis=-1, keepdims=True)
    found = p.copy()
    for span in range(len(_KEEP)):
        before = p if expected is None else expected[span]
        total = 1.0 if expected is None else before.sum(axis=-1, keepdims=True)
        found += weights[:, span, None] * (shares[span] - before / total)
    np.maximum(found, 0.0, out=found)
    return np.asarray(found / found.sum(axis=-1, keepdims=True) * events[:, None])


def since_onset(counts: Floats, reference: Floats, shares: Floats) -> Floats:
    """Return the effective counts of the windows since the onset: see the module.

    ``counts`` and those of the ``reference`` are (…, bins), ``shares`` (…); a share of 1 gives the
    counts as they are. What noise has brought below 0 is 0.

    >>> span, baseline = np.array([[130.0, 70.0]]), np.array([[5000.0, 5000.0]])
    >>> found = since_onset(span, baseline, np.array([0.5]))
    >>> (found / found.sum()).round(3).tolist(), float(found.sum().round(1))
    ([[0.8, 0.2]], 49.3)
    """
    n, m = counts.sum(axis=-1, keepdims=True), reference.sum(axis=-1, keepdims=True)
    f = np.asarray(shares, dtype=np.float64)[..., None]
    diluted = f < 1
    f = np.where(diluted & (f > 0), f, 1.0)
    before, span = reference / m, counts / n
    after = np.maximum(before + (span - before) / f, 0.0)
    after /= after.sum(axis=-1, keepdims=True)
    # Never more than the span has, but for rounding, of which there is more than 1/n if n >> m.
    events = 1 / np.maximum((1 / n + 1 / m) / f**2 - 1 / m, 1 / n)
    return np.where(diluted, after * events, counts)


#: A change is one of a single bin if the table of that bin and the rest has this share of G.
_OF_ONE_BIN = 0.25


def size_of_bin(counts: Floats, reference: Floats) -> Floats:
    """Return how much the bin that changed most has changed in terms of its own share, nats; (…).

    (x - 1) ln x, with x its share ÷ its baseline's, half a count added to both: the PSI of a change
    by that factor, if it were of everything. 0.01 is a tenth more or less. 0 where no single bin
    stands out: where less than a quarter of the likelihood ratio G is of one.

    >>> counts, baseline = np.array([[430.0, 9570.0]]), np.array([[330.0, 9670.0]])
    >>> size_of_bin(counts, baseline).round(3).tolist()
    [0.08]
    """
    n, m = counts.sum(axis=-1), reference.sum(axis=-1)
    tables = bin_g(counts, reference)
    place = tables.argmax(axis=-1)[..., None]
    largest = np.take_along_axis(tables, place, axis=-1)[..., 0]
    terms = g_terms(counts, n[..., None], reference, m[..., None]).sum(axis=-1)
    now, before = (np.take_along_axis(it, place, axis=-1)[..., 0] for it in (counts, reference))
    ratio = (now + 0.5) / (n + 1) / ((before + 0.5) / (m + 1))
    return np.where(largest >= _OF_ONE_BIN * terms, (ratio - 1) * np.log(ratio), 0.0)
