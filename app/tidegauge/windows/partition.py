"""The state of one partition of DETECT: a fold over its log of histogram records. No I/O.

What windows hold when they close, and when, follows from the log alone, record by record: not from
how often a worker checks, nor from which worker it is. So a worker that reads the log again, after
a crash or beside a worker that was paused, produces the same outputs, byte for byte.
"""

import copy
import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tidegauge.windows.outcome_store import RETENTION_SECONDS, OutcomeStore, Passed
from tidegauge.windows.outputs import Output
from tidegauge.windows.records import RawCell, RawRecord
from tidegauge.windows.slices import InactivityTimer, SliceStore
from tidegauge.windows.values import (
    BaselineKey,
    CellCounts,
    CellKey,
    Counts,
    Journal,
    JudgedCounts,
    JudgedKey,
    Key,
    LogKey,
    MemoryKey,
    ProgressKey,
    Slice,
    SliceKey,
    TenureCounts,
    WaitingKey,
    Window,
    WindowMark,
)

#: Late events of a window are gathered this long, so that a trickle makes few revisions.
REVISE_SECONDS = 5.0

#: Cells of deleted windows whose counts are remembered. Of one that is forgotten, a late event
#: makes the events of its tenure that had been in time count as late too.
GONE_CELLS = 50_000


@dataclass(kw_only=True)
class PartitionState(SliceStore):
    """Everything DETECT knows of one partition of the histogram topic."""

    #: How long after its prediction a label of a model counts, seconds.
    retention_of: Callable[[str], float] = lambda model: RETENTION_SECONDS
    #: False until the changelog has been read: nothing may be closed on half the state.
    ready: bool = False
    #: The labels of models, which are closed by a watermark of their own.
    outcomes: OutcomeStore = field(init=False)
    cells: dict[CellKey, CellCounts] = field(default_factory=dict)
    #: Baselines of each window that has cells.
    windows: dict[Window, set[str]] = field(default_factory=dict)
    #: Windows that have been passed and can't be reported yet, with what they held then.
    waiting: dict[Window, Counts] = field(default_factory=dict)
    #: Closed windows that have had late events since their last report, and since when.
    late: dict[Window, float] = field(default_factory=dict)
    #: What those reports counted.
    judged: dict[Window, JudgedCounts] = field(default_factory=dict)
    #: Results of the fold that are not published yet.
    outputs: list[Output] = field(default_factory=list)
    late_events: int = 0
    #: The same by model.
    late_models: dict[str, int] = field(default_factory=dict)
    #: By cell of a deleted window and tenure, the events that were counted, in time or as late:
    #: what comes after that is cumulative, and must not be called late as a whole.
    _gone: OrderedDict[tuple[CellKey, str], int] = field(default_factory=OrderedDict)
    #: Input that has been joined; acknowledged once what it changed is in the changelog.
    joined: list[Any] = field(default_factory=list)
    _due: list[tuple[float, Window]] = field(default_factory=list)
    _expiring: list[tuple[float, Window]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outcomes = OutcomeStore(window_of=self.window_of, retention_of=self.retention_of)

    # -- joining ---------------------------------------------------------------------------------

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
        self.joined_tenure(record)
        return counted

    def _join(self, record: RawRecord, offset: int, journal: Journal) -> dict[Slice, int]:
        # Whether a window has expired is by the watermark before the record.
        if record.of_outcomes:
            self.outcomes.join(record, self.progress_of(record).watermark, journal)
            self.advance(record, offset)
            return {}
        self.progress.now = max(self.progress.now, record.time)
        starts = {p: at.start for p, at in record.ranges.items()}
        series = {p: at.series for p, at in record.ranges.items() if at.series}
        counted: dict[Slice, int] = {}
        for cell in record.cells:
            news = self._join_cell(record, cell, starts, series, journal)
            if news:
                where = cell.slice
                counted[where] = counted.get(where, 0) + news
        self.advance(record, offset)
        return counted

    def _join_cell(
        self,
        record: RawRecord,
        cell: RawCell,
        starts: dict[int, int],
        series: dict[int, int],
        journal: Journal,
    ) -> int:
        key = CellKey(cell.slice, cell.window_start, cell.window_seconds, cell.baseline)
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
        mark = self._mark(window)
        if mark is None:
            return
        if mark.late_since is not None:
            # If no revision is planned, the last one failed. With what comes now it may succeed.
            self.late.setdefault(window, self.progress.now)
            return
        since = self.late[window] = self.progress.now
        if parts is None:  # nothing, if all tenures were left out
            parts = self.counts(window).parts if window in self.windows else {}
        self.judged[window] = JudgedCounts(revision=mark.revision, parts=parts)
        self.unsaved.add(JudgedKey(*window))
        state = self.slices[window.slice]
        marks = {**state.marks, window.start: msgspec.structs.replace(mark, late_since=since)}
        self.set_slice(
            window.slice, msgspec.structs.replace(state, step=state.step + 1, marks=marks)
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
        return self._mark(window) is not None

    def _mark(self, window: Window) -> WindowMark | None:
        state = self.slices.get(window.slice)
        return state.marks.get(window.start) if state else None

    def _expiry(self, window: Window) -> float:
        settings = self.window_of(window.slice.model)
        return float(window.end + settings.grace_seconds + settings.late_seconds)

    def _expired(self, window: Window) -> bool:
        return self._expiry(window) <= self.progress.watermark

    # -- closing ---------------------------------------------------------------------------------

    def pass_outcomes(self) -> Passed:
        """Take the ticks of outcomes that their watermark has come to; return what it passed."""
        outcomes = self.progress.outcomes
        if outcomes is msgspec.UNSET:
            return Passed([], set())
        passed = self.outcomes.advance(outcomes.watermark)
        if passed.released:
            self.drop_unused_baselines(passed.released, self.used_baselines)
        return passed

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
            baseline: dict(self.cells[CellKey(*window, baseline)])
            for baseline in sorted(self.windows[window])
        }
        sources = self.progress.sources
        ends = {name: dict(source.covered) for name, source in sources.items()}
        past = {name: dict(source.past) for name, source in sources.items() if source.past}
        return Counts(window, parts, ends, self.progress.watermark, past)

    def leave_out(self, window: Window, tenures: Iterable[tuple[str, str]]) -> None:
        """Delete what tenures have counted of a window, each with its baseline."""
        for baseline, tenure in tenures:
            key = CellKey(*window, baseline)
            counts = self.cells.get(key, {})
            counts.pop(tenure, None)
            self.unsaved.add(key)
            if not counts:
                self.cells.pop(key, None)
                self.windows[window] = self.windows[window] - {baseline}

    def closed(self, counts: Counts) -> None:
        """Note that a window was reported with ``counts``; it may hold more by now."""
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
        if released:
            self.drop_unused_baselines(released, self.used_baselines)

    def _delete(self, window: Window) -> set[str]:
        """Delete a window; return its baselines but for the one that its slice goes on with."""
        # Which cells are forgotten first is not to depend on the order of a set.
        baselines = self.windows.pop(window, set())
        for baseline in sorted(baselines):
            key = CellKey(*window, baseline)
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

    @property
    def used_baselines(self) -> dict[Any, Set[str]]:
        """The baselines of each window of predictions or of outcomes."""
        return {**self.windows, **self.outcomes.used_baselines}

    def take_unsaved(self) -> set[Key]:
        """Take out the keys whose value is not in the changelog yet."""
        unsaved: set[Key] = self.unsaved | self.outcomes.unsaved
        self.unsaved, self.outcomes.unsaved = set(), set()
        return unsaved

    def take_outputs(self) -> list[Output]:
        """Take out what is to be published."""
        outputs, self.outputs = self.outputs, []
        return outputs

    # -- recovery --------------------------------------------------------------------------------

    def restored(self) -> None:
        """Start work on what was read back: what is due, late and expired follows from it."""
        self.windows.clear()
        self.late.clear()
        self._due.clear()
        self._expiring.clear()
        self.inactivity_timer = InactivityTimer()
        for key in list(self.cells):
            window = Window(key.slice, key.window_start, key.window_seconds)
            state = self.slices.get(key.slice)
            # A window that waits for its baseline is kept, however old it is.
            reported = window not in self.waiting if state is None else window.end <= state.last_end
            if self._expired(window) and not self.is_closed(window) and reported:
                # It was closed and deleted; a worker that had lost the partition wrote it again.
                del self.cells[key]
                self.unsaved.add(key)
                continue
            self._open(window, key.baseline)
        for window in self.windows:
            mark = self._mark(window)
            if mark is not None and mark.late_since is not None:
                self.late[window] = mark.late_since
        self._restore_waiting()
        self._restore_judged()
        outcomes = self.progress.outcomes
        self.outcomes.restored(0.0 if outcomes is msgspec.UNSET else outcomes.watermark)
        self.drop_leftovers(self.used_baselines)
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
            mark = self._mark(window)
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
            retention_of=self.retention_of,
            ready=self.ready,
            joined=self.joined,
        )

    def without_predictions(self) -> "PartitionState":
        """Return a state of the same partition that has read nothing yet but keeps outcomes.

        Most of these are older than what the log still has. To join its records again does no harm.
        """
        empty = self.emptied()
        empty.outcomes, empty.progress.outcomes = self.outcomes, self.progress.outcomes
        return empty

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
            *self.outcomes.everything(),
        }
