"""Whatever crashes, tears and pauses: the outputs are those of the log, byte for byte."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from support.counting import NOW, a_baseline, promote
from support.hostile import nested
from support.world import (
    Logged,
    World,
    Written,
    a_state,
    fold,
    restored,
    taken_over,
    totals,
    writes,
)
from tidegauge.config.sections import TopicSettings
from tidegauge.contract import encode
from tidegauge.contract.record import DecodingError
from tidegauge.contract.report import WindowReport
from tidegauge.windows import parts
from tidegauge.windows.changelog import Changelog
from tidegauge.windows.partition import REVISE_SECONDS, PartitionState

BASELINE = a_baseline()
MINUTE = int(NOW // 60 * 60)
#: Short, so that a story of some minutes sees windows deleted.
WINDOWS = {"seconds": 60, "grace_seconds": 10, "late_seconds": 60}

#: Every record published, by what consumers tell it by: topic and id.
Published = dict[tuple[str, str], bytes]


@st.composite
def logs(draw: st.DrawFn) -> list[Logged]:
    """Draw minutes of traffic: on time, late, too late; with flushes, rebalances and late looks."""
    world = World(promote(BASELINE))
    for _ in range(draw(st.integers(3, 7))):
        for partition in range(3):
            world.event(partition, time=world.now - 1, model="clockwork")
        for partition, back in draw(
            st.lists(st.tuples(st.integers(0, 2), st.sampled_from([2, 65, 130, 260])), max_size=4)
        ):
            world.event(partition, time=world.now - back, latency_ms=30.0 * back)
        if draw(st.booleans()):
            world.move(draw(st.integers(0, 2)))
        world.flush(*draw(st.sampled_from([("a", "b"), ("b", "a"), ("a",)])))
        world.now += draw(st.sampled_from([REVISE_SECONDS, 61.0, 90.0]))
    world.flush()
    return world.log


@pytest.fixture(
    scope="module", params=[parts.PART_BYTES, 60], ids=["whole", "in parts"], autouse=True
)
def _part_bytes(request: pytest.FixtureRequest) -> Iterator[None]:
    """All of it holds as well where hardly a value fits a record."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_BYTES", request.param)
        yield


def _fresh() -> Changelog:
    changelog = Changelog(a_state(**WINDOWS))
    changelog.restored()
    changelog.state.hold_baseline(BASELINE.id, BASELINE)
    return changelog


def _publish(state: PartitionState, published: Published) -> None:
    """Publish what there is; a record that was published already must have the same bytes."""
    for output in state.take_outputs():
        record = encode(output.record)
        name = (output.topic, msgspec.json.decode(record)["id"])
        assert published.setdefault(name, record) == record
        published[name] = record


def _undisturbed(log: Sequence[Logged]) -> Published:
    changelog, published = _fresh(), Published()
    fold(changelog.state, log)
    _publish(changelog.state, published)
    return published


def _rest(log: Iterable[Logged], state: PartitionState) -> list[Logged]:
    return [at for at in log if at[0] >= state.progress.next_offset]


@settings(max_examples=100)
@given(logs(), st.data())
def test_crashes_torn_checkpoints_and_paused_workers_change_no_byte(
    log: list[Logged], data: st.DataObject
) -> None:
    written: list[Written] = []
    published = Published()
    worker, paused = _fresh(), list[Changelog]()
    while rest := _rest(log, worker.state):
        fold(worker.state, rest[: data.draw(st.integers(1, len(rest)), label="records")])
        what = data.draw(
            st.sampled_from(["publish", "save", "torn", "crash", "pause", "wake"]), label="then"
        )
        if what == "publish":
            _publish(worker.state, published)
        elif what == "save":
            _publish(worker.state, published)
            written += writes(worker.checkpoint())
        elif what == "wake" and paused:
            zombie = paused.pop()
            _publish(zombie.state, published)
            written += writes(zombie.checkpoint())
        elif what in ("torn", "crash", "pause"):
            if what == "pause":
                paused.append(worker)
            elif what == "torn":
                _publish(worker.state, published)
                torn = writes(worker.checkpoint())
                written += torn[: data.draw(st.integers(0, len(torn) - 1), label="written")]
            worker = taken_over(written, **WINDOWS)
            worker.state.hold_baseline(BASELINE.id, BASELINE)
    _publish(worker.state, published)
    assert published == _undisturbed(log)
    undisturbed = _fresh()
    fold(undisturbed.state, log)
    assert totals(worker.state) == totals(undisturbed.state)


@settings(max_examples=40)
@given(logs(), st.data())
def test_compaction_of_superseded_values_loses_nothing(
    log: list[Logged], data: st.DataObject
) -> None:
    worker, written = _fresh(), list[Written]()
    while rest := _rest(log, worker.state):
        fold(worker.state, rest[: data.draw(st.integers(1, 6))])
        written += writes(worker.checkpoint())
    compacted = _compacted(written)
    assert _facts(restored(compacted, **WINDOWS)) == _facts(restored(written, **WINDOWS))
    assert _facts(restored(compacted, **WINDOWS)) == _facts(worker.state)


def _compacted(written: list[Written]) -> list[Written]:
    last = {key: i for i, (key, *_) in enumerate(written)}
    return [one for i, one in enumerate(written) if last[one[0]] == i]


def _facts(state: PartitionState) -> tuple[Any, ...]:
    return (
        totals(state),
        {where: msgspec.to_builtins(value) for where, value in state.slices.items()},
        msgspec.to_builtins(state.progress),
        state.windows,
        state.late,
        # Of the others, which nobody asked for, a reader keeps none.
        sorted(set().union(*state.windows.values()) & state.baselines.keys()),
    )


def _some_log() -> list[Logged]:
    world = World(promote(BASELINE))
    for minute in range(4):
        for partition in range(3):
            world.event(partition, time=MINUTE + 60 * minute + 5)
            world.event(partition, time=MINUTE + 60 * minute + 30, model="other")
        world.now = MINUTE + 60 * minute + 31.0
        world.flush()
    return world.log


LOG = _some_log()


def _saved(worker: Changelog, log: Sequence[Logged]) -> list[Written]:
    """Fold more, and return what the worker writes of it."""
    fold(worker.state, log)
    return writes(worker.checkpoint())


@dataclass
class _Takeover:
    """A worker was paused with work unsaved; its successor has done more and saved it."""

    written: list[Written]
    successor: Changelog
    zombie: list[Written]


def _takeover() -> _Takeover:
    written = _saved(_fresh(), LOG[:2])
    paused, successor = taken_over(written, **WINDOWS), taken_over(written, **WINDOWS)
    zombie = _saved(paused, LOG[2:4])
    written += _saved(successor, LOG[2:])
    return _Takeover(written, successor, zombie)


def test_what_a_paused_worker_wrote_last_would_be_all_that_compaction_leaves() -> None:
    it = _takeover()
    written = [*it.written, *it.zombie]
    assert _facts(restored(written, **WINDOWS)) == _facts(it.successor.state)
    assert _facts(restored(_compacted(written), **WINDOWS)) != _facts(it.successor.state)


def test_the_owner_writes_all_there_is_after_what_a_paused_worker_wrote() -> None:
    it = _takeover()
    it.successor.rewrite()
    written = [*it.written, *it.zombie, *writes(it.successor.checkpoint())]
    assert _facts(restored(_compacted(written), **WINDOWS)) == _facts(it.successor.state)


def test_whoever_reads_what_a_paused_worker_wrote_last_writes_the_younger_after_it() -> None:
    it = _takeover()
    written = [*it.written, *it.zombie]
    third = taken_over(written, **WINDOWS)
    written += writes(third.checkpoint())
    assert _facts(restored(_compacted(written), **WINDOWS)) == _facts(it.successor.state)
    # And only that: who takes over a partition does not write all of it.
    assert writes(taken_over(_compacted(written), **WINDOWS).checkpoint()) == []


def test_whoever_reads_values_of_another_changelog_writes_his_own_after_them() -> None:
    it = _takeover()
    it.successor.begin()
    written = writes(it.successor.checkpoint()) + it.zombie
    assert _facts(restored(_compacted(written), **WINDOWS)) != _facts(it.successor.state)
    third = taken_over(written, **WINDOWS)
    written += writes(third.checkpoint())
    assert _facts(restored(_compacted(written), **WINDOWS)) == _facts(it.successor.state)


def test_whoever_reads_a_torn_checkpoint_writes_what_counts_after_it() -> None:
    worker = _fresh()
    written = _saved(worker, LOG[:4])
    before = _facts(restored(written, **WINDOWS))
    written += _saved(worker, LOG[4:])[:-1]  # all but the progress
    assert _facts(restored(written, **WINDOWS)) == before
    assert _facts(restored(_compacted(written), **WINDOWS)) != before
    successor = taken_over(written, **WINDOWS)
    written += writes(successor.checkpoint())
    assert _facts(restored(_compacted(written), **WINDOWS)) == before


def test_a_changelog_that_was_made_anew_is_not_believed_before_all_of_it_is_there() -> None:
    worker = _fresh()
    fold(worker.state, LOG[:3])
    worker.checkpoint()  # written to the old changelog, which is gone
    fold(worker.state, LOG[3:6])
    written = writes(worker.checkpoint())
    # It holds what changed since: a reader must not take that for all there is.
    successor = taken_over(written, **WINDOWS)
    assert successor.state.progress.next_offset == 0
    assert successor.state.cells == {}
    worker.begin()
    written += writes(worker.checkpoint())
    assert _facts(restored(written, **WINDOWS)) == _facts(worker.state)


def test_who_finds_the_changelog_empty_counts_the_log_again_to_the_same_outputs() -> None:
    again = Published(_undisturbed(LOG))
    worker = taken_over([], **WINDOWS)
    worker.state.hold_baseline(BASELINE.id, BASELINE)
    fold(worker.state, LOG)
    _publish(worker.state, again)
    assert again == _undisturbed(LOG)


def test_the_name_of_the_changelog_comes_before_any_progress() -> None:
    worker = _fresh()
    fold(worker.state, LOG)
    first = writes(worker.checkpoint())
    assert first[0][0] == b'["log"]'
    assert b"progress" in first[-1][0]
    assert worker.checkpoint().values == worker.checkpoint().progress == []


def test_a_cell_that_a_worker_without_the_partition_writes_again_stays_deleted() -> None:
    worker = _fresh()
    fold(worker.state, LOG[:6])
    early = writes(worker.checkpoint())
    zombie = [one for one in early if b'"cell"' in one[0]]
    fold(worker.state, LOG[6:])
    late = writes(worker.checkpoint())
    gone = {key for key, value, *_ in late if value is None}
    assert gone, "the story must be long enough for windows to be deleted"
    state = restored([*early, *late, *zombie], **WINDOWS)
    assert _facts(state) == _facts(worker.state)
    assert not gone & {msgspec.json.encode(key) for key in state.cells}


def test_who_begins_again_voids_what_was_written_before() -> None:
    worker = _fresh()
    fold(worker.state, LOG)
    written = writes(worker.checkpoint())
    worker.forget()
    written += writes(worker.checkpoint())
    assert _facts(restored(written, **WINDOWS)) == _facts(a_state(**WINDOWS))
    worker.state.hold_baseline(BASELINE.id, BASELINE)
    fold(worker.state, LOG)
    written += writes(worker.checkpoint())
    assert _facts(restored(written, **WINDOWS)) == _facts(worker.state)


def test_a_baseline_that_cant_be_used_is_passed_by_and_deleted_from_the_changelog() -> None:
    worker = _fresh()
    wrong = msgspec.structs.replace(BASELINE, rows=1)
    worker.state.baselines = {BASELINE.id: wrong}
    written = _saved(worker, LOG)
    successor = taken_over(written, **WINDOWS)
    assert successor.state.baselines == {}
    assert successor.state.refused_baselines == {BASELINE.id}
    assert totals(successor.state) == totals(worker.state)
    tombstones = {key for key, value, *_ in writes(successor.checkpoint()) if value is None}
    assert msgspec.json.encode(["baseline", BASELINE.id]) in tombstones


@pytest.mark.parametrize("value", [b"{", b"null", nested(6_000), b'"x"'])
@pytest.mark.parametrize("kind", ["cell", "progress", "slice", "memory", "waiting"])
def test_a_value_of_ours_that_cant_be_read_has_the_partition_counted_again(
    kind: str, value: bytes
) -> None:
    worker = _fresh()
    written = _saved(worker, LOG)
    keys = [key for key, *_ in written if json.loads(key)[0] == kind]
    broken = [
        (key, value if key in keys[:1] else sound, at, log) for key, sound, at, log in written
    ]
    successor = taken_over(broken, **WINDOWS)
    if keys:
        assert successor.state.progress.next_offset == 0 and not successor.state.cells
    # What it writes from here on is read back, with the broken value still there.
    written = broken + writes(successor.checkpoint())
    fold(successor.state, LOG)
    written += writes(successor.checkpoint())
    assert _facts(restored(written, **WINDOWS)) == _facts(successor.state)
    assert totals(successor.state) == totals(worker.state)


def test_a_record_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(DecodingError):
        Changelog(a_state()).restore(b"not JSON", b"{}", 0, "")


def test_reports_are_among_what_is_compared() -> None:
    topics = {topic for topic, _ in _undisturbed(LOG)}
    assert TopicSettings().windows in topics
    reports = [
        msgspec.json.decode(value, type=WindowReport)
        for (topic, _), value in _undisturbed(LOG).items()
        if topic == TopicSettings().windows
    ]
    assert {report.events for report in reports} == {3}


def test_a_memory_that_was_forgotten_is_not_read_back() -> None:
    worker = _fresh()
    written = _saved(worker, LOG[:6])
    where = next(iter(worker.state.memories))
    worker.state.forget_memory(where)
    forgotten = writes(worker.checkpoint())
    assert where in restored(written, **WINDOWS).memories
    assert where not in restored(written + forgotten, **WINDOWS).memories
    # What is remembered anew stays, though a paused worker forgets it once more.
    written += forgotten + _saved(worker, LOG[6:])
    late = [one for one in forgotten if one[1] is None and b'"memory"' in one[0]]
    assert late and where in worker.state.memories
    assert restored(written + late, **WINDOWS).memories == worker.state.memories
