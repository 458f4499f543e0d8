"""The state of one partition of DETECT: a fold over its log of histogram records. No I/O.

What windows hold when they close, and when, follows from the log alone, record by record: not from
how often a worker looks, nor from which worker it is. So whoever reads the log again, after a crash
or beside a worker that was paused, comes to the same outputs, byte for byte.
"""

import copy
import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tidegauge.baseline import Baseline
from tidegauge.config import WindowSettings
from tidegauge.windows.forgetting import drop_leftovers, drop_unused_baselines
from tidegauge.windows.inactivity_timer import InactivityTimer
from tidegauge.windows.outputs import Output
from tidegauge.windows.records import RawCell, RawRecord
from tidegauge.windows.sources import (
    Gap,
    counted_twice,
    covered,
    merge_source,
    source_of_record,
    watermark,
)
from tidegauge.windows.values import (
    BaselineKey,
    CellCounts,
    CellKey,
    Counts,
    JudgedCounts,
    JudgedKey,
    Key,
    LastRecord,
    LogKey,
    MemoryKey,
    PartitionProgress,
    ProgressKey,
    Slice,
    SliceKey,
    SliceMemory,
    SliceState,
    TenureCounts,
    WaitingKey,
    Window,
)

_MISSING: Any = object()


class Journal:
    """Notes what mappings held before they are changed.

    >>> counts, journal = {"a": 1}, Journal()
    >>> for key in "ab":
    ...     journal.note(counts, key)
    ...     counts[key] = 7
    >>> journal.undo()
    >>> counts
    {'a': 1}
    """

    def __init__(self) -> None:
        self._before: list[tuple[MutableMapping[Any, Any], Any, Any]] = []

    def note(self, mapping: MutableMapping[Any, Any], key: Any) -> None:
        """Note what a key has; call it before that is changed."""
        self._before.append((mapping, key, mapping.get(key, _MISSING)))

    def undo(self) -> None:
        """Put everything back, the last change first."""
        while self._before:
            mapping, key, before = self._before.pop()
            if before is _MISSING:
                mapping.pop(key, None)
            else:
                mapping[key] = before


#: Late events of a window are gathered this long, so that a trickle makes few revisions.
REVISE_SECONDS = 5.0

#: Cells of deleted windows whose counts are remembered. Of one that is forgotten, a late event
#: makes the events of its tenure that had been in time count as late too.
GONE_CELLS = 50_000

#: Tenures that are remembered: far more than speak within the time of a window.
TENURES = 1_000


@dataclass
class PartitionState:
    """Everything DETECT knows of one partition of the histogram topic."""

    partition: int
    window_of: Callable[[str], WindowSettings]
    idle_seconds: float
    #: False until the changelog has been read: nothing may be closed on half the state.
    ready: bool = False
    progress: PartitionProgress = field(default_factory=PartitionProgress)
    cells: dict[CellKey, CellCounts] = field(default_factory=dict)
    slices: dict[Slice, SliceState] = field(default_factory=dict)
    memories: dict[Slice, SliceMemory] = field(default_factory=dict)
    baselines: dict[str, Baseline] = field(default_factory=dict)
    #: Baselines that can't be used: windows counted by them are reported without drift.
    refused_baselines: set[str] = field(default_factory=set)
    newly_refused: int = 0
    #: Baselines of each window that has cells.
    windows: dict[Window, set[str]] = field(default_factory=dict)
    #: Windows that have been passed and can't be reported yet, with what they held then.
    waiting: dict[Window, Counts] = field(default_factory=dict)
    #: Closed windows that have had late events since their last report, and since when.
    late: dict[Window, float] = field(default_factory=dict)
    #: What those reports counted.
    judged: dict[Window, JudgedCounts] = field(default_factory=dict)
    #: What the fold has led to and nobody has published yet.
    outputs: list[Output] = field(default_factory=list)
    #: Keys whose value in memory is not in the changelog yet.
    unsaved: set[Key] = field(default_factory=set)
    #: When to look at slices that nothing comes of.
    inactivity_timer: InactivityTimer = field(default_factory=InactivityTimer)
    late_events: int = 0
    #: The same by model.
    late_models: dict[str, int] = field(default_factory=dict)
    #: Source records that a tenure has counted although another one had: partition, from, to.
    twice: list[tuple[int, int, int]] = field(default_factory=list)
    #: By cell of a deleted window and tenure, the events that were counted, in time or as late:
    #: what comes after that is cumulative, and must not be called late as a whole.
    _gone: OrderedDict[tuple[CellKey, str], int] = field(default_factory=OrderedDict)
    #: The last ``seq`` of tenures, the ones that were heard of last: whoever speaks under another
    #: name in between takes nothing back.
    _tenures: OrderedDict[str, int] = field(default_factory=OrderedDict)
    #: Input that has been joined; acknowledged once what it changed is in the changelog.
    joined: list[Any] = field(default_factory=list)
    _due: list[tuple[float, Window]] = field(default_factory=list)
    _expiring: list[tuple[float, Window]] = field(default_factory=list)

    # -- joining ---------------------------------------------------------------------------------

    def gaps(self, record: RawRecord) -> list[Gap]:
        """Return what is missing between what is covered and where a new record goes on."""
        known = self.progress.sources.get(record.source)
        found = []
        for partition, at in record.ranges.items():
            to = covered(known, partition, at, record.topic_id)
            if at.since > to:
                found.append(Gap(record.source, partition, to, at.since))
        # A flush of several records moves the ranges on with its last one only.
        if not found and record.seq > self._last_seq(record) + 1:
            partition, at = next(iter(record.ranges.items()))
            found.append(Gap(record.source, partition, at.since, at.to))
        return found

    def _last_seq(self, record: RawRecord) -> int:
        heard = self.progress.heard.get(record.source, {})
        known = [heard[p] for p in record.ranges if p in heard]
        last = max((one.seq for one in known if one.tenure == record.tenure), default=0)
        return max(last, self._tenures.get(record.tenure, 0))

    def has_heard(self, tenure: str) -> bool:
        """Return whether a record of a tenure was joined since the state was read back."""
        return tenure in self._tenures

    def join(self, record: RawRecord, offset: int) -> dict[Slice, int]:
        """Join a record that leaves no gap; return the newly counted events by slice.

        A record that is read again changes nothing, and neither does one at which it raises.
        """
        if offset < self.progress.next_offset:
            return {}
        journal, late_events = Journal(), self.late_events
        before = copy.copy(self.progress)
        try:
            counted = self._join(record, offset, journal)
        except Exception:
            journal.undo()
            self.progress, self.late_events = before, late_events
            raise
        last = self._tenures.pop(record.tenure, 0)
        self._tenures[record.tenure] = max(last, record.seq)
        if len(self._tenures) > TENURES:
            self._tenures.popitem(last=False)
        return counted

    def skip(self, offset: int) -> None:
        """Go on after a record that is not joined."""
        self.progress.next_offset = max(self.progress.next_offset, offset + 1)
        self.unsaved.add(ProgressKey(self.partition))

    def begin_log(self, topic_id: str) -> None:
        """Go on with the first record of a topic that was made anew; what was counted stays."""
        self.progress = msgspec.structs.replace(self.progress, next_offset=0, topic_id=topic_id)

    def note_log(self, topic_id: str) -> None:
        """Take note of which topic the offsets are of."""
        self.progress.topic_id = topic_id
        self.unsaved.add(ProgressKey(self.partition))

    def is_new(self, record: RawRecord) -> bool:
        """Whether nothing was joined of the tenure that a record is of, or not lately."""
        heard = self.progress.heard.get(record.source, {})
        return all(one.tenure != record.tenure for one in heard.values())

    def _join(self, record: RawRecord, offset: int, journal: Journal) -> dict[Slice, int]:
        self.progress.next_offset = offset + 1
        self.progress.now = max(self.progress.now, record.time)
        starts = {p: at.start for p, at in record.ranges.items()}
        series = {p: at.series for p, at in record.ranges.items() if at.series}
        counted: dict[Slice, int] = {}
        for cell in record.cells:
            news = self._join_cell(record, cell, starts, series, journal)
            if news:
                where = _slice_of(cell)
                counted[where] = counted.get(where, 0) + news
        sources, heard = self.progress.sources, self.progress.heard
        known = sources.get(record.source)
        journal.note(heard, record.source)
        owners = heard[record.source] = dict(heard.get(record.source, {}))
        journal.note(sources, record.source)
        if known is None:
            sources[record.source] = source_of_record(record)
        else:
            twice = [
                one
                for one in counted_twice(known, record)
                if (owner := owners.get(one[0])) and owner.tenure != record.tenure
                # One that was heard before has not begun now.
                if not self.has_heard(record.tenure)
            ]
            sources[record.source] = merge_source(known, source_of_record(record))
            self.twice += twice
        for partition in record.ranges:
            last = owners.get(partition)
            # Who sends a record again takes nothing back: what comes next is no gap.
            same = last is not None and last.tenure == record.tenure
            if last is None or not same or record.seq > last.seq:
                owners[partition] = LastRecord(tenure=record.tenure, seq=record.seq)
        self.progress.watermark = watermark(self.progress, self.idle_seconds)
        self.unsaved.add(ProgressKey(self.partition))
        return counted

    def _join_cell(
        self,
        record: RawRecord,
        cell: RawCell,
        starts: dict[int, int],
        series: dict[int, int],
        journal: Journal,
    ) -> int:
        key = CellKey(_slice_of(cell), cell.window_start, cell.window_seconds, cell.baseline)
        window = Window(key.slice, key.window_start, key.window_seconds)
        tenures = self.cells.get(key)
        before = tenures.get(record.tenure) if tenures else None
        if self._expired(window):
            counted = before.events if before else self._gone.get((key, record.tenure), 0)
            if not key.slice.segment:  # which has every event, those of segments too
                late = max(0, cell.events - counted)
                self.late_events += late
                if late:
                    journal.note(self.late_models, cell.model)
                    self.late_models[cell.model] = self.late_models.get(cell.model, 0) + late
            journal.note(self._gone, (key, record.tenure))
            self._remember(key, record.tenure, max(cell.events, counted))
            return 0
        if before is not None and before.seq >= record.seq:
            return 0
        for changed in (self.late, self.judged):
            journal.note(changed, window)
        journal.note(self.slices, window.slice)
        self._note_late(window)
        if tenures is None:
            journal.note(self.cells, key)
            journal.note(self.windows, window)
            tenures = self.cells[key] = {}
            self._open(window, cell.baseline)
        journal.note(tenures, record.tenure)
        tenures[record.tenure] = TenureCounts(
            seq=record.seq,
            source=record.source,
            starts=starts,
            events=cell.events,
            baselines_age_seconds=record.baselines_age_seconds,
            signals=cell.signals.copy(),
            slices=cell.slices,
            topic_id=record.topic_id,
            series=series,
        )
        self.unsaved.add(key)
        return cell.events - (before.events if before else 0)

    def _note_late(self, window: Window, parts: dict[str, CellCounts] | None = None) -> None:
        """Remember since when a closed window has had events that its report lacks.

        The report counted ``parts``, or if not given what the window holds now.
        """
        state = self.slices.get(window.slice)
        mark = state.marks.get(window.start) if state else None
        if state is None or mark is None:
            return
        if mark.late_since is not None:
            # If it isn't to be revised, that has failed. With what comes now it may not.
            self.late.setdefault(window, self.progress.now)
            return
        since = self.late[window] = self.progress.now
        if parts is None:  # nothing, if all that was said of it was left out
            parts = self.counts(window).parts if window in self.windows else {}
        self.judged[window] = JudgedCounts(revision=mark.revision, parts=parts)
        self.unsaved.add(JudgedKey(*window))
        late = msgspec.structs.replace(mark, late_since=since)
        self.set_slice(
            window.slice,
            msgspec.structs.replace(
                state, step=state.step + 1, marks={**state.marks, window.start: late}
            ),
        )

    def _remember(self, key: CellKey, tenure: str, events: int) -> None:
        self._gone[key, tenure] = events
        self._gone.move_to_end((key, tenure))
        if len(self._gone) > GONE_CELLS:
            self._gone.popitem(last=False)

    def _open(self, window: Window, baseline: str) -> None:
        if window not in self.windows:
            self.inactivity_timer.seen(window.slice, window.end)
            grace = self.window_of(window.slice.model).grace_seconds
            if not self.is_closed(window):
                heapq.heappush(self._due, (window.end + grace, window))
            heapq.heappush(self._expiring, (self._expiry(window), window))
        # Another set, since what there was may have to be put back.
        self.windows[window] = self.windows.get(window, set()) | {baseline}

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

    def pass_due(self) -> None:
        """Set aside what the windows held that the watermark has passed, in order of their ends."""
        while self._due and self._due[0][0] <= self.progress.watermark:
            _, window = heapq.heappop(self._due)
            passed = window in self.waiting or self.is_closed(window)
            if window in self.windows and not passed:
                self.waiting[window] = self.counts(window)
                self.unsaved.add(WaitingKey(*window))

    def counts(self, window: Window) -> Counts:
        """Return what the window holds now."""
        parts = {
            baseline: dict(
                self.cells[CellKey(window.slice, window.start, window.seconds, baseline)]
            )
            for baseline in sorted(self.windows[window])
        }
        sources = self.progress.sources
        ends = {name: dict(source.covered) for name, source in sources.items()}
        past = {name: dict(source.past) for name, source in sources.items() if source.past}
        return Counts(window, parts, ends, self.progress.watermark, past)

    def leave_out(self, window: Window, tenures: Iterable[tuple[str, str]]) -> None:
        """Forget what tenures have said of a window, each with its baseline."""
        for baseline, tenure in tenures:
            key = CellKey(window.slice, window.start, window.seconds, baseline)
            said = self.cells.get(key, {})
            said.pop(tenure, None)
            self.unsaved.add(key)
            if not said:
                self.cells.pop(key, None)
                self.windows[window] = self.windows[window] - {baseline}

    def closed(self, counts: Counts) -> None:
        """Take note that a window was reported with ``counts``; it may hold more by now."""
        del self.waiting[counts.window]
        # It is in the changelog, and needs a tombstone, if it has waited for longer than a save.
        self.unsaved ^= {WaitingKey(*counts.window)}
        if self.counts(counts.window).parts != counts.parts:
            self._note_late(counts.window, counts.parts)

    def to_revise(self) -> list[Window]:
        """Take out the closed windows whose late events have been gathered for long enough."""
        found = sorted(
            (
                window
                for window, since in self.late.items()
                if self.progress.now - since >= REVISE_SECONDS or self._expired(window)
            ),
            key=lambda window: (bool(window.slice.segment), window),
        )
        for window in found:
            del self.late[window]
        return found

    def take_judged(self, window: Window) -> dict[str, CellCounts] | None:
        """Take out what the last report of a window counted, as it is reported anew.

        None if that isn't known: an earlier release closed the window.
        """
        self.unsaved.add(JudgedKey(*window))
        judged = self.judged.pop(window, None)
        return None if judged is None else judged.parts

    def expire(self) -> None:
        """Delete the windows that take no more late events; their keys become tombstones."""
        unreported: list[tuple[float, Window]] = []
        released: set[str] = set()
        while self._expiring and self._expiring[0][0] <= self.progress.watermark:
            at, window = heapq.heappop(self._expiring)
            if self.is_closed(window):
                released |= self._delete(window)
            elif window in self.windows:
                unreported.append((at, window))
        for one in unreported:
            heapq.heappush(self._expiring, one)
        drop_unused_baselines(self, released)

    def _delete(self, window: Window) -> set[str]:
        """Delete a window; return its baselines but for the one that its slice goes on with."""
        # Which cells are forgotten first is not to depend on the order of a set.
        baselines = self.windows.pop(window, set())
        for baseline in sorted(baselines):
            key = CellKey(window.slice, window.start, window.seconds, baseline)
            for tenure, counts in self.cells.pop(key, {}).items():
                self._remember(key, tenure, counts.events)
            self.unsaved.add(key)
        self.late.pop(window, None)
        if self.judged.pop(window, None) is not None:
            self.unsaved.add(JudgedKey(*window))
        state = self.slices[window.slice]
        marks = {start: mark for start, mark in state.marks.items() if start != window.start}
        self.set_slice(
            window.slice, msgspec.structs.replace(state, step=state.step + 1, marks=marks)
        )
        memory = self.memories.get(window.slice)
        return baselines - {memory.baseline if memory else ""}

    def set_slice(self, where: Slice, state: SliceState) -> None:
        """Replace the state of a slice."""
        self.slices[where] = state
        self.unsaved.add(SliceKey(where))

    def remember(self, where: Slice, memory: SliceMemory) -> None:
        """Replace what the drift detector remembers of a slice."""
        self.memories[where] = memory
        self.unsaved.add(MemoryKey(where))

    def forget_memory(self, where: Slice) -> None:
        """Begin anew with what the drift detector remembers of a slice."""
        if self.memories.pop(where, None) is not None:
            self.unsaved.add(MemoryKey(where))

    def take_outputs(self) -> list[Output]:
        """Take out what is to be published."""
        outputs, self.outputs = self.outputs, []
        return outputs

    # -- recovery --------------------------------------------------------------------------------

    def restored(self) -> None:
        """Take up work on what was read back: what is due, late and expired follows from it."""
        self.windows.clear()
        self.late.clear()
        self._due.clear()
        self._expiring.clear()
        self.inactivity_timer = InactivityTimer()
        for key in list(self.cells):
            window = Window(key.slice, key.window_start, key.window_seconds)
            state = self.slices.get(key.slice)
            # What waits for its baseline is there still, be it ever so old.
            reported = window not in self.waiting if state is None else window.end <= state.last_end
            if self._expired(window) and not self.is_closed(window) and reported:
                # It was closed and deleted; a worker that had lost the partition wrote it again.
                del self.cells[key]
                self.unsaved.add(key)
                continue
            self._open(window, key.baseline)
        for window in self.windows:
            state = self.slices.get(window.slice)
            mark = state.marks.get(window.start) if state else None
            if mark is not None and mark.late_since is not None:
                self.late[window] = mark.late_since
        self._restore_waiting()
        self._restore_judged()
        drop_leftovers(self)
        self.ready = True

    def _restore_waiting(self) -> None:
        for window in self.waiting.keys() - {w for w in self.windows if not self.is_closed(w)}:
            # Reported since: a worker that had lost the partition wrote it again.
            del self.waiting[window]
            self.unsaved.add(WaitingKey(*window))
        passed = sorted(self.waiting.values(), key=lambda it: (it.watermark, it.window.end))
        self.waiting = {counts.window: counts for counts in passed}

    def _restore_judged(self) -> None:
        for window, judged in list(self.judged.items()):
            state = self.slices.get(window.slice)
            mark = state.marks.get(window.start) if state else None
            if window not in self.late or mark is None or mark.revision != judged.revision:
                # Reported anew since: a worker that had lost the partition wrote it again.
                del self.judged[window]
                self.unsaved.add(JudgedKey(*window))

    def emptied(self) -> "PartitionState":
        """Return a state of the same partition that has read nothing yet."""
        return PartitionState(
            partition=self.partition,
            window_of=self.window_of,
            idle_seconds=self.idle_seconds,
            ready=self.ready,
            joined=self.joined,
        )

    def everything(self) -> set[Key]:
        """Return every key there is."""
        return {
            LogKey(),
            ProgressKey(self.partition),
            *self.cells,
            *(WaitingKey(*window) for window in self.waiting),
            *(JudgedKey(*window) for window in self.judged),
            *(SliceKey(where) for where in self.slices),
            *(MemoryKey(where) for where in self.memories),
            *(BaselineKey(baseline_id) for baseline_id in self.baselines),
        }

    def hold_baseline(self, baseline_id: str, baseline: Baseline) -> None:
        """Keep a baseline with the windows that were counted by it."""
        if baseline_id not in self.baselines:
            self.baselines[baseline_id] = baseline
            self.unsaved.add(BaselineKey(baseline_id))

    def refuse_baseline(self, baseline_id: str) -> None:
        """Report the windows that were counted by a baseline without it."""
        if baseline_id not in self.refused_baselines:
            self.refused_baselines.add(baseline_id)
            self.newly_refused += 1


def _slice_of(cell: RawCell) -> Slice:
    return Slice(cell.model, cell.version, cell.variant, tuple(sorted(cell.segment.items())))
