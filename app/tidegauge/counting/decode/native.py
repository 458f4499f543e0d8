"""What the extension ``tidegauge_native`` does, built of ``native/`` (Rust), where it is installed.

JSON straight to columns: events that fit a known version of a model are kept by group until they
are taken out; whatever is unusual is left to :mod:`tidegauge.counting.decode.reference`, with the
same counts. And Arrow batches of numbers counted where they lie, without gathering columns.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import pyarrow as pa

from tidegauge.contract import OUTPUT_SIGNALS, RegressionTarget
from tidegauge.counting.awaited import AwaitedColumns
from tidegauge.counting.decode.arrow import Batch
from tidegauge.counting.decode.arrow_stream import HEAD_BYTES
from tidegauge.counting.decode.reference import EARLIEST_TIME
from tidegauge.counting.plan import ABSENT, NULL, CategoricalPlan, Plan
from tidegauge.counting.refusals import IgnoredFeatures
from tidegauge.counting.rows import Rows, SegmentColumn
from tidegauge.stats import Floats

#: The extension, or None: everything works without it, more slowly.
MODULE: Any = (
    importlib.import_module("tidegauge_native")
    if importlib.util.find_spec("tidegauge_native")
    else None
)


#: What the log of INGEST and ``tidegauge check`` report where it isn't installed.
WITHOUT_NATIVE = (
    "tidegauge_native isn't installed: JSON events are counted by Python, with the same counts, at "
    "a tenth of the speed or less; install the wheel tidegauge_native of the same version"
)


def is_installed() -> bool:
    """Whether the native decoder is there."""
    return MODULE is not None


_INT64 = range(-(2**63), 2**63)

#: Rows are taken out as columns so many bytes at a time: what was written last is then still in the
#: processor's cache when it is counted.
COLUMN_BYTES = 512 * 1024


#: Columns of rows whose labels are awaited, after all others.
_AWAITED = ("id", "class", "number")


class _Decoder(Protocol):
    def decode(
        self, values: list[bytes | None], limit: int, earliest: float, latest: float, first: int
    ) -> bytes: ...

    @property
    def kept_bytes(self) -> int: ...

    def groups(self) -> tuple[list[tuple[int, str, int]], list[list[str]], list[str]]: ...

    def columns(self, group: int, first: int, end: int) -> bytes: ...

    def clear(self) -> None: ...


class NativePath:
    """A decoder of the versions of these plans; the extension must be there.

    ``dimensions`` are the segments that are monitored.
    """

    def __init__(self, plans: Iterable[Plan], dimensions: Sequence[str] = ()) -> None:
        self._plans = list(plans)
        self._dimensions = list(dimensions)
        layouts = [_layout(plan) for plan in self._plans]
        self._decoder = cast(_Decoder, MODULE.Decoder(layouts, self._dimensions))

    def decode(
        self, values: list[bytes | None], limit: int, latest: float, first: int = 0
    ) -> Floats:
        """Keep the events that fit; return all event times, epoch seconds, NaN for the others.

        An event longer than ``limit`` bytes or later than ``latest`` doesn't fit. The messages are
        numbered from ``first`` on.
        """
        return np.frombuffer(self._decoder.decode(values, limit, EARLIEST_TIME, latest, first))

    @property
    def kept_bytes(self) -> int:
        """Memory that the events kept take, bytes."""
        return self._decoder.kept_bytes

    def take(self, wanted: Callable[[Plan, str, int], bool] | None = None) -> Iterator[Rows]:
        """Yield what was kept since the last time; go through all of it before decoding more.

        Nothing is yielded of a plan and a variant, with so many rows, that are not ``wanted``.
        """
        groups, values, classes = self._decoder.groups()
        for group, (layout, variant, rows) in enumerate(groups):
            plan = self._plans[layout]
            if wanted is not None and not wanted(plan, variant, rows):
                continue
            width = 1 + len(plan.in_events) + len(plan.categorical) + len(self._dimensions)
            width += len(_AWAITED) if plan.target else 0
            most = max(1, COLUMN_BYTES // (8 * width))
            for first in range(0, rows, most):
                columns = self._decoder.columns(group, first, first + most)
                yield self._rows(plan, variant, columns, width, values, classes)
        self._decoder.clear()

    def _rows(
        self,
        plan: Plan,
        variant: str,
        columns: bytes,
        width: int,
        values: list[list[str]],
        classes: list[str],
    ) -> Rows:
        times, *numeric = np.frombuffer(columns).reshape(width, -1)[: 1 + len(plan.in_events)]
        codes = list(np.frombuffer(columns, np.intp).reshape(width, -1)[1 + len(numeric) :])
        categorical = codes[: len(plan.categorical)]
        named = zip(self._dimensions, codes[len(categorical) :], values, strict=False)
        segments = [SegmentColumn(*column) for column in named]
        awaited = None
        if plan.target:
            ids, places, numbers = codes[-len(_AWAITED) :]
            awaited = AwaitedColumns(ids.view(np.uint64), places, classes, numbers.view(np.uint64))
        return Rows(plan, variant, times, numeric, categorical, segments, awaited)


def _layout(plan: Plan) -> tuple[Any, ...]:
    numeric = [(signal.name, signal.name not in OUTPUT_SIGNALS) for signal in plan.in_events]
    categorical = [_categories(signal) for signal in plan.categorical]
    awaited = ""
    if plan.target:
        awaited = "number" if isinstance(plan.target, RegressionTarget) else "class"
    return plan.model, plan.version, numeric, categorical, awaited


def _categories(signal: CategoricalPlan) -> tuple[Any, ...]:
    values = [
        (value, bin_)
        for value, bin_ in signal.bins_of_values().items()
        # The others are never met: an event with such a number doesn't fit.
        if not isinstance(value, int) or value in _INT64
    ]
    return (
        signal.name,
        signal.name not in OUTPUT_SIGNALS,
        signal.dtype,
        values,
        signal.bins + ABSENT,
        signal.bins + NULL,
        signal.default_bin,
    )


class _BatchCounter(Protocol):
    def times(self, batch: object) -> tuple[float, float] | None: ...

    def add(self, batch: object, *totals: object) -> int: ...


class InPlaceBatch(NamedTuple):
    """A batch as it lies, with its earliest and latest event time, epoch seconds."""

    counter: _BatchCounter
    capsule: object
    first: float
    last: float

    def add_to(self, *totals: object) -> int:
        """Add the rows to the arrays of a cell; return how many there are."""
        return self.counter.add(self.capsule, *totals)


class InPlacePath:
    """Counters of batches, by how their streams begin: at most ``HEAD_BYTES`` of beginnings.

    For batches of numbers. Where the plan has categories that the batch has a column of, or joint
    signals, or a dimension's segments are monitored, batches are gathered instead: those cost much
    for each batch and little for each row. So is whatever needs a closer look, and the counts are
    the same.
    """

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
            self._ignored.note_columns(plan.model, plan.version, batch.feature_names())
            self._counters[batch.head] = plan, counter
        if counter is None or len(batch.parts) != 1:
            return None
        _, capsule = batch.parts[0].__arrow_c_array__()
        times = counter.times(capsule)
        return None if times is None else InPlaceBatch(counter, capsule, *times)

    def _make(self, schema: pa.Schema, plan: Plan) -> _BatchCounter | None:
        if MODULE is None or plan.joint or (self._segmented and "segments" in schema.names):
            return None
        if plan.target:
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
        counter: _BatchCounter = MODULE.BatchCounter(schema.names.index("time"), numeric, places)
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
