"""Arrow batches counted where they lie, by the extension: no column is gathered or copied.

That is for batches of numbers. Where the plan has categories that the batch has a column of, or a
dimension's segments are monitored, batches are gathered instead: those cost much for each batch and
little for each row. So is whatever needs a closer look, and the counts are the same.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from tidegauge.contract import OUTPUT_SIGNALS
from tidegauge.counting.cells import CountingCell
from tidegauge.counting.decode import extension
from tidegauge.counting.decode.arrow import HEAD_BYTES, Batch
from tidegauge.counting.ignored import IgnoredFeatures
from tidegauge.counting.plan import ABSENT, NULL, Plan


class _BatchCounter(Protocol):
    def times(self, batch: object) -> tuple[float, float] | None: ...

    def add(self, batch: object, *totals: object) -> int: ...


class InPlaceBatch(NamedTuple):
    """A batch as it lies, with its earliest and latest event time, epoch seconds."""

    counter: _BatchCounter
    capsule: object
    first: float
    last: float

    def add_to(self, cell: CountingCell) -> int:
        """Count the rows, all in this cell; return how many there are."""
        rows = self.counter.add(
            self.capsule, cell.counts, cell.sums, cell.sumsqs, cell.minima, cell.maxima
        )
        cell.events += rows
        cell.changed = True
        return rows


class DirectPath:
    """Counters of batches, by how their streams begin: at most ``HEAD_BYTES`` of beginnings."""

    def __init__(self, ignored: IgnoredFeatures, *, segmented: bool) -> None:
        """``segmented``: segments are monitored. ``ignored`` is shown the features of new ones."""
        self._ignored = ignored
        self._segmented = segmented
        self._counters: dict[bytes, tuple[Plan, _BatchCounter | None]] = {}
        self._bytes = 0

    def find(self, batch: Batch, plan: Plan) -> InPlaceBatch | None:
        """Return the batch as it lies, or None if it must be gathered."""
        made_for, counter = self._counters.get(batch.head, (None, None))
        if made_for is not plan:
            self._bytes += len(batch.head)
            if self._bytes > HEAD_BYTES:
                self._counters.clear()
                self._bytes = len(batch.head)
            counter = self._make(batch.schema, plan)
            self._ignored.look_at_columns(plan.model, plan.version, batch.feature_names())
            self._counters[batch.head] = plan, counter
        if counter is None or len(batch.parts) != 1:
            return None
        _, capsule = batch.parts[0].__arrow_c_array__()
        times = counter.times(capsule)
        return None if times is None else InPlaceBatch(counter, capsule, *times)

    def _make(self, schema: pa.Schema, plan: Plan) -> _BatchCounter | None:
        if extension.MODULE is None or (self._segmented and "segments" in schema.names):
            return None
        columns = _columns_of(schema)
        if columns is None or "time" not in schema.names:
            return None
        if schema.field("time").type != pa.float64():
            return None
        numeric, places = [], []
        for number, signal in enumerate(plan.numeric):
            path, kind = columns.get(signal.name, (None, None))
            if kind is None:
                places.append(signal.offset + signal.bins + ABSENT)
            elif pa.types.is_null(kind):
                places.append(signal.offset + signal.bins + NULL)
            elif pa.types.is_integer(kind) or kind in (pa.float32(), pa.float64()):
                numeric.append((path, str(kind), signal.edges.tolist(), signal.offset, number))
            else:
                return None
        for category in plan.categorical:
            if category.name in columns:
                return None
            places.append(category.offset + category.bins + ABSENT)
        counter: _BatchCounter = extension.MODULE.BatchCounter(
            schema.names.index("time"), numeric, places
        )
        return counter


def _columns_of(schema: pa.Schema) -> Mapping[str, tuple[list[int], Any]] | None:
    """Return where each signal's column is, and its type; None if features are no struct."""
    found: dict[str, tuple[list[int], Any]] = {}
    for i, field in enumerate(schema):
        if field.name in OUTPUT_SIGNALS:
            found[field.name] = [i], field.type
        elif field.name == "features":
            if not pa.types.is_struct(field.type):
                return None
            for j in range(field.type.num_fields):
                feature = field.type.field(j)
                if feature.name not in OUTPUT_SIGNALS:
                    found[feature.name] = [i, j], feature.type
    return found
