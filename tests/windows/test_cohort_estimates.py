"""Cohorts are estimated by what was known when they ended, and the record says how that went."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from support.counting import NOW
from support.outcome_world import OutcomeWorld
from support.world import Logged, a_state, restored, saved
from tidegauge.config.sections import TopicSettings
from tidegauge.contract import EstimatedPerformance, Figure, PerformanceReport, encode
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.performance import PerformanceClosing, ReferenceFigures

WINDOWS = {"seconds": 60, "grace_seconds": 10, "late_seconds": 60}
PER_HOUR = 300


def fold(state: PartitionState, log: Sequence[Logged]) -> list[PerformanceReport]:
    found = []
    for offset, record in log:
        if offset < state.progress.next_offset:
            continue
        state.join(record, offset)
        state.pass_outcomes()
        closing = PerformanceClosing(
            state, topic=TopicSettings().performance, references=ReferenceFigures()
        )
        for window in state.outcomes.due():
            closing.close(window)
        found += [output.record for output in state.take_outputs()]
    return [one for one in found if isinstance(one, PerformanceReport)]


@cache
def story(turned_from: int, hours: int = 10) -> OutcomeWorld:
    """Return hours of predictions whose labels come 20 minutes after each hour's end.

    From an hour on, the same scores come true less often.
    """
    rng = np.random.default_rng(5)
    world = OutcomeWorld()
    world.now = NOW // 3600 * 3600 + 1.0
    labels: list[tuple[str, int]] = []
    for hour in range(hours):
        came, labels = labels, []
        for number, score in enumerate(rng.random(PER_HOUR).tolist()):
            id = f"{hour}-{number}"
            world.predict(id, score, region="EU")
            rate = 0.5 if hour >= turned_from else 0.1 + 0.8 * score
            labels.append((id, int(rng.random() < rate)))
        world.flush()
        world.now += 1200
        for id, actual in came:
            world.label(id, actual)
        world.flush()
        world.now += 2400
        world.flush()
    return world


def estimates(found: Sequence[PerformanceReport]) -> dict[int, PerformanceReport]:
    """Return the newest report of all traffic by hour."""
    first = min(one.cohort_start for one in found)
    return {(it.cohort_start - first) // 3600: it for it in found if not it.group}


def its(report: PerformanceReport) -> EstimatedPerformance:
    assert isinstance(report.estimated, EstimatedPerformance)
    return report.estimated


def test_a_cohort_is_estimated_before_its_labels_by_those_that_were_mature_when_it_ended() -> None:
    reports = fold(a_state(**WINDOWS), story(turned_from=99).log)
    newest = estimates(reports)
    assert its(newest[0]).figures["accuracy"].reason == "no_earlier_cohorts"
    last = newest[9]
    assert last.performance.labelled == 0, "its labels come in the next hour"
    accuracy = its(last).figures["accuracy"]
    assert accuracy.estimated and accuracy.n == PER_HOUR
    # 0.1 + 0.8 s of those above 0.5 come true: 70 % are right.
    assert accuracy.low is not None and accuracy.high is not None
    assert accuracy.low < 0.7 < accuracy.high and accuracy.high - accuracy.low < 0.15
    assert set(its(last).figures) == {"accuracy", "f1", "auc"}
    record = its(last).record
    compared = record.cohorts["accuracy"]
    assert compared >= 2 and record.held["accuracy"] == compared
    # What matures later changes no estimate of a cohort that is over.
    told = [one for one in reports if one.cohort_start == newest[4].cohort_start and not one.group]
    over = [its(one) for one in told if one.time >= one.cohort_end]
    assert len({encode(one) for one in over}) == 1 < len({one.performance.labelled for one in told})


def test_the_record_shows_that_estimates_cannot_see_concept_drift() -> None:
    newest = estimates(fold(a_state(**WINDOWS), story(turned_from=7, hours=12).log))
    blind, realised = newest[8].figure("estimated_accuracy"), newest[8].figure("accuracy")
    assert blind is not None and realised is not None
    assert realised.value is not None and blind.low is not None
    assert realised.value < 0.6 < blind.low
    record = its(newest[11]).record
    assert 0 < record.held["accuracy"] < record.cohorts["accuracy"]


def test_what_has_arrived_is_a_share_of_what_earlier_cohorts_let_expect() -> None:
    newest = estimates(fold(a_state(**WINDOWS), story(turned_from=99).log))
    first, late, last = (newest[hour].arrived for hour in (0, 7, 9))
    assert isinstance(first, Figure) and first.reason == "no_earlier_cohorts"
    assert isinstance(late, Figure) and late.value == pytest.approx(1.0, abs=0.05)
    assert isinstance(last, Figure) and last.value is None, "none was to be expected yet"


def test_groups_have_no_estimate() -> None:
    reports = fold(a_state(**WINDOWS), story(turned_from=99).log)
    groups = [one for one in reports if one.group]
    assert groups and not any(isinstance(it.estimated, EstimatedPerformance) for it in groups)


@pytest.mark.parametrize("at", [17, 24, 27])
def test_after_a_restart_the_estimates_and_their_record_are_the_same_bytes(at: int) -> None:
    log = story(turned_from=7, hours=12).log
    expected = [encode(one) for one in fold(a_state(**WINDOWS), log)]
    state = a_state(**WINDOWS)
    found = fold(state, log[:at])
    found += fold(restored(saved(state), **WINDOWS), log)
    assert [encode(one) for one in found] == expected
    assert any(b'"held":{"accuracy"' in one for one in expected)


def test_a_cohort_whose_counts_were_left_out_keeps_its_revisions_over_a_restart() -> None:
    state = a_state(**WINDOWS)
    fold(state, story(turned_from=99).log)
    window = min(it for it, one in state.outcomes.cohorts.items() if one.published)
    for tenure in list(state.outcomes.cells[window]):
        state.outcomes.leave_out(window, tenure)
    again = restored(saved(state), **WINDOWS)
    assert again.outcomes.cohorts == state.outcomes.cohorts
    assert again.outcomes.cells == state.outcomes.cells
