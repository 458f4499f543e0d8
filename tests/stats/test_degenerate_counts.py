"""Every figure of counts that are all zero, in one bin, of one event, or huge: no warning, no NaN.

Where a side counted nothing, the numpy functions say NaN by their own word; what reports carry of
it is nothing at all.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies as st

from support.statistics_table import exported
from tidegauge import stats
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.contract.prediction import LATENCY_EDGES_MS
from tidegauge.stats.drift_table import drift, drift_table
from tidegauge.stats.values import histogram_quantile
from tidegauge.windows.report import signal_report

HUGE = 2**53
BINS = len(LATENCY_EDGES_MS) + 1
EDGES = [0.0, *LATENCY_EDGES_MS, 2 * LATENCY_EDGES_MS[-1]]

TWO_SIDED: dict[str, Callable[[Any, Any], Any]] = {
    **{
        name: getattr(stats, name)
        for name in (
            "chi2_two_sample", "degrees_of_freedom", "g_two_sample", "hellinger", "js_divergence",
            "kl", "ks_bins", "psi", "psi_corrected", "wasserstein_bins",
        )
    },
    "js_distance": partial(stats.js_distance, unit="bits"),
    "mean_shift": partial(stats.mean_shift, EDGES),
    "standardised_mean_shift": partial(stats.standardised_mean_shift, EDGES),
    "quantile_shift": lambda current, reference: stats.quantile_shift(
        EDGES, current, reference, 0.5
    ),
}  # fmt: skip


def _one_bin(at: int, n: int) -> list[int]:
    return [n if i == at else 0 for i in range(BINS)]


DEGENERATE = st.one_of(
    st.just([0] * BINS),
    st.builds(_one_bin, st.integers(0, BINS - 1), st.sampled_from([1, 2, HUGE])),
    st.just([HUGE] * BINS),
    st.lists(st.sampled_from([0, 1, HUGE]), min_size=BINS, max_size=BINS),
)


def test_every_statistic_is_tried() -> None:
    assert set(TWO_SIDED) == exported() - {"drift", "drift_table", "histogram_quantile"}


@pytest.mark.parametrize("name", sorted(TWO_SIDED))
@given(current=DEGENERATE, reference=DEGENERATE)
def test_a_figure_is_a_number_wherever_both_sides_counted_something(
    name: str, current: list[int], reference: list[int]
) -> None:
    with np.errstate(all="raise", under="ignore"):
        found = float(TWO_SIDED[name](current, reference))
    # A reference of a single value has no width: a shift of its mean is endless, or none at all.
    if any(current) and any(reference):
        assert math.isfinite(found), (name, found)


def _numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [one for inner in value.values() for one in _numbers(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in _numbers(inner)]
    return [float(value)] if isinstance(value, int | float) else []


@given(
    current=DEGENERATE,
    reference=DEGENERATE,
    ordered=st.sampled_from([0, 1, BINS]),
)
def test_what_a_report_carries_of_a_drift_is_finite_or_nothing(
    current: list[int], reference: list[int], ordered: int
) -> None:
    one = drift(reference, current, ordered)
    [same] = drift_table([reference], [current], [ordered])
    for found in (one, same):
        assert (found is None) is not (any(current) and any(reference))
        assert all(map(math.isfinite, _numbers(msgspec.to_builtins(found))))


@given(
    counts=DEGENERATE,
    beside=st.tuples(*[st.sampled_from([0, 1, HUGE])] * 4),
    name=st.sampled_from(["prediction", "latency_ms", "status", "amount"]),
)
def test_what_a_report_says_of_a_signal_is_finite(
    counts: list[int], beside: tuple[int, int, int, int], name: str
) -> None:
    absent, null, nan, invalid = beside
    histogram = SignalHistogram(
        counts=counts, absent=absent, null=null, nan=nan, invalid=invalid, sum=1e308, sumsq=1e308
    )
    found = signal_report(name, histogram, None, None)
    numbers = _numbers(msgspec.to_builtins(found))
    assert all(map(math.isfinite, numbers))
    assert 0 <= found.missing_share <= 1 and 0 <= (found.unseen_share or 0.0) <= 1


@given(
    counts=DEGENERATE,
    q=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    ends=st.sampled_from([(None, None), (0.0, 0.0), (3.0, 4.0), (0.0, 1e308)]),
)
def test_a_quantile_is_finite_or_nothing(
    counts: list[int], q: float, ends: tuple[float | None, float | None]
) -> None:
    found = histogram_quantile(LATENCY_EDGES_MS, counts, q, minimum=ends[0], maximum=ends[1])
    assert (found is None) is not any(counts)
    assert found is None or math.isfinite(found)
