"""Arrow batches from messages to counts: where they lie, gathered by column, or row by row."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from tidegauge.ingest import tolerant
from tidegauge.ingest.arrow import Batch, Streams, UnusualError
from tidegauge.ingest.direct import DirectPath
from tidegauge.ingest.placing import Placer, Rows
from tidegauge.ingest.plan import Floats, Plan
from tidegauge.ingest.refusals import Message, Refusals
from tidegauge.ingest.tenure import Tenure
from tidegauge.ingest.tolerant import EARLIEST_TIME, LooseEvent, RefusedError

#: A batch's newest event time counts as so many events at most.
MOST_TIMES = 10_000


class BatchPath:
    """Counts batches by the plans of ``plan_of``; of ``dimensions`` the segments are monitored.

    ``counted`` is told of events under "arrow"; a row that needs to be looked at by itself goes
    through ``count_event``, with its partition. ``plan_of`` is asked by model, version, variant and
    number of events; where it returns None, it has counted them as an overflow.
    """

    def __init__(
        self,
        dimensions: Sequence[str],
        *,
        placer: Placer,
        refusals: Refusals,
        counted: dict[str, int],
        plan_of: Callable[[str, str, str, int], Plan | None],
        count_event: Callable[[LooseEvent, int, Tenure], None],
    ) -> None:
        self._dimensions = dimensions
        self._placer = placer
        self._refusals = refusals
        self._counted = counted
        self._plan_of = plan_of
        self._count_event = count_event
        self._streams = Streams()
        self._direct = DirectPath(segmented=bool(dimensions))
        self._pending: dict[bytes, list[tuple[Message, Batch]]] = {}
        #: Rows that wait for :meth:`settle`.
        self.pending_rows = 0

    def take(self, message: Message, value: bytes, tenure: Tenure) -> None:
        """Take the batch of a message in; raises :class:`RefusedError` if that is none."""
        batch = self._streams.read(value)
        if not batch.table.num_rows:
            return
        if batch.identity is None:
            self._count_rows(message, batch, tenure)
        elif not self._count_directly(message, batch, batch.identity, tenure):
            # With those like it: a column of many rows costs little more.
            self._pending.setdefault(batch.head, []).append((message, batch))
            self.pending_rows += batch.table.num_rows

    def settle(self, tenure: Tenure) -> None:
        """Count everything put aside into the tenure's cells."""
        for gathered in self._pending.values():
            self._count_gathered(gathered, tenure)
        self._pending.clear()
        self.pending_rows = 0

    def _count_directly(
        self, message: Message, batch: Batch, identity: tuple[str, str, str], tenure: Tenure
    ) -> bool:
        """Count a batch where it lies; return False, with nothing counted, if it can't be.

        A batch that there is no slot for is done with too.
        """
        model, version, variant = identity
        plan = self._plan_of(model, version, variant, batch.table.num_rows)
        if plan is None:
            return True
        lying = self._direct.find(batch, plan)
        if lying is None:
            return False
        if lying.first < EARLIEST_TIME or lying.last > self._refusals.latest_time():
            return False
        cell = self._placer.only_cell(plan, variant, lying.first, lying.last, tenure)
        if cell is None:
            return False
        tenure.note_times(message.partition(), _as_many(lying.last, batch.table.num_rows))
        self._counted["arrow"] += lying.add_to(cell)
        return True

    def _count_gathered(self, gathered: Sequence[tuple[Message, Batch]], tenure: Tenure) -> None:
        batch = Batch.joined([one for _, one in gathered])
        assert batch.identity is not None  # noqa: S101 - the others aren't gathered
        model, version, variant = batch.identity
        plan = self._plan_of(model, version, variant, batch.table.num_rows)
        if plan is None:
            return
        try:
            times = batch.times()
            numeric, categorical = batch.columns(plan)
            segments = batch.segments(self._dimensions)
        except (UnusualError, pa.ArrowException):
            for message, one in gathered:
                if len(gathered) > 1:
                    self._count_gathered([(message, one)], tenure)
                else:
                    self._count_rows(message, one, tenure)
            return
        latest = self._refusals.latest_time()
        sound = (times >= EARLIEST_TIME) & (times <= latest)
        ends = np.cumsum([one.table.num_rows for _, one in gathered])
        known = times
        if not sound.all():
            for row in np.flatnonzero(~sound).tolist():
                at = int(np.searchsorted(ends, row, side="right"))
                message, one = gathered[at]
                first = int(ends[at]) - one.table.num_rows
                self._refusals.time(message, row - first, float(times[row]), latest)
            known = np.where(sound, times, -np.inf)
            times = times[sound]
            numeric = [column[sound] for column in numeric]
            categorical = [column[sound] for column in categorical]
            segments = [column.at(sound) for column in segments]
        newest = np.maximum.reduceat(known, [0, *ends[:-1]]).tolist()
        for (message, one), time in zip(gathered, newest, strict=True):
            if time > -np.inf:
                tenure.note_times(message.partition(), _as_many(time, one.table.num_rows))
        if len(times):
            self._placer.add(Rows(plan, variant, times, numeric, categorical, segments), tenure)
            self._counted["arrow"] += len(times)

    def _count_rows(self, message: Message, batch: Batch, tenure: Tenure) -> None:
        try:
            rows = batch.rows()
        except RefusedError as refused:
            self._refusals.record(message, None, refused, message.value() or b"")
            return
        latest = self._refusals.latest_time()
        for number, row in enumerate(rows):
            try:
                event = tolerant.from_row(row)
                tolerant.check_time(event.epoch, latest)
            except RefusedError as refused:
                self._refusals.record(message, number, refused, b"")
                continue
            self._count_event(event, message.partition(), tenure)


def _as_many(newest: float, rows: int) -> Floats:
    """Return what a batch says of event time: its newest time, with the weight of its rows."""
    return np.full(min(rows, MOST_TIMES), newest)
