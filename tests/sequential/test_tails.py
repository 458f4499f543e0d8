"""-ln p is exact as far out as anything can be."""

import numpy as np
import pytest
from scipy import integrate, stats

from tidegauge.sequential.tails import chi2_surprise

DF = [1, 2, 3, 7, 13, 22, 60]


@pytest.mark.parametrize("df", DF)
def test_it_is_minus_the_logarithm_of_the_tail_where_that_is_a_number(df: int) -> None:
    x = np.array([0.1, 1.0, 5.0, 30.0, 120.0, 500.0])
    assert chi2_surprise(x, df) == pytest.approx(-np.log(stats.chi2.sf(x, df)), rel=1e-12)


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("x", [1_500.0, 5_000.0, 1e6])
def test_it_is_that_where_the_tail_is_zero_to_a_float(df: int, x: float) -> None:
    # P(χ² > x) = exp(-x/2) x^(k/2) / (2^(k/2) Γ(k/2)) ∫ exp(-x t / 2) (1 + t)^(k/2 - 1) dt
    rest, _ = integrate.quad(lambda u: np.exp(-u / 2) * (1 + u / x) ** (df / 2 - 1), 0, 400)
    logarithm = stats.chi2.logpdf(x, df) + np.log(rest)
    assert float(chi2_surprise(x, df)) == pytest.approx(-logarithm, rel=1e-10)


def test_the_two_ways_meet() -> None:
    x = np.linspace(1_200, 1_400, 2_001)
    assert np.all(np.diff(chi2_surprise(x, 20)) > 0)
    assert np.ptp(np.diff(chi2_surprise(x, 20))) < 1e-3


def test_nothing_is_no_surprise() -> None:
    assert chi2_surprise([0.0, -1.0, 5.0], [3, 3, 0]).tolist() == [0.0, 0.0, 0.0]
