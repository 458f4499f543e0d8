"""The changelog of one partition: checkpoints of the fold out, and back in after a crash. No I/O.

A checkpoint is every value that changed since the last one, each tagged with the offset ``at`` that
the fold had come to, and last the progress, which says that all of it is there. Reading back, a
value counts if some progress has come as far as its ``at``. What a worker left behind that died
half-way counts for nothing; what a paused worker wrote late joins as the older value that it is.

Who finds a changelog empty, or has to begin again, gives it a name, writes all there is, and tags
that and what follows with the name. Values with another name are void: what is written on to a
topic that was made anew under a running worker lacks all that went before.

Compaction leaves the last value of a key, and that may be one that joins as the older, or one that
no progress vouches for. So whoever sees such a value writes his own after it, before compaction
gets there (``min.compaction.lag.ms`` of the topic): a reader what others left last, the owner all
there is as soon as others have written between his own writes.

A value that is too large for a record is written in parts (``parts``); all of the above is said of
whole values.
"""

import logging
import uuid
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tidegauge.baseline import UnusableBaseline, read_baseline
from tidegauge.contract import DecodingError, decode
from tidegauge.windows.outcome_values import (
    CohortAlerts,
    CohortAlertsKey,
    CohortKey,
    CohortState,
    OutcomeKey,
    TenureOutcomes,
)
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.parts import PartKey, Parts, Whole, Write
from tidegauge.windows.values import (
    BaselineKey,
    CellCounts,
    CellKey,
    Counts,
    JudgedCounts,
    JudgedKey,
    Key,
    LogKey,
    MemoryKey,
    PartitionProgress,
    ProgressKey,
    SliceKey,
    SliceMemory,
    SliceState,
    WaitingKey,
    Window,
    join_cells,
    join_judged,
    join_memories,
    join_progress,
    join_slices,
)

log = logging.getLogger(__name__)


class Checkpoint(NamedTuple):
    """What to write: ``values`` in any order, and ``progress`` once they are all there."""

    at: int
    log: str
    values: list[Write]
    progress: list[Write]


class Changelog:
    """Writes and reads back the state of a partition."""

    def __init__(self, state: PartitionState) -> None:
        self.state = state
        self._name = ""
        self._ahead: list[tuple[int, Key, bytes | None]] = []
        #: Offset in the changelog after the last record that was read or written.
        self.reached = 0
        #: By encoded key, the youngest value read so far.
        self._youngest: dict[bytes, int] = {}
        #: Keys of which the last value in the log is not the youngest.
        self._stale: set[Key] = set()
        self._parts = Parts()
        #: What of our own values can't be read, and why; empty if all can. Without it the state is
        #: not whole, so once all is read, the partition is counted again.
        self.damage = ""

    def take(
        self, raw_key: bytes | None, raw_value: bytes | None, tags: Mapping[str, bytes]
    ) -> None:
        """Take in a record as it was read; raises :class:`DecodingError` if it is none of ours."""
        try:
            at, log = int(tags["at"]), tags["log"].decode()
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            key = decode(raw_key, Key | PartKey)
            # What it may hide by compaction is written again after it.
            self._stale.add(key.key if isinstance(key, PartKey) else key)
            raise DecodingError(f"it has not our headers: {error!r}") from error
        self.restore(raw_key, raw_value, at, log)

    def restore(self, raw_key: bytes | None, raw_value: bytes | None, at: int, log: str) -> None:
        """Take in one tagged record; raises :class:`DecodingError` if it is none of ours."""
        key = decode(raw_key, Key | PartKey)
        try:
            if isinstance(key, PartKey):
                whole = self._parts.read_part(key, raw_value)
            else:
                whole = self._parts.read(Whole(key, raw_key or b"", raw_value, at, log))
        except DecodingError as error:
            if log != self._name:
                raise
            self.damage = f"{key}: {error}"
            return
        if whole is not None:
            self._restore(*whole)

    def _restore(
        self, key: Key, raw_key: bytes, raw_value: bytes | None, at: int, log: str
    ) -> None:
        if isinstance(key, LogKey) and log != self._name:
            self._name = log
            self.damage = ""
            self._ahead.clear()
            self._youngest.clear()
            self._stale.clear()
            self.state = self.state.emptied()
        state = self.state
        if log != self._name:
            self._stale.add(key)
        if log != self._name or isinstance(key, LogKey):
            return
        late = at < self._youngest.get(raw_key, 0)
        self._note_stale(key, raw_key, raw_value, at)
        if late and raw_value is None and isinstance(key, MemoryKey):
            return  # of a worker that was paused: what is remembered since stays
        if isinstance(key, ProgressKey):
            self._join(key, raw_value)
            self._catch_up(state.progress.next_offset)
        elif at <= state.progress.next_offset:
            self._join(key, raw_value)
        else:
            self._ahead.append((at, key, raw_value))

    def _note_stale(self, key: Key, raw_key: bytes, raw_value: bytes | None, at: int) -> None:
        if at < self._youngest.get(raw_key, 0):
            self._stale.add(key)
        elif raw_value is None:  # what comes after it is a window that was deleted
            self._youngest.pop(raw_key, None)
            self._stale.discard(key)
        else:
            self._youngest[raw_key] = at
            self._stale.discard(key)

    def _catch_up(self, reached: int) -> None:
        ahead, self._ahead = self._ahead, []
        for at, key, raw_value in ahead:
            if at <= reached:
                self._join(key, raw_value)
            else:
                self._ahead.append((at, key, raw_value))

    def _join(self, key: Key, raw_value: bytes | None) -> None:
        try:
            self._join_value(key, raw_value)
        except Exception as error:
            self.damage = f"{key}: {error}"
            log.exception("a value of the changelog can't be read: %s", key)

    def _join_value(self, key: Key, raw_value: bytes | None) -> None:
        state = self.state
        if isinstance(key, ProgressKey):
            state.progress = join_progress(state.progress, decode(raw_value, PartitionProgress))
        elif isinstance(key, CellKey):
            if raw_value is None:
                state.cells.pop(key, None)
            else:
                state.cells[key] = join_cells(
                    state.cells.get(key, {}), decode(raw_value, CellCounts)
                )
        elif isinstance(key, WaitingKey):
            window = Window(key.slice, key.window_start, key.window_seconds)
            if raw_value is None:
                state.waiting.pop(window, None)
            else:
                state.waiting[window] = decode(raw_value, Counts)
        elif isinstance(key, JudgedKey):
            window = Window(key.slice, key.window_start, key.window_seconds)
            if raw_value is None:
                state.judged.pop(window, None)
            else:
                judged, other = decode(raw_value, JudgedCounts), state.judged.get(window)
                state.judged[window] = judged if other is None else join_judged(judged, other)
        elif isinstance(key, SliceKey):
            known = state.slices.get(key.slice)
            if raw_value is None:
                if known is not None and state.is_gone(key.slice, known):
                    del state.slices[key.slice]
                return
            value = decode(raw_value, SliceState)
            state.slices[key.slice] = value if known is None else join_slices(known, value)
        elif isinstance(key, MemoryKey):
            if raw_value is None:
                state.memories.pop(key.slice, None)
                return
            memory, held = decode(raw_value, SliceMemory), state.memories.get(key.slice)
            state.memories[key.slice] = memory if held is None else join_memories(held, memory)
        elif isinstance(key, OutcomeKey):
            counted = None if raw_value is None else decode(raw_value, TenureOutcomes)
            state.outcomes.restore_cell(key, counted)
        elif isinstance(key, CohortKey):
            cohort = None if raw_value is None else decode(raw_value, CohortState)
            state.outcomes.restore_cohort(key, cohort)
        elif isinstance(key, CohortAlertsKey):
            alerts = None if raw_value is None else decode(raw_value, CohortAlerts)
            state.outcomes.restore_alerts(key, alerts)
        elif isinstance(key, BaselineKey) and raw_value is not None:
            self._hold_baseline(key, raw_value)

    def _hold_baseline(self, key: BaselineKey, document: bytes) -> None:
        """Hold a baseline; of one that can't be used, saved by an older version, delete the record.

        What was counted by it is there, and is reported without drift.
        """
        try:
            self.state.baselines[key.id] = read_baseline(document)
        except UnusableBaseline as error:
            log.error("the baseline %s in the changelog can't be used: %s", key.id, error)
            self.state.refuse_baseline(key.id)
            self.state.unsaved.add(key)

    def restored(self) -> None:
        """Take up work: the changelog has been read to its end."""
        self._stale.update(key for _, key, _ in self._ahead)
        self._stale |= self._parts.finish()
        self._ahead.clear()
        if self.damage:
            log.error("partition %d is counted again: %s", self.state.partition, self.damage)
            self.damage = ""
            self.forget()
        elif not self._name:
            self.begin()
        there = self.state.everything()
        self.state.unsaved |= self._stale & there
        self.state.unsaved |= self._parts.written - there  # parts of what is no more
        self._stale.clear()
        self.state.restored()

    def rewrite(self) -> None:
        """Write everything there is, after what others have written in between."""
        self.state.unsaved |= self.state.everything() - {LogKey()}

    def write_smaller(self) -> int:
        """Write everything there is once more, in parts half as large; return their size."""
        self.rewrite()
        return self._parts.halve()

    def begin(self) -> None:
        """Write everything there is, under a new name."""
        self._name = uuid.uuid4().hex
        self.state.unsaved = self.state.everything()

    def forget(self) -> None:
        """Begin again with nothing but outcomes: the log of histograms is to be read anew."""
        void: set[Key] = {
            *self.state.cells,
            *(WaitingKey(*window) for window in self.state.waiting),
            *(JudgedKey(*window) for window in self.state.judged),
        }
        self.state = self.state.without_predictions()
        self.begin()
        self.state.unsaved |= void  # as tombstones

    def checkpoint(self) -> Checkpoint:
        """Take what changed since the last checkpoint."""
        state = self.state
        unsaved = state.take_unsaved()
        progress = ProgressKey(state.partition)
        # What is read before the name is taken for another changelog's.
        keys = sorted(unsaved - {progress}, key=lambda key: not isinstance(key, LogKey))
        return Checkpoint(
            at=state.progress.next_offset,
            log=self._name,
            values=[write for key in keys for write in self._writes(key)],
            progress=self._writes(progress) if unsaved else [],
        )

    def _writes(self, key: Key) -> list[Write]:
        return self._parts.write(key, self._encoded(key))

    def _encoded(self, key: Key) -> bytes | None:
        state = self.state
        if isinstance(key, CellKey):
            return msgspec.json.encode(state.cells[key]) if key in state.cells else None
        if isinstance(key, WaitingKey):
            counts = state.waiting.get(Window(key.slice, key.window_start, key.window_seconds))
            return None if counts is None else msgspec.json.encode(counts)
        if isinstance(key, JudgedKey):
            judged = state.judged.get(Window(key.slice, key.window_start, key.window_seconds))
            return None if judged is None else msgspec.json.encode(judged)
        if isinstance(key, SliceKey):
            value = state.slices.get(key.slice)
            return None if value is None else msgspec.json.encode(value)
        if isinstance(key, MemoryKey):
            memory = state.memories.get(key.slice)
            return None if memory is None else msgspec.json.encode(memory)
        if isinstance(key, ProgressKey):
            return msgspec.json.encode(state.progress)
        if isinstance(key, LogKey):
            return b"null"  # its tag says it
        if isinstance(key, OutcomeKey):
            counted = state.outcomes.cells.get(key.window, {}).get(key.tenure)
            return None if counted is None else msgspec.json.encode(counted)
        if isinstance(key, CohortKey):
            cohort = state.outcomes.cohorts.get(key.window)
            return None if cohort is None else msgspec.json.encode(cohort, order="deterministic")
        if isinstance(key, CohortAlertsKey):
            alerts = state.outcomes.alerts.get(key)
            return None if alerts is None else msgspec.json.encode(alerts, order="deterministic")
        baseline = state.baselines.get(key.id)
        return None if baseline is None else baseline.to_json()
