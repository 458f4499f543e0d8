"""Charts of the mean, held against run lengths that others have published or that are simulated."""

import numpy as np
import pytest

from _detection_cumulative import Cusum, Ewma, limit_of


@pytest.mark.parametrize(
    ("reference", "limit", "length"),
    [(0.5, 4.0, 167.68), (0.5, 5.0, 465.44), (0.25, 8.0, 368.28)],
)
def test_a_cusum_runs_as_long_as_tables_say(reference: float, limit: float, length: float) -> None:
    # Montgomery, Introduction to Statistical Quality Control, of two sides.
    found = 1 / Cusum(2 * reference / 10).rate(limit, 100, 0.0)
    assert found == pytest.approx(length, rel=0.05)


def test_an_ewma_runs_as_long_as_tables_say() -> None:
    # Lucas & Saccucci 1990: 3.054 of its own standard deviations, weight 0.4, runs of 500.
    limit = 3.054 * np.sqrt(0.4 / 1.6)
    assert 1 / Ewma(0.4).rate(limit, 100, 0.0) == pytest.approx(500, rel=0.01)


def test_a_limit_is_that_of_the_rate_with_the_error_of_the_baseline_in_it() -> None:
    chart = Ewma(0.25)
    exact = limit_of(chart, 1_000, baseline=10**9, every=1_000)
    assert 1 / chart.rate(exact, 1_000, 0.0) == pytest.approx(1_000, rel=0.1)
    assert limit_of(chart, 1_000, baseline=10_000, every=1_000) > 1.1 * exact


def test_a_chart_so_strict_that_it_never_leaves_is_no_failure() -> None:
    assert Cusum(0.25).rate(0.3, 5_000, 0.0) == 0
