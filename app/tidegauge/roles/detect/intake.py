"""The input of DETECT: every record in the order of the log, with none left out.

Faust leaves records out, and delivers stale ones. So records that were taken already are skipped,
and records that may be missing are read from the brokers first. Records that are still missing were
deleted by retention, or were skipped before: then the partition is counted again.
"""

import asyncio
import copy
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass
from typing import Literal, NamedTuple

from tidegauge.config import Settings
from tidegauge.contract import DecodingError
from tidegauge.kafka import KafkaException, Offsets, PartitionReader
from tidegauge.roles.detect.faust_store import JoinStore
from tidegauge.telemetry import DetectMetrics, RecordFaults
from tidegauge.windows import (
    Gap,
    GapBook,
    LastRecord,
    PartitionState,
    RawRecord,
    check_signals,
    read_record,
)

log = logging.getLogger(__name__)

#: ``recreated``: deleted and made again, so that its offsets are of other records. ``truncated``:
#: the brokers lost its end, and what they take now has offsets that were read before.
TopicChange = Literal["recreated", "truncated"]

#: Clocks of workers may differ, but by less: the time of a record from that of the records before
#: it, or from the clock here. Whatever is taken closes windows up to its time, so one record that
#: no worker wrote could make all that comes late for as long.
_AHEAD_SECONDS = 3600.0


class _Hole(NamedTuple):
    """The last records before a hole in the log, and what is missing there.

    ``deleted``: it was never read. ``read``: it was read before it was deleted. ``unknown``: it is
    not in the log, and may never have been.
    """

    heard: dict[str, dict[int, LastRecord]]
    what: Literal["deleted", "read", "unknown"]

    def explains(self, gaps: Iterable[Gap], heard: Mapping[str, Mapping[int, LastRecord]]) -> bool:
        """Return whether the source partitions of the gaps had no records since the hole."""
        return all(
            self.heard.get(gap.source, {}).get(gap.partition)
            == heard.get(gap.source, {}).get(gap.partition)
            for gap in gaps
        )


Fold = Callable[[PartitionState, RawRecord, int], Awaitable[None]]


@dataclass(eq=False)
class Intake:
    """Calls ``fold`` with the state of a partition, a record and its offset, in the log's order.

    ``clock`` is the wall clock, epoch seconds.
    """

    settings: Settings
    store: JoinStore
    offsets: Offsets
    metrics: DetectMetrics
    faults: RecordFaults
    _: KW_ONLY
    fold: Fold
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._topic = self.settings.topics.histograms
        self._source = self.settings.topics.predictions
        self._outcomes = self.settings.topics.outcomes
        self._max_ahead_seconds = self.settings.ingest.max_ahead_seconds
        group = f"{self.settings.detect.app_id}-sequence"
        self.reader = PartitionReader(self.settings.kafka, group, self._topic)
        #: Partitions of which the stream may have left records out. Faust drops what it had
        #: buffered at a rebalance, may hand out the rest of it, and a seek doesn't reach what it is
        #: handing out already. Offsets don't show it: they have holes where transactions ended.
        self._unchecked: set[int] = set()
        #: Held while a record is folded in: a checkpoint in between would be of no offset.
        self.lock = asyncio.Lock()
        self._gaps = GapBook(self.clock)
        #: By partition with deleted records: the hole that they left.
        self._holes: dict[int, _Hole] = {}
        #: Partitions that were created again: the stream may still deliver records of the old ones.
        self.recreated: set[int] = set()

    def needs_gap_check(self, partition: int) -> None:
        """Read what the log has before the next record delivered, which may not be the next one."""
        self._unchecked.add(partition)

    def may_lack_records(self, partition: int) -> bool:
        """Return whether the stream may have left records out before the next one delivered."""
        return partition in self._unchecked

    async def begin_log(self, state: PartitionState, topic_id: str, change: TopicChange) -> bool:
        """Read a partition from its beginning; False if it isn't ours any more.

        Events that were counted of a topic that was created again stay in the windows; those that
        were not read are lost. Of a topic that lost its end, the records can be counted again.
        """
        async with self.lock:
            if self._owned(state.partition) is not state:
                return False
            if change == "truncated":
                self._count_again(state.partition)
            else:
                self._begin_log(state, topic_id)
            self.recreated.add(state.partition)
        return True

    def _begin_log(self, state: PartitionState, topic_id: str) -> None:
        self._holes[state.partition] = _Hole(copy.deepcopy(state.progress.heard), "deleted")
        state.begin_log(topic_id)
        self.store.changelogs[state.partition].begin()
        self.needs_gap_check(state.partition)

    async def receive(self, partition: int, offset: int, value: bytes) -> PartitionState | None:
        """Take a record and those left out before it; None if the partition isn't owned now.

        Raises ``KafkaException`` if the brokers don't answer.
        """
        if partition in self.recreated:
            return await self._receive_recreated(partition, offset)
        while state := self._owned(partition):
            whole = not self.may_lack_records(partition)
            if not whole and not await self._take_left_out(state, offset):
                continue
            async with self.lock:
                if self._owned(partition) is not state:
                    continue
                if await self._take(state, offset, value, nothing_left_out=not whole):
                    return state
        return None

    async def _receive_recreated(self, partition: int, offset: int) -> PartitionState | None:
        """Take what the log has up to a record that may be of the topic that is gone."""
        ends = await asyncio.to_thread(self.offsets.ends, self._topic, [partition])
        if offset >= ends[partition]:
            return None
        while state := self._owned(partition):
            # Not the record that was handed out, but what the log has at its place.
            if await self._take_left_out(state, offset + 1):
                self.recreated.discard(partition)
                return state
        return None

    async def _take_left_out(self, state: PartitionState, offset: int) -> bool:
        """Take the records before ``offset``; False if the partition has another state by now."""
        partition = state.partition
        self._unchecked.discard(partition)  # a rebalance meanwhile adds it again
        begin = state.progress.next_offset
        try:
            async with aclosing(self._left_out(partition, begin, offset)) as left_out:
                async for at, value in left_out:
                    async with self.lock:
                        if self._owned(partition) is not state:
                            return False
                        if not await self._take(state, at, value, nothing_left_out=True):
                            return False
        except KafkaException:
            self.needs_gap_check(partition)
            raise
        return self._owned(partition) is state

    async def _left_out(
        self, partition: int, begin: int, end: int
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield offset and value of the committed records from ``begin`` to before ``end``.

        Records that retention has deleted are skipped; gaps in the counted ranges will show them.
        """
        if begin >= end:
            return
        log.info("partition %d: reading %d to %d, possibly left out", partition, begin, end)
        async with aclosing(self.reader.read({partition: begin}, {partition: end})) as batches:
            async for batch in batches:
                for record in batch.records:
                    if record.offset() < end:
                        yield record.offset(), record.value() or b""

    def _owned(self, partition: int) -> PartitionState | None:
        """Return the state to take records into; None if the partition is away or not yet back."""
        state = self.store.partitions.get(partition)
        return state if state is not None and state.ready else None

    async def _take(
        self, state: PartitionState, offset: int, value: bytes, *, nothing_left_out: bool
    ) -> bool:
        """Fold a record in; False if records before it have to be read first."""
        if offset < state.progress.next_offset:
            return True
        try:
            record = await self._read(state, value)
            gaps = self._gaps_before(state, record, offset)
            if gaps and not nothing_left_out:
                self.needs_gap_check(state.partition)
                return False
            if gaps:
                await self._check_that_it_was_there(state, record)
        except DecodingError as error:
            place = f"{self._topic}/{state.partition} at offset {offset}"
            self.faults.skipped(place, f"no histograms: {error}")
            state.skip(offset)
            return True
        if gaps and record.of_outcomes:
            # Not worth counting everything again: cells are cumulative, so what is missing may be
            # in this record, and predictions must not wait for it.
            log.error("partition %d: %s are missing in the log; continuing", state.partition, gaps)
            self._gaps.passed(state.partition, record, gaps, record.time)
        elif gaps and not await self._are_gone(state, record, gaps):
            if self._owned(state.partition) is state:  # and not taken away meanwhile
                await self._read_again(state, record)
            return False
        await self.fold(state, record, offset)
        self._note_lost(state, record)
        return True

    def _gaps_before(self, state: PartitionState, record: RawRecord, offset: int) -> list[Gap]:
        """Return what is missing before a record.

        Outcomes are kept when the partition is counted again, so that of their records that are
        read once more, the first would seem to lack those that retention has deleted.
        """
        if record.of_outcomes and offset < self._gaps.read_to(state.partition):
            return []
        return state.gaps(record)

    async def _read(self, state: PartitionState, value: bytes) -> RawRecord:
        """Return what a worker wrote; raises ``DecodingError`` if none can have written that."""
        record = read_record(
            value,
            source=self._source,
            outcomes=self._outcomes,
            max_ahead_seconds=self._max_ahead_seconds,
        )
        progress = state.progress_of(record)
        if record.time > max(progress.now, self.clock()) + _AHEAD_SECONDS:
            # It would close every window there is, and all that comes would be late for ever.
            raise DecodingError(
                f"its time is {record.time:.0f}, an hour or more ahead of the clock here, "
                f"{self.clock():.0f}: if a worker wrote it, one of the two clocks is wrong"
            )
        if state.is_new(record):
            check_signals(record)
        known = progress.sources.get(record.source)
        topics = [] if known is None else known.topics
        if topics and record.topic_id and record.topic_id not in topics:
            # If it were taken for the topic's successor, records of the real topic would be
            # ignored.
            present = await asyncio.to_thread(self.offsets.topic_id, record.source)
            if present == topics[-1]:
                raise DecodingError(
                    f"topic_id is {record.topic_id!r}, {record.source} has {present!r}"
                )
        if known is None or record.source_partitions > known.partitions:
            # One too many would hold the watermark for ever, since it would never have a clock.
            there = await asyncio.to_thread(self.offsets.partitions, record.source)
            if record.source_partitions > there > 0:  # 0: it is being made anew
                raise DecodingError(
                    f"source_partitions is {record.source_partitions}, {record.source} has {there}"
                )
        return record

    async def _check_that_it_was_there(self, state: PartitionState, record: RawRecord) -> None:
        """Raise ``DecodingError`` if a record that leaves a gap has counted what never was.

        It is not worth counting everything again. Of a deleted topic this is not known.
        """
        known = state.progress_of(record).sources.get(record.source)
        if known is None or record.topic_id not in ("", *known.topics[-1:]):
            return
        try:
            ends = await asyncio.to_thread(self.offsets.ends, record.source, record.ranges)
        except KafkaException:  # not known: the topic may be being created again
            return
        for partition, at in record.ranges.items():
            if at.to > ends[partition]:
                raise DecodingError(
                    f"ranges[{partition}] ends at {at.to}, {record.source} at {ends[partition]}"
                )

    async def _are_gone(self, state: PartitionState, record: RawRecord, gaps: list[Gap]) -> bool:
        """Return whether the records of gaps are not in the log any more.

        Where retention has deleted some, the first later record of each source partition shows what
        is missing. Otherwise counting the partition again shows it.
        """
        partition, heard = state.partition, state.progress.heard
        begin = await asyncio.to_thread(self.offsets.begin, self._topic, partition)
        if begin > state.progress.next_offset:
            was_read = begin <= self._gaps.read_to(partition)
            self._holes[partition] = _Hole(copy.deepcopy(heard), "read" if was_read else "deleted")
        hole = self._holes.get(partition)
        if hole is None or not hole.explains(gaps, heard):
            if self._gaps.may_count_again(partition, record):
                log.error("partition %d: %s are missing in the log", partition, gaps)
                return False
            hole = self._holes[partition] = _Hole(copy.deepcopy(heard), "unknown")
        if hole.what == "read":
            return True
        log.error("partition %d: %s are no longer in the log; continuing", partition, gaps)
        if hole.what == "deleted":
            self.metrics.lost_records.inc(len(gaps))
        else:
            self._gaps.passed(partition, record, gaps, state.progress.now)
        return True

    def _note_lost(self, state: PartitionState, record: RawRecord) -> None:
        """Count the gaps that are lost for good by now, and drop those that this record fills."""
        lost = self._gaps.heard(state.partition, record, state.progress_of(record).now)
        self.metrics.lost_records.inc(lost)

    async def _read_again(self, state: PartitionState, record: RawRecord) -> None:
        """Read the partition from its beginning; keep the counts if the topic is another one."""
        known = state.progress.topic_id
        present = await asyncio.to_thread(self.offsets.topic_id, self._topic) if known else ""
        if self._owned(state.partition) is not state:
            return
        if present and present != known:
            self._begin_log(state, present)
        else:
            self._gaps.counts_again(state.partition, record)
            self._count_again(state.partition)

    def _count_again(self, partition: int) -> None:
        """Forget the partition: the whole log is read before its next record."""
        self.metrics.recounts.inc()
        log.error("partition %d is counted again from the beginning of the log", partition)
        self._gaps.begins_again(partition, self.store.partitions[partition].progress.next_offset)
        self.store.changelogs[partition].forget()
        self.needs_gap_check(partition)
