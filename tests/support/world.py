"""Two INGEST workers over three source partitions, with real tenures, and what DETECT reads."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from support.counting import NOW, FakeMessage, as_json, event
from tidegauge.alerting.ruleset import DEFAULT_RULES
from tidegauge.config.sections import IngestSettings, TopicSettings, WindowSettings
from tidegauge.counting.counter import Counter, Promoted
from tidegauge.counting.tenure import Position, Tenure
from tidegauge.roles.detect.window_closer import in_time, of_different_slices
from tidegauge.windows.changelog import Changelog, Checkpoint
from tidegauge.windows.closing import Closing
from tidegauge.windows.drift_detector import DriftDetector
from tidegauge.windows.inactivity import InactivityCheck
from tidegauge.windows.merging import merge_tenures
from tidegauge.windows.outputs import Closed
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.records import RawRecord
from tidegauge.windows.values import CellKey

SOURCE = "predictions"
IDLE_SECONDS = 10.0

Logged = tuple[int, RawRecord]

#: One record of the changelog: key, value, the offset that the fold had come to, and the name.
Written = tuple[bytes, bytes | None, int, str]


def decoded(record: bytes) -> RawRecord:
    return msgspec.json.decode(record, type=RawRecord)


class World:
    """Source partitions 0 and 1 are worker a's at first, 2 is worker b's.

    ``log`` is one partition of the histogram topic; its offsets have holes, as transactions leave.
    Events are live: the clock, ``now``, is never behind one of theirs.
    """

    def __init__(
        self, promoted: Promoted | None = None, partitions: int = 3, **settings: Any
    ) -> None:
        self.partitions = partitions
        self.now = NOW
        self.log: list[Logged] = []
        self.values: list[bytes] = []
        self.baselines_age_seconds: float | None = 0.5
        self.owner = {p: "a" if p < 2 else "b" for p in range(partitions)}
        self.counters: dict[str, Counter] = {
            name: Counter(
                source=SOURCE,
                settings=IngestSettings(max_ahead_seconds=1e6, **settings),
                window_of=lambda model: WindowSettings(),
                clock=lambda: self.now,
            )
            for name in "ab"
        }
        self.tenures = {
            name: Tenure(
                began=NOW,
                positions={p: self._position(0) for p, by in self.owner.items() if by == name},
            )
            for name in "ab"
        }
        for name in "ab":
            self.counters[name].use(promoted or {}, self.tenures[name])

    def _position(self, at: int) -> Position:
        return Position(origin=0, start=at, since=at, to=at, arrived=self.now)

    def event(self, partition: int, *, ahead: float = 0.0, **fields: Any) -> None:
        """Send an event, by a clock that is so many seconds ahead."""
        tenure = self.tenures[self.owner[partition]]
        position = tenure.positions[partition]
        said = event(**fields)
        self.now = max(self.now, said["time"] - ahead)
        value = as_json(said)
        self.values.append(value)
        self.counters[self.owner[partition]].count(
            [FakeMessage(value, partition, position.to)], tenure
        )
        position.to += 1
        position.arrived = self.now
        position.caught_up = False

    def events(self, partition: int, values: Sequence[bytes], now: float) -> None:
        """Send events as they are, at a time."""
        tenure = self.tenures[self.owner[partition]]
        position = tenure.positions[partition]
        self.now = max(self.now, now)
        self.counters[self.owner[partition]].count(
            [FakeMessage(it, partition, position.to + at) for at, it in enumerate(values)], tenure
        )
        position.to += len(values)
        position.arrived = self.now
        position.caught_up = False

    def catch_up(self) -> None:
        for tenure in self.tenures.values():
            for position in tenure.positions.values():
                position.caught_up = True

    def flush(self, *names: str) -> None:
        for name in names or "ab":
            tenure = self.tenures[name]
            if not tenure.positions:
                continue
            self.counters[name].settle(tenure)
            for _, record in tenure.records(
                now=self.now,
                monotonic=self.now,
                idle_seconds=IDLE_SECONDS,
                source=SOURCE,
                sources=self.partitions,
                destinations=1,
                baselines_age_seconds=self.baselines_age_seconds,
            ):
                self.log.append((2 * len(self.log), decoded(record)))
            tenure.flushed()

    def renew(self, name: str) -> None:
        self.flush(name)
        self.tenures[name] = self.tenures[name].successor(self.now)

    def move(self, partition: int) -> None:
        """Rebalance: the other worker takes a partition over."""
        giver = self.owner[partition]
        taker = "b" if giver == "a" else "a"
        self.flush()
        at = self.tenures[giver].positions.pop(partition).to
        self.tenures[taker].positions[partition] = self._position(at)
        self.owner[partition] = taker
        for name in "ab":
            self.tenures[name] = self.tenures[name].successor(self.now)


def a_state(**windows: Any) -> PartitionState:
    return PartitionState(
        partition=0, window_of=lambda model: WindowSettings(**windows), idle_seconds=IDLE_SECONDS
    )


def join_all(state: PartitionState, records: Iterable[Logged]) -> PartitionState:
    """Join records as they come; each must leave no gap."""
    for offset, record in records:
        assert offset < state.progress.next_offset or not state.gaps(record)
        state.join(record, offset)
    return state


def totals(state: PartitionState) -> Mapping[CellKey, Mapping[str, Any]]:
    return {key: merge_tenures(tenures) for key, tenures in state.cells.items()}


#: One false alarm a month.
WATCH = DriftDetector(lambda model: 1.0)


def advance(state: PartitionState) -> Closed:
    """Close, revise and delete what is due after a record, as the detector does."""
    state.pass_due()
    closing = Closing(state, rules=DEFAULT_RULES, topics=TopicSettings(), watch=WATCH)
    for some in of_different_slices(in_time(state.waiting.values())):
        closing.close_together(some)
    for window in state.to_revise():
        closing.revise(window)
    state.expire()
    InactivityCheck(state, rules=DEFAULT_RULES, topics=TopicSettings()).look(closing.closed)
    return closing.closed


def fold(state: PartitionState, records: Iterable[Logged]) -> Closed:
    """Join records and advance after each; returns all that this led to."""
    all_closed = Closed()
    for offset, record in records:
        assert offset < state.progress.next_offset or not state.gaps(record)
        state.join(record, offset)
        closed = advance(state)
        all_closed.reports += closed.reports
        all_closed.alerts += closed.alerts
        all_closed.actions += closed.actions
        all_closed.forgotten += closed.forgotten
    return all_closed


def writes(checkpoint: Checkpoint) -> list[Written]:
    """List the records of a checkpoint as they stand in the changelog."""
    return [
        (key, value, checkpoint.at, checkpoint.log)
        for key, value in (*checkpoint.values, *checkpoint.progress)
    ]


def saved(state: PartitionState) -> list[Written]:
    """Return a whole changelog of the state, with all there is in it."""
    changelog = Changelog(state)
    changelog.begin()
    return writes(changelog.checkpoint())


def restored(written: Iterable[Written], **windows: Any) -> PartitionState:
    """Return what a new owner makes of a changelog."""
    return taken_over(written, **windows).state


def taken_over(written: Iterable[Written], **windows: Any) -> Changelog:
    """Return a new owner that has read a changelog."""
    changelog = Changelog(a_state(**windows))
    for record in written:
        changelog.restore(*record)
    changelog.restored()
    return changelog
