"""The state of one partition of DETECT: joins records in, says which windows are due. No I/O."""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from tidegauge.baseline.document import Baseline
from tidegauge.detect.values import (
    BaselineKey,
    CellCounts,
    CellKey,
    Heard,
    Key,
    Progress,
    ProgressKey,
    RawCell,
    RawRecord,
    Slice,
    SliceKey,
    SliceState,
    Source,
    SourceClock,
    TenureCounts,
    join_cells,
    join_progress,
    join_slices,
    join_sources,
)
from tidegauge.detect.watermark import watermark
from tidegauge.settings import WindowSettings

#: Late events of a window are gathered this long, so that a trickle makes few revisions.
REVISE_SECONDS = 5.0

#: Cells of deleted windows whose counts are remembered. Of one that is forgotten, a late event
#: makes the events of its tenure that had been in time count as late too.
GONE_CELLS = 50_000

_keys = msgspec.json.Decoder(Key)
_cells = msgspec.json.Decoder(CellCounts)
_slices = msgspec.json.Decoder(SliceState)
_progress = msgspec.json.Decoder(Progress)


class Window(NamedTuple):
    """One window of one slice."""

    slice: Slice
    start: int
    seconds: int

    @property
    def end(self) -> int:
        """Exclusive end, epoch seconds."""
        return self.start + self.seconds


class Gap(NamedTuple):
    """Source offsets that no record joined so far has covered."""

    source: str
    partition: int
    start: int
    to: int


@dataclass
class PartitionState:
    """Everything DETECT knows of one partition of the histogram topic."""

    partition: int
    window_of: Callable[[str], WindowSettings]
    idle_seconds: float
    #: False until the changelog has been read: nothing may be closed on half the state.
    ready: bool = False
    progress: Progress = field(default_factory=Progress)
    cells: dict[CellKey, CellCounts] = field(default_factory=dict)
    slices: dict[Slice, SliceState] = field(default_factory=dict)
    baselines: dict[str, Baseline] = field(default_factory=dict)
    #: Baselines of each window that has cells.
    windows: dict[Window, set[str]] = field(default_factory=dict)
    #: Closed windows that have had late events since their last report, and since when.
    late: dict[Window, float] = field(default_factory=dict)
    #: Time of the youngest record, by the clock of the worker that wrote it.
    now: float = 0.0
    #: Keys whose value in memory is not in the changelog yet.
    unsaved: set[Key] = field(default_factory=set)
    late_events: int = 0
    #: By cell of a deleted window and tenure, the events that were counted, in time or as late:
    #: what comes after that is cumulative, and must not be called late as a whole.
    _gone: OrderedDict[tuple[CellKey, str], int] = field(default_factory=OrderedDict)
    #: The watermark that the changelog knows. A window is deleted only behind it: were the deletion
    #: known and the watermark not, what comes later would open the window again.
    saved_watermark: float = 0.0
    #: Input that has been joined; acknowledged once what it changed is in the changelog.
    joined: list[Any] = field(default_factory=list)
    _due: list[tuple[float, Window]] = field(default_factory=list)
    _expiring: list[tuple[float, Window]] = field(default_factory=list)

    # -- joining ---------------------------------------------------------------------------------

    def gap(self, record: RawRecord, offset: int) -> Gap | None:
        """Return what is missing between what is covered and where ``record`` goes on."""
        if offset < self.progress.next_offset:
            return None  # read again: all of it is in the table
        known = self.progress.sources.get(record.source)
        for partition, at in record.ranges.items():
            # A reader without history must have seen everything since the group first counted.
            covered = at.origin if known is None else known.covered.get(partition, at.origin)
            if at.since > covered:
                return Gap(record.source, partition, covered, at.since)
        # A flush of several records moves the ranges on with its last one only.
        if record.seq > self._last_seq(record) + 1:
            partition, at = next(iter(record.ranges.items()))
            return Gap(record.source, partition, at.since, at.to)
        return None

    def _last_seq(self, record: RawRecord) -> int:
        heard = self.progress.heard.get(record.source, {})
        known = [heard[p] for p in record.ranges if p in heard]
        return max((one.seq for one in known if one.tenure == record.tenure), default=0)

    def join(self, record: RawRecord, offset: int) -> dict[Slice, int]:
        """Join a record that leaves no gap; return the newly counted events by slice."""
        self.now = max(self.now, record.time)
        starts = {p: at.start for p, at in record.ranges.items()}
        counted: dict[Slice, int] = {}
        for cell in record.cells:
            news = self._join_cell(record, cell, starts, offset)
            if news:
                where = _slice_of(cell)
                counted[where] = counted.get(where, 0) + news
        heard = Source(
            partitions=record.source_partitions,
            covered={p: at.to for p, at in record.ranges.items()},
            clocks={
                p: SourceClock(time=record.time, latest=clock.latest, idle=clock.idle)
                for p, clock in record.clocks.items()
            },
        )
        sources = self.progress.sources
        known = sources.get(record.source)
        sources[record.source] = heard if known is None else join_sources(known, heard)
        if offset >= self.progress.next_offset:
            heard_of = self.progress.heard.setdefault(record.source, {})
            for partition in record.ranges:
                heard_of[partition] = Heard(tenure=record.tenure, seq=record.seq)
            self.progress.next_offset = offset + 1
        self.progress.watermark = watermark(self.progress, self.idle_seconds)
        self.unsaved.add(ProgressKey(self.partition))
        return counted

    def _join_cell(
        self, record: RawRecord, cell: RawCell, starts: dict[int, int], offset: int
    ) -> int:
        key = CellKey(_slice_of(cell), cell.window_start, cell.window_seconds, cell.baseline)
        window = Window(key.slice, key.window_start, key.window_seconds)
        known = self.cells.get(key)
        if known is None and self._expired(window):
            before_deleted = self._gone.get((key, record.tenure), 0)
            if offset >= self.progress.next_offset:  # not read again after a crash
                self.late_events += max(0, cell.events - before_deleted)
            self._remember(key, record.tenure, max(cell.events, before_deleted))
            return 0
        counts = TenureCounts(
            seq=record.seq,
            source=record.source,
            starts=starts,
            events=cell.events,
            signals=cell.signals.copy(),
        )
        before = known.get(record.tenure) if known else None
        if before is not None and before.seq >= record.seq:
            return 0
        if known is None:
            self.cells[key] = {record.tenure: counts}
            self._open(window, cell.baseline)
        else:
            known[record.tenure] = counts
        self.unsaved.add(key)
        if self.is_closed(window):
            self.late.setdefault(window, record.time)
        return cell.events - (before.events if before else 0)

    def _remember(self, key: CellKey, tenure: str, events: int) -> None:
        self._gone[key, tenure] = events
        self._gone.move_to_end((key, tenure))
        if len(self._gone) > GONE_CELLS:
            self._gone.popitem(last=False)

    def _open(self, window: Window, baseline: str) -> None:
        if window not in self.windows:
            self.windows[window] = set()
            grace = self.window_of(window.slice.model).grace_seconds
            if not self.is_closed(window):
                heapq.heappush(self._due, (window.end + grace, window))
            heapq.heappush(self._expiring, (self._expiry(window), window))
        self.windows[window].add(baseline)

    def is_closed(self, window: Window) -> bool:
        """Whether the window has been reported."""
        state = self.slices.get(window.slice)
        return state is not None and window.start in state.marks

    def _expiry(self, window: Window) -> float:
        settings = self.window_of(window.slice.model)
        return float(window.end + settings.grace_seconds + settings.late_seconds)

    def _expired(self, window: Window) -> bool:
        return self._expiry(window) <= self.progress.watermark

    # -- closing ---------------------------------------------------------------------------------

    def due(self) -> list[Window]:
        """Return the open windows that the watermark has passed, in order of their ends."""
        found: list[Window] = []
        while self._due and self._due[0][0] <= self.progress.watermark:
            _, window = heapq.heappop(self._due)
            if window in self.windows and not self.is_closed(window):
                found.append(window)
        return found

    def put_back(self, window: Window) -> None:
        """Make a window due again that could not be closed yet."""
        heapq.heappush(self._due, (float(window.end), window))

    def expired(self) -> list[Window]:
        """Return the windows that take no more late events; closed ones only."""
        found: list[Window] = []
        while self._expiring and self._expiring[0][0] <= self.saved_watermark:
            _, window = heapq.heappop(self._expiring)
            if window in self.windows:
                found.append(window)
        return found

    def to_revise(self) -> list[Window]:
        """Take out the closed windows whose late events have been gathered for long enough."""
        found = sorted(
            window
            for window, since in self.late.items()
            if self.now - since >= REVISE_SECONDS or self._expired(window)
        )
        for window in found:
            del self.late[window]
        return found

    def keep(self, window: Window) -> None:
        """Look at a window again that had expired but was not closed yet."""
        heapq.heappush(self._expiring, (self._expiry(window), window))

    def delete(self, window: Window) -> None:
        """Forget a window; its keys become tombstones."""
        for baseline in self.windows.pop(window, ()):
            key = CellKey(window.slice, window.start, window.seconds, baseline)
            for tenure, counts in self.cells.pop(key, {}).items():
                self._remember(key, tenure, counts.events)
            self.unsaved.add(key)
        self.late.pop(window, None)
        state = self.slices.get(window.slice)
        if state is not None and state.marks.pop(window.start, None) is not None:
            state.step += 1
            self.unsaved.add(SliceKey(window.slice))

    def parts(self, window: Window) -> dict[str, CellCounts]:
        """Return the window's counts by baseline."""
        return {
            baseline: self.cells[CellKey(window.slice, window.start, window.seconds, baseline)]
            for baseline in sorted(self.windows[window])
        }

    def set_slice(self, where: Slice, state: SliceState) -> None:
        """Replace the state of a slice."""
        self.slices[where] = state
        self.unsaved.add(SliceKey(where))

    # -- changelog -------------------------------------------------------------------------------

    def restore(self, raw_key: bytes, raw_value: bytes | None) -> None:
        """Join one record of the changelog."""
        key = _keys.decode(raw_key)
        if isinstance(key, CellKey):
            if raw_value is None:
                self.cells.pop(key, None)
            else:
                self.cells[key] = join_cells(self.cells.get(key, {}), _cells.decode(raw_value))
        elif isinstance(key, SliceKey):
            if raw_value is not None:
                state = _slices.decode(raw_value)
                known = self.slices.get(key.slice)
                self.slices[key.slice] = state if known is None else join_slices(known, state)
        elif isinstance(key, ProgressKey):
            if raw_value is not None:
                self.progress = join_progress(self.progress, _progress.decode(raw_value))
        elif raw_value is not None:
            self.baselines[key.id] = Baseline.from_json(raw_value)

    def restored(self) -> None:
        """Take up work after the changelog has been read to its end."""
        self.windows.clear()
        self.late.clear()
        self._due.clear()
        self._expiring.clear()
        for key in list(self.cells):
            window = Window(key.slice, key.window_start, key.window_seconds)
            state = self.slices.get(key.slice)
            if (
                self._expired(window)
                and not self.is_closed(window)
                and state is not None
                and window.end <= state.last_end
            ):
                # It was closed and deleted; a worker that had lost the partition wrote it again.
                del self.cells[key]
                self.unsaved.add(key)
                continue
            self._open(window, key.baseline)
        for window in self.windows:
            state = self.slices.get(window.slice)
            mark = state.marks.get(window.start) if state else None
            if mark and mark.events != self.events(window):
                self.late[window] = self.now
        self.ready = True

    def events(self, window: Window) -> int:
        """Return how many events the window holds now."""
        return sum(
            counts.events for part in self.parts(window).values() for counts in part.values()
        )

    def take_unsaved(self) -> Iterator[tuple[Key, bytes, bytes | None]]:
        """Yield (key, encoded key, encoded value or tombstone) of what the changelog lacks."""
        unsaved, self.unsaved = self.unsaved, set()
        for key in unsaved:
            yield key, msgspec.json.encode(key), self._encoded(key)

    def _encoded(self, key: Key) -> bytes | None:
        if isinstance(key, CellKey):
            return msgspec.json.encode(self.cells[key]) if key in self.cells else None
        if isinstance(key, SliceKey):
            return msgspec.json.encode(self.slices[key.slice])
        if isinstance(key, ProgressKey):
            return msgspec.json.encode(self.progress)
        return self.baselines[key.id].to_json()

    def hold_baseline(self, baseline_id: str, baseline: Baseline) -> None:
        """Keep a baseline with the windows that were counted by it."""
        if baseline_id not in self.baselines:
            self.baselines[baseline_id] = baseline
            self.unsaved.add(BaselineKey(baseline_id))


def _slice_of(cell: RawCell) -> Slice:
    return Slice(cell.model, cell.version, cell.variant, tuple(sorted(cell.segment.items())))
