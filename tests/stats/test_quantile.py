"""Quantiles of a histogram against the values that were put into it."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tidegauge.stats.values import histogram_quantile

EDGES = [1.0, 2.0, 5.0, 10.0, 50.0, 200.0]

values = st.lists(
    st.floats(-10, 1000, allow_nan=False).map(lambda x: round(x, 3)), min_size=1, max_size=200
)


def counted(sample: list[float]) -> list[int]:
    places = np.searchsorted(EDGES, sample, side="right")
    return np.bincount(places, minlength=len(EDGES) + 1).tolist()


@given(values, st.floats(0, 1))
def test_the_quantile_is_never_further_off_than_its_bin_is_wide(
    sample: list[float], q: float
) -> None:
    low, high = min(sample), max(sample)
    found = histogram_quantile(EDGES, counted(sample), q, minimum=low, maximum=high)
    exact = float(np.quantile(sample, q, method="inverted_cdf"))
    outline = [low, *EDGES, high]
    index = int(np.searchsorted(EDGES, exact, side="right"))
    assert found is not None
    assert max(outline[index], low) <= found <= min(outline[index + 1], high)


@given(values)
def test_the_ends_are_the_smallest_and_the_largest_value(sample: list[float]) -> None:
    low, high = min(sample), max(sample)
    ends = [
        histogram_quantile(EDGES, counted(sample), q, minimum=low, maximum=high) for q in (0, 1)
    ]
    assert ends == [low, high]


@given(values, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_quantile_is_never_smaller(sample: list[float], one: float, two: float) -> None:
    low, high = min(sample), max(sample)
    lower, upper = (
        histogram_quantile(EDGES, counted(sample), q, minimum=low, maximum=high)
        for q in sorted((one, two))
    )
    assert lower is not None
    assert upper is not None
    assert lower <= upper + 1e-9


def test_interpolation_is_linear_inside_the_bin() -> None:
    found = [
        histogram_quantile([100.0, 200.0], [50, 40, 10], q, minimum=20.0, maximum=900.0)
        for q in (0.25, 0.5, 0.7, 0.95)
    ]
    assert found == pytest.approx([60.0, 100.0, 150.0, 550.0])


def test_nothing_counted_has_no_quantile() -> None:
    assert histogram_quantile([1.0], [0, 0], 0.5, minimum=None, maximum=None) is None


def test_an_open_bin_without_a_known_end_ends_at_its_edge() -> None:
    assert histogram_quantile([1.0], [0, 4], 0.9, minimum=None, maximum=None) == 1.0
    assert histogram_quantile([1.0], [4, 0], 0.1, minimum=None, maximum=None) == 1.0
    assert histogram_quantile([], [4], 0.1, minimum=None, maximum=None) is None


@pytest.mark.parametrize(
    ("counts", "q", "message"),
    [
        ([1, 2], 1.5, "q: found 1.5"),
        ([1, 2], float("nan"), "q: found nan"),
        ([1, 2, 3], 0.5, "found 3 bins, expected 2"),
        ([1, -2], 0.5, "negative"),
    ],
)
def test_what_cannot_be_answered_is_refused(counts: list[int], q: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        histogram_quantile([1.0], counts, q, minimum=0.0, maximum=2.0)
