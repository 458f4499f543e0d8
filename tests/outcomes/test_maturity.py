"""How complete labels are, from the delays of earlier cohorts."""

import numpy as np
import pytest

from tidegauge.contract import LAG_EDGES
from tidegauge.outcomes import arrived_of, lag_curve

HOUR, DAY = 3600.0, 86_400.0


def lags_of(delays: np.ndarray) -> np.ndarray:
    places = np.searchsorted(LAG_EDGES, delays, side="right")
    return np.bincount(places, minlength=len(LAG_EDGES) + 1)


def seen(rng: np.random.Generator, age: float, n: int = 2_000) -> np.ndarray:
    """Draw delays of a day on average, of which those up to the age of the cohort have come."""
    delays = rng.exponential(DAY, n)
    return delays[delays <= age]


def test_the_curve_is_that_of_the_delays_although_most_cohorts_are_young() -> None:
    rng = np.random.default_rng(1)
    ages = [hours * HOUR for hours in range(1, 24 * 12, 3)]
    curve = lag_curve([(age, lags_of(seen(rng, age))) for age in ages])
    assert curve is not None
    for age in (HOUR, 12 * HOUR, DAY, 2 * DAY, 5 * DAY):
        assert curve.share_by(age) == pytest.approx(1 - np.exp(-age / DAY), abs=0.02)
    assert (curve.share_by(-1.0), curve.share_by(0.0), curve.share_by(60 * DAY)) == (0, 0, 1)


def test_labels_that_still_grow_tell_no_end() -> None:
    rng = np.random.default_rng(1)
    assert lag_curve([(DAY, lags_of(seen(rng, DAY)))]) is None
    assert lag_curve([]) is None
    assert lag_curve([(30 * DAY, lags_of(np.full(19, HOUR)))]) is None
    # What is so late that no edge is above it has come by the last one for all that is known.
    assert lag_curve([(90 * DAY, lags_of(np.full(50, HOUR)))]) is not None


def test_a_cohort_is_mature_when_its_labels_have_come_and_lacks_those_that_are_lost() -> None:
    rng = np.random.default_rng(2)
    ages = [hours * HOUR for hours in range(12, 24 * 12, 12)]
    # A label comes for half of the predictions.
    delays = [(age, seen(rng, age)) for age in ages]
    curve = lag_curve([(age, lags_of(its)) for age, its in delays])
    assert curve is not None
    earlier = [(len(its), 4_000, curve.share_by(age)) for age, its in delays]
    share = curve.share_by(DAY)
    assert share == pytest.approx(0.632, abs=0.03)
    young = arrived_of(len(seen(rng, DAY)), 4_000, share, earlier)
    assert young.value == pytest.approx(1, abs=0.06)
    assert young.low < 1 < young.high
    lost = arrived_of(1_000, 4_000, curve.share_by(9 * DAY), earlier)
    assert lost.value == pytest.approx(0.5, abs=0.05)


def test_without_earlier_cohorts_nothing_is_known() -> None:
    for share, earlier in ((None, [(5, 10, 1.0)]), (1.0, []), (1.0, [(0, 10, 1.0)])):
        found = arrived_of(5, 10, share, earlier)
        assert found.value is None and found.reason == "no_earlier_cohorts" and found.n == 10


def test_more_labels_than_predictions_have_no_interval() -> None:
    found = arrived_of(11, 10, 1.0, [(10, 10, 1.0)])
    assert found.value == 1.1 and found.low is None
