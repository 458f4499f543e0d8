"""Bins of numeric values, the one spelling of a category, and what new rows will have in bins.

A bin count is only comparable if INGEST and the baseline put every value into the same bin, so
both use these functions and no other.

A baseline knows the values that it happened to meet, and gives bins to those that happened to be
the commonest. New rows don't share that luck: some of their values it never met, and its commonest
values are less common among them. By how much follows from the baseline alone, by leaving out one
of its rows after the other and asking into which bin the others would put it (Good 1953,
"The population frequencies of species"; for the bins, Stein's identity of Poisson counts). Where
rows go by entities, such as users, these are left out instead.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from tidegauge.baseline.document import RareValues
from tidegauge.stats import Floats

#: Per cent of the baseline below each edge. Deciles alone see 65 % of the information on a change
#: of variance, with the four outer ones it is 91 %.
EDGE_PERCENTS = (1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99)

#: Up to this many distinct values, every value has a bin of its own.
DISTINCT_LIMIT = 20


def numeric_edges(values: Floats) -> list[float]:
    """Return the inner bin edges for ``values`` (finite; any order), strictly increasing.

    - at most 20 distinct values: one bin a value, edges at the midpoints; a constant has three
      bins (below, equal, above), since in one bin no change of it could be seen;
    - otherwise edges are the values with 1, 5, 10, 20 … 90, 95, 99 % of the others below them.
      Where several of these coincide, the value is an atom and gets a bin of its own, by a second
      edge at the next larger float;
    - no values at all: no edges, that is one bin.

    Raises ``ValueError`` if a value is not finite.

    >>> numeric_edges(np.array([0.0, 1.0, 1.0, 3.0]))
    [0.5, 2.0]
    >>> len(numeric_edges(np.arange(1000.0)))
    13
    """
    ordered = np.sort(_finite(values))
    if ordered.size == 0:
        return []
    distinct = ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
    if distinct.size == 1:
        value = float(distinct[0])
        return _with_atoms([value, value])
    if distinct.size <= DISTINCT_LIMIT:
        pairs = zip(distinct[:-1].tolist(), distinct[1:].tolist(), strict=True)
        return [_between(low, high) for low, high in pairs]
    # Ranks rather than interpolated quantiles: exact shares, and the same bits on every machine.
    ranks = [percent * ordered.size // 100 for percent in EDGE_PERCENTS]
    return _with_atoms(ordered[ranks].tolist())


def numeric_counts(values: Floats, edges: list[float]) -> NDArray[np.int64]:
    """Count values per bin: bin i holds ``edges[i-1]`` ≤ x < ``edges[i]``, the outer ones are open.

    Returns ``len(edges) + 1`` counts that add up to ``len(values)``. Values must be finite (what is
    not has its own count elsewhere); raises ``ValueError`` otherwise.

    >>> numeric_counts(np.array([0.0, 1.0, 5.0]), [1.0, 2.0]).tolist()
    [1, 1, 1]
    """
    bins = np.searchsorted(np.asarray(edges, dtype=np.float64), _finite(values), side="right")
    return np.bincount(bins, minlength=len(edges) + 1).astype(np.int64, copy=False)


def canonical_category(value: str | int | float | bool) -> str:
    """Spell a category the one way it is stored: a value means the same from JSON, CSV or Arrow.

    Booleans are ``true`` and ``false``, integral numbers have no decimal point, other numbers their
    shortest exact form, strings stay as they are.

    >>> [canonical_category(v) for v in (True, 3, 3.0, 0.5, "03")]
    ['true', '3', '3', '0.5', '03']
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    return str(value)


def _finite(values: Floats) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("values must be finite: count NaN and infinity apart")
    # -0.0 and 0.0 are equal but print differently; which of them a sort puts first is arbitrary.
    return array + 0.0


def _between(low: float, high: float) -> float:
    """Return an edge that parts two values, also where their midpoint rounds to one of them."""
    middle = low / 2 + high / 2
    return middle if low < middle <= high else high


def _with_atoms(quantiles: list[float]) -> list[float]:
    """Merge equal quantiles (sorted) into one edge and give their value a bin of its own."""
    edges: set[float] = set(quantiles)
    for lower, upper in pairwise(quantiles):
        if lower == upper:
            after = math.nextafter(upper, math.inf)
            if math.isfinite(after):
                edges.add(after)
    return sorted(edges)


Counts = npt.NDArray[np.int64]

#: Of a bin, at most this share is taken for luck.
_MOST_LUCK = 0.9

#: A density that is not quite exponential: relative error by logarithm of what it falls by.
_NOT_EXPONENTIAL = 0.07

#: Relative variance of how the bins share their luck.
_SHARED = 0.1

_TWICE = 2

#: What is expected to be new, as variance of where it stays if entities come again, is its square
#: by this: all of it is √10 standard errors, 5 nats, of which no default budget makes an alarm.
_AGAIN = 10

_DIGITS = 4


class Clusters(NamedTuple):
    """How the rows of values go by entities, such as users.

    ``alone`` are the rows of values that one entity alone has, ``squares`` the sum of the squares
    of these by value; ``pairs`` is Σ w1 w2 over values that two have, with w1 and w2 rows. ``size``
    is how many rows an entity has of a value, of most rows, and ``mean_size`` of their mean.
    """

    alone: int
    squares: float
    pairs: float
    size: float = 1.0
    mean_size: float = 1.0

    @classmethod
    def of_rows(cls, counts: Counts) -> "Clusters":
        """Return those of values with so many rows, each of an entity of its own."""
        once, twice = int((counts == 1).sum()), int((counts == _TWICE).sum())
        return cls(once, float(once), float(twice))

    @classmethod
    def of(cls, entities: Counts, rows: Counts, squares: Floats) -> "Clusters":
        """Return those of values that so many entities have.

        ``squares`` is Σ w² over the entities of each value, with w rows of it.

        >>> Clusters.of(np.array([1, 2]), np.array([5, 10]), np.array([25.0, 50.0]))
        Clusters(alone=5, squares=25.0, pairs=25.0, size=5.0, mean_size=5.0)
        """
        if not len(rows):
            return cls(0, 0.0, 0.0)
        one, two = entities == 1, entities == _TWICE
        sizes = squares / rows
        order = np.argsort(sizes, kind="stable")
        middle = np.searchsorted(np.cumsum(rows[order]), rows.sum() / 2)
        return cls(
            int(rows[one].sum()),
            float(squares[one].sum()),
            float((rows[two].astype(np.float64) ** 2 - squares[two]).sum() / 2),
            float(sizes[order][middle]),
            float(squares.sum() / rows.sum()),
        )


def rare_values(
    own: Counts,
    others: Counts,
    *,
    tells_unseen: bool,
    clusters: Clusters | None = None,
    effect: float = 1.0,
) -> RareValues:
    """Return what to expect of as many new rows, in (own bins, "other", never seen).

    ``own`` are the counts of the values that have a bin each, ``others`` of all other values.
    ``tells_unseen``: values that the baseline never met are counted apart; else they are "other".
    ``clusters`` are those of their rows, if they go by entities; ``effect`` is the design effect
    that the counts of the signal are divided by.

    - Never seen: the rows of values that one entity alone has; of rows that are independent, N1, as
      many as values were seen once. Of that entity, the others say that its value is new. The share
      in new rows differs from that by a variance of (Σ w² + 2 Σ w1 w2)/m², over the values that one
      and that two entities have, with w rows each: (N1 + 2 N2)/m² of independent rows (Robbins
      1968, "Estimating the total probability of the unobserved outcomes of an experiment"). The
      excess is what that is beyond the effect · N1/m² of a count.
    - Entities may come again, with the values that they had. So of as many rows as are expected to
      be new, any part may stay where it was: a tenth of their square is added to the variance
      there, times 1 - 1/(rows of an entity).
    - Own bins: of rows of the values just above the last bin, the others would say "other". With D
      values to a count there, at the count t, that is t·D rows in all: :func:`_luck`, of entities.
    - "Other": the rest.

    >>> rare_values(np.array([60, 30]), np.array([4, 2, 1, 1]), tells_unseen=True)
    RareValues(seen_once=2, expected=[60, 30, 6, 2], excess=[0.0, 0.0, 0.0, 1.0])
    >>> alike = np.arange(130, 70, -1)
    >>> rare_values(alike[:20], alike[20:], tells_unseen=True).expected[:3]
    [100, 108, 112]
    """
    every = np.concatenate([own, others])
    its = clusters or Clusters.of_rows(every)
    unseen = its.alone if tells_unseen else 0
    luck = _luck(own / its.size, others / its.size)
    lucky = luck.rows * its.size
    if len(others) or not len(own):
        expected, kept = (
            _with_others(np.rint(own - lucky), int(every.sum()), new) for new in (unseen, 0)
        )
    else:
        expected, kept = (_without_others(own, new) for new in (unseen, 0))
    m, p = int(every.sum()), np.array(expected) / max(int(every.sum()), 1)
    variance = np.maximum(m * p * (1 - p), 1.0) * effect
    squares = [*(lucky**2 * (luck.variance + _SHARED)), lucky.sum() ** 2 * luck.variance, 0.0]
    again = (np.array(kept) - expected) ** 2 * (1 - 1 / its.mean_size) / _AGAIN
    excess = (squares + again) / variance
    beyond = its.squares - effect * its.alone + _TWICE * its.pairs
    excess[-1] = max(beyond, 0.0) / (effect * (its.alone or its.size)) if tells_unseen else 0.0
    return RareValues(
        seen_once=int((every == 1).sum()),
        expected=expected,
        excess=[float(f"{it:.{_DIGITS}g}") for it in excess],
    )


def _with_others(own: Floats, total: int, unseen: int) -> list[int]:
    """Return what is expected in each bin, ``total`` in all: what is not of the others is new."""
    kept = total - unseen
    rest = kept - int(own.sum())
    if rest < 0:  # the values with a bin are among those seen once
        own = np.floor(own * (kept / float(own.sum())))
        rest = kept - int(own.sum())
    return [*own.astype(int).tolist(), rest, unseen]


def _without_others(own: Counts, unseen: int) -> list[int]:
    """Do that where every value has a bin: each but those seen once gives its part, and keeps one.

    >>> _without_others(np.array([60, 30, 1, 1]), 2), _without_others(np.array([1, 1]), 2)
    ([58, 30, 1, 1, 0, 2], [1, 1, 0, 0])
    """
    spare = own - 1
    unseen = min(unseen, int(spare.sum()))
    if not unseen:
        return [*own.tolist(), 0, 0]
    taken = -(-np.cumsum(spare) * unseen // int(spare.sum()))  # rounded up, without a float
    left = own - np.diff(taken, prepend=0)
    return [*left.tolist(), 0, unseen]


class _Luck(NamedTuple):
    """Rows of each own bin that it has because it was chosen for them.

    ``variance`` is the relative one of their sum.
    """

    rows: Floats
    variance: float


def _luck(own: Floats, others: Floats) -> _Luck:
    """Return how much of the own bins is luck.

    The boundary t is midway between the last own bin and the next value. With a values within √t
    above it and b below, and a density that falls exponentially there, the density at t is
    D = a b ln(b / a) / (b - a) / √t. The bins share t·D by how many more values have fewer counts
    than more, within √count of each (Tweedie's formula; Efron 2011, "Tweedie's formula and
    selection bias"): of many alike, the luckiest have the most.
    """
    none = _Luck(np.zeros(len(own)), 0.0)
    if not len(own) or not len(others):
        return none
    boundary = (float(own.min()) + float(others.max())) / 2
    every = np.sort(np.concatenate([own, others]))
    width = math.sqrt(boundary)
    (above,), (below,) = (it.tolist() for it in _near(every, np.array([boundary]), width))
    if not (above and below):
        return none
    widths = np.sqrt(own)
    more, fewer = _near(every, own, widths)
    weights = widths * np.maximum(np.log((fewer + 0.5) / (more + 0.5)), 0.0)  # half is itself
    if not weights.any():
        return none
    rows = boundary * _density(above, below) / width * weights / weights.sum()
    falls = math.log(below / above)
    by_above = 0.5 if not falls else 1 - 1 / falls + 1 / math.expm1(falls)
    variance = by_above**2 / above + (1 - by_above) ** 2 / below + (_NOT_EXPONENTIAL * falls) ** 2
    return _Luck(np.minimum(rows, _MOST_LUCK * own), variance)


def _density(above: float, below: float) -> float:
    """Return the density between two intervals of length 1 that hold so many.

    >>> _density(4.0, 4.0), round(_density(1.0, 4.0), 4)
    (4.0, 1.8484)
    """
    if above == below:
        return above
    return above * below * math.log(below / above) / (below - above)


def _near(ordered: Floats, at: Floats, width: float | Floats) -> tuple[Floats, Floats]:
    """Return how many are within ``width`` above and below ``at``; those equal to it, half."""
    before, after = (np.searchsorted(ordered, at, side=side) for side in ("left", "right"))
    same = (after - before) / 2
    above = np.searchsorted(ordered, at + width, side="right") - after
    below = before - np.searchsorted(ordered, at - width, side="left")
    return above + same, below + same
