"""Two histograms: divergences, distances where bins have an order, and test statistics.

Test statistics say whether the two differ by more than noise, and not by how much.
"""

from math import log
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tidegauge.stats._shares import (
    PSEUDOCOUNT,
    Floats,
    degrees_of_pair,
    paired,
    relative_entropy,
    shares,
    shares_of_pair,
    symmetric_entropy,
)


def psi(current: ArrayLike, reference: ArrayLike, *, pseudocount: float = 0.5) -> Floats:
    """Return the population stability index Σ (c - r)·ln(c / r), in nats.

    It is KL(c‖r) + KL(r‖c), so symmetric. 0 = the same shares in every bin; ∞ (only without a
    pseudocount) = a bin is empty on one side alone; NaN = a side counted nothing.

    Both sides are counts in the same bins along the last axis, leading axes broadcast;
    ``pseudocount`` is added to every bin that either side has hit. One figure for each leading
    index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't pair up or a count
    is negative.

    Source: Yurdakul 2018, "Statistical Properties of Population Stability Index": without drift PSI
    is distributed about as (1/n + 1/m)·χ² with B - 1 degrees of freedom.

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(psi(current, reference, pseudocount=0)), 6)
    0.077833
    """
    c, r = shares(current, reference, pseudocount)
    return np.asarray(symmetric_entropy(c, r))


def psi_corrected(current: ArrayLike, reference: ArrayLike) -> Floats:
    """Return max(0, PSI - (B - 1)·(1/n + 1/m)), in nats: how big a drift is, at any sample size.

    PSI is that of ``psi`` with half a count added to every bin that either side has hit; there are
    B of those, and n and m are the totals of both sides. Without drift PSI is about that much on
    average, however good the model: 0.09 for 18 bins and 200 events. 0 = no more than that; large =
    nothing in common (no end: it grows with the counts); NaN = a side counted nothing.

    Both sides are counts in the same bins along the last axis, leading axes broadcast; effective
    counts may be fractions. One figure for each leading index, 0-dimensional for two vectors.
    Raises ``ValueError`` if the bins don't pair up or a count is negative.

    Source: Yurdakul 2018, "Statistical Properties of Population Stability Index": without drift PSI
    is distributed about as (1/n + 1/m)·χ² with B - 1 degrees of freedom, whose mean is B - 1.

    >>> from tidegauge.stats import psi
    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> float(psi(current, reference).round(6)), float(psi_corrected(current, reference).round(6))
    (0.077252, 0.065252)
    """
    c, r = paired(current, reference)
    n, m = c.sum(axis=-1), r.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = degrees_of_pair(c, r) * (1 / n + 1 / m)
    # Checked once: for the few signals of a window that took as long as all the rest.
    psi = symmetric_entropy(*shares_of_pair(c, r, PSEUDOCOUNT))
    return np.asarray(np.maximum(psi - noise, 0.0))


def kl(p: ArrayLike, q: ArrayLike, *, pseudocount: float = 0.5) -> Floats:
    """Return the Kullback-Leibler divergence KL(p‖q) = Σ p·ln(p / q), in nats.

    The direction matters: ``kl(current, reference)`` weighs bins by what is seen now,
    ``kl(reference, current)`` by what was seen then. 0 = the same shares in every bin; ∞ (only
    without a pseudocount) = p has counts where q has none; NaN = a side counted nothing.

    ``p`` and ``q`` are counts in the same bins along the last axis, leading axes broadcast;
    ``pseudocount`` is added to every bin that either side has hit. One figure for each leading
    index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't pair up or a count
    is negative.

    Source: Kullback & Leibler 1951, "On Information and Sufficiency".

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(kl(current, reference, pseudocount=0)), 6)
    0.037869
    >>> round(float(kl(reference, current, pseudocount=0)), 6)
    0.039964
    """
    return relative_entropy(*shares(p, q, pseudocount))


def js_divergence(p: ArrayLike, q: ArrayLike, *, pseudocount: float = 0.5) -> Floats:
    """Return the Jensen-Shannon divergence ½·KL(p‖m) + ½·KL(q‖m) with m = (p + q)/2, in nats.

    Symmetric. 0 = the same shares in every bin; ln 2 = no bin in common; NaN = a side counted
    nothing. Finite without a pseudocount too. The *distance* that other tools show is its square
    root, ``js_distance``: a distance of 0.1 is a divergence of 0.01.

    ``p`` and ``q`` are counts in the same bins along the last axis, leading axes broadcast;
    ``pseudocount`` is added to every bin that either side has hit. One figure for each leading
    index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't pair up or a count
    is negative.

    Source: Lin 1991, "Divergence Measures Based on the Shannon Entropy".

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(js_divergence(current, reference, pseudocount=0)), 6)
    0.009659
    """
    p_shares, q_shares = shares(p, q, pseudocount)
    middle = (p_shares + q_shares) / 2
    to_middle = relative_entropy(p_shares, middle) + relative_entropy(q_shares, middle)
    return np.asarray(to_middle / 2)


#: Nats in one unit of the divergence whose root is taken.
_NATS = {"nats": 1.0, "bits": log(2)}


def js_distance(
    p: ArrayLike, q: ArrayLike, *, unit: Literal["nats", "bits"], pseudocount: float = 0.5
) -> Floats:
    """Return √JS, the square root of the Jensen-Shannon divergence in ``unit``.

    A metric (symmetric, with the triangle inequality), unlike the divergence. 0 = the same shares
    in every bin; √ln 2 = .833 (nats) or 1 (bits) = no bin in common; NaN = a side counted nothing.
    The root of nats is what Evidently calls the distance, the root of bits what NannyML does: the
    same drift is 1.2 times as much in bits.

    ``p`` and ``q`` are counts in the same bins along the last axis, leading axes broadcast;
    ``pseudocount`` is added to every bin that either side has hit. One figure for each leading
    index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't pair up, a count
    is negative or ``unit`` is none of the two.

    Source: Endres & Schindelin 2003, "A New Metric for Probability Distributions".

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(js_distance(current, reference, unit="nats", pseudocount=0)), 6)
    0.098282
    >>> round(float(js_distance(current, reference, unit="bits", pseudocount=0)), 6)
    0.118049
    """
    if unit not in _NATS:
        raise ValueError(f"unit: found {unit!r}, expected one of {', '.join(_NATS)}")
    return np.asarray(np.sqrt(js_divergence(p, q, pseudocount=pseudocount) / _NATS[unit]))


def hellinger(current: ArrayLike, reference: ArrayLike) -> Floats:
    """Return the Hellinger distance √(½·Σ (√c - √r)²), without unit.

    Symmetric. 0 = the same shares in every bin; 1 = no bin in common; NaN = a side counted nothing.
    Empty bins need no smoothing and get none.

    Both sides are counts in the same bins along the last axis, leading axes broadcast. One figure
    for each leading index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't
    pair up or a count is negative.

    Source: Le Cam & Yang 2000, "Asymptotics in Statistics", chapter 3.

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(hellinger(current, reference)), 6)
    0.098458
    """
    c, r = shares(current, reference, 0.0)
    squared = np.square(np.sqrt(c) - np.sqrt(r)).sum(axis=-1) / 2
    # The sum is at most 2 but for rounding.
    return np.asarray(np.sqrt(np.minimum(squared, 1.0)))


def wasserstein_bins(
    current: ArrayLike, reference: ArrayLike, *, pseudocount: float = 0.5
) -> Floats:
    """Return the Wasserstein-1 distance Σ |C_i - R_i| of cumulative shares, in bin widths.

    How many bins the average value moved; symmetric. 0 = the same shares in every bin;
    B - 1 = everything went from the first bin to the last; NaN = a side counted nothing. The bins
    must have an order, and count as one apart whatever their width.

    Both sides are counts in the same bins along the last axis, leading axes broadcast;
    ``pseudocount`` is added to every bin that either side has hit. One figure for each leading
    index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't pair up or a count
    is negative.

    Source: Vallender 1974, "Calculation of the Wasserstein Distance Between Probability
    Distributions on the Line".

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(wasserstein_bins(current, reference, pseudocount=0)), 6)
    0.33
    """
    c, r = shares(current, reference, pseudocount)
    # The last cumulative difference is 0 but for rounding, save where a side counted nothing.
    moved = np.cumsum(c - r, axis=-1)
    return np.asarray(np.abs(moved).sum(axis=-1))


def ks_bins(current: ArrayLike, reference: ArrayLike) -> Floats:
    """Return the Kolmogorov-Smirnov distance D = max |C_i - R_i| of cumulative shares.

    The largest share of events that moved past one edge; symmetric. 0 = the same shares in every
    bin; 1 = every value of one side lies below every value of the other; NaN = a side counted
    nothing. The bins must have an order; their widths don't matter. It never exceeds D of the
    values themselves, since only their edges are looked at: p-values made for the latter are too
    large for it. Empty bins need no smoothing and get none.

    Both sides are counts in the same bins along the last axis, leading axes broadcast. One figure
    for each leading index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't
    pair up or a count is negative.

    Source: Smirnov 1939, "On the Estimation of the Discrepancy Between Empirical Curves of
    Distribution for Two Independent Samples".

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(ks_bins(current, reference)), 6)
    0.12
    """
    c, r = shares(current, reference, 0.0)
    apart = np.abs(np.cumsum(c - r, axis=-1)).max(axis=-1, initial=0.0)
    # Rounding may leave it above 1, where nothing can be.
    return np.asarray(np.minimum(apart, 1.0))


def chi2_two_sample(current: ArrayLike, reference: ArrayLike) -> Floats:
    """Return Pearson's chi-squared Σ (O - E)²/E over the table of both sides, without unit.

    E is what a bin would hold if both sides had the shares of their sum, so the reference's own
    noise is counted. No continuity correction. Symmetric. 0 = the same shares in every bin;
    n + m = no bin in common; NaN = a side counted nothing. Without drift it is distributed about as
    χ² with ``degrees_of_freedom``; far out in the tail much worse than ``g_two_sample`` is. It
    grows with the number of events: it says whether there is a drift, not how big one.

    A bin that neither side has hit is left out; nothing is added to the others.

    Both sides are counts in the same bins along the last axis, leading axes broadcast; effective
    counts may be fractions. One figure for each leading index, 0-dimensional for two vectors.
    Raises ``ValueError`` if the bins don't pair up or a count is negative.

    Source: Pearson 1911, "On the Probability that Two Independent Distributions of Frequency Are
    Really Samples from the Same Population".

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(chi2_two_sample(current, reference)), 6)
    25.027886
    """
    observed, expected = paired(current, reference)
    c, r = shares(current, reference, 0.0)
    n, m = observed.sum(axis=-1), expected.sum(axis=-1)
    both = observed + expected
    # 1 under a bin that nobody hit: its term is 0, or NaN where the shares are.
    terms = np.square(c - r) / np.where(both > 0, both, 1.0)
    return np.asarray(n * m * terms.sum(axis=-1))


def g_two_sample(current: ArrayLike, reference: ArrayLike) -> Floats:
    """Return G = 2·Σ O·ln(O / E) over the table of both sides, without unit.

    E is what a bin would hold if both sides had the shares of their sum, so the reference's own
    noise is counted. It is twice the log-likelihood ratio of "two distributions" to "one", and
    2·(n·KL(c‖s) + m·KL(r‖s)) with s the shares of the sum. Symmetric. 0 = the same shares in every
    bin; 2·(n·ln((n+m)/n) + m·ln((n+m)/m)) = no bin in common; NaN = a side counted nothing. Without
    drift it is distributed about as χ² with ``degrees_of_freedom``. It grows with the number of
    events: it says whether there is a drift, not how big one.

    O = 0 adds 0, so an empty bin needs no smoothing and gets none; a bin that neither side has hit
    is left out.

    Both sides are counts in the same bins along the last axis, leading axes broadcast; effective
    counts may be fractions. One figure for each leading index, 0-dimensional for two vectors.
    Raises ``ValueError`` if the bins don't pair up or a count is negative.

    Source: Wilks 1938, "The Large-Sample Distribution of the Likelihood Ratio for Testing Composite
    Hypotheses"; Sokal & Rohlf 1981, "Biometry", chapter 17.

    >>> reference, current = [200, 300, 250, 150, 100, 0], [70, 140, 140, 140, 0, 10]
    >>> round(float(g_two_sample(current, reference)), 6)
    139.193943
    """
    first, second = paired(current, reference)
    c, r = shares(current, reference, 0.0)
    n, m = first.sum(axis=-1), second.sum(axis=-1)
    total = np.asarray(n + m)[..., np.newaxis]
    together = (first + second) / np.where(total > 0, total, np.nan)
    return np.asarray(2 * (n * relative_entropy(c, together) + m * relative_entropy(r, together)))


def degrees_of_freedom(current: ArrayLike, reference: ArrayLike) -> NDArray[np.int64]:
    """Return B - 1, with B the bins that either side has hit: those of ``g_two_sample`` and chi².

    0 = one bin or none, so there is nothing to compare. Bins that nobody ever hit don't count:
    they can't contribute to the statistic, and a test that reckons with them misses drifts.

    Both sides are counts in the same bins along the last axis, leading axes broadcast. One figure
    for each leading index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't
    pair up or a count is negative.

    >>> int(degrees_of_freedom([60, 130, 0, 0], [200, 300, 10, 0]))
    2
    """
    return degrees_of_pair(*paired(current, reference))
