"""Outcomes of a partition: in whatever order records come, and after whatever crash, the same."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from support.counting import NOW
from support.outcome_world import COHORT_SECONDS, OutcomeWorld, of_kinds, totals
from support.world import Logged, World, Written, a_state, advance, taken_over, writes
from tidegauge.config.sections import TopicSettings
from tidegauge.contract import encode
from tidegauge.windows.changelog import Changelog
from tidegauge.windows.outcome_store import RETENTION_SECONDS, SLACK_SECONDS
from tidegauge.windows.partition import PartitionState

DAY = 24 * 3600
WINDOWS = {"seconds": 60, "grace_seconds": 10, "late_seconds": 60}


@st.composite
def worlds(draw: st.DrawFn) -> OutcomeWorld:
    """Draw hours of predictions with labels that come late, twice, corrected; with rebalances."""
    world = OutcomeWorld()
    ids: list[str] = []
    for step in range(draw(st.integers(3, 8))):
        for _ in range(draw(st.integers(0, 3))):
            id = f"{step}-{len(ids)}"
            ids.append(id)
            version, region = draw(st.tuples(st.sampled_from("12"), st.sampled_from(["EU", "US"])))
            world.predict(id, draw(st.floats(0, 1)), version=version, region=region)
        for id in draw(st.lists(st.sampled_from(ids), max_size=3)) if ids else []:
            world.label(id, draw(st.integers(0, 1)))
        if draw(st.booleans()):
            world.move(draw(st.integers(0, 1)))
        world.flush(*draw(st.sampled_from([("a", "b"), ("b",), ("a",)])))
        world.now += draw(st.sampled_from([1.0, 61.0, 1800.0, 7200.0]))
    world.flush()
    return world


def fold(state: PartitionState, log: Sequence[Logged]) -> PartitionState:
    """Join records, and let the watermark pass after each, as the detector does."""
    for offset, record in log:
        assert offset < state.progress.next_offset or not state.gaps(record)
        state.join(record, offset)
        state.pass_outcomes()
    return state


def outcome_facts(state: PartitionState) -> Any:
    its = state.outcomes
    cohorts = {where: msgspec.to_builtins(one) for where, one in its.cohorts.items()}
    cells = {
        where: {name: encode(one) for name, one in tenures.items()}
        for where, tenures in its.cells.items()
    }
    return cells, cohorts, msgspec.to_builtins(state.progress), its.due(), its.models


@settings(max_examples=60)
@given(worlds(), st.randoms(use_true_random=False))
def test_what_is_counted_is_what_was_labelled_in_any_order_and_any_number_of_times(
    world: OutcomeWorld, random: Any
) -> None:
    state = fold(a_state(**WINDOWS), world.log)
    # An arrival window is deleted once it takes nothing more; a cohort is there for a month.
    assert of_kinds(totals(state), "cohort") == of_kinds(world.expected(), "cohort")
    shuffled = [*world.log, *random.choices(world.log, k=5)]
    random.shuffle(shuffled)
    anyhow = a_state(**WINDOWS)
    for at, (_, record) in enumerate(shuffled):
        anyhow.join(record, at)
    assert of_kinds(totals(anyhow), "cohort") == of_kinds(world.expected(), "cohort")


@settings(max_examples=60)
@given(worlds(), st.data())
def test_a_worker_that_takes_over_has_what_its_predecessor_had(
    world: OutcomeWorld, data: st.DataObject
) -> None:
    undisturbed = fold(a_state(**WINDOWS), world.log)
    worker, written = Changelog(a_state(**WINDOWS)), list[Written]()
    worker.restored()
    while rest := [at for at in world.log if at[0] >= worker.state.progress.next_offset]:
        fold(worker.state, rest[: data.draw(st.integers(1, len(rest)), label="records")])
        if data.draw(st.booleans(), label="saved"):
            written += writes(worker.checkpoint())
        if data.draw(st.booleans(), label="crash"):
            last = {key: at for at, (key, *_) in enumerate(written)}
            compacted = [one for at, one in enumerate(written) if last[one[0]] == at]
            worker = taken_over(compacted, **WINDOWS)
    assert outcome_facts(worker.state) == outcome_facts(undisturbed)


def _story() -> OutcomeWorld:
    world = OutcomeWorld()
    for hour in range(5):
        for number in range(4):
            world.predict(f"{hour}-{number}", 0.2 * number + 0.1)
        world.flush()
        world.now += 600
        for number in range(4):
            world.label(f"{hour}-{number}", number % 2)
        world.flush()
        world.now += COHORT_SECONDS - 600
        world.flush()
    return world


def test_a_cohort_that_has_changed_is_due_once_an_arrival_window_has_passed() -> None:
    world = OutcomeWorld()
    world.now = NOW // 60 * 60 + 15.0
    world.predict("x", 0.9)
    world.flush()
    state = fold(a_state(**WINDOWS), world.log)
    for one in state.outcomes.due():
        state.outcomes.reported(one)  # the first tick of all
    world.label("x", 1)
    world.flush()
    for second, due in ((60 + 9, 0), (60 + 10, 1)):
        world.now = NOW // 60 * 60 + second
        world.flush()
        fold(state, [at for at in world.log if at[0] >= state.progress.next_offset])
        assert len(state.outcomes.due()) == due


def test_a_worker_that_lags_behind_holds_the_tick() -> None:
    world = _story()
    state = fold(a_state(**WINDOWS), world.log)
    for one in state.outcomes.due():
        state.outcomes.reported(one)
    seen = len(world.log)
    world.label("0-0", 1)
    world.now += 3600
    world.flush("a", "b")
    behind = [at for at in world.log[seen:] if world.owner[min(at[1].ranges)] == "a"]
    for offset, record in behind:
        state.join(record, offset)
        state.pass_outcomes()
    assert not state.outcomes.due()


def test_a_cohort_is_deleted_once_its_labels_count_no_more_and_stays_deleted() -> None:
    world = _story()
    worker = Changelog(a_state(**WINDOWS))
    worker.restored()
    fold(worker.state, world.log)
    zombie = writes(worker.checkpoint())
    assert worker.state.outcomes.cells
    seen = len(world.log)
    world.now += RETENTION_SECONDS + SLACK_SECONDS + COHORT_SECONDS
    world.flush()
    fold(worker.state, world.log[seen:])
    assert not worker.state.outcomes.cells and not worker.state.outcomes.cohorts
    gone = writes(worker.checkpoint())
    assert {json.loads(key)[0] for key, value, *_ in gone if value is None} == {"outcome", "cohort"}
    late = [one for one in zombie if json.loads(one[0])[0] in ("outcome", "cohort")]
    restored = taken_over([*zombie, *gone, *late], **WINDOWS).state
    assert not restored.outcomes.cells and not restored.outcomes.cohorts
    # A label that comes all the same is dropped, and counted.
    seen = len(world.log)
    world.label("0-0", 1)
    world.flush()
    fold(restored, world.log[seen:])
    assert {where.kind for where in restored.outcomes.cells} == {"arrival"}
    assert restored.outcomes.late_cells == 1


def test_counting_the_predictions_again_keeps_outcomes() -> None:
    world = _story()
    worker = Changelog(a_state(**WINDOWS))
    worker.restored()
    fold(worker.state, world.log)
    before = outcome_facts(worker.state)
    written = writes(worker.checkpoint())
    worker.forget()
    written += writes(worker.checkpoint())
    restored = taken_over(written, **WINDOWS).state
    assert restored.progress.next_offset == 0
    # Retention has deleted most of the log by then.
    for offset, record in world.log[-3:]:
        restored.join(record, offset)
        restored.pass_outcomes()
    cells, cohorts, progress, due, models = outcome_facts(restored)
    progress["next_offset"] = before[2]["next_offset"]
    assert (cells, cohorts, due, models) == (*before[:2], *before[3:])
    assert progress["outcomes"]["watermark"] == before[2]["outcomes"]["watermark"]


def _published(log: Sequence[Logged]) -> list[bytes]:
    state = a_state(**WINDOWS)
    state.ready = True
    found = []
    for offset, record in log:
        state.join(record, offset)
        state.pass_outcomes()
        if not record.of_outcomes:
            advance(state)
        found += [
            encode(it.record)
            for it in state.take_outputs()
            if it.topic != TopicSettings().performance
        ]
    return found


@pytest.mark.parametrize("ahead", [0.0, 3000.0, -86_400.0], ids=["sound", "ahead", "behind"])
def test_outcomes_neither_close_nor_hold_nor_change_windows_of_predictions(ahead: float) -> None:
    drift, outcomes = World(), OutcomeWorld()
    outcomes.now += ahead
    mixed: list[Logged] = []
    for minute in range(8):
        for partition in range(3):
            drift.event(partition, time=NOW + 60 * minute)
        seen = len(drift.log), len(outcomes.log)
        drift.flush()
        outcomes.predict(f"{minute}", 0.5, time=NOW)
        outcomes.now += 60
        outcomes.flush(idle=bool(minute % 2))
        mixed += [*outcomes.log[seen[1] :], *drift.log[seen[0] :]]
    alone = _published([(at, record) for at, (_, record) in enumerate(drift.log)])
    assert alone and _published([(at, it) for at, (_, it) in enumerate(mixed)]) == alone


def test_predictions_neither_pass_nor_hold_arrival_windows() -> None:
    world, drift = _story(), World()
    alone = fold(a_state(**WINDOWS), world.log)
    for partition in range(3):
        drift.event(partition, time=NOW + 3 * DAY)
    drift.flush()
    mixed = a_state(**WINDOWS)
    # A partition of which nobody has spoken holds the watermark of predictions for ever.
    log = [*drift.log[:1], *world.log]
    for at, (_, record) in enumerate(log):
        mixed.join(record, at)
        mixed.pass_outcomes()
    expected, found = outcome_facts(alone), outcome_facts(mixed)
    assert found[:2] == expected[:2] and found[3:] == expected[3:]
    assert found[2]["outcomes"] == expected[2]["outcomes"]
