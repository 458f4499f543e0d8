"""Four scores of how far counts are from a baseline's, each as the -ln p of its null hypothesis.

Two-sample throughout: the baseline is a sample too, of ``m`` events, and what it is off by is in
every window alike. Terms 1/n + 1/m keep that from being taken for drift.
"""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.sequential.conditional import bin_squares, tilt_squares
from tidegauge.sequential.contrast import Contrast
from tidegauge.sequential.reference import Reference, bin_scores
from tidegauge.sequential.tails import chi2_surprise, unskewed
from tidegauge.stats import Bools, Floats

Places = tuple[npt.NDArray[np.intp], ...]
Score = Literal["shape", "mean", "spread", "bin"]

#: What is remembered of a bin halves again and again while nothing falls into it, down to numbers
#: so small that a share of them is 0, and its logarithm no number at all.
_NOTHING = 1e-100

#: In this order along the last axis of :func:`surprises`.
SCORES: tuple[Score, ...] = ("shape", "mean", "spread", "bin")

_SHAPE, _MEAN, _SPREAD, _BIN = map(SCORES.index, ("shape", "mean", "spread", "bin"))

#: Below so many nats, normal scores will do: no threshold is that low. From there on conditional
#: tails have more and more of a say, up to all of it, so that there is no step.
_NORMAL_BELOW, _CONDITIONAL_ABOVE = 4.0, 6.0


def surprises(
    reference: Reference,
    counts: Floats,
    grains: npt.ArrayLike = 1.0,
    contrast: Contrast | None = None,
    *,
    largest_only: bool = False,
) -> Floats:
    """Return -ln p, nats, of counts (…, signals, bins) by each score: (…, signals, 4).

    ``counts`` may be effective ones, of weighted windows, and so no whole numbers. 0 where nothing
    was counted, or where an unordered signal has no mean or spread.

    - ``shape``: likelihood ratio G over all bins that either side has hit, with Williams'
      correction, χ² with one degree of freedom less than those.
    - ``mean``, ``spread``: z = Σ share · score / sqrt(1/n + 1/m) over the ordered bins, a normal
      one after the correction of its skewness.
    - ``bin``: the largest G of one bin against the rest, χ² with one, times the number of bins
      (Bonferroni).

    What a bin adds to G is divided by its dispersion, :func:`dispersion`.

    Of few events the tails of these are longer: above 6 nats the last three, and the shape of two
    bins, are at most what ``conditional`` says. ``grains`` (…, signals), or what broadcasts to
    that, are those of ``GRAINS`` for the memories that the counts are from. With a ``contrast`` the
    mean over some spans is compared with the longest span too. Conditional tails take longer than
    all the rest; with ``largest_only`` the largest score of each signal, over all leading axes, is
    exact, and what can't be the largest may be too large.
    """
    n, m = counts.sum(axis=-1, keepdims=True), reference.total
    terms = g_terms(counts, n, reference.counts, m)
    if reference.has_expected:
        terms /= dispersion(reference, counts, n)
    in_order = summed(counts, reference.in_order)
    linear, quadratic = reference.third_moments
    g, df = shape_statistic(reference, counts, terms)
    mean = _moment(reference, reference.linear, linear, counts, in_order)
    if contrast is not None:
        means = summed(counts, reference.linear) / np.maximum(in_order, 1.0)
        mean = np.where(contrast.weights > 0, contrast.surprise(reference, means), mean)
    found = np.stack(
        [
            chi2_surprise(g, df),
            mean,
            _moment(reference, reference.quadratic, quadratic, counts, in_order),
            _bin(reference, counts, n, terms),
        ],
        axis=-1,
    )
    grain = np.broadcast_to(np.asarray(grains, dtype=np.float64), found.shape[:-1])
    tails = _ConditionalTails(reference, counts, grain, df == 1, contrast)
    which = np.nonzero(found > _NORMAL_BELOW)
    if largest_only and len(which[0]):
        signals, before = which[-2], found[which]
        is_first = before == _largest_of(signals, before, found.shape[-2])[signals]
        is_exact = tails.lower(found, tuple(it[is_first] for it in which))
        least = _largest_of(signals[is_first], found[which][is_first], found.shape[-2])
        is_next = ~is_exact[which] & (before >= least[signals])
        which = tuple(it[is_next] for it in which)
    tails.lower(found, which)
    return found


def _largest_of(signals: npt.NDArray[np.intp], values: Floats, number: int) -> Floats:
    """Return the largest value of each signal, 0 where there is none."""
    found = np.zeros(number)
    np.maximum.at(found, signals, values)
    return found


class _ConditionalTails(NamedTuple):
    """What brings scores that may matter down to their conditional tails, where these are longer.

    ``grain`` is that of each place in the counts. Where there is but one table of two bins,
    ``one_table``, the shape is that.
    """

    reference: Reference
    counts: Floats
    grain: Floats
    one_table: Bools
    contrast: Contrast | None

    def lower(self, found: Floats, which: Places) -> Bools:
        """Bring down the scores of ``found`` at ``which`` places; return what is exact then."""
        exact = np.zeros(found.shape, dtype=bool)
        exact[which] = True
        where, score = which[:-1], which[-1]
        moments = np.flatnonzero((score == _MEAN) | (score == _SPREAD))
        if len(moments):
            self._lower_moments(found, tuple(it[moments] for it in where), score[moments])
        tables = np.flatnonzero((score == _BIN) | ((score == _SHAPE) & self.one_table[where]))
        if len(tables):
            its = tuple(it[tables] for it in where)
            self._lower_bins(found, its)
            exact[its] |= np.isin(np.arange(len(SCORES)), (_SHAPE, _BIN))
        return exact

    def _lower_moments(self, found: Floats, where: Places, score: npt.NDArray[np.intp]) -> None:
        reference = self.reference
        ordered = self._rows(reference.in_order, where)
        ours, theirs = self.counts[where] * ordered, self._rows(reference.counts, where) * ordered
        # By how both sides filled the bins, since that is what is given.
        linear, quadratic = bin_scores(ours + theirs)
        values = np.where((score == _MEAN)[:, None], linear, quadratic) * ordered
        squares = tilt_squares(values, ours, theirs, self.grain[where])
        if self.contrast is not None:
            its = np.flatnonzero((score == _MEAN) & (self.contrast.weights[where] > 0))
            rows = tuple(it[its] for it in where)
            squares[its] = self.contrast.of_rows(rows).squares(
                self.counts[rows], theirs[its], ordered[its]
            )
        _lower(found, (*where, score), chi2_surprise(squares, 1))

    def _lower_bins(self, found: Floats, where: Places) -> None:
        reference = self.reference
        ours, theirs = self.counts[where], self._rows(reference.counts, where)
        squares = bin_squares(ours, theirs, self.grain[where])
        if reference.has_expected:
            excess, new = (self._rows(it, where) for it in (reference.excess, reference.new))
            squares /= _dispersion(excess, new > 0, ours, theirs)
        largest = chi2_surprise(squares.max(axis=-1), 1)
        log_bins = self._rows(reference.log_bins[..., None], where)[:, 0]
        _lower(found, (*where, _BIN), np.maximum(largest - log_bins, 0.0))
        _lower(found, (*where, _SHAPE), np.where(self.one_table[where], largest, np.inf))

    def _rows(self, array: npt.NDArray[np.generic], where: Places) -> Floats:
        """Return what an array (…, signals, bins) has at some places in the counts."""
        whole = np.broadcast_to(array, (*self.grain.shape, array.shape[-1]))
        return np.asarray(whole[where], dtype=np.float64)


def _lower(found: Floats, where: tuple[npt.NDArray[np.intp] | int, ...], most: Floats) -> None:
    before = found[where]
    part = (before - _NORMAL_BELOW) / (_CONDITIONAL_ABOVE - _NORMAL_BELOW)
    less = np.maximum(before - most, 0.0)
    found[where] = before - less * np.minimum(np.maximum(part, 0.0), 1.0)


def shape_statistic(
    reference: Reference, counts: Floats, terms: Floats
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return G with Williams' correction, and its degrees of freedom; ``terms`` add up to G."""
    both = counts + reference.counts
    # As a product of matrices, which is exact: numpy takes four times as long to count.
    hit = (both > 0).astype(np.float64) @ np.ones(both.shape[-1])
    df = np.maximum(hit - 1, 0).astype(np.int64)
    return terms.sum(axis=-1) / _williams(reference, counts, both, df), df


def _williams(
    reference: Reference, counts: Floats, both: Floats, df: npt.NDArray[np.int64]
) -> Floats:
    """Return what G is too large by, to the order of 1/n (Williams 1976).

    That is 1 + (Σ 1/share - 1) (1/n + 1/m - 1/(n+m)) / (6 · degrees of freedom), the shares being
    those of both sides together. It supposes that each bin is expected to be hit: a share of less
    than an event of ``counts`` is taken for one.
    """
    n, m = np.maximum(counts.sum(axis=-1), 1.0), np.maximum(reference.total[..., 0], 1.0)
    one_event = n[..., None]
    inverse = np.minimum((n + m)[..., None] / np.where(both > _NOTHING, both, np.inf), one_event)
    total = np.maximum(inverse.sum(axis=-1) - 1, 0.0)
    result: Floats = 1 + total * (1 / n + 1 / m - 1 / (n + m)) / (6 * np.maximum(df, 1))
    return result


def _moment(
    reference: Reference, score: Floats, third: Floats, counts: Floats, n: Floats
) -> Floats:
    """Return the surprise of the mean of a score; ``n`` of the counts are in bins in order."""
    n_inverse, m_inverse = 1 / np.maximum(n, 1.0), 1 / np.maximum(reference.ordered_total, 1.0)
    error = np.sqrt(n_inverse + m_inverse)
    skewness = third * m_inverse * (n_inverse**2 - m_inverse**2) / error**3
    z = unskewed(summed(counts, score) * n_inverse / error, skewness)
    return np.where(n > 0, chi2_surprise(z**2, 1), 0.0)


def summed(counts: Floats, weights: Floats) -> Floats:
    """Return Σ counts · weights over the bins, without an array of all of them between."""
    return np.asarray(np.einsum("...b,...b->...", counts, weights))


def _bin(reference: Reference, counts: Floats, n: Floats, terms: Floats) -> Floats:
    rest = np.maximum(n - counts, 0.0)  # rounding can leave it below
    of_rest = g_terms(rest, n, reference.rest, reference.total)
    if reference.has_expected:
        of_rest /= dispersion(reference, counts, n)
    g = terms + of_rest
    largest = np.where(reference.exists, g, 0.0).max(axis=-1)
    result: Floats = np.maximum(chi2_surprise(largest, 1) - reference.log_bins, 0.0)
    return result


def dispersion(reference: Reference, counts: Floats, n: Floats) -> Floats:
    """Return by how much more than by sampling the difference of both sides varies, (…, bins).

    ``n`` (…, 1) are the totals of the counts. Of the variance p/n + p/m of the difference of two
    shares the baseline's part is 1 + excess times as much: (1/n + (1 + excess)/m) / (1/n + 1/m).
    Infinite where fewer new values are found than expected.
    """
    return _dispersion(reference.excess, reference.new, counts, reference.counts, n)


def _dispersion(
    excess: Floats, new: Bools, counts: Floats, reference: Floats, n: Floats | None = None
) -> Floats:
    m = reference.sum(axis=-1, keepdims=True)
    n = counts.sum(axis=-1, keepdims=True) if n is None else n
    found = 1 + excess * (n / (n + m))
    return np.where(new & (counts * m < reference * n), np.inf, found)


def bin_g(counts: Floats, reference: Floats) -> Floats:
    """Return for each bin the G of the table of itself and the rest, (…, bins)."""
    n, m = counts.sum(axis=-1, keepdims=True), reference.sum(axis=-1, keepdims=True)
    return g_terms(counts, n, reference, m) + terms_of_rest(counts, reference)


def terms_of_rest(counts: Floats, reference: Floats) -> Floats:
    """Return what all other bins add to the G of each bin, (…, bins)."""
    n, m = counts.sum(axis=-1, keepdims=True), reference.sum(axis=-1, keepdims=True)
    rest = np.maximum(n - counts, 0.0)  # rounding can leave it below
    return g_terms(rest, n, m - reference, m)


def g_terms(a: Floats, n: Floats, b: Floats, m: Floats) -> Floats:
    """Return what each bin adds to G: 2 (a ln(a / n) + b ln(b / m) - (a + b) ln share of both).

    ``a`` and ``b`` are the counts of both sides, ``n`` and ``m`` their totals. Never below 0 but
    for rounding; 0 = the same share on both sides, or nothing counted. ``g_two_sample`` is the sum
    of these.

    >>> a, b = np.array([5.0, 15.0]), np.array([50.0, 50.0])
    >>> g_terms(a, np.array(20.0), b, np.array(100.0)).round(6).tolist()
    [2.63978, 1.758401]
    """
    both, total = a + b, n + m
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Floats = _likelihood(a, both * (n / total)) + _likelihood(b, both * (m / total))
    result *= 2
    return result


def _likelihood(counts: Floats, expected: Floats) -> Floats:
    """Return counts · ln(counts / expected), and 0 of nothing; writes over ``expected``."""
    np.divide(counts, expected, out=expected)
    np.log(expected, out=expected)
    expected *= counts
    return np.where(counts > _NOTHING, expected, 0.0)


class BinContributions(NamedTuple):
    """Shares of both sides, and what each bin adds to G, with the sign of its change; (…, bins)."""

    baseline: Floats
    current: Floats
    g: Floats


def bin_contributions(reference: Floats, counts: Floats) -> BinContributions:
    """Compare counts with a baseline's, bin by bin, (…, bins); neither side may be empty.

    >>> found = bin_contributions(np.array([50.0, 50.0]), np.array([5.0, 15.0]))
    >>> found.current.tolist(), found.g.round(6).tolist()
    ([0.25, 0.75], [-2.63978, 1.758401])
    """
    n, m = counts.sum(axis=-1, keepdims=True), reference.sum(axis=-1, keepdims=True)
    baseline, current = reference / m, counts / n
    g = g_terms(counts, n, reference, m) * np.sign(current - baseline)
    return BinContributions(baseline, current, g)
