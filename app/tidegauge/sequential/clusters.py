"""Design effects: by how much more than independent rows the counts of rows that go together vary.

Rows of one user, session or device are alike, so a window of n of them tells as much as n / d
independent ones would. Of a score y of rows, centred under the baseline, summed to T_g over each
cluster g,

    d = Σ_g T_g² / Σ_rows y²

(Kish 1965; for tests of counts, Rao & Scott 1981). Dividing the counts of both sides by d gives the
scores the tails that they have for independent rows.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri, ndtr

from tidegauge.sequential.expected import BINS, SHAPE
from tidegauge.sequential.reference import Reference, SignalReference
from tidegauge.stats import Floats

Places = npt.NDArray[np.intp]

#: Standard errors: from which on rows are taken to depend on each other at all, and that are added
#: to what is estimated. At 15 nats 1 % too little is 1.2 times as many false alarms.
_SURE = 5.0
_ADDED = 3.0

#: Of clusters of one row each, d is 1 but for this.
_ROUNDING = 1e-9

#: A bin is asked whether its rows go together if so many pairs of rows of one cluster are expected
#: in it: of fewer, one more by chance would look like many standard errors.
_LEAST_PAIRS = 50.0

#: By so many standard errors one score's has to be beyond that of the shape, to count instead.
_APART = 3.0

#: Rows and blocks of them that it takes to tell how they vary.
_LEAST_ROWS = 1_000
_LEAST_BLOCKS = 32

#: In a file in the order of a column its bins come one after the other, each once or twice.
_RUNS_OF_A_BIN = 2


class _Effects(NamedTuple):
    """Of shape, mean, spread and each bin: d, its standard error, and that of independent rows.

    ``pairs`` are those of rows of one cluster that are expected in each bin, or outside of one that
    holds most rows.
    """

    found: Floats
    errors: Floats
    by_chance: Floats
    pairs: Floats

    @property
    def are_dependent(self) -> bool:
        """Whether shape, mean or spread are beyond those of independent rows."""
        return bool((self.found - 1 > _SURE * self.by_chance + _ROUNDING)[:BINS].any())

    @property
    def have_dependent_bins(self) -> bool:
        """Whether a single bin is: others, in which rows exclude each other, may make up for it."""
        beyond = (self.found - 1 > _SURE * self.by_chance + _ROUNDING)[BINS:]
        return bool((beyond & (self.pairs >= _LEAST_PAIRS)).any())

    def upper(self) -> float:
        """Return the largest d that counts, with what is added to an estimate; at least 1."""
        counts = self.found - _APART * self.errors > self.found[SHAPE]
        counts[SHAPE] = True
        return float(max((self.found + _ADDED * self.errors)[counts].max(), 1.0))

    def extrapolated(self, before: Floats) -> "_Effects":
        """Return d of clusters however long, of what blocks half as long have ``before``.

        Of single bins too little is known for that.
        """
        found = np.maximum(2 * self.found - before, self.found)
        errors = 1.5 * self.errors[:BINS]
        return _Effects(found[:BINS], errors, self.by_chance[:BINS], self.pairs[:0])


def clustered_effect(counts: Floats, signal: SignalReference) -> float:
    """Return the design effect of a signal from the counts of clusters of rows, (clusters, bins).

    1 unless it is beyond chance. With clusters of one size whose rows are the same, it is that size
    exactly.
    """
    effects = _effects(counts, signal)
    return effects.upper() if effects.are_dependent or effects.have_dependent_bins else 1.0


def are_in_order(bins: Places) -> bool:
    """Whether rows are in the order of their bins, so that all rows of one are together.

    >>> are_in_order(np.array([0, 0, 0, 1, 1, 2])), are_in_order(np.array([0, 1, 0, 1, 0, 1]))
    (True, False)
    """
    runs = 1 + np.count_nonzero(bins[1:] != bins[:-1])
    return bool(runs <= _RUNS_OF_A_BIN * len(np.unique(bins)))


def rows_effect(bins: Places, signal: SignalReference) -> float | None:
    """Return the design effect of a signal from the bins of rows in the order of a file.

    Rows that go together are taken to be near each other. So counts of blocks of 1, 2, 4 … rows
    vary by more and more until blocks are longer than that: from d of b and of 2b rows, where rows
    farther apart than b are independent, that of all is 2 d(2b) - d(b). None where blocks vary by
    more and more up to the longest: rows in the order of a column, or of time, tell nothing. 1 of
    fewer than 1,000 rows.
    """
    if len(bins) < _LEAST_ROWS:
        return 1.0
    width, pairs = len(signal.counts), len(bins) // 2
    place = np.arange(2 * pairs) // 2 * width + bins[: 2 * pairs]
    counts = np.bincount(place, minlength=pairs * width).reshape(pairs, width).astype(np.float64)
    before, now = np.ones(BINS + width), _effects(counts, signal)
    if not now.are_dependent:
        return 1.0
    growth, has_fallen, found = np.full(BINS, np.inf), False, 1.0
    alike = np.zeros(BINS, dtype=bool)
    while True:
        grown = (now.found - before)[:BINS]  # by less and less, once blocks are longer
        more = grown > _ADDED * now.errors[:BINS]
        if has_fallen and (grown[more] > growth[more]).any():
            return found  # of short stretches; the blocks now see what is alike over longer ones
        found = now.extrapolated(before).upper()
        if not more.any():  # or not enough blocks are left to tell
            return found if has_fallen or (grown < growth)[alike].all() else None
        fallen = (grown + _ADDED * now.errors[:BINS] < growth) & np.isfinite(growth)
        has_fallen |= bool(fallen[more].any())
        if len(counts) // 2 < _LEAST_BLOCKS:
            return found if has_fallen else None
        growth, before, alike = grown, now.found, more
        counts = counts[: len(counts) // 2 * 2].reshape(-1, 2, width).sum(axis=1)
        now = _effects(counts, signal)


def _of_few_clusters(pairs: Floats) -> float:
    """Return by how much farther d of a bin is by chance than a normal variable: few are large.

    It varies as χ² with (Σ pairs)² / Σ pairs² degrees of freedom, over the clusters.
    """
    square = float((pairs**2).sum())
    if not square:
        return 1.0
    degrees = float(pairs.sum()) ** 2 / square
    beyond = (chdtri(degrees, ndtr(-_SURE)) - degrees) / np.sqrt(2 * degrees)
    return max(float(beyond) / _SURE, 1.0)


def _effects(counts: Floats, signal: SignalReference) -> _Effects:
    reference = Reference.of([signal])
    p = reference.counts[0] / reference.total[0]
    there = p > 0
    inverse = np.where(there, 1 / np.where(there, p, 1.0), 0.0)
    n = counts.sum(axis=-1, keepdims=True)
    off = counts - n * p
    scores = np.stack([reference.linear[0], reference.quadratic[0]], axis=-1)
    sums = [
        (off**2 * inverse).sum(axis=-1)[:, None],
        (counts @ scores) ** 2,
        off**2,
    ]
    # The same of single rows, added up.
    single = [counts @ (inverse - 1)[:, None], counts @ scores**2, counts * (1 - 2 * p) + n * p**2]
    squares, rows = np.concatenate(sums, axis=-1), np.concatenate(single, axis=-1)
    total = rows.sum(axis=0)
    known = total > 0
    divisor = np.where(known, total, 1.0)
    found = np.where(known, squares.sum(axis=0) / divisor, 1.0)
    errors = np.where(known, np.sqrt(((squares - found * rows) ** 2).sum(axis=0)) / divisor, 0.0)
    pairs = float((n * (n - 1)).sum())
    by_chance = np.full(len(found), np.sqrt(2 * pairs) / float(n.sum()))
    by_chance[0] /= np.sqrt(max(int(there.sum()) - 1, 1))
    by_chance[BINS:] *= _of_few_clusters(n * (n - 1))
    return _Effects(found, errors, by_chance, pairs * np.minimum(p, 1 - p) ** 2 / 2)
