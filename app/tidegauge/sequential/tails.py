"""Tail probabilities as -ln p, far beyond where p itself is zero to a float.

**How heavy the tails of a baseline's scores are**, as the degrees of freedom of F. Where blocks of
a baseline vary by outliers rather than evenly, as a level with heavy tails does, or one that jumps
for ten minutes each night, the fourth moment of the scores tells. Of F with k and f degrees of
freedom E F² / (E F)² = (k + 2)/k · (f - 2)/(f - 4); so where it is R times that of χ² with k,

    f = (4 R - 2) / (R - 1)

(the method of moments; Johnson, Kotz & Balakrishnan 1995, chapter 27). R of normal scores has the
standard error sqrt(24 / blocks) / 3 (Fisher 1930).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaln, gammaincc, gammaln, log_ndtr, ndtri_exp

from tidegauge.stats import Floats

#: Below this, 1 - P(χ² <= x) is near the smallest floats and the continued fraction takes over.
_SMALLEST = 1e-280

#: Terms of the continued fraction; that far out in the tail it has converged to 1e-15 long before.
_TERMS = 60

#: Of the power series of the incomplete beta function: where it is below 1e-280 with at most 10,000
#: degrees of freedom, terms fall by an eighth each.
_BETA_TERMS = 300


def chi2_surprise(x: npt.ArrayLike, df: npt.ArrayLike) -> Floats:
    """Return -ln P(χ² with ``df`` degrees of freedom > ``x``), in nats, elementwise.

    0 where ``df`` or ``x`` is not above 0. Exact to about 1e-12 relative, however far out: from
    Legendre's continued fraction of the upper incomplete gamma function where the probability
    underflows (Abramowitz & Stegun, 26.4 and 6.5.31).

    >>> float(chi2_surprise(3.841458820694124, 1).round(12)) == float((-np.log(0.05)).round(12))
    True
    >>> [round(float(it), 6) for it in chi2_surprise([20.0, 5000.0], [3, 19])]
    [8.681228, 2445.181538]
    """
    if isinstance(df, int) and df == 1:
        return _two_tails(np.maximum(x, 0.0))
    x, df = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(df, dtype=np.float64))
    surprise = np.zeros(x.shape)
    counts = (df > 0) & (x > 0)
    one = counts & (df == 1)
    surprise[one] = _two_tails(x[one])
    more = counts & (df != 1)
    a, half = df[more] / 2, x[more] / 2
    p = gammaincc(a, half)
    far = p < _SMALLEST
    found = -np.log(np.where(far, 1.0, p))
    if far.any():  # seldom, and its steps take their time even with nothing in them
        found[far] = _far(a[far], half[far])
    surprise[more] = found
    return surprise


def _two_tails(x: Floats) -> Floats:
    """-ln of both tails of a normal beyond √x; scipy's logarithm of one holds to the far end."""
    result: Floats = np.where(x > 0, -np.log(2.0) - log_ndtr(-np.sqrt(x)), 0.0)
    return result


def _far(a: Floats, x: Floats) -> Floats:
    """-ln of the regularised upper incomplete gamma function, for ``x`` well above ``a``."""
    b = x + 1 - a
    c = np.full_like(x, 1e300)
    d = 1 / b
    h = d.copy()
    for i in range(1, _TERMS):
        factor = -i * (i - a)
        b = b + 2
        d = 1 / (factor * d + b)
        c = b + factor / c
        h *= c * d
    result: Floats = x - a * np.log(x) + gammaln(a) - np.log(h)
    return result


def unskewed(z: Floats, skewness: Floats) -> Floats:
    """Return what a standard normal would be where a variable of some skewness is ``z``.

    Of a few hundred events the sum of squared scores still leans to one side, so that three in four
    false alarms would come from there. z - skewness (z² - 1) / 6 (Cornish & Fisher 1938), straight
    on from where its slope has come down to a half, so that more is always more.
    """
    bend = np.where(skewness != 0, 1.5 / np.where(skewness != 0, skewness, 1.0), np.inf)
    near = np.where(z * np.sign(bend) > np.abs(bend), bend, z)
    result: Floats = near - skewness * (near**2 - 1) / 6 + (z - near) / 2
    return result


def f_surprise(x: npt.ArrayLike, df: npt.ArrayLike, reference_df: npt.ArrayLike) -> Floats:
    """Return -ln P(F with ``df`` and ``reference_df`` degrees of freedom > ``x``), nats.

    The tail of a variance ratio whose denominator is an estimate; with ``df`` 1 that of Student's t
    squared, both sides. 0 where ``df`` or ``x`` is not above 0. It is the regularised incomplete
    beta function I_y(b, a) at y = b / (b + a·x), a and b half the degrees (Abramowitz & Stegun,
    26.6.2), and its power series where that underflows (26.5.4). ``reference_df`` up to 10,000.

    >>> float(f_surprise(4.964602743730712, 1, 10).round(9)) == float((-np.log(0.05)).round(9))
    True
    >>> [round(float(it), 3) for it in f_surprise([30.0, 1e9], 1, [13, 10_000])]
    [9.15, 57569.508]
    """
    x, df, reference_df = np.broadcast_arrays(
        *(np.asarray(it, dtype=np.float64) for it in (x, df, reference_df))
    )
    surprise = np.zeros(x.shape)
    counts = (df > 0) & (x > 0)
    a, b = df[counts] / 2, reference_df[counts] / 2
    y = b / (b + a * x[counts])
    p = betainc(b, a, y)
    far = p < _SMALLEST
    found = -np.log(np.where(far, 1.0, p))
    if far.any():
        found[far] = _far_beta(b[far], a[far], y[far])
    surprise[counts] = found
    return surprise


def _far_beta(a: Floats, b: Floats, x: Floats) -> Floats:
    """-ln I_x(a, b) for ``x`` far below the mean."""
    term, total = np.ones_like(x), np.ones_like(x)
    for i in range(_BETA_TERMS):
        term = term * (a + b + i) / (a + 1 + i) * x
        total += term
    result: Floats = -a * np.log(x) - b * np.log1p(-x) + np.log(a) + betaln(a, b) - np.log(total)
    return result


def q_values(surprises: npt.ArrayLike, looks: npt.ArrayLike) -> Floats:
    """Return for each signal the false discovery rate at which it would be the last one named.

    ``surprises`` is -ln p, nats, of each signal's strongest score, ``looks`` how many scores that
    is the strongest of: p times their number bounds the signal's own p (Bonferroni). With those p
    in ascending order q_i = min over j >= i of p_j · n / j, at most 1; 0 where p underflows.

    Source: Benjamini & Hochberg 1995, "Controlling the False Discovery Rate". The same as
    ``scipy.stats.false_discovery_control``, which takes 46 MB and a second to import.

    >>> q_values([9.2, 3.0, 0.1, 4.6], [1, 1, 1, 1]).round(4).tolist()
    [0.0004, 0.0664, 0.9048, 0.0201]
    """
    log_p = np.minimum(np.log(looks) - np.asarray(surprises, dtype=np.float64), 0.0)
    order = np.argsort(log_p, kind="stable")
    scaled = log_p[order] + np.log(len(log_p) / np.arange(1, len(log_p) + 1))
    q = np.empty_like(scaled)
    q[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.asarray(np.exp(np.minimum(q, 0.0)))


#: Standard errors that R is beyond 1 by, before it counts.
_ERRORS = 3.0


#: How much larger Σ w^4 / (Σ w²)² is of exponential weights than of as many equal ones.
_OF_MEMORY = 2.0


def tail_degrees(squares: Floats, directions: Floats, fourth: Floats, blocks: float) -> float:
    """Return f, infinite where the tails are no heavier than normal ones.

    ``squares`` are the scores of the blocks, squared and divided by what is expected of them, each
    a mean over so many ``directions``; sampling adds ``fourth`` to the fourth moment of normal
    ones. ``blocks`` is how many independent ones they are worth. All arrays are (blocks).

    >>> rng = np.random.default_rng(1)
    >>> one, none = np.ones(200_000), np.zeros(200_000)
    >>> tail_degrees(rng.normal(size=200_000) ** 2, one, none, 200_000.0)
    inf
    >>> round(tail_degrees(rng.standard_t(10, size=200_000) ** 2, one, none, 200_000.0), 1)
    10.0
    """
    normal = float(((directions + 2) / directions + fourth).mean())
    mean = float(squares.mean())
    if not mean > 0:
        return float("inf")
    ratio = float((squares**2).mean()) / mean**2 / normal
    if ratio - 1 <= _ERRORS * np.sqrt(24 / blocks) / 3:
        return float("inf")
    return (4 * ratio - 2) / (ratio - 1)


def of_bin(share: Floats, n: Floats) -> Floats:
    """Return what sampling adds to the fourth moment of one bin's score (binomial)."""
    variance = share * (1 - share)
    return np.where(variance > 0, (1 - 6 * variance) / np.where(variance > 0, n * variance, 1.0), 0)


def of_shape(shares: Floats, n: Floats, df: Floats) -> Floats:
    """Return what it adds to that of X²/df over all bins, (blocks, bins) with ``n`` events each.

    Var X² = 2 df + (Σ 1/p - B² - 2B + 2) / n, of B bins (Haldane 1937).
    """
    there = shares > 0
    bins = there.sum(axis=-1)
    inverse = np.where(there, 1 / np.where(there, shares, 1.0), 0.0).sum(axis=-1)
    return np.asarray(np.maximum(inverse - bins**2 - 2 * bins + 2, 0.0) / n / df**2)


def of_score(shares: Floats, score: Floats, n: Floats) -> Floats:
    """Return what it adds to that of the mean of a ``score`` of unit variance, (blocks, bins)."""
    return np.asarray(((shares * score**4).sum(axis=-1) - 3) / np.maximum(n, 1.0))


def carried(seconds: Sequence[float], degrees: Floats) -> Floats:
    """Return degrees (spans, directions) that fall no faster than those of independent blocks do.

    The kurtosis 6/(f - 4) of a mean over k of these is a k-th; of a memory, which weighs some of
    them more, about twice that. A few long blocks can't tell it.
    """
    found = degrees.copy()
    for at in range(1, len(found)):
        before = np.where(found[at - 1] > 4, found[at - 1] - 4, np.inf)
        kurtosis = 6 / before * seconds[at - 1] / seconds[at] * (_OF_MEMORY if at == 1 else 1)
        found[at] = np.minimum(found[at], 4 + 6 / np.maximum(kurtosis, 1e-9))
    return found


def normal_square(level: npt.ArrayLike) -> Floats:
    """χ² with one degree of freedom at ``level``."""
    return np.asarray(ndtri_exp(-np.asarray(level) - np.log(2.0)) ** 2)
