"""Four scores of how far counts are from a baseline's, each as the -ln p of its null hypothesis.

Two-sample throughout: the baseline is a sample too, of ``m`` events, and what it is off by is in
every window alike. Terms 1/n + 1/m keep that from being taken for drift.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from tidegauge.sequential.reference import Reference
from tidegauge.sequential.tails import chi2_surprise

Floats = npt.NDArray[np.float64]

#: In this order along the last axis of :func:`surprises`.
SCORES = ("shape", "mean", "spread", "bin")


def surprises(reference: Reference, counts: Floats) -> Floats:
    """Return -ln p, nats, of counts (…, signals, bins) by each score: (…, signals, 4).

    ``counts`` may be effective ones, of weighted windows, and so no whole numbers. 0 where nothing
    was counted, or where an unordered signal has no mean or spread.

    - ``shape``: likelihood ratio G over all bins that either side has hit, χ² with one degree of
      freedom less than those.
    - ``mean``, ``spread``: (Σ share · score)² / (1/n + 1/m) over the ordered bins, χ² with one.
    - ``bin``: the largest G of one bin against the rest, χ² with one, times the number of bins
      (Bonferroni).
    """
    return np.stack(
        [
            _shape(reference, counts),
            _moment(reference, reference.linear, counts),
            _moment(reference, reference.quadratic, counts),
            _bin(reference, counts),
        ],
        axis=-1,
    )


def _g(a: Floats, a_total: Floats, b: Floats, b_total: Floats) -> Floats:
    """2 Σ over both samples of observed · ln(observed / expected), for each bin by itself."""
    both, total = a + b, a_total + b_total
    with np.errstate(divide="ignore", invalid="ignore"):
        log_share = np.where(both > 0, np.log(both / total), 0.0)
    mine = xlogy(a, a) - a * (np.log(np.maximum(a_total, 1e-300)) + log_share)
    theirs = xlogy(b, b) - b * (np.log(b_total) + log_share)
    result: Floats = 2 * (mine + theirs)
    return result


def _shape(reference: Reference, counts: Floats) -> Floats:
    n = counts.sum(axis=-1, keepdims=True)
    m = reference.counts.sum(axis=-1, keepdims=True)
    g = _g(counts, n, reference.counts, m).sum(axis=-1)
    hit = ((counts > 0) | (reference.counts > 0)).sum(axis=-1)
    return np.where(n[..., 0] > 0, chi2_surprise(g, hit - 1), 0.0)


def _moment(reference: Reference, score: Floats, counts: Floats) -> Floats:
    n = (counts * reference.ordered).sum(axis=-1)
    m = (reference.counts * reference.ordered).sum(axis=-1)
    mean = (counts * score).sum(axis=-1) / np.maximum(n, 1e-300)
    with np.errstate(divide="ignore"):
        z2 = mean**2 / (1 / n + 1 / m)
    return np.where(n > 0, chi2_surprise(z2, 1), 0.0)


def _bin(reference: Reference, counts: Floats) -> Floats:
    n = counts.sum(axis=-1, keepdims=True)
    m = reference.counts.sum(axis=-1, keepdims=True)
    g = _g(counts, n, reference.counts, m) + _g(n - counts, n, m - reference.counts, m)
    largest = np.where(reference.exists, g, 0.0).max(axis=-1)
    bins = reference.exists.sum(axis=-1)
    surprise = chi2_surprise(largest, 1) - np.log(bins)
    return np.where(n[..., 0] > 0, np.maximum(surprise, 0.0), 0.0)
