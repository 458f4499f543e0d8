"""A tenure: one worker's uninterrupted ownership of one set of source partitions.

Any assignment or revocation ends it, and so does age: the next one begins with empty cells where
this one ended, so tenures tile the source offsets without gap or overlap.
"""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from tidegauge.contract import (
    HistogramRecord,
    PartitionClock,
    RawMessage,
    SourceRange,
    cell_partition,
    encode,
)
from tidegauge.counting.cells import CountingCell
from tidegauge.counting.event_clock import EventClock
from tidegauge.counting.flushes import flush_records
from tidegauge.counting.pending import PendingPredictions
from tidegauge.counting.pending_labels import PendingLabels
from tidegauge.counting.plan import Plan
from tidegauge.counting.rows import Segment
from tidegauge.stats import Floats

#: The partitions of messages, one each; -1 for a message that is of none.
Partitions = npt.NDArray[np.integer]


@dataclass
class Position:
    """How far one source partition has been counted, and how far its event time has come.

    ``arrived`` is when its last record was read, by the monotonic clock, seconds. ``end`` is the
    offset after its last record when the brokers were last asked for it. ``high`` is where it ends
    with records of open transactions, which can't be read yet, as far as the fetcher has seen,
    and ``known_end`` is where it ended at least before there was anything to fetch.
    """

    origin: int
    start: int
    since: int
    to: int
    arrived: float
    caught_up: bool = False
    end: int = 0
    high: int = 0
    known_end: int = 0
    series: int = 0
    event_clock: EventClock = field(default_factory=EventClock)

    @property
    def least_end(self) -> int:
        """Where it ends at least, by all that is known."""
        return max(self.high, self.known_end, self.to)

    @property
    def held_back(self) -> int:
        """Offsets that an open transaction keeps from being read."""
        return max(self.high - self.to, 0) if self.caught_up else 0

    def range(self) -> SourceRange:
        """Return what was counted, as a record has it."""
        return SourceRange(
            origin=self.origin,
            start=self.start,
            since=self.since,
            to=self.to,
            series=self.series,
            end=self.least_end,
        )

    def clock(self, now: float, idle_seconds: float) -> PartitionClock:
        """Event time as of ``now``, by the monotonic clock."""
        # What an open transaction holds back may be of any time before now.
        caught_up = self.caught_up and not self.held_back
        idle = caught_up and now - self.arrived >= idle_seconds
        return PartitionClock(latest=self.event_clock.time(), caught_up=caught_up, idle=idle)


#: Model, version, baseline, variant, segment, start and length of the window.
CellKey = tuple[str, str, str, str, Segment, int, int]


@dataclass
class Tenure:
    """Cells and positions since the tenure began, at ``began`` by the monotonic clock.

    ``values`` are those that have slices of their own, by model, version, variant and dimension.
    """

    began: float
    positions: dict[int, Position]
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    cells: dict[CellKey, CountingCell] = field(default_factory=dict)
    values: defaultdict[tuple[str, str, str, str], set[str]] = field(
        default_factory=lambda: defaultdict(set)
    )
    #: How many of them are of slices without a baseline.
    values_without_baseline: int = 0
    #: Number of the last record that was committed, by destination; DETECT misses none.
    seqs: dict[int, int] = field(default_factory=dict)
    #: Predictions since the last flush that labels may come for.
    pending: PendingPredictions = field(default_factory=PendingPredictions)
    #: Labels since the last flush.
    labels: PendingLabels = field(default_factory=PendingLabels)
    _sent: dict[int, int] = field(default_factory=dict)

    def cell(
        self, plan: Plan, variant: str, segment: Segment, window_start: int, window_seconds: int
    ) -> CountingCell:
        """Return the cell to count in."""
        window = (window_start, window_seconds)
        key = (plan.model, plan.version, plan.baseline, variant, segment, *window)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = CountingCell(plan, variant, segment, *window)
        return cell

    def note_times(self, partition: int, times: Floats) -> None:
        """Note the times, epoch seconds, of events that were counted from a partition."""
        self.positions[partition].event_clock.note(times)

    def note_times_from(self, partitions: Partitions, times: Floats) -> None:
        """Note the times of events that came from these partitions, one each."""
        if len(partitions) and (partitions == partitions[0]).all():
            self.note_times(int(partitions[0]), times)
            return
        for partition in np.flatnonzero(np.bincount(partitions)).tolist():
            self.note_times(partition, times[partitions == partition])

    def note_equal_times(self, partition: int, time: float, events: int) -> None:
        """Note so many events of the same time, epoch seconds, as :meth:`note_times` does."""
        self.positions[partition].event_clock.note_equal(time, events)

    def end_batch(self, now: float) -> None:
        """Note that the events noted since the last time were read at ``now``, by the wall."""
        for position in self.positions.values():
            position.event_clock.read(now)

    def successor(self, now: float) -> "Tenure":
        """Begin the next tenure with empty cells; everything counted must have been flushed.

        ``now`` is by the monotonic clock.
        """
        for position in self.positions.values():
            position.start = position.since
        return Tenure(began=now, positions=self.positions)

    def rewound(self, now: float) -> "Tenure":
        """Begin the next tenure at what is committed, whatever was counted since.

        ``now`` is by the monotonic clock.
        """
        positions = {
            partition: replace(
                at,
                start=at.since,
                to=at.since,
                arrived=now,
                caught_up=False,
                event_clock=EventClock(),
            )
            for partition, at in self.positions.items()
        }
        return Tenure(began=now, positions=positions)

    def records(
        self,
        *,
        now: float,
        monotonic: float,
        idle_seconds: float,
        source: str,
        sources: int,
        destinations: int,
        baselines_age_seconds: float | None = None,
        topic_id: str = "",
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (destination partition, record) of everything that changed since the last flush.

        Every destination gets at least one record, so that each can see that the ranges tile. If a
        destination's cells don't fit one record, only its last one moves the range on. ``now`` is
        the wall clock's time, which goes into the records; how long a partition has been quiet is
        measured by ``monotonic``, which can't be set back.
        """
        changed: dict[int, list[bytes]] = {partition: [] for partition in range(destinations)}
        slices = self._slices()
        for cell in self.cells.values():
            if cell.changed:
                cell_record = cell.to_record()
                partition = cell_partition(
                    cell_record.model, cell_record.version, cell_record.variant, destinations
                )
                cell_record.slices = max(slices[cell_record.model], 1)
                changed[partition].append(encode(cell_record))
        self._sent = dict(self.seqs)
        record = HistogramRecord(
            tenure=self.name,
            seq=0,
            time=now,
            source=source,
            source_partitions=sources,
            ranges={p: at.range() for p, at in self.positions.items()},
            clocks={p: at.clock(monotonic, idle_seconds) for p, at in self.positions.items()},
            cells=[],
            baselines_age_seconds=baselines_age_seconds,
            topic_id=topic_id,
        )
        yield from flush_records(record, changed, self._sent)

    def _slices(self) -> Counter[str]:
        """Count the slices of each model that were counted by a baseline."""
        seen = {
            (cell.plan.model, cell.plan.version, cell.variant, cell.segment)
            for cell in self.cells.values()
            if cell.plan.baseline
        }
        return Counter(model for model, *_ in seen)

    def flushed(self) -> None:
        """Note that what :meth:`records` gave is committed; until then it gives the same again."""
        self.seqs = self._sent
        self.pending, self.labels = PendingPredictions(), PendingLabels()
        for cell in self.cells.values():
            cell.changed = False
        for position in self.positions.values():
            position.since = position.to


def partitions_of(messages: Sequence[RawMessage]) -> Partitions:
    """Return the partitions of messages, in their order."""
    found = [message.partition() for message in messages]
    try:
        return np.frombuffer(bytes(found), np.uint8)  # a third of the time that np.array takes
    except (ValueError, TypeError):  # one above 255, or an error of the consumer's of none at all
        return np.array([-1 if it is None else it for it in found], np.int64)


def last_of(partitions: Partitions) -> dict[int, int]:
    """Return by partition the place of its last message.

    >>> last_of(np.array([3, 0, 3, -1, 0]))
    {-1: 3, 0: 4, 3: 2}
    """
    if not len(partitions):
        return {}
    lowest = int(partitions.min())
    last = np.full(int(partitions.max()) - lowest + 1, -1)
    # Where a partition comes again, the later place is kept: so numpy documents it.
    last[partitions.astype(np.intp) - lowest] = np.arange(len(partitions))
    return {int(p) + lowest: int(last[p]) for p in np.flatnonzero(last >= 0)}
