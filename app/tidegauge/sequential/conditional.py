"""Tails of scores given what both sides counted together, for bins of few events.

Where a bin holds few events, on either side, sums of scores are far from normal. Given the total
t = counts + baseline of each bin, the counts of a window without a drift have the multivariate
hypergeometric law, whatever the true shares are (Fisher 1935), and shares that are a sample's own
quantiles change nothing of that: it is the law of ranks. Against it stands the tilt

    ln(share in the window / share in the baseline) = a + b · score,

the density ratio model (Anderson 1979, "Multivariate logistic compounds"; Qin 1998, "Inferences for
case-control and semiparametric two-sample density ratio models"), whose likelihood is that of a
logistic regression of the side on the score, with totals t. With w the signed root of its
likelihood ratio and u the estimate of b, standardised, the sum of scores has the tail of a standard
normal beyond

    r* = w + ln(u / w) / w,

of a relative error of 1/n^1.5, however far out (Skovgaard 1987, "Saddlepoint expansions for
conditional distributions"; Barndorff-Nielsen 1986). For b there is 2 sinh(step · b / 2) / step, as
on a lattice. With the sum half a step nearer that is P(sum >= what was found); of the counts of a
bin it is a quarter.

Effective counts of a memory are weighted sums, of which an event counts more the later it was.
They are as variable as the counts of so many events, and more skewed, by the factor

    g = Σw³ Σw / (Σw²)² = (2 - λ)² / (3 - 3λ + λ²),

w being the weights of windows of equal size. A sum of ``n/g²`` events that count g each has the
variance and the skewness of both; so on the side on which the skewness is they are taken for that.
"""

from typing import NamedTuple

import numpy as np

from tidegauge.sequential.ewma import LAMBDAS
from tidegauge.stats import Floats

#: g of each memory, (4,): 1 for the latest window alone, nearly 4/3 for long ones.
GRAINS: Floats = np.array([(2 - it) ** 2 / (3 - 3 * it + it**2) for it in LAMBDAS])

#: Newton's steps; a change by six standard deviations is fitted to 1e-9 by then.
_STEPS = 8

#: After a step of the log-odds that is shorter, what is left is about its square.
_ARRIVED = 1e-6

#: The most that the log-odds of a bin may change in a step, so that they are not overshot.
_LONGEST_STEP = 2.5

#: Signed roots nearer to 0 than this are no surprise, and ln(u / w) / w is not computed of them.
_NEAR = 1e-3

_TINY = 1e-300

#: More other events than this for each don't change a tail.
_MOST = 1e6

#: A tail begins by so many events before what was counted. Half an event is P(>= counted), which
#: discrete counts reach more seldom than continuous ones would; none is about half of the
#: probability of what was counted. In between, tails are as long as promised: bench/detection.py.
_NEARER = 0.25


def bin_squares(counts: Floats, reference: Floats, grain: Floats) -> Floats:
    """Return r*² of each bin against the rest, (rows, bins); the rows' ``grain`` is g, (rows,).

    0 where a bin is off by less than a quarter of an event.

    >>> counts, baseline = np.array([[26.0, 974.0]]), np.array([[3.0, 997.0]])
    >>> from scipy.stats import hypergeom, norm
    >>> tail = norm.sf(np.sqrt(bin_squares(counts, baseline, np.ones(1))[0, 0]))
    >>> bool(hypergeom.sf(26, 2000, 29, 1000) < tail < hypergeom.sf(25, 2000, 29, 1000))
    True
    """
    n, m = (np.maximum(it.sum(axis=-1, keepdims=True), 1.0) for it in (counts, reference))
    more = counts * m > reference * n
    rare = 2 * (counts + reference) < n + m
    counts, n = _grained(counts, n, reference, m, np.where(more == rare, grain[:, None], 1.0))
    total, events = counts + reference, n + m
    excess = counts - total * (n / events)
    # Less of a bin in the window is more of it in the baseline.
    a = np.where(more, counts, reference) - _NEARER
    n, m = np.where(more, n, m), np.where(more, m, n)
    beyond = (np.abs(excess) > _NEARER) & (a > 0)
    a = np.where(beyond, a, _NEARER)
    b = np.maximum(total - a, _NEARER)
    rest_a, rest_b = np.maximum(n - a, _NEARER), np.maximum(m - b, _NEARER)
    rest, part = rest_a + rest_b, n / events
    other = np.where(part < 1, 1 - part, m / events)  # a part of all but some is rounded to all
    odds = np.log(a * rest_b / (b * rest_a))
    half = (
        a * np.log(a / ((a + b) * part))
        + b * np.log(b / ((a + b) * other))
        + rest_a * np.log(rest_a / (rest * part))
        + rest_b * np.log(rest_b / (rest * other))
    )
    variance = a * b / (a + b) * (rest_a * rest_b / rest) * (events / (n * m))
    log_u = _log_step(odds, np.ones_like(odds)) + np.log(variance) / 2
    return np.where(beyond & (odds > 0), _squares(half, log_u), 0.0)


def tilt_squares(score: Floats, counts: Floats, reference: Floats, grain: Floats) -> Floats:
    """Return r*² of the sum of a score, (rows,); all but ``grain`` (rows,) are (rows, bins).

    ``counts`` and ``reference`` are those of the bins that have a score, and 0 in others. Scores
    must follow from the sums of both: given these they are fixed, and the tail holds.
    """
    n, m = counts.sum(axis=-1), reference.sum(axis=-1)
    there = (n >= 1) & (m >= 1)
    n, m = np.where(there, n, 1.0), np.where(there, m, 1.0)
    score, excess = _centred(score, counts, reference, n, m)
    lean = np.einsum("rb,rb->r", counts + reference, score**3)
    its = np.where(lean > 0, grain, 1.0)
    counts, n = _grained(counts, n[:, None], reference, m[:, None], its[:, None])
    n = np.where(there, counts.sum(axis=-1), 1.0)
    score, excess = _centred(score, counts, reference, n, m)
    return _tail(score, counts + reference, np.where(there, n, 0.0), m, excess)


def contrast_squares(
    score: Floats, both: Floats, difference: Floats, n: Floats, m: Floats, grain: Floats
) -> Floats:
    """Return r*² of a difference of means of a score, of the variance 1/n + 1/m of a score's.

    ``both`` (rows, bins) are counts of the law that both means are of, and ``score`` is centred and
    of unit variance under it; the others are (rows,). The difference is taken for that of ``n``
    events, which are as coarse as ``grain`` says, and ``m`` others.
    """
    law = both / np.maximum(both.sum(axis=-1, keepdims=True), _TINY)
    sign = np.where(difference < 0, -1.0, 1.0)
    score = score * sign[:, None]
    lean = np.einsum("rb,rb->r", law, score**3)
    fewer = n / np.where(lean > 0, grain, 1.0) ** 2
    m = np.minimum(m, _MOST * fewer)
    size = np.sqrt((1 / fewer + 1 / m) / (1 / n + 1 / m))
    excess = difference * sign * size * (fewer * m / (fewer + m))
    return _tail(score, law * (fewer + m)[:, None], fewer, m, excess)


def _tail(score: Floats, total: Floats, n: Floats, m: Floats, excess: Floats) -> Floats:
    """Return r*² of a sum of a centred score that is above 0 by ``excess``.

    It is over ``n`` of the ``total`` events in each bin, of which ``m`` are others; 0 if ``n`` is.
    """
    step = _step(score, total)
    aim = excess - step / 2
    there = (n > 0) & (aim > 0)
    aim, ours = np.where(there, aim, 0.0), np.where(there, n, 0.0)
    total = np.where(there[:, None], total, 0.0)
    part = n / (n + m)
    b, half, variance = _Fit(total, score, part, ours, aim).found()
    log_u = np.log(np.maximum(variance, _TINY)) / 2 + _log_step(b, step)
    return np.where(there & (b > 0), _squares(half, log_u), 0.0)


def _grained(
    counts: Floats, n: Floats, reference: Floats, m: Floats, grain: Floats
) -> tuple[Floats, Floats]:
    """Return counts of so many coarser events, and how many: as far from the baseline's.

    As far in standard deviations, that is: (n/g²)^-1 + m^-1 is larger than 1/n + 1/m.
    """
    fewer = n / grain**2
    farther = np.sqrt((1 / fewer + 1 / m) / (1 / n + 1 / m))
    shares = reference / m
    found = np.maximum(shares + farther * (counts / n - shares), 0.0) * fewer
    return np.where(grain == 1, counts, found), np.where(grain == 1, n, fewer)


def _centred(
    score: Floats, counts: Floats, reference: Floats, n: Floats, m: Floats
) -> tuple[Floats, Floats]:
    """Return the score about its mean over both sides, with the sign that makes its sum positive.

    And that sum over the counts.
    """
    total = counts + reference
    mean = np.einsum("rb,rb->r", total, score) / (n + m)
    centred = score - mean[:, None]
    excess = np.einsum("rb,rb->r", counts, centred)
    sign = np.where(excess < 0, -1.0, 1.0)
    return centred * sign[:, None], excess * sign


def _step(score: Floats, total: Floats) -> Floats:
    """Return the step of a sum of scores: of two bins, one of which is rare, the gap between them.

    Of more it is the typical gap (weighed by its length), times the chance that two events that
    make the sum vary are of the same bin: a sum of many different scores is nearly continuous.
    """
    filled = np.sort(np.where(total > 0, score, np.inf), axis=-1)
    with np.errstate(invalid="ignore"):
        gaps = np.diff(filled, axis=-1)
    gaps = np.where(np.isfinite(gaps), gaps, 0.0)
    length = gaps.sum(axis=-1)
    parts = total * score**2
    some = length > 0
    gap = (gaps**2).sum(axis=-1) / np.where(some, length, 1.0)
    same = (parts**2).sum(axis=-1) / np.where(some, parts.sum(axis=-1) ** 2, 1.0)
    return np.where(some, gap * same, 0.0)


def _log_step(b: Floats, step: Floats) -> Floats:
    """Return ln(2 sinh(step · b / 2) / step), and ln b of no step; b above 0.

    By its logarithm, since the hyperbolic sine itself may be more than a float holds.
    """
    b = np.maximum(b, _TINY)
    x = b * step
    on_lattice = np.log(np.where(x > _NEAR, -np.expm1(-x), 1.0)) + x / 2
    return np.where(x > _NEAR, on_lattice - np.log(np.where(x > _NEAR, step, 1.0)), np.log(b))


class _Fit(NamedTuple):
    """The tilt under which ``n`` of the ``total`` in each bin have the sum ``aim`` of scores.

    ``part`` of all is in the counts without a tilt.
    """

    total: Floats
    score: Floats
    part: Floats
    n: Floats
    aim: Floats

    def found(self) -> tuple[Floats, Floats, Floats]:
        """Return b, half the likelihood ratio, and the variance of the sum for a given ``n``.

        Where Newton's steps have not come to an end, the likelihood ratio is too small: it is what
        the tilt so far has.
        """
        a, b = np.zeros_like(self.n), np.zeros_like(self.n)
        largest = np.maximum(np.abs(self.score).max(axis=-1), _TINY)
        moves = np.ones(self.n.shape, dtype=bool)
        for _ in range(_STEPS):
            inside, _ = self._inside(a, b)
            aa, ab, bb = self._information(inside)
            x = self.n - np.einsum("rb,rb->r", self.total, inside)
            y = self.aim - np.einsum("rb,rb,rb->r", self.total, inside, self.score)
            det = np.maximum(aa * bb - ab**2, _TINY)
            more_a, more_b = (bb * x - ab * y) / det, (aa * y - ab * x) / det
            length = np.abs(more_a) + np.abs(more_b) * largest
            shorter = np.minimum(1.0, _LONGEST_STEP / np.maximum(length, _TINY))
            # Who has arrived stays, so that none depends on how long others take.
            part = np.where(moves, shorter, 0.0)
            a, b = a + part * more_a, b + part * more_b
            moves &= length > _ARRIVED
            if not moves.any():
                break
        inside, growth = self._inside(a, b)
        aa, ab, bb = self._information(inside)
        free = np.einsum("rb,rb->r", self.total, np.log(growth))
        half = self.n * a + self.aim * b - free
        without = self.n * (1 - self.part)  # the information of a where there is no tilt
        return b, half, np.maximum(aa * bb - ab**2, _TINY) / np.maximum(without, _TINY)

    def _inside(self, a: Floats, b: Floats) -> tuple[Floats, Floats]:
        """Return the share of each bin's total that is in the counts, and its normalisation."""
        odds = a[:, None] + b[:, None] * self.score
        grown = np.exp(np.minimum(np.maximum(odds, -500.0), 500.0))
        growth = 1 + self.part[:, None] * (grown - 1)
        return self.part[:, None] * grown / growth, growth

    def _information(self, inside: Floats) -> tuple[Floats, Floats, Floats]:
        both = self.total * inside * (1 - inside)
        return (
            np.einsum("rb->r", both),
            np.einsum("rb,rb->r", both, self.score),
            np.einsum("rb,rb,rb->r", both, self.score, self.score),
        )


def _squares(half: Floats, log_u: Floats) -> Floats:
    """Return r*² from half the likelihood ratio and ln u; 0 where that is not above 0."""
    w = np.sqrt(2 * np.maximum(half, _NEAR**2))
    r = w + (log_u - np.log(w)) / w
    result: Floats = np.maximum(r, 0.0) ** 2
    return result
