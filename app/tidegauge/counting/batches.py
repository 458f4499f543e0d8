"""Arrow batches from messages to counts: where they lie, gathered by column, or row by row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tidegauge.contract import RawMessage
from tidegauge.counting.decode import reference
from tidegauge.counting.decode.arrow import Batch
from tidegauge.counting.decode.arrow_awaited import awaited_of
from tidegauge.counting.decode.arrow_size import Limits
from tidegauge.counting.decode.arrow_stream import Streams
from tidegauge.counting.decode.native import InPlacePath
from tidegauge.counting.decode.reference import EARLIEST_TIME, LooseEvent, RefusedError
from tidegauge.counting.plan import Plan
from tidegauge.counting.prediction_router import PredictionRouter
from tidegauge.counting.refusals import IgnoredFeatures, Refusals
from tidegauge.counting.router import CellRouter
from tidegauge.counting.rows import Rows
from tidegauge.counting.tenure import Tenure

#: A batch's newest event time counts as so many events at most.
MOST_TIMES = 10_000

#: Rows of a batch that are read one by one, at some 15 µs each; by column they cost a
#: hundredth. Compressed ones can be very many in a few bytes, so those must be there as well: at
#: least so many for each row after the first thousand.
MAX_ROWS_ONE_BY_ONE = 50_000
BYTES_OF_A_ROW = 4


class _Gathered(NamedTuple):
    """A batch with its message, and the number of that."""

    message: RawMessage
    batch: Batch
    number: int


class BatchPath:
    """Counts batches by the plans of ``plan_of``; of ``dimensions`` the segments are monitored.

    Events are added to ``counted["arrow"]``; a row that must be read by itself goes through
    ``count_event``, with the partition and the number of its message. ``plan_of`` takes model,
    version, variant and number of events; if it returns None, it has counted them as an overflow.
    ``ignored`` gets the columns.
    """

    def __init__(
        self,
        dimensions: Sequence[str],
        *,
        limits: Limits,
        placer: CellRouter,
        predictions: PredictionRouter,
        refusals: Refusals,
        counted: dict[str, int],
        plan_of: Callable[[str, str, str, int], Plan | None],
        count_event: Callable[[LooseEvent, int, int, Tenure], None],
        ignored: IgnoredFeatures,
    ) -> None:
        self._dimensions = dimensions
        self._placer = placer
        self._predictions = predictions
        self._refusals = refusals
        self._counted = counted
        self._plan_of = plan_of
        self._count_event = count_event
        self._streams = Streams(limits)
        self._in_place = InPlacePath(ignored, segmented=bool(dimensions))
        self._pending: dict[bytes, list[_Gathered]] = {}
        #: Rows that wait for :meth:`settle`.
        self.pending_rows = 0

    def take(self, message: RawMessage, value: bytes, number: int, tenure: Tenure) -> None:
        """Take the batch of a message in, or refuse it; messages are numbered as they are read."""
        try:
            batch = self._streams.read(value)
        except Exception as error:  # of this message alone; corrupt streams raise all kinds
            self._refusals.failed(message, error)
            return
        if not batch.length:
            return
        if batch.identity is None:
            whole = _Gathered(message, batch, number)
            self._count_rows(whole, "it names the model by row", tenure)
            return
        if not self._count_in_place(message, batch, batch.identity, tenure):
            # With those like it: a column of many rows costs little more.
            gathered = self._pending.setdefault(batch.head, [])
            gathered.append(_Gathered(message, batch, number))
            self.pending_rows += batch.length

    def settle(self, tenure: Tenure) -> None:
        """Count everything put aside into the tenure's cells."""
        for gathered in self._pending.values():
            self._count_gathered(gathered, tenure)
        self._pending.clear()
        self.pending_rows = 0

    def _count_in_place(
        self, message: RawMessage, batch: Batch, identity: tuple[str, str, str], tenure: Tenure
    ) -> bool:
        """Count a batch where it lies; return False, with nothing counted, if it can't be.

        A batch that there is no slot for is done with too.
        """
        model, version, variant = identity
        plan = self._plan_of(model, version, variant, batch.length)
        if plan is None:
            return True
        found = self._in_place.find(batch, plan)
        if found is None:
            return False
        if found.first < EARLIEST_TIME or found.last > self._refusals.latest_time():
            return False
        cell = self._placer.only_cell(plan, variant, found.first, found.last, tenure)
        if cell is None:
            return False
        _note_time(message, found.last, batch.length, tenure)
        self._counted["arrow"] += cell.add_in_place(found)
        return True

    def _count_gathered(self, gathered: Sequence[_Gathered], tenure: Tenure) -> None:
        identity = gathered[0].batch.identity
        assert identity is not None  # noqa: S101 - the others aren't gathered
        model, version, variant = identity
        plan = self._plan_of(model, version, variant, sum(it.batch.length for it in gathered))
        if plan is None:
            return
        try:
            batch = Batch.joined([one.batch for one in gathered])
            times = batch.times()
            numeric, categorical = batch.columns(plan)
            segments = batch.segments(self._dimensions)
            awaited = None
            if plan.target:
                lengths = [one.batch.length for one in gathered]
                awaited = awaited_of(batch, [one.number for one in gathered], lengths)
        except Exception as error:  # nothing is counted yet, and row by row it is known whose it is
            if len(gathered) > 1:
                for one_of_them in gathered:
                    self._count_gathered([one_of_them], tenure)
            else:
                self._count_rows(gathered[0], str(error), tenure, plan)
            return
        latest = self._refusals.latest_time()
        sound = (times >= EARLIEST_TIME) & (times <= latest)
        ends = np.cumsum([one.batch.length for one in gathered])
        known = times
        if not sound.all():
            begins = [0, *ends[:-1].tolist()]
            for one, begin, end in zip(gathered, begins, ends.tolist(), strict=True):
                self._refusals.row_times(one.message, times[begin:end], latest)
            known = np.where(sound, times, -np.inf)
            times = times[sound]
            numeric = [column[sound] for column in numeric]
            categorical = [column[sound] for column in categorical]
            segments = [column.at(sound) for column in segments]
            awaited = awaited and awaited.at(sound)
        newest = np.maximum.reduceat(known, [0, *ends[:-1]]).tolist()
        for one, time in zip(gathered, newest, strict=True):
            if time > -np.inf:
                _note_time(one.message, time, one.batch.length, tenure)
        if len(times):
            rows = Rows(plan, variant, times, numeric, categorical, segments, awaited)
            self._predictions.add(rows, tenure.pending)
            self._placer.add(rows, tenure)
            self._counted["arrow"] += len(times)

    def _count_rows(
        self, whole: _Gathered, why: str, tenure: Tenure, plan: Plan | None = None
    ) -> None:
        """Count a batch row by row, because of ``why``; ``plan`` is that of all rows, if any."""
        message, batch, number = whole
        chunks = self._chunks(message, batch, why, plan)
        refused: list[tuple[int, RefusedError]] = []
        done = 0
        while True:
            try:
                chunk = next(chunks, None)
            except Exception as error:  # of this message alone, of which so many rows are done
                if done:
                    self._refusals.rest(message, error, batch.length - done)
                else:
                    self._refusals.failed(message, error)
                break
            if chunk is None:
                break
            for row, event in enumerate(chunk, done):
                if isinstance(event, RefusedError):
                    refused.append((row, event))
                else:
                    self._count_event(event, message.partition(), number, tenure)
            done += len(chunk)
        self._refusals.rows(message, refused)

    def _chunks(
        self, message: RawMessage, batch: Batch, why: str, plan: Plan | None
    ) -> Iterator[list[LooseEvent | RefusedError]]:
        """Yield the rows of a batch, some at a time, as events or why they are refused."""
        rows, size = batch.length, len(message.value() or b"")
        most = min(MAX_ROWS_ONE_BY_ONE, 1_000 + size // BYTES_OF_A_ROW)
        if rows > most:
            raise RefusedError(
                "too_large",
                f"{rows} rows of which each must be looked at by itself ({why}); of {size} bytes "
                f"at most {most} such rows are taken",
            )
        features = None if plan is None else [signal.name for signal in plan.features]
        latest = self._refusals.latest_time()
        for chunk in batch.rows(features, self._dimensions):
            yield [_event(row, latest) for row in chunk]


def _event(row: Mapping[str, Any], latest: float) -> LooseEvent | RefusedError:
    try:
        event = reference.from_row(row)
        reference.check_time(event.epoch, latest)
    except RefusedError as refused:
        return refused
    return event


def _note_time(message: RawMessage, newest: float, rows: int, tenure: Tenure) -> None:
    """Note the newest event time of a batch, with the weight of its rows."""
    tenure.note_equal_times(message.partition(), newest, min(rows, MOST_TIMES))
