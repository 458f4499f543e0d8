"""Conditional tails beside the exact ones, which take far longer."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, strategies as st
from scipy.special import binom
from scipy.stats import hypergeom

from tidegauge.sequential import conditional
from tidegauge.sequential.conditional import GRAINS, bin_squares, tilt_squares
from tidegauge.sequential.ewma import LAMBDAS
from tidegauge.sequential.tails import chi2_surprise

Floats = npt.NDArray[np.float64]
ONE = np.ones(1)


def _by_bin(a: float, n: float, b: float, m: float) -> float:
    counts, reference = np.array([[a, n - a]]), np.array([[b, m - b]])
    return float(chi2_surprise(bin_squares(counts, reference, ONE)[0, 0], 1))


def _by_tilt(score: Floats, counts: Floats, reference: Floats, grain: float = 1.0) -> float:
    found = tilt_squares(score[None], counts[None], reference[None], np.array([grain]))
    return float(chi2_surprise(found[0], 1))


@pytest.mark.parametrize(
    ("a", "n", "b", "m"),
    [
        (3, 200, 0, 100_000),
        (30, 1_000, 2, 500),
        (40, 1_000, 8, 2_000),
        (25, 10_000, 3, 10_000),
        (0, 1_000, 10, 500),
        (0, 10_000, 30, 20_000),
        (700, 1_000, 250, 500),
        (1_000, 1_000, 400, 500),
        (60, 100, 30_000, 100_000),
    ],
)
def test_a_bin_has_fishers_exact_tail_twice(
    a: int, n: int, b: int, m: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = a * m > b * n
    tail = hypergeom.logsf(a - 1, n + m, a + b, n) if more else hypergeom.logcdf(a, n + m, a + b, n)
    less = _by_bin(a, n, b, m)
    monkeypatch.setattr(conditional, "_NEARER", 0.5)
    assert _by_bin(a, n, b, m) == pytest.approx(-tail - np.log(2), abs=0.1)
    assert -tail - np.log(2) < less < -tail + 1.6


def test_a_quarter_of_an_event_is_no_surprise() -> None:
    assert _by_bin(10.2, 1_000.0, 10.0, 1_000.0) == 0.0
    assert _by_bin(0.2, 1_000.0, 0.0, 1_000.0) == 0.0


def test_a_side_that_a_float_cannot_tell_from_both_is_no_division_by_zero() -> None:
    counts, reference = np.array([[1e17, 0.0]]), np.array([[0.0, 6.0]])
    assert 100 < bin_squares(counts, reference, ONE).max() < np.inf


def test_a_tilt_of_two_bins_is_the_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditional, "_NEARER", 0.5)
    for a, b in ((30.0, 2.0), (0.0, 10.0), (700.0, 250.0), (12.25, 3.0)):
        counts, reference = np.array([1_000 - a, a]), np.array([500 - b, b])
        found = _by_tilt(np.array([-0.1, 7.0]), counts, reference)
        assert found == pytest.approx(_by_bin(a, 1_000.0, b, 500.0), rel=0.02)


def _exact_tail(score: list[int], counts: list[int], reference: list[int]) -> float:
    """P(sum of scores >= what it is), given all totals: coefficients of Π (1 + x y^score)^total."""
    totals = np.add(counts, reference)
    n, width = sum(counts), int(np.dot(score, totals)) + 1
    ways = np.zeros((n + 1, width))
    ways[0, 0] = 1.0
    for points, total in zip(score, totals.tolist(), strict=True):
        after = np.zeros_like(ways)
        for taken in range(min(total, n) + 1):
            moved = np.roll(np.roll(ways, taken, axis=0), taken * points, axis=1)
            moved[:taken] = 0
            moved[:, : taken * points] = 0
            after += binom(total, taken) * moved
        ways = after
    return float(ways[n, int(np.dot(score, counts)) :].sum() / ways[n].sum())


@pytest.mark.parametrize(
    ("score", "counts", "reference"),
    [
        ([0, 1, 2, 3], [5, 10, 9, 16], [30, 25, 10, 3]),
        ([0, 1, 2], [20, 6, 4], [58, 1, 1]),
        ([0, 1, 4, 9], [10, 5, 5, 5], [30, 20, 10, 0]),
        ([3, 1, 0, 2], [20, 5, 2, 10], [10, 20, 30, 5]),
    ],
)
def test_a_sum_of_scores_has_its_permutation_tail(
    score: list[int], counts: list[int], reference: list[int]
) -> None:
    expected = -np.log(2 * _exact_tail(score, counts, reference))
    sides = (np.array(it, dtype=np.float64) for it in (score, counts, reference))
    found = _by_tilt(*sides)
    assert expected - 0.3 < found < expected + 0.7  # steps that are smaller than the lattice's
    assert found > 4


def test_the_sign_and_the_origin_of_a_score_do_not_matter() -> None:
    score = np.array([-2.0, -0.5, 0.1, 0.9, 2.5])
    counts, reference = np.array([5.0, 20, 30, 40, 25]), np.array([100.0, 200, 400, 200, 100])
    found = _by_tilt(score, counts, reference)
    assert _by_tilt(3.0 - score, counts, reference) == pytest.approx(found, rel=1e-9)
    assert _by_tilt(10 * score, counts, reference) == pytest.approx(found, rel=1e-9)


def test_grains_are_the_skewness_of_weighted_sums() -> None:
    for weight, grain in zip(LAMBDAS, GRAINS, strict=True):
        w = (1 - weight) ** np.arange(5_000)
        expected = (w**3).sum() * w.sum() / (w**2).sum() ** 2
        assert grain == pytest.approx(expected)


def test_coarser_events_are_less_of_a_surprise_where_tails_are_long() -> None:
    rare, many = np.array([980.0, 20.0]), np.array([99_500.0, 500.0])
    score = np.array([0.0, 1.0])
    assert _by_tilt(score, rare, many, 4 / 3) < _by_tilt(score, rare, many) - 0.3
    fewer = np.array([999.0, 1.0])
    assert _by_tilt(score, fewer, many, 4 / 3) == _by_tilt(score, fewer, many)


@given(
    st.lists(st.floats(0, 1e6), min_size=4, max_size=4),
    st.lists(st.floats(0, 1e6), min_size=4, max_size=4),
    st.sampled_from(GRAINS.tolist()),
)
def test_anything_has_a_number_not_below_zero(
    counts: list[float], reference: list[float], grain: float
) -> None:
    ours, theirs = np.array([counts]), np.array([reference])
    grains = np.array([grain])
    score = np.array([[-1.0, -1.0, 0.5, 20.0]])
    found = tilt_squares(score, ours, theirs, grains)
    assert np.isfinite(found).all() and (found >= 0).all()
    if ours.sum() > 0 and theirs.sum() > 0:
        found = bin_squares(ours, theirs, grains)
        assert np.isfinite(found).all() and (found >= 0).all()
