"""-ln p is exact as far out as anything can be."""

import numpy as np
import pytest
from scipy import integrate, stats

from tidegauge.sequential.tails import chi2_surprise, f_surprise

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


@pytest.mark.parametrize(("df", "reference_df"), [(1, 3), (1, 13), (5, 40), (14, 312), (2.5, 9000)])
def test_f_surprise_is_scipys_as_far_as_that_goes(df: float, reference_df: float) -> None:
    x = np.array([0.01, 0.5, 1.0, 4.0, 20.0, 40.0])
    expected = -stats.f.logsf(x, df, reference_df)
    assert f_surprise(x, df, reference_df) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("x", "df", "reference_df", "expected"),
    [
        # By 40 digits: y^b (1 - y)^a / (b B(b, a)) 2F1(a + b, 1; b + 1; y).
        (2000.0, 1, 10_000, 915.5433900507459),
        (200.0, 14, 10_000, 1198.8869470838335),
        (1e5, 14, 312, 1287.984240631014),
    ],
)
def test_f_surprise_far_out(x: float, df: float, reference_df: float, expected: float) -> None:
    assert float(f_surprise(x, df, reference_df)) == pytest.approx(expected, rel=1e-11)


def test_f_surprise_is_students_with_two_tails() -> None:
    assert float(f_surprise(3.1**2, 1, 7)) == pytest.approx(-np.log(2 * stats.t.sf(3.1, 7)))


def test_f_surprise_grows_through_the_change_of_method() -> None:
    x = np.linspace(100, 3_000, 2_000)
    assert np.all(np.diff(f_surprise(x, 1, 10_000)) > 0)
