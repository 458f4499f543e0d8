"""Two INGEST workers over three source partitions, with real tenures, and what DETECT reads."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from support.counting import NOW, FakeMessage, a_counter, as_json, event
from tidegauge.detect.partition import PartitionState
from tidegauge.detect.report import merge_tenures
from tidegauge.detect.values import CellKey, RawRecord
from tidegauge.ingest.counter import Counter, Promoted
from tidegauge.ingest.tenure import Position, Tenure
from tidegauge.settings import WindowSettings

SOURCE = "predictions"
IDLE_SECONDS = 10.0

Logged = tuple[int, RawRecord]


def decoded(record: bytes) -> RawRecord:
    return msgspec.json.decode(record, type=RawRecord)


class World:
    """Source partitions 0 and 1 are worker a's at first, 2 is worker b's.

    ``log`` is one partition of the histogram topic; its offsets have holes, as transactions leave.
    """

    def __init__(self, promoted: Promoted | None = None, partitions: int = 3) -> None:
        self.partitions = partitions
        self.now = NOW
        self.log: list[Logged] = []
        self.values: list[bytes] = []
        self.owner = {p: "a" if p < 2 else "b" for p in range(partitions)}
        self.counters: dict[str, Counter] = {
            name: a_counter(max_ahead_seconds=1e6) for name in "ab"
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

    def event(self, partition: int, **fields: Any) -> None:
        tenure = self.tenures[self.owner[partition]]
        position = tenure.positions[partition]
        value = as_json(event(**fields))
        self.values.append(value)
        self.counters[self.owner[partition]].count(
            [FakeMessage(value, partition, position.to)], tenure
        )
        position.to += 1
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
                idle_seconds=IDLE_SECONDS,
                source=SOURCE,
                sources=self.partitions,
                destinations=1,
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
        assert state.gap(record, offset) is None
        state.join(record, offset)
    return state


def totals(state: PartitionState) -> Mapping[CellKey, Mapping[str, Any]]:
    return {key: merge_tenures(tenures) for key, tenures in state.cells.items()}


def saved(state: PartitionState) -> list[tuple[bytes, bytes | None]]:
    """Take what the changelog lacks, progress last, and say that it was written."""
    writes = sorted(state.take_unsaved(), key=lambda write: b"progress" in write[1])
    state.saved_watermark = state.progress.watermark
    return [(key, value) for _, key, value in writes]


def restored(changelog: Iterable[tuple[bytes, bytes | None]], **windows: Any) -> PartitionState:
    """Return what a new owner makes of a changelog."""
    state = a_state(**windows)
    for key, value in changelog:
        state.restore(key, value)
    state.restored()
    state.saved_watermark = state.progress.watermark
    return state
