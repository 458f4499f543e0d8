"""Columns are counted as ``numpy.searchsorted`` places them, of any length, with any edges."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st

from support.counting import a_baseline, numeric
from tidegauge.counting.cells import CountingCell
from tidegauge.counting.plan import (
    ABSENT,
    ABSENT_VALUE,
    INVALID,
    NAN,
    NAN_VALUE,
    NULL,
    NULL_VALUE,
    SPECIALS,
    make_plan,
)

Floats = npt.NDArray[np.float64]

TINY = 5e-324
LARGEST = float(np.finfo(np.float64).max)
SPECIAL_VALUES = (ABSENT_VALUE, NAN_VALUE, NULL_VALUE)

#: Numbers of edges on both sides of every way that there is to find a bin.
EDGES = (0, 1, 2, 12, 13, 63, 64, 65, 100, 1000)


def _cell(edges: list[float]) -> CountingCell:
    baseline = a_baseline(x=numeric(edges))
    return CountingCell(make_plan("m", "1", "b", baseline), "", (), 0, 60)


def _add(cell: CountingCell, column: Floats) -> None:
    """Count a column of the one feature; the outputs are absent."""
    rows = len(column)
    columns = [column if plan.name == "x" else np.full(rows, ABSENT_VALUE) for plan in
               cell.plan.numeric]  # fmt: skip
    codes = [np.full(rows, plan.bins + ABSENT) for plan in cell.plan.categorical]
    cell.add_columns(columns, codes)


def _assert_counted(cell: CountingCell, columns: list[Floats]) -> None:
    column = np.concatenate(columns)
    [plan] = [plan for plan in cell.plan.numeric if plan.name == "x"]
    j = cell.plan.numeric.index(plan)
    finite = column[np.isfinite(column)]
    expected = np.zeros(plan.bins + SPECIALS, dtype=np.int64)
    np.add.at(expected, np.searchsorted(plan.edges, finite, side="right"), 1)
    expected[plan.bins + ABSENT] = np.count_nonzero(column == math.inf)
    expected[plan.bins + NAN] = np.count_nonzero(column == -math.inf)
    expected[plan.bins + NULL] = np.count_nonzero(np.isnan(column))
    expected[plan.bins + INVALID] = 0
    found = cell.counts[plan.offset : plan.offset + plan.bins + SPECIALS]
    assert found.tolist() == expected.tolist()
    assert cell.counts.sum() == len(column) * len(cell.plan.by_name)
    assert cell.minima[j] == min(finite, default=math.inf)
    assert cell.maxima[j] == max(finite, default=-math.inf)
    exact = math.fsum(finite)
    scale = math.fsum(np.abs(finite))
    assert cell.sums[j] == pytest.approx(exact, rel=0, abs=1e-12 * scale)
    assert cell.sumsqs[j] == pytest.approx(math.fsum(np.square(finite)), rel=1e-12)


@pytest.mark.parametrize("there_are", EDGES)
def test_numbers_at_an_edge_and_beside_it_go_where_searchsorted_puts_them(there_are: int) -> None:
    edges = np.sort(np.random.default_rng(there_are).normal(size=there_are))
    beside = [edges, np.nextafter(edges, -math.inf), np.nextafter(edges, math.inf)]
    column = np.concatenate([*beside, [-1e100, 0.0, 1e100], SPECIAL_VALUES])
    cell = _cell(edges.tolist())
    _add(cell, column)
    _assert_counted(cell, [column])


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 127, 128, 129, 1000, 20_000])
@pytest.mark.parametrize("special", [None, *SPECIAL_VALUES])
def test_columns_of_any_length_are_counted_to_the_last_row(rows: int, special: float) -> None:
    rng = np.random.default_rng(rows)
    column = rng.normal(size=rows)
    if special is not None:
        column[rng.random(rows) < 0.3] = special
        column[-1:] = special
    cell = _cell([-1.0, 0.0, 0.5])
    _add(cell, column)
    _add(cell, -column)  # an infinity changes its meaning, on top of what is there
    _assert_counted(cell, [column, -column])


def test_zeros_of_both_signs_and_denormals_are_told_from_an_edge_as_numpy_does() -> None:
    column = np.array([0.0, -0.0, TINY, -TINY, 2 * TINY])
    for edges in ([0.0], [-0.0], [TINY], [-TINY, 0.0, TINY]):
        cell = _cell(edges)
        _add(cell, column)
        _assert_counted(cell, [column])


def test_the_largest_numbers_are_no_infinities() -> None:
    cell = _cell([-LARGEST, LARGEST])
    _add(cell, np.array([LARGEST, -LARGEST, math.inf, -math.inf]))
    assert cell.counts[:3].tolist() == [0, 1, 1]
    assert cell.counts[3 : 3 + SPECIALS].tolist() == [1, 0, 1, 0]
    assert (cell.minima[0], cell.maxima[0]) == (-LARGEST, LARGEST)
    assert cell.to_record().signals["x"].sumsq == LARGEST


def test_a_column_that_skips_rows_in_memory_is_counted_as_its_copy() -> None:
    everything = np.random.default_rng(0).normal(size=(500, 3))
    cell = _cell([-1.0, 0.0, 1.0])
    _add(cell, everything[:, 1])
    _assert_counted(cell, [everything[:, 1].copy()])


_numbers = st.floats(-1e100, 1e100) | st.sampled_from([0.0, -0.0, 1.0, TINY, -TINY])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(_numbers, max_size=90, unique=True).map(sorted),
    st.lists(st.lists(_numbers | st.sampled_from(SPECIAL_VALUES), max_size=40), min_size=1,
             max_size=3),
    st.data(),
)  # fmt: skip
def test_any_columns_over_any_edges_are_counted_as_searchsorted_counts_them(
    edges: list[float], columns: list[list[float]], data: st.DataObject
) -> None:
    if edges:  # some at an edge, which chance would hardly bring about
        columns.append(data.draw(st.lists(st.sampled_from(edges), max_size=20)))
    cell = _cell(edges)
    for column in columns:
        _add(cell, np.array(column, dtype=np.float64))
    _assert_counted(cell, [np.array(column, dtype=np.float64) for column in columns])
