"""The life of a window: passed, closed, revised, deleted."""

import msgspec
import pytest

from support.counting import NOW, a_baseline, promote
from support.world import WATCH, World, a_state, advance, fold
from tidegauge.alerting.ruleset import DEFAULT_RULES
from tidegauge.config.sections import TopicSettings
from tidegauge.contract.report import WindowReport
from tidegauge.windows.closing import Closing
from tidegauge.windows.partition import REVISE_SECONDS, PartitionState
from tidegauge.windows.records import RawRecord
from tidegauge.windows.values import CellKey, Slice, SliceState

BASELINE = a_baseline()
MINUTE = int(NOW // 60 * 60)


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

    def read(self) -> list[WindowReport]:
        """Flush, fold what is new, and return the reports on model m that came of it."""
        self.world.flush()
        closed = fold(self.state, self.world.log[self.seen :])
        self.seen = len(self.world.log)
        return [report for report in closed.reports if report.model == "m"]


def test_a_window_closes_when_the_watermark_has_passed_its_end_and_the_grace() -> None:
    story = Story(grace_seconds=10)
    story.at(5)
    story.all_reach(69.5)
    assert story.read() == []
    story.all_reach(70)
    [report] = story.read()
    assert (report.model, report.events, report.revision) == ("m", 1, 0)
    assert advance(story.state).reports == []


def test_a_clock_that_is_ahead_closes_no_window_before_its_end_nor_without_the_other_nodes() -> (
    None
):
    story = Story(grace_seconds=10)
    for second in range(0, 300, 2):
        for partition in range(3):
            at = MINUTE + second + 0.5
            story.world.event(partition, time=at, model="m")
            story.world.event(partition, time=at + 120, ahead=120, model="m")
        for report in story.read():
            assert report.window_end + 10 <= story.world.now
            assert report.revision == 0
            # Of both clocks in all windows but those that only one of them has come to.
            whole = report.window_start >= MINUTE + 120
            assert report.events == (180 if whole else 90)
    assert not story.state.late


def test_windows_close_in_the_order_of_their_ends() -> None:
    story = Story()
    story.at(-70, 130, 5, 65)
    story.all_reach(400)
    assert [r.window_end - MINUTE for r in story.read()] == [-60, 60, 120, 180]


def test_a_window_that_has_to_wait_is_reported_as_it_was_when_it_was_passed() -> None:
    story = Story()
    story.at(5)
    story.all_reach(100)
    story.world.flush()
    for offset, record in story.world.log:
        story.state.join(record, offset)
        story.state.pass_due()
    [counts] = [c for w, c in story.state.waiting.items() if w.slice.model == "m"]
    story.seen = len(story.world.log)
    story.at(6)
    story.world.flush()
    for offset, record in story.world.log[story.seen :]:
        story.state.join(record, offset)
    closing = Closing(story.state, rules=DEFAULT_RULES, topics=TopicSettings(), watch=WATCH)
    closing.close_together([counts])
    assert [r.events for r in closing.closed.reports] == [1]
    story.seen = len(story.world.log)
    story.world.now += REVISE_SECONDS
    assert [(r.revision, r.events) for r in story.read()] == [(1, 2)]


def test_a_late_event_makes_a_revision_with_all_the_events_there_are() -> None:
    story = Story()
    story.at(5, 6)
    story.all_reach(100)
    story.read()
    story.at(7)
    assert story.read() == []  # more may come
    story.world.now += REVISE_SECONDS
    story.at(8)
    [report] = story.read()
    assert (report.revision, report.events) == (1, 4)
    [part] = report.parts
    assert part.signals["prediction"].histogram.n == 4
    story.world.now += REVISE_SECONDS
    assert story.read() == []


def test_the_mean_of_the_windows_to_come_takes_in_what_a_revision_has_changed() -> None:
    story = Story()
    story.at(5)  # a prediction of 0.5
    story.all_reach(100)
    story.read()
    for _ in range(3):
        story.world.event(0, time=MINUTE + 6, model="m", prediction=0.9)
    story.read()
    story.world.now += REVISE_SECONDS
    [revision] = story.read()
    assert revision.prediction_mean_5m == pytest.approx(0.8)
    story.at(70)
    story.all_reach(160)
    [report] = story.read()
    assert report.prediction_mean_5m == pytest.approx((0.5 + 3 * 0.9 + 0.5) / 5)


def test_a_window_that_was_empty_when_it_passed_is_still_reported_when_an_event_comes() -> None:
    story = Story()
    story.at(65)
    story.all_reach(400)
    story.read()
    story.at(5)
    [report] = story.read()
    assert (report.window_start, report.revision, report.events) == (MINUTE, 0, 1)


def test_a_report_says_how_long_before_the_last_count_the_baselines_were_read() -> None:
    story = Story()
    story.world.baselines_age_seconds = 0.5
    story.at(5)
    story.world.flush()
    story.world.baselines_age_seconds = 90.0
    story.at(6)
    story.all_reach(100)
    [report] = story.read()
    [part] = report.parts
    assert part.baseline_age_seconds == 90.0


def _cells(state: PartitionState) -> list[CellKey]:
    return [key for key in state.cells if key.slice.model == "m"]


def _expire(story: Story) -> None:
    """Pass the window's lateness."""
    story.all_reach(61 + 10 + 900)
    story.read()


def test_a_window_past_its_lateness_is_deleted_and_leaves_no_mark() -> None:
    story = Story()
    story.at(5)
    story.all_reach(100)
    story.read()
    assert _cells(story.state) != []
    _expire(story)
    assert _cells(story.state) == []
    [state] = [value for where, value in story.state.slices.items() if where.model == "m"]
    assert state.marks == {}


def test_late_events_are_reported_before_their_window_is_deleted() -> None:
    story = Story()
    story.at(5)
    story.all_reach(100)
    story.read()
    story.at(6)
    story.all_reach(61 + 10 + 900)
    assert [(r.revision, r.events) for r in story.read()] == [(1, 2)]
    assert _cells(story.state) == []


def test_events_after_the_deletion_are_late_once_each_and_bring_nothing_back() -> None:
    story = Story()
    story.at(5, 6)
    story.all_reach(100)
    story.read()
    _expire(story)
    story.at(7)  # the cell is cumulative: it says three events now, of which one is new
    story.read()
    assert story.state.late_events == 1
    story.at(8, 9)
    assert story.read() == []
    assert story.state.late_events == 3
    assert _cells(story.state) == []


def test_an_event_that_is_too_late_is_so_once_whatever_its_segments() -> None:
    story = Story()
    story.world = World(promote(BASELINE), segments=["region", "age"])
    story.at(5)
    story.all_reach(100)
    story.read()
    _expire(story)
    segments = {"region": "EU", "age": "30-40"}
    story.world.event(0, time=MINUTE + 7, segments=segments)
    assert story.read() == []
    assert story.state.late_events == 1


def test_records_read_again_change_nothing() -> None:
    story = Story()
    story.at(5)
    story.all_reach(100)
    story.read()
    _expire(story)
    story.at(7)
    story.read()
    before = story.state.late_events, story.state.take_outputs()
    assert fold(story.state, story.world.log).reports == []
    assert (story.state.late_events, story.state.take_outputs()) == (before[0], [])


def test_a_slice_state_can_be_read_back_whatever_the_model_predicts() -> None:
    story = Story()
    for partition in (0, 2):
        for _ in range(2):
            story.world.event(partition, time=MINUTE + 5, prediction=1.7e308)
    story.all_reach(100)
    [report] = story.read()
    for value in story.state.slices.values():
        assert msgspec.json.decode(msgspec.json.encode(value), type=SliceState) == value
    assert report.parts[0].signals["prediction"].histogram.n == 4


def test_the_budget_of_a_window_is_shared_by_the_slices_that_any_worker_has_seen() -> None:
    story = Story()
    story.at(5)  # worker a sees one slice, b two
    for variant in ("", "canary"):
        story.world.event(2, time=MINUTE + 6, variant=variant)
    story.all_reach(100)
    reports = story.read()
    assert [report.variant for report in reports] == ["", "canary"]
    budgets = [report.parts[0].alarm_budget for report in reports]
    assert [budget and budget.slices for budget in budgets] == [2, 2]


def test_a_cell_that_does_not_say_how_many_slices_there_are_is_the_only_one() -> None:
    story = Story()
    story.at(5)
    story.all_reach(100)
    story.world.flush()
    for offset, record in story.world.log:
        old = msgspec.json.decode(msgspec.json.encode(record))
        for cell in old["cells"]:
            del cell["slices"]
        before = msgspec.json.decode(msgspec.json.encode(old), type=RawRecord)
        story.state.join(before, offset)
    closed = advance(story.state)
    [report] = [report for report in closed.reports if report.model == "m"]
    budget = report.parts[0].alarm_budget
    assert budget is not None and budget.slices == 1


def test_the_mean_of_a_late_revision_is_of_the_same_five_minutes_as_that_of_the_first_report() -> (
    None
):
    story = Story()
    for minute in range(10):
        story.world.event(
            0, time=MINUTE + 60 * minute, model="m", prediction=0.9 if minute == 4 else 0.1
        )
    story.all_reach(700)
    means = {it.window_start: it.prediction_mean_5m for it in story.read()}
    assert means[MINUTE + 240] == pytest.approx((4 * 0.1 + 0.9) / 5)
    story.world.event(0, time=MINUTE + 241, model="m", prediction=0.9)
    story.read()
    story.world.now += REVISE_SECONDS
    [revision] = story.read()
    assert revision.prediction_mean_5m == pytest.approx((4 * 0.1 + 2 * 0.9) / 6)
    assert len(story.state.slices[Slice("m", "1", "", ())].scores) == 10
    for minute in (60, 70):  # late events of before are not taken any more
        story.at(60 * minute)
        story.all_reach(60 * minute + 100)
        story.read()
    assert len(story.state.slices[Slice("m", "1", "", ())].scores) == 2
