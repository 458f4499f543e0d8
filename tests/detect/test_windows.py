"""The life of a window: due, closed, revised, deleted; and the same after any crash."""

import json
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.counting import NOW, a_baseline, promote
from support.world import Logged, World, a_state, join_all, restored, saved, totals
from tidegauge.contract import WindowReport
from tidegauge.detect.closing import Closed, Closing
from tidegauge.detect.partition import REVISE_SECONDS, PartitionState
from tidegauge.detect.values import CellKey, SliceState
from tidegauge.rules import DEFAULT_RULES
from tidegauge.settings import TopicSettings

BASELINE = a_baseline()
MINUTE = int(NOW // 60 * 60)
Changelog = list[tuple[bytes, bytes | None]]


def close_due(state: PartitionState) -> Closed:
    """Close and revise what is due, as one pass does."""
    closing = Closing(state, rules=DEFAULT_RULES, topics=TopicSettings())
    for window in state.due():
        closing.take(closing.judge(window))
    for window in state.to_revise():
        closing.revise(window)
    return closing.closed


def published(state: PartitionState) -> list[tuple[str, str, bytes]]:
    return [
        (output.topic, output.key, bytes(output.value))
        for value in state.slices.values()
        for output in value.outbox
    ]


def reports(state: PartitionState) -> list[WindowReport]:
    return [
        msgspec.json.decode(value, type=WindowReport)
        for topic, _, value in published(state)
        if topic == TopicSettings().windows
    ]


class Story:
    """A world and the state that has read its log so far."""

    def __init__(self, **windows: int) -> None:
        self.world = World(promote(BASELINE))
        self.windows = windows
        self.state = a_state(**windows)
        self.state.hold_baseline(BASELINE.id, BASELINE)
        self.seen = 0

    def at(self, *seconds: float, partition: int = 0, model: str = "m") -> None:
        for second in seconds:
            self.world.event(partition, time=MINUTE + second, model=model, prediction=0.5)

    def all_reach(self, second: float, model: str = "clockwork") -> None:
        """Move every partition's event time to the same second."""
        for partition in range(3):
            self.at(second, partition=partition, model=model)

    def read(self) -> PartitionState:
        self.world.flush()
        join_all(self.state, self.world.log[self.seen :])
        self.seen = len(self.world.log)
        return self.state


def _ends(closed: Closed, model: str = "m") -> list[int]:
    return [r.window_end - MINUTE for r in closed.reports if r.model == model]


def test_a_window_is_due_when_the_watermark_has_passed_its_end_and_the_grace() -> None:
    story = Story(grace_seconds=10)
    story.at(5)
    story.all_reach(69.5)
    assert close_due(story.read()).reports == []
    story.all_reach(70)
    [report] = close_due(story.read()).reports
    assert (report.model, report.events, report.revision) == ("m", 1, 0)
    assert close_due(story.state).reports == []


def test_windows_close_in_the_order_of_their_ends() -> None:
    story = Story()
    story.at(-70, 130, 5, 65)
    story.all_reach(400)
    assert _ends(close_due(story.read())) == [-60, 60, 120, 180]


def test_a_window_put_back_is_due_again() -> None:
    story = Story()
    story.at(5)
    story.all_reach(200)
    [window] = [w for w in story.read().due() if w.slice.model == "m"]
    assert story.state.due() == []
    story.state.put_back(window)
    assert story.state.due() == [window]


def test_a_late_event_makes_a_revision_with_all_the_events_there_are() -> None:
    story = Story()
    story.at(5, 6)
    story.all_reach(100)
    close_due(story.read())
    story.at(7)
    story.read()
    assert close_due(story.state).reports == []  # more may come
    story.world.now += REVISE_SECONDS
    story.at(8)
    [report] = close_due(story.read()).reports
    assert (report.revision, report.events) == (1, 4)
    [part] = report.parts
    assert part.signals["prediction"].histogram.n == 4
    story.world.now += REVISE_SECONDS
    assert close_due(story.read()).reports == []


def test_the_mean_of_the_windows_to_come_takes_in_what_a_revision_has_changed() -> None:
    story = Story()
    story.at(5)  # a prediction of 0.5
    story.all_reach(100)
    close_due(story.read())
    for _ in range(3):
        story.world.event(0, time=MINUTE + 6, model="m", prediction=0.9)
    story.read()
    story.world.now += REVISE_SECONDS
    [revision] = close_due(story.read()).reports
    assert revision.prediction_mean_5m == pytest.approx(0.8)
    story.at(70)
    story.all_reach(160)
    report = next(one for one in close_due(story.read()).reports if one.model == "m")
    assert report.prediction_mean_5m == pytest.approx((0.5 + 3 * 0.9 + 0.5) / 5)


def test_a_window_that_was_empty_when_it_passed_is_still_reported_when_an_event_comes() -> None:
    story = Story()
    story.at(65)
    story.all_reach(400)
    close_due(story.read())
    story.at(5)
    [report] = close_due(story.read()).reports
    assert (report.window_start, report.revision, report.events) == (MINUTE, 0, 1)


def _cells(state: PartitionState) -> list[CellKey]:
    return [key for key in state.cells if key.slice.model == "m"]


def _expire(story: Story) -> Changelog:
    """Pass the window's lateness, and delete as a pass of the committer does."""
    story.all_reach(61 + 10 + 900)
    close_due(story.read())
    changelog = saved(story.state)
    for window in story.state.expired():
        assert story.state.is_closed(window)
        story.state.delete(window)
    return [*changelog, *saved(story.state)]


def test_a_deleted_window_leaves_tombstones_and_no_mark() -> None:
    story = Story()
    story.at(5)
    story.all_reach(100)
    close_due(story.read())
    gone = [key for key, value in _expire(story) if value is None]
    assert _cells(story.state) == []
    assert any(b'"m"' in key for key in gone)
    [state] = [value for where, value in story.state.slices.items() if where.model == "m"]
    assert state.marks == {}


def test_a_window_is_deleted_only_behind_a_watermark_that_the_changelog_knows() -> None:
    story = Story()
    story.at(5)
    story.all_reach(100)
    close_due(story.read())
    story.all_reach(2000)
    close_due(story.read())
    assert story.state.expired() == []
    saved(story.state)
    assert {window.start for window in story.state.expired()} >= {MINUTE}


def test_events_after_the_deletion_are_late_once_each_and_bring_nothing_back() -> None:
    story = Story()
    story.at(5, 6)
    story.all_reach(100)
    close_due(story.read())
    _expire(story)
    story.at(7)  # the cell is cumulative: it says three events now, of which one is new
    story.read()
    assert story.state.late_events == 1
    story.at(8, 9)
    story.read()
    assert story.state.late_events == 3
    assert _cells(story.state) == []
    assert close_due(story.state).reports == []


def test_records_read_again_count_no_late_event_twice() -> None:
    story = Story()
    story.at(5)
    story.all_reach(100)
    close_due(story.read())
    changelog = _expire(story)
    story.at(7)
    story.read()
    assert story.state.late_events == 1
    changelog += saved(story.state)
    after = restored(changelog, **story.windows)
    join_all(after, story.world.log)
    assert after.late_events == 0


def test_a_cell_that_a_worker_without_the_partition_writes_again_stays_deleted() -> None:
    story = Story()
    story.at(5)
    story.all_reach(100)
    close_due(story.read())
    before = saved(story.state)
    zombie = [write for write in before if b'"cell"' in write[0]]
    changelog = [*before, *_expire(story), *zombie]
    state = restored(changelog, **story.windows)
    assert _cells(state) == []
    assert close_due(state).reports == []
    # What was written after the tombstone needs another one.
    assert any(value is None for _, value in saved(state))


# -- recovery --------------------------------------------------------------------------------------


def _history() -> tuple[Changelog, PartitionState]:
    """Write a changelog of many passes over two models; return it and its writer."""
    story = Story()
    changelog: Changelog = []
    for minute in range(4):
        story.at(60 * minute + 5, 60 * minute + 6, partition=minute % 3)
        story.at(60 * minute + 7, partition=2, model="other")
        story.all_reach(60 * minute + 30)
        story.read()
        changelog += saved(story.state)
        close_due(story.state)
        changelog += saved(story.state)
        if minute == 1:
            story.world.move(2)
            story.world.move(0)
    return changelog, story.state


CHANGELOG, WRITER = _history()


def _facts(state: PartitionState) -> tuple[object, ...]:
    return (
        totals(state),
        {where: json.loads(msgspec.json.encode(value)) for where, value in state.slices.items()},
        msgspec.to_builtins(state.progress),
        state.windows,
        sorted(state.baselines),
    )


def test_what_was_written_is_what_is_restored() -> None:
    assert _facts(restored(CHANGELOG)) == _facts(WRITER)


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(len(CHANGELOG))), st.lists(st.integers(0, len(CHANGELOG) - 1)))
def test_a_changelog_is_restored_the_same_in_any_order_and_with_old_values_written_again(
    order: list[int], again: list[int]
) -> None:
    assert all(value is not None for _, value in CHANGELOG)
    state = restored([CHANGELOG[i] for i in [*order, *again]])
    assert _facts(state) == _facts(restored(CHANGELOG))


def test_restoring_brings_back_what_is_due_and_what_has_had_late_events() -> None:
    story = Story()
    story.at(5)
    story.all_reach(100)
    story.read()
    changelog = saved(story.state)  # and the worker dies before it closes anything
    state = restored(changelog)
    assert _ends(close_due(state)) == [60]
    changelog += saved(state)
    story.at(6)
    story.read()
    join_all(state, story.world.log)
    changelog += saved(state)
    state = restored(changelog)
    assert [window.start for window in state.late] == [MINUTE]


@pytest.mark.parametrize("crash_at", ["before anything", "joined", "judged", "taken", "saved"])
def test_a_crash_at_any_step_publishes_the_same_bytes(crash_at: str) -> None:
    def run(crash: str | None) -> Sequence[tuple[str, str, bytes]]:
        story = _STORY
        changelog: Changelog = []
        log: list[Logged] = story.world.log
        state = a_state()

        def crashed() -> PartitionState:
            again = restored(changelog)
            join_all(again, log)  # nothing was acknowledged
            return again

        if crash == "before anything":
            state = crashed()
        join_all(state, log)
        if crash == "joined":
            state = crashed()
        changelog += saved(state)
        for number in range(2):
            closing = Closing(state, rules=DEFAULT_RULES, topics=TopicSettings())
            state.hold_baseline(BASELINE.id, BASELINE)
            windows = state.due()
            judged = [closing.judge(window) for window in windows[:1]]
            if crash == "judged" and number == 0:
                state = crashed()
                continue
            for one in judged:
                closing.take(one)
            for window in windows[1:]:
                closing.take(closing.judge(window))
            if crash == "taken" and number == 0:
                state = crashed()
                continue
            changelog += saved(state)
            if crash == "saved" and number == 0:
                state = crashed()
        return sorted(published(state))

    undisturbed = run(None)
    assert len(undisturbed) >= 2
    assert run(crash_at) == undisturbed


def _make_story() -> Story:
    story = Story()
    story.at(5, 6, 65)
    story.at(7, partition=1, model="other")
    story.all_reach(300)
    story.world.flush()
    return story


#: Told once: tenures have random names, and the order in which their sums are added follows them.
_STORY = _make_story()


def test_outputs_of_one_pass_wait_together_and_the_next_pass_replaces_them() -> None:
    story = Story()
    story.at(5, 65)
    story.all_reach(200)
    close_due(story.read())
    assert [r.window_start - MINUTE for r in reports(story.state) if r.model == "m"] == [0, 60]
    story.at(185)
    story.all_reach(400)
    close_due(story.read())
    assert [r.window_start - MINUTE for r in reports(story.state) if r.model == "m"] == [180]


def test_a_slice_state_can_be_read_back_whatever_the_model_predicts() -> None:
    story = Story()
    for partition in (0, 2):
        for _ in range(2):
            story.world.event(partition, time=MINUTE + 5, prediction=1.7e308)
    story.all_reach(100)
    close_due(story.read())
    for value in story.state.slices.values():
        assert msgspec.json.decode(msgspec.json.encode(value), type=SliceState) == value
    [report] = [r for r in reports(story.state) if r.model == "m"]
    assert report.parts[0].signals["prediction"].histogram.n == 4
