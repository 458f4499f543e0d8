"""Bins of numeric values, and the one spelling of a category.

A bin count is only comparable if INGEST and the baseline put every value into the same bin, so
both use these functions and no other.
"""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

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
