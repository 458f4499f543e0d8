"""The changelog of one partition: checkpoints of the fold out, and back in after a crash. No I/O.

A checkpoint is every value that changed since the last one, each tagged with the offset ``at`` that
the fold had come to, and last the progress, which says that all of it is there. Reading back, a
value counts if some progress has come as far as its ``at``. What a worker left behind that died
half-way counts for nothing; what a paused worker wrote late joins as the older value that it is.

Who finds a changelog empty, or has to begin again, gives it a name, writes all there is, and tags
that and what follows with the name. Values with another name are void: what is written on to a
topic that was made anew under a running worker lacks all that went before.
"""

import uuid
from typing import NamedTuple

import msgspec

from tidegauge.baseline.document import Baseline
from tidegauge.detect.partition import PartitionState
from tidegauge.detect.values import (
    BaselineKey,
    CellCounts,
    CellKey,
    Key,
    LogKey,
    Progress,
    ProgressKey,
    SliceKey,
    SliceState,
    join_cells,
    join_progress,
    join_slices,
)

_keys = msgspec.json.Decoder(Key)
_cells = msgspec.json.Decoder(CellCounts)
_slices = msgspec.json.Decoder(SliceState)
_progress = msgspec.json.Decoder(Progress)

#: An encoded key with its encoded value, or with None for a tombstone.
Write = tuple[bytes, bytes | None]


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

    def restore(self, raw_key: bytes, raw_value: bytes | None, at: int, log: str) -> None:
        """Take in one tagged record; raises ``msgspec.DecodeError`` if it is none of ours."""
        key = _keys.decode(raw_key)
        if isinstance(key, LogKey) and log != self._name:
            self._name = log
            self._ahead.clear()
            self.state = self.state.emptied()
        state = self.state
        if log != self._name or isinstance(key, LogKey):
            return
        if isinstance(key, ProgressKey):
            state.progress = join_progress(state.progress, _progress.decode(raw_value or b""))
            self._catch_up(state.progress.next_offset)
        elif at <= state.progress.next_offset:
            self._join(key, raw_value)
        else:
            self._ahead.append((at, key, raw_value))

    def _catch_up(self, reached: int) -> None:
        ahead, self._ahead = self._ahead, []
        for at, key, raw_value in ahead:
            if at <= reached:
                self._join(key, raw_value)
            else:
                self._ahead.append((at, key, raw_value))

    def _join(self, key: Key, raw_value: bytes | None) -> None:
        state = self.state
        if isinstance(key, CellKey):
            if raw_value is None:
                state.cells.pop(key, None)
            else:
                state.cells[key] = join_cells(state.cells.get(key, {}), _cells.decode(raw_value))
        elif isinstance(key, SliceKey) and raw_value is not None:
            value = _slices.decode(raw_value)
            known = state.slices.get(key.slice)
            state.slices[key.slice] = value if known is None else join_slices(known, value)
        elif isinstance(key, BaselineKey) and raw_value is not None:
            state.baselines[key.id] = Baseline.from_json(raw_value)

    def restored(self) -> None:
        """Take up work: the changelog has been read to its end."""
        self._ahead.clear()
        if not self._name:
            self.begin()
        self.state.restored()

    def begin(self) -> None:
        """Write everything there is, under a new name."""
        self._name = uuid.uuid4().hex
        self.state.unsaved = self.state.everything()

    def forget(self) -> None:
        """Begin again with nothing: the log of histograms is to be read anew."""
        void = set(self.state.cells)
        self.state = self.state.emptied()
        self.begin()
        self.state.unsaved |= void  # as tombstones

    def checkpoint(self) -> Checkpoint:
        """Take what changed since the last checkpoint."""
        state = self.state
        unsaved, state.unsaved = state.unsaved, set()
        progress = ProgressKey(state.partition)
        writes = [(key, msgspec.json.encode(key)) for key in unsaved - {progress}]
        # What is read before the name is taken for another changelog's.
        writes.sort(key=lambda write: not isinstance(write[0], LogKey))
        return Checkpoint(
            at=state.progress.next_offset,
            log=self._name,
            values=[(raw_key, self._encoded(key)) for key, raw_key in writes],
            progress=[(msgspec.json.encode(progress), self._encoded(progress))] if unsaved else [],
        )

    def _encoded(self, key: Key) -> bytes | None:
        state = self.state
        if isinstance(key, CellKey):
            return msgspec.json.encode(state.cells[key]) if key in state.cells else None
        if isinstance(key, SliceKey):
            return msgspec.json.encode(state.slices[key.slice])
        if isinstance(key, ProgressKey):
            return msgspec.json.encode(state.progress)
        if isinstance(key, LogKey):
            return b"null"  # its tag says it
        return state.baselines[key.id].to_json()
