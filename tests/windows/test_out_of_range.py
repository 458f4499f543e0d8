"""A lower bound is one for whatever was counted."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from support.sampled import sampled_histogram, sampled_signal
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.windows.quality import least_out_of_range

FINITE = st.floats(-1e100, 1e100)
MODERATE = st.floats(-1e4, 1e4)


@given(
    st.lists(MODERATE, min_size=2, max_size=30),
    st.lists(st.one_of(MODERATE, FINITE), min_size=1, max_size=60),
)
def test_never_more_are_called_out_of_range_than_are(known: list[float], now: list[float]) -> None:
    signal = sampled_signal(np.array(known))
    low, high = min(known), max(known)
    width = high - low
    values = np.array(now)
    far = np.mean((values < low - width) | (values > high + width))
    found = least_out_of_range(sampled_histogram(values, signal), signal)
    assert 0.0 <= found <= far + 1e-6


@given(st.lists(MODERATE, min_size=1, max_size=60), st.floats(-5.0, 5.0))
def test_of_a_baseline_of_one_value_the_share_is_exact(now: list[float], only: float) -> None:
    signal = sampled_signal(np.array([only] * 5))
    values = np.array([only, *now])
    found = least_out_of_range(sampled_histogram(values, signal), signal)
    assert found == pytest.approx(np.mean(values != only))


def test_all_of_it_is_out_of_range_where_even_the_nearest_value_is() -> None:
    signal = sampled_signal(np.arange(100.0))
    for value in (1e3, -1e3, 1e308):
        histogram = SignalHistogram(
            counts=[0] * (len(signal.counts) - 1) + [50],
            sum=50 * value if abs(value) < 1e300 else 1.7e308,
            sumsq=1.7e308,
            minimum=value,
            maximum=value,
        )
        assert least_out_of_range(histogram, signal) == 1.0


def test_sums_that_were_cut_off_at_the_largest_float_prove_nothing() -> None:
    signal = sampled_signal(np.arange(100.0))
    one_of_many = SignalHistogram(
        counts=[0, 999, *[0] * (len(signal.counts) - 3), 1],
        sum=1e200,
        sumsq=1.7976931348623157e308,
        minimum=0.0,
        maximum=1e200,
    )
    assert least_out_of_range(one_of_many, signal) <= 0.001 + 1e-9
