"""Windows that wait for a baseline are reported as they were when they were passed, by whomever."""

import itertools
from collections.abc import Iterable

import msgspec
import pytest

from support.counting import NOW, a_baseline, promote
from support.world import Logged, World, Written, a_state, advance, fold, taken_over, writes
from tidegauge.contract import encode
from tidegauge.contract.report import WindowReport
from tidegauge.windows.changelog import Changelog
from tidegauge.windows.partition import PartitionState

BASELINE = a_baseline()
MINUTE = int(NOW // 60 * 60)
#: Short, so that windows are deleted within the story.
WINDOWS = {"seconds": 60, "grace_seconds": 10, "late_seconds": 60}


@pytest.fixture(scope="module")
def log() -> list[Logged]:
    """Seven minutes of two models, each minute with an event that comes late."""
    world = World(promote(BASELINE))
    for minute in range(7):
        for partition in range(3):
            world.event(partition, time=MINUTE + 60 * minute + 5)
            world.event(partition, time=MINUTE + 60 * minute + 30, model="other")
        if minute:
            world.event(0, time=MINUTE + 60 * minute - 20)
        world.now = MINUTE + 60 * minute + 31.0
        world.flush()
    return world.log


def _fresh() -> Changelog:
    changelog = Changelog(a_state(**WINDOWS))
    changelog.restored()
    return _supplied(changelog)


def _supplied(changelog: Changelog) -> Changelog:
    changelog.state.hold_baseline(BASELINE.id, BASELINE)
    return changelog


def _wait(state: PartitionState, records: Iterable[Logged]) -> None:
    """Fold while no baseline can be had: windows are passed, none is reported."""
    for offset, record in records:
        state.join(record, offset)
        state.pass_due()
        state.expire()


def _first_reports(state: PartitionState) -> list[bytes]:
    advance(state)
    return sorted(
        encode(output.record)
        for output in state.take_outputs()
        if isinstance(output.record, WindowReport) and not output.record.revision
    )


def _waiting(written: Iterable[Written]) -> dict[bytes, bytes | None]:
    return {key: value for key, value, *_ in written if b'"waiting"' in key}


def test_a_successor_reports_what_they_held_when_they_were_passed(log: list[Logged]) -> None:
    undisturbed = _fresh()
    fold(undisturbed.state, log)
    expected = _first_reports(undisturbed.state)
    assert len(expected) > 8
    for begin, save, end in itertools.combinations_with_replacement(range(len(log) + 1), 3):
        worker = _fresh()
        fold(worker.state, log[:begin])
        _wait(worker.state, log[begin:save])
        written = writes(worker.checkpoint())
        published = [encode(output.record) for output in worker.state.take_outputs()]
        successor = _supplied(taken_over(written, **WINDOWS)).state
        _wait(successor, log[save:end])
        fold(successor, log[end:])
        found = _first_reports(successor)
        found += [
            one
            for one in published
            if msgspec.json.decode(one).get("revision") == 0 and one not in found
        ]
        assert sorted(found) == expected, (begin, save, end)


def test_what_a_window_held_leaves_the_changelog_with_its_report(log: list[Logged]) -> None:
    worker = _fresh()
    _wait(worker.state, log[:4])
    before = _waiting(writes(worker.checkpoint()))
    assert before and all(before.values())
    advance(worker.state)
    after = _waiting(writes(worker.checkpoint()))
    assert after == dict.fromkeys(before)


def test_a_window_that_never_waits_for_longer_than_a_record_is_not_written(
    log: list[Logged],
) -> None:
    worker = _fresh()
    fold(worker.state, log)
    assert not _waiting(writes(worker.checkpoint()))


def test_what_a_paused_worker_wrote_of_a_window_that_was_reported_since_is_dropped(
    log: list[Logged],
) -> None:
    paused = _fresh()
    _wait(paused.state, log[:4])
    zombie = [one for one in writes(paused.checkpoint()) if b'"waiting"' in one[0]]
    for records in (log[:4], log):
        worker = _fresh()
        fold(worker.state, records)
        written = writes(worker.checkpoint())
        name = written[0][3]
        late = [(key, value, at, name) for key, value, at, _ in zombie]
        successor = taken_over([*written, *late], **WINDOWS)
        assert not successor.state.waiting
        gone = _waiting(writes(successor.checkpoint()))
        assert gone == dict.fromkeys(key for key, *_ in zombie)
