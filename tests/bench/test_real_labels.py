"""Flights with labels replayed: figures by day against the raw rows, in a world of known scores."""

import numpy as np
import pytest

from _markers import replace_part
from _real_labels_flights import BASELINE_UNTIL, DAY, LABEL_SECONDS, TRAINED_UNTIL, Flights
from _real_labels_site import Site
from real_labels import BEGIN, DOCUMENT, END

DAYS, ROWS, BROKEN = 24, 300, 20


@pytest.fixture(scope="module")
def flights() -> Flights:
    """Make calibrated scores; from a day on half of the late flights had the score of any other."""
    rng = np.random.default_rng(3)
    before = np.sort(rng.uniform(TRAINED_UNTIL, BASELINE_UNTIL, 2_000))
    times = np.concatenate(
        [before, BASELINE_UNTIL + np.sort(rng.uniform(0, DAYS * DAY, DAYS * ROWS))]
    )
    scores = rng.beta(0.5, 1.5, len(times))
    late = (rng.random(len(times)) < scores).astype(float)
    broken = (times >= BASELINE_UNTIL + BROKEN * DAY) & (rng.random(len(times)) < 0.5)
    late = np.where(broken, rng.random(len(times)) < 0.5, late)
    late[rng.random(len(times)) < 0.02] = np.nan
    delays = LABEL_SECONDS + rng.uniform(3_600, 7_200, len(times))
    hours = rng.integers(0, 24, len(times)).astype(float)
    return Flights({"hour": hours.tolist()}, times, late, times + delays, scores)


def replayed(flights: Flights) -> Site:
    site = Site(flights.baseline())
    for day in flights.days():
        site.send(*day)
    return site


def test_each_day_has_the_accuracy_of_its_rows_and_an_estimate_of_those_before(
    flights: Flights,
) -> None:
    site = replayed(flights)
    days = site.days()
    assert len(days) == DAYS
    for at, day in enumerate(days):
        assert day.start == BASELINE_UNTIL + at * DAY
        its = (flights.times >= day.start) & (flights.times < day.start + DAY)
        known = its & ~np.isnan(flights.late)
        assert (day.predicted, day.labelled) == (its.sum(), known.sum())
        right = (flights.scores[known] >= 0.5) == (flights.late[known] == 1)
        assert day.realised["accuracy"].value == pytest.approx(right.mean())
        sure = np.maximum(flights.scores[its], 1 - flights.scores[its])
        estimated = day.estimated["accuracy"]
        assert estimated.n == its.sum() and estimated.low is not None
        if at < BROKEN:
            assert estimated.value == pytest.approx(sure.mean(), abs=0.06)
    held = site.record.held["accuracy"] / site.record.cohorts["accuracy"]
    # Each day is mature in the end, and of the last four no estimate can be right.
    assert site.record.cohorts["accuracy"] == DAYS and 0.7 < held <= BROKEN / DAYS


def test_in_random_order_the_same_flights_have_their_times_exchanged(flights: Flights) -> None:
    shuffled = flights.in_random_order(1)
    after = flights.times >= BASELINE_UNTIL
    assert (shuffled.times == flights.times).all()
    assert (shuffled.scores[~after] == flights.scores[~after]).all()
    assert (shuffled.scores[after] != flights.scores[after]).mean() > 0.9
    assert (np.sort(shuffled.scores) == np.sort(flights.scores)).all()
    delays = dict(zip(flights.scores, flights.labelled - flights.times, strict=True))
    again = shuffled.labelled - shuffled.times
    expected = [delays[score] for score in shuffled.scores]
    assert again == pytest.approx(expected, abs=1e-3)


def test_the_document_has_a_place_for_the_table() -> None:
    assert "\nnew\n" in replace_part(DOCUMENT.read_text(), BEGIN, END, "new")
