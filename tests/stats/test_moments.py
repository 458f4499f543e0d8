"""Mean and standard deviation from sums, against numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.stats import mean, std


@given(st.lists(st.floats(-1000, 1000, allow_nan=False), min_size=1, max_size=100))
def test_moments_from_sums_are_those_of_the_values(sample: list[float]) -> None:
    total = sum(sample)
    squares = sum(x * x for x in sample)
    assert mean(len(sample), total) == pytest.approx(np.mean(sample), rel=1e-9, abs=1e-9)
    # Cancellation costs half of the digits where the spread is far smaller than the mean.
    assert std(len(sample), total, squares) == pytest.approx(np.std(sample), rel=1e-6, abs=1e-4)


def test_no_values_have_no_moments() -> None:
    assert mean(0, 0.0) is None
    assert std(0, 0.0, 0.0) is None


def test_equal_values_have_no_spread_whatever_rounding_says() -> None:
    assert std(3, 0.3, 0.03) == pytest.approx(0.0, abs=1e-8)
    assert std(10, 1.0, 0.0999999999) == 0.0


def test_a_sum_beyond_what_a_float_holds_gives_no_figure() -> None:
    assert mean(2, float("inf")) is None
    assert std(2, 1e200, float("inf")) is None
