"""Which scores can't be above a level, told without a logarithm.

Nearly all windows are far from an alarm, and to know that much of them takes a fraction of the time
of the scores themselves. Never wrong the other way: what is above the level is always among those
left.

- ``shape``: G = 2 (n KL(c‖s) + m KL(r‖s)), s being the shares of both sides together, and
  KL(p‖q) ≤ Σ (p - q)²/q, so that G is at most twice Pearson's X² of the same two samples
  (Gibbs & Su 2002, "On choosing and bounding probability metrics"). Williams' correction only
  makes it smaller.
- ``bin``: the same of one bin and the rest.
- ``mean``, ``spread``: the score itself, and the most that its correction of skewness can add.
"""

import numpy as np
from scipy.special import gammainccinv

from tidegauge.sequential.contrast import Contrast
from tidegauge.sequential.ewma import Memory
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.tails import normal_square
from tidegauge.stats import Bools, Floats

#: Beyond this level the quantiles of χ² underflow; a lower level only leaves more.
_HIGHEST_LEVEL = 600.0

#: Below this one, rounding alone may be above it.
_LOWEST_LEVEL = 1e-3

#: Rounding, in what is compared and in the scores themselves.
_SLACK = 1 - 1e-6


def may_exceed(reference: Reference, path: Memory, level: float) -> Bools:
    """Return where a score of a path may be above ``level``, nats: (windows, 4, signals)."""
    level = min(level, _HIGHEST_LEVEL)
    if level < _LOWEST_LEVEL:
        return np.asarray(path.total > 0)
    events, total = path.events(), path.total
    m = reference.counts.sum(axis=-1)
    r = reference.counts / m[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = path.counts / total[..., None]
        part = events / (events + m)
        together = share * part[..., None]
        together += r * (1 - part)[..., None]
        error = 1 / events + 1 / m
        share -= r
        np.multiply(share, share, out=share)
        share /= together  # of a bin that neither side has hit: 0/0
        hit = together > 0
        np.copyto(share, 0.0, where=~hit)
        shape = share.sum(axis=-1) / error
        np.subtract(1.0, together, out=together)
        share /= together
        # With one bin alone there is no rest: 0/0 again.
        largest = np.fmax.reduce(share, axis=-1) / error
    df = hit.sum(axis=-1) - 1
    bins = reference.exists.sum(axis=-1)
    found = 2 * shape > _SLACK * _quantiles(level, reference.counts.shape[-1])[np.maximum(df, 0)]
    found |= 2 * largest > _SLACK * normal_square(level + np.log(bins))
    found |= _moments(reference, path, events) > _SLACK * normal_square(level)
    return np.asarray(found & (total > 0))


def _quantiles(level: float, bins: int) -> Floats:
    """χ² at ``level`` by degrees of freedom, from 0."""
    result: Floats = 2 * gammainccinv(np.arange(bins) / 2, np.exp(-level))
    result[0] = np.inf  # nothing to compare, no surprise
    return result


def _moments(reference: Reference, path: Memory, events: Floats) -> Floats:
    """Return the most that z² of mean and spread can be, whatever their correction adds.

    Below its bend that is skewness (z² - 1)/6, and from there on less than it would be.
    """
    n, linear, quadratic = (
        np.einsum("...b,...b->...", path.counts, it)
        for it in (reference.ordered, reference.linear, reference.quadratic)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.nan_to_num(events / path.total)
    n_inverse, m_inverse = (
        1 / np.maximum(n * weight, 1.0),
        1 / np.maximum(reference.ordered_total, 1.0),
    )
    error = np.sqrt(n_inverse + m_inverse)
    lean = np.abs(n_inverse**2 - m_inverse**2) / error**3 * (m_inverse / 6)
    scale = weight * n_inverse / error
    most = np.zeros_like(error)
    for score, third in zip((linear, quadratic), reference.third_moments, strict=True):
        z = np.abs(score) * scale
        np.maximum(most, z + lean * np.abs(third) * (z**2 + 1), out=most)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.nan_to_num(linear / n)
    z, skewness = (
        np.abs(it) for it in Contrast.of(path, reference.total[..., 0]).moment(reference, means)
    )
    np.maximum(most, z + skewness / 6 * (z**2 + 1), out=most)
    result: Floats = most**2
    return result
