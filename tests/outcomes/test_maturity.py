"""How complete labels are, from the delays of earlier cohorts."""

import numpy as np
import pytest

from support.labelled_rows import BINARY
from tidegauge.contract import LAG_EDGES
from tidegauge.outcomes import LagCurve, OutcomeCounts, lag_curve, maturity_of

HOUR, DAY = 3600.0, 86_400.0


def lags_of(delays: np.ndarray) -> np.ndarray:
    places = np.searchsorted(LAG_EDGES, delays, side="right")
    return np.bincount(places, minlength=len(LAG_EDGES) + 1)


def cohort(predicted: int, delays: np.ndarray) -> OutcomeCounts:
    counts = OutcomeCounts(BINARY)
    counts.add_predicted(np.array([0]), np.array([predicted]))
    n = len(delays)
    counts.add(np.full(n, 0.1), np.zeros(n, dtype="u2"), np.zeros(n), delays)
    return counts


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
    earlier = [(age, cohort(4_000, seen(rng, age))) for age in ages]
    curve = lag_curve([(age, its.lags) for age, its in earlier])
    young = maturity_of(cohort(4_000, seen(rng, DAY)), DAY, curve, earlier)
    assert young.maturity.value == pytest.approx(0.632, abs=0.03)
    assert young.arrived.value == pytest.approx(1, abs=0.06)
    assert young.arrived.low < 1 < young.arrived.high
    assert not young.mature
    lost = maturity_of(cohort(4_000, seen(rng, 9 * DAY)[:1_000]), 9 * DAY, curve, earlier)
    assert lost.mature
    assert lost.arrived.value == pytest.approx(0.5, abs=0.05)


def test_without_earlier_cohorts_nothing_is_known() -> None:
    found = maturity_of(cohort(10, np.array([5.0])), DAY, None)
    assert found.maturity.reason == found.arrived.reason == "no_earlier_cohorts"
    assert not found.mature
    curve = LagCurve((60.0,), (1.0,), 20)
    assert maturity_of(cohort(10, np.array([5.0])), DAY, curve).arrived.value is None
