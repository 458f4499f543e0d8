"""Bins: total, strictly ordered, the same in any order of rows."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from tidegauge.baseline.binning import (
    Clusters,
    canonical_category,
    numeric_counts,
    numeric_edges,
    rare_values,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
columns = st.one_of(
    hnp.arrays(np.float64, st.integers(0, 300), elements=finite),
    # Few distinct values among many, so that quantiles tie.
    hnp.arrays(
        np.float64,
        st.integers(0, 300),
        elements=st.one_of(st.sampled_from([0.0, -0.0, 1.0]), st.floats(-5, 5)),
    ),
)


@given(columns)
def test_edges_are_finite_and_strictly_increasing(values: np.ndarray) -> None:
    edges = numeric_edges(values)
    assert all(map(math.isfinite, edges))
    assert all(a < b for a, b in pairwise(edges))


@given(columns, st.lists(finite, max_size=50))
def test_every_finite_number_falls_into_exactly_one_bin(
    values: np.ndarray, window: list[float]
) -> None:
    edges = numeric_edges(values)
    counts = numeric_counts(np.array(window), edges)
    assert len(counts) == len(edges) + 1
    assert counts.sum() == len(window)
    bounds = [-math.inf, *edges, math.inf]
    for i, count in enumerate(counts):
        assert count == sum(bounds[i] <= x < bounds[i + 1] for x in window)


@given(columns, st.randoms(use_true_random=False))
def test_edges_do_not_depend_on_the_order_of_rows(values: np.ndarray, random: object) -> None:
    shuffled = values.tolist()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert repr(numeric_edges(np.array(shuffled))) == repr(numeric_edges(values))


@given(st.sets(st.floats(-1e6, 1e6), min_size=2, max_size=20), st.integers(1, 5))
def test_few_distinct_values_get_a_bin_each(distinct: set[float], repeats: int) -> None:
    distinct = {x + 0.0 for x in distinct}
    values = np.array(sorted(distinct) * repeats)
    assert numeric_counts(values, numeric_edges(values)).tolist() == [repeats] * len(distinct)


def test_a_continuous_column_has_fourteen_bins_with_the_shares_of_the_quantiles() -> None:
    values = np.random.default_rng(1).normal(size=10_000)
    counts = numeric_counts(values, numeric_edges(values))
    assert counts.tolist() == [100, 400, 500, *[1000] * 8, 500, 400, 100]


def test_edges_are_where_numpy_sees_the_quantiles() -> None:
    values = np.random.default_rng(2).gamma(2, size=50_000)
    percents = [1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99]
    assert numeric_edges(values) == pytest.approx(np.percentile(values, percents), rel=1e-2)


def test_a_value_that_is_common_has_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(5000), np.random.default_rng(3).uniform(0.1, 9, 5000)])
    edges = numeric_edges(values)
    counts = numeric_counts(values, edges)
    assert edges[:2] == [0.0, math.nextafter(0.0, 1.0)]
    assert counts[:2].tolist() == [0, 5000]


def test_a_constant_has_a_bin_below_and_a_bin_above() -> None:
    edges = numeric_edges(np.full(100, 7.0))
    assert numeric_counts(np.array([6.9, 7.0, 7.0, 7.1]), edges).tolist() == [1, 2, 1]


def test_the_largest_float_as_a_constant_needs_no_edge_beyond_it() -> None:
    largest = np.finfo(np.float64).max
    assert numeric_edges(np.full(3, largest)) == [largest]


def test_no_values_make_one_bin() -> None:
    assert numeric_edges(np.array([])) == []
    assert numeric_counts(np.array([1.0]), []).tolist() == [1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_rather_than_put_into_the_last_bin(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        numeric_counts(np.array([1.0, value]), [0.5])


@pytest.mark.parametrize(
    ("value", "spelling"),
    [
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (7.0, "7"),
        (-0.0, "0"),
        (2**60, str(2**60)),
        (0.5, "0.5"),
        ("7.0", "7.0"),
        ("", ""),
    ],
)
def test_a_category_has_one_spelling(value: str | float, spelling: str) -> None:
    assert canonical_category(value) == spelling


@given(
    st.lists(st.lists(st.integers(1, 400), min_size=1, max_size=5), max_size=40),
    st.integers(0, 20),
    st.booleans(),
    st.floats(1, 500),
)
def test_as_many_rows_are_expected_as_there_are(
    rows: list[list[int]], own: int, tells_unseen: bool, effect: float
) -> None:
    """Of values with so many rows of each entity; the commonest ones have a bin each."""
    ranked = sorted(rows, key=sum, reverse=True)
    counts = np.array([sum(it) for it in ranked], dtype=np.int64)
    clusters = Clusters.of(
        np.array([len(it) for it in ranked]),
        counts,
        np.array([float(sum(one**2 for one in it)) for it in ranked]),
    )
    found = rare_values(
        counts[:own], counts[own:], tells_unseen=tells_unseen, clusters=clusters, effect=effect
    )
    assert sum(found.expected) == counts.sum()
    assert len(found.expected) == len(found.excess) == min(own, len(counts)) + 2
    assert found.expected[-1] <= clusters.alone * tells_unseen
