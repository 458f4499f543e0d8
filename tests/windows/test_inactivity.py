"""Silence by the log of histograms: told, ended and forgotten at the same places by all readers."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from support.counting import NOW, a_baseline, promote
from support.world import Logged, World, Written, a_state, fold, restored, taken_over, writes
from tidegauge.baseline.document import Baseline
from tidegauge.config.sections import TopicSettings
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert
from tidegauge.windows.changelog import Changelog
from tidegauge.windows.outputs import Closed
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.values import MemoryKey, Slice, SliceKey, SliceState, join_slices

BASELINE = a_baseline()
#: Who is to be missed after minutes of traffic needs one.
BASELINES = (BASELINE, msgspec.structs.replace(BASELINE, model="other"))
MINUTE = int(NOW // 60 * 60)
HOUR = 3600
WINDOWS: dict[str, Any] = {"seconds": 60, "grace_seconds": 10, "late_seconds": 60}
#: Long enough for the rule no-data (600 s), short enough for a story.
FORGETS: dict[str, Any] = {**WINDOWS, "forget_seconds": HOUR}
GONE, STAYS = Slice("m", "1", "", ()), Slice("other", "1", "", ())


def flushed(world: World, at: float) -> None:
    """Let both workers say at a time what they counted; without traffic they are idle by then."""
    world.now = at
    world.catch_up()
    world.flush()


def silent_log(
    minutes: Iterable[int],
    *,
    others: Iterable[int] = (),
    until: int,
    baselines: Sequence[Baseline] = (BASELINE,),
) -> list[Logged]:
    """Traffic of ``m`` in some minutes and of ``other`` in others, and a flush every minute."""
    world, mine, theirs = World(promote(*baselines)), set(minutes), set(others)
    for minute in range(until):
        for partition in range(3):
            if minute in mine:
                world.event(partition, time=MINUTE + 60 * minute + 5)
            if minute in theirs:
                world.event(partition, time=MINUTE + 60 * minute + 30, model="other")
        flushed(world, MINUTE + 60 * minute + 59.0)
    return world.log


def supplied(changelog: Changelog) -> Changelog:
    changelog.state.hold_baseline(BASELINE.id, BASELINE)
    return changelog


def fresh(**windows: Any) -> Changelog:
    changelog = Changelog(a_state(**windows))
    changelog.restored()
    return supplied(changelog)


def told(closed: Closed) -> list[tuple[str, str, str, int]]:
    return [
        (it.model, it.rule, it.state, (it.window_end - MINUTE) // 60)
        for it in closed.alerts
        if it.rule == "no-data"
    ]


def test_one_model_of_two_is_missed_and_welcomed_back() -> None:
    log = silent_log([0, 1, 20], others=range(25), until=25)
    closed = fold(fresh(**WINDOWS).state, log)
    assert told(closed) == [("m", "no-data", "firing", 12), ("m", "no-data", "resolved", 21)]
    assert [it.starts_at for it in closed.alerts if it.rule == "no-data"] == [MINUTE + 120] * 2


def test_silence_of_the_whole_topic_is_told_as_soon_as_that_of_one_model() -> None:
    log = silent_log([0, 1], others=[0, 1, 2], until=25, baselines=BASELINES)
    closed = fold(fresh(**WINDOWS).state, log)
    assert sorted(told(closed)) == [
        ("m", "no-data", "firing", 12), ("other", "no-data", "firing", 13),
    ]  # fmt: skip


def test_a_name_that_somebody_made_up_is_not_missed_but_a_model_of_a_day_is() -> None:
    log = silent_log([0, 1], until=25, baselines=())
    assert told(fold(fresh(**WINDOWS).state, log)) == []
    world = World({})
    for hour in range(26):
        for partition in range(3) if hour <= 24 else ():
            world.event(partition, time=MINUTE + HOUR * hour + 5)
        flushed(world, MINUTE + HOUR * hour + 59.0)
    closed = fold(fresh(**WINDOWS).state, world.log)
    assert told(closed) == [("m", "no-data", "firing", 1500)]


def test_one_stray_version_beside_a_model_with_a_baseline_is_not_missed() -> None:
    world = World(promote(BASELINE))
    for minute in range(25):
        for partition in range(3):
            world.event(partition, time=MINUTE + 60 * minute + 5)
        if minute == 1:
            world.event(0, time=MINUTE + 60 * minute + 6, version="4")
        flushed(world, MINUTE + 60 * minute + 59.0)
    state = fresh(**WINDOWS).state
    closed = fold(state, world.log)
    assert {(it.model, it.version) for it in closed.reports} == {("m", "1"), ("m", "4")}
    assert told(closed) == []


def test_a_rule_on_another_metric_still_tells_of_no_data_without_a_baseline() -> None:
    world = World({})
    for minute in range(30):
        for i in range(100 if minute < 3 else 0):
            world.event(i % 3, time=MINUTE + 60 * minute + 5, latency_ms=5000)
        flushed(world, MINUTE + 60 * minute + 59.0)
    closed = fold(fresh(**WINDOWS).state, world.log)
    assert {it.state for it in closed.alerts if it.rule == "latency-rollback"} >= {"no_data"}


def test_nothing_is_silent_that_ingest_has_not_read_yet() -> None:
    world = World(promote(BASELINE))
    for partition in range(3):
        world.event(partition, time=MINUTE + 5)
    world.flush()
    world.now = MINUTE + 5000.0  # a backlog: nobody has come to its end
    world.flush()
    state = fresh(**WINDOWS).state
    assert told(fold(state, world.log)) == []
    assert state.progress.watermark < MINUTE + 600


def test_a_segment_that_is_silent_is_not_missed_by_the_default_rules() -> None:
    world = World(promote(BASELINE), segments=["region"])
    for minute in range(20):
        for partition in range(3):
            region = "EU" if minute < 3 else "US"
            world.event(partition, time=MINUTE + 60 * minute + 5, segments={"region": region})
        flushed(world, MINUTE + 60 * minute + 59.0)
    state = fresh(**WINDOWS).state
    assert told(fold(state, world.log)) == []
    assert Slice("m", "1", "", (("region", "EU"),)) in state.slices


def test_a_window_that_waits_for_its_baseline_is_judged_before_the_silence_after_it() -> None:
    log = silent_log([0], others=range(16), until=16)
    state = fresh(**WINDOWS).state
    for offset, record in log:
        state.join(record, offset)
        state.pass_due()
    waiting = [window.slice for window in state.waiting]
    assert waiting.count(GONE) == 1
    closed = fold(state, silent_tail(log))
    assert told(closed)[0][:3] == ("m", "no-data", "firing")
    assert [it.model for it in closed.reports].index("m") == 0


def silent_tail(log: Sequence[Logged]) -> list[Logged]:
    """One more record, in which nothing is new."""
    offset, last = log[-1]
    ranges = {p: msgspec.structs.replace(at, since=at.to) for p, at in last.ranges.items()}
    return [(offset + 2, msgspec.structs.replace(last, seq=last.seq + 1, ranges=ranges, cells=[]))]


# -- forgetting -----------------------------------------------------------------------------------


def test_what_is_gone_for_long_enough_ends_its_alert_and_leaves_no_trace() -> None:
    worker = fresh(**FORGETS)
    log = silent_log([0, 1], others=range(70), until=70)
    closed = fold(worker.state, log)
    assert told(closed) == [("m", "no-data", "firing", 12), ("m", "no-data", "resolved", 62)]
    assert closed.alerts[-1].summary.startswith("m 1: no events for 1 h, so it counts as retired")
    assert worker.state.slices.keys() == {STAYS}
    assert GONE not in worker.state.memories
    written = writes(worker.checkpoint())
    assert not any(b'"m"' in key for key, value, *_ in written if value is not None)


def test_a_slice_without_a_baseline_is_forgotten_after_as_long_as_it_has_lived() -> None:
    lives = {"moment": 1, "two": 120, "six": 360}
    world, state = World({}), fresh(**WINDOWS).state
    last: dict[str, int] = {}
    ends: dict[str, int] = {}
    for minute in range(900):
        for model, minutes in lives.items():
            if minute < minutes:
                world.event(0, time=MINUTE + 60 * minute + 5, model=model)
                last[model] = minute + 1
        seen = len(world.log)
        flushed(world, MINUTE + 60 * minute + 59.0)
        for where in fold(state, world.log[seen:]).forgotten:
            ends[where.model] = minute
    silent = {model: ends[model] - last[model] for model in lives}
    # The watermark is a little behind the clock.
    assert {
        model: pytest.approx(minutes, abs=2)
        for model, minutes in {"moment": 60, "two": 119, "six": 359}.items()
    } == silent
    assert not state.slices and not state.cells and not state.windows


def test_a_flood_of_names_leaves_nothing_in_state_or_changelog() -> None:
    world, worker = World({}), fresh(**WINDOWS)
    written: dict[bytes, bytes | None] = {}
    for minute in range(70):
        for i in range(20 if minute < 5 else 0):
            world.event(i % 3, time=MINUTE + 60 * minute + 5, model=f"req-{minute}-{i}")
        seen = len(world.log)
        flushed(world, MINUTE + 60 * minute + 59.0)
        fold(worker.state, world.log[seen:])
        written |= {key: value for key, value, *_ in writes(worker.checkpoint())}
    assert len(written) > 200
    assert [key for key, value in written.items() if value is not None and b"req-" in key] == []
    assert not worker.state.slices and not worker.state.inactivity_timer._at


def test_its_keys_become_tombstones() -> None:
    worker = fresh(**FORGETS)
    log = silent_log([0, 1], others=range(70), until=70)
    written = saved(worker, log[:40])
    keys = {msgspec.json.encode(key) for key in (SliceKey(GONE), MemoryKey(GONE))}
    assert keys <= {key for key, value, *_ in written if value is not None}
    later = saved(worker, log[40:])
    assert keys <= {key for key, value, *_ in later if value is None}
    assert GONE not in restored([*written, *later], **FORGETS).slices
    # What compaction leaves: tombstones first, and then nothing.
    kept = [one for one in [*written, *later] if one[0] not in keys]
    assert restored(kept, **FORGETS).memories.keys() == worker.state.memories.keys()


def saved(worker: Changelog, log: Sequence[Logged]) -> list[Written]:
    fold(worker.state, log)
    return writes(worker.checkpoint())


def test_a_baseline_that_nothing_was_counted_by_any_more_is_dropped() -> None:
    worker = fresh(**FORGETS)
    written = saved(worker, log := silent_log([0, 1], until=70))
    assert len(log) == 140 and worker.state.baselines == {}
    assert restored(written, **FORGETS).baselines == {}
    zombie = saved(fresh(**FORGETS), log[:40])
    late = [one for one in zombie if b'"baseline"' in one[0]]
    assert late and restored([*written, *late], **FORGETS).baselines == {}


def test_a_baseline_outlives_its_windows_while_it_is_the_one_in_use() -> None:
    worker = fresh(**FORGETS)
    fold(worker.state, silent_log([0, 1], until=40))
    assert not worker.state.windows
    assert worker.state.baselines.keys() == {BASELINE.id}


def test_what_a_paused_worker_wrote_late_of_a_forgotten_slice_is_forgotten_again() -> None:
    log = silent_log([0, 1], others=range(75), until=75)
    worker = fresh(**FORGETS)
    early = saved(worker, log[:60])
    outputs = {encode(it.record) for it in worker.state.take_outputs()}
    late = saved(worker, log[60:])
    outputs |= {encode(it.record) for it in worker.state.take_outputs()}
    successor = supplied(taken_over([*early, *late, *early], **FORGETS))
    fold(successor.state, silent_tail(log))
    assert successor.state.slices.keys() == {STAYS}
    assert successor.state.memories == {}
    again = {encode(it.record) for it in successor.state.take_outputs()}
    assert again <= outputs  # the same end of the same alert, byte for byte


def test_a_slice_that_comes_back_begins_anew_whatever_was_written_of_it_before() -> None:
    log = silent_log([0, 1, 70, 71], others=range(80), until=80)
    worker = fresh(**FORGETS)
    early, between = saved(worker, log[:60]), saved(worker, log[60:136])
    assert GONE not in worker.state.slices
    supplied(worker)
    written = [*early, *between, *saved(worker, log[136:])]
    value = worker.state.slices[GONE]
    assert value.began == MINUTE + 71 * 60 and value.step < 10
    memory = worker.state.memories[GONE]
    # A value, a tombstone and a memory of before that a paused worker writes now.
    for late in (early, between):
        late = [one for one in late if b'"m"' in one[0]]
        reader = taken_over([*written, *late], **FORGETS)
        assert reader.state.slices[GONE] == value
        assert reader.state.memories[GONE] == memory
        assert msgspec.json.encode(SliceKey(GONE)) in {
            key for key, it, *_ in writes(reader.checkpoint()) if it is not None
        }
    assert not [key for key in worker.state.cells if key.window_start < MINUTE + 60 * 60]


def test_of_two_values_the_one_that_has_seen_the_later_window_wins() -> None:
    before, after = SliceState(step=900, last_end=60), SliceState(step=1, began=9000, last_end=9000)
    assert join_slices(before, after) == after == join_slices(after, before)
    more = SliceState(step=2, began=9000, last_end=9000)
    assert join_slices(after, more) == more


def test_a_slice_is_not_forgotten_while_its_windows_take_late_events() -> None:
    state = fresh(**{**WINDOWS, "late_seconds": 900, "forget_seconds": 60}).state
    fold(state, silent_log([0], others=range(15), until=15))
    assert GONE in state.slices
    assert state.window_of("m").forgotten_after == 910


def test_time_that_leaps_closes_tells_and_forgets_in_one_go() -> None:
    world = World(promote(BASELINE))
    for partition in range(3):
        world.event(partition, time=MINUTE + 5)
    flushed(world, MINUTE + 8.0)
    flushed(world, MINUTE + 100_000.0)
    state = fresh(**FORGETS).state
    closed = fold(state, world.log)
    assert [report.events for report in closed.reports] == [3]
    assert not state.slices and not state.windows and not state.cells


# -- crashes --------------------------------------------------------------------------------------

Published = dict[tuple[str, str], bytes]


def publish(state: PartitionState, published: Published) -> None:
    for output in state.take_outputs():
        record = encode(output.record)
        name = (output.topic, msgspec.json.decode(record)["id"])
        assert published.setdefault(name, record) == record


#: ``other`` is silent for a while, ``m`` twice, and the second time it is forgotten.
LOG = silent_log(
    [0, 1, 14, 15, 44], others=[*range(12), *range(28, 48)], until=48, baselines=BASELINES
)
BRIEFLY: dict[str, Any] = {**WINDOWS, "forget_seconds": 1500}


def fold_supplied(state: PartitionState, records: Iterable[Logged]) -> None:
    """Fold while the store gives the baseline again that was dropped as nothing used it."""
    for record in records:
        state.hold_baseline(BASELINE.id, BASELINE)
        fold(state, [record])


@pytest.fixture(scope="module")
def undisturbed() -> Published:
    worker, published = fresh(**BRIEFLY), Published()
    fold_supplied(worker.state, LOG)
    publish(worker.state, published)
    alerts = [
        msgspec.json.decode(raw, type=Alert)
        for (topic, _), raw in published.items()
        if topic == TopicSettings().alerts
    ]
    assert {(it.model, it.state) for it in alerts} == {
        ("m", "firing"), ("m", "resolved"), ("other", "firing"), ("other", "resolved"),
    }  # fmt: skip
    return published


@settings(max_examples=10)
@given(st.data())
def test_crashes_and_paused_workers_change_no_byte(
    undisturbed: Published, data: st.DataObject
) -> None:
    written: list[Written] = []
    published, worker, paused = Published(), fresh(**BRIEFLY), list[Changelog]()
    while rest := [at for at in LOG if at[0] >= worker.state.progress.next_offset]:
        fold_supplied(worker.state, rest[: data.draw(st.integers(1, 40), label="records")])
        what = data.draw(st.sampled_from(["save", "crash", "pause", "wake"]), label="then")
        if what == "save":
            publish(worker.state, published)
            written += writes(worker.checkpoint())
        elif what == "wake" and paused:
            zombie = paused.pop()
            publish(zombie.state, published)
            written += writes(zombie.checkpoint())
        elif what in ("crash", "pause"):
            if what == "pause":
                paused.append(worker)
            worker = taken_over(written, **BRIEFLY)
    publish(worker.state, published)
    assert published == undisturbed
    whole = fresh(**BRIEFLY)
    fold_supplied(whole.state, LOG)
    assert worker.state.cells.keys() == whole.state.cells.keys()
    assert worker.state.slices == whole.state.slices
    assert worker.state.memories == whole.state.memories
