"""Column batches: Arrow IPC streams of many rows of one model version.

Schema metadata names ``model``, ``version`` and, if need be, ``variant``; the columns are ``time``,
``prediction``, ``label``, ``latency_ms``, ``status`` and two structs, ``features`` and
``segments``. A batch that names the model by row, or whose columns are of unusual types, is counted
row by row.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.contract import OUTPUT_SIGNALS
from tidegauge.counting.decode.arrow_rows import COUNTED, chunks
from tidegauge.counting.decode.reference import RefusedError
from tidegauge.counting.plan import (
    ABSENT,
    ABSENT_VALUE,
    NAN_VALUE,
    NULL,
    NULL_VALUE,
    CategoricalPlan,
    Columns,
    Plan,
)
from tidegauge.counting.rows import NONE, SegmentColumn, code
from tidegauge.stats import Floats, Places


class UnusualError(Exception):
    """A batch that columns can't be taken from; its rows are counted one by one."""


@dataclass(eq=False)
class Batch:
    """A decoded batch. ``identity`` is (model, version, variant), or None if rows name theirs.

    Its ``length`` is the number of rows. Those with the same ``head`` can be joined.
    """

    parts: Sequence[pa.RecordBatch]
    schema: pa.Schema
    length: int
    identity: tuple[str, str, str] | None
    head: bytes

    @cached_property
    def table(self) -> pa.Table:
        """All rows."""
        return pa.Table.from_batches(self.parts, self.schema)

    @classmethod
    def joined(cls, batches: Sequence["Batch"]) -> "Batch":
        """Put batches of one head one after another."""
        first = batches[0]
        if len(batches) == 1:
            return first
        parts = [part for batch in batches for part in batch.parts]
        length = sum(batch.length for batch in batches)
        return cls(parts, first.schema, length, first.identity, first.head)

    def rows(
        self,
        features: Collection[str] | None,
        segments: Collection[str] | None,
        columns: Collection[str] = COUNTED,
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield every row as the JSON event it stands for, some at a time.

        Only the ``columns``, ``features`` and ``segments`` of these names are read; None: all.
        Raises :class:`RefusedError` for times that no row can be read with.
        """
        constants: dict[str, str] = {}
        if self.identity:
            constants = dict(zip(("model", "version", "variant"), self.identity, strict=True))
        table = self.table
        column = self.column("time")
        if column is not None and pa.types.is_timestamp(column.type):
            if column.type.tz is None:
                raise RefusedError(
                    "invalid_record", "times without a time zone; expected a zone, such as UTC"
                )
            place = table.column_names.index("time")
            table = table.set_column(place, "time", _seconds(column))
        return chunks(
            table, constants=constants, features=features, segments=segments, columns=columns
        )

    def feature_names(self) -> list[str]:
        """Return the names of the columns of features, none if there is no struct of them."""
        if "features" not in self.schema.names:
            return []
        kind = self.schema.field("features").type
        if not pa.types.is_struct(kind):
            return []
        return [kind.field(i).name for i in range(kind.num_fields)]

    def times(self) -> Floats:
        """Event times, epoch seconds; raises :class:`UnusualError` if not a column of times."""
        column = self.column("time")
        if column is None:
            raise UnusualError("no column time")
        kind = column.type
        if column.null_count:
            raise UnusualError("rows without a time")
        if pa.types.is_timestamp(kind):
            if kind.tz is None:
                raise UnusualError("times without a time zone")
            seconds: Floats = _numpy(_seconds(column))
            return seconds
        if pa.types.is_floating(kind) or pa.types.is_integer(kind):
            # Unsafe, or a whole number beyond 2^53 (nanoseconds, say) would raise.
            floats: Floats = _numpy(column.cast(pa.float64(), safe=False))
            return floats
        raise UnusualError(f"time is {kind}")

    def columns(self, plan: Plan) -> Columns:
        """Return the columns of the signals that events have.

        Raises :class:`UnusualError` for a type that needs care.
        """
        features = self._features()
        numeric = [self._floats(features, signal.name) for signal in plan.in_events]
        categorical = [self._codes(features, signal) for signal in plan.categorical]
        return numeric, categorical

    def segments(self, dimensions: Sequence[str]) -> list[SegmentColumn]:
        """Return the segments by dimension; raises :class:`UnusualError` if they aren't text."""
        struct = self.column("segments") if dimensions else None
        columns: dict[str, pa.Array] = {}
        if struct is not None:
            if not pa.types.is_struct(struct.type):
                raise UnusualError(f"segments is {struct.type}")
            names = [struct.type.field(i).name for i in range(struct.type.num_fields)]
            columns = dict(zip(names, struct.flatten(), strict=True))
        return [self._segment(name, columns.get(name)) for name in dimensions]

    def _segment(self, dimension: str, column: pa.Array | None) -> SegmentColumn:
        if column is None or pa.types.is_null(column.type):
            return SegmentColumn(dimension, np.full(self.length, NONE, dtype=np.intp), [])
        encoded = pa.types.is_dictionary(column.type)
        kind = column.type.value_type if encoded else column.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UnusualError(f"segment {dimension} is {column.type}")
        column = column if encoded else column.dictionary_encode()
        values = [*column.dictionary.to_pylist(), None]
        places = {value: place for place, value in enumerate(values)}
        codes = np.array([code(value, places[value]) for value in values], dtype=np.intp)
        indices = column.indices.cast(pa.int64()).fill_null(len(values) - 1)
        return SegmentColumn(dimension, codes[_numpy(indices)], values)

    def column(self, name: str) -> pa.Array | None:
        """Return the column of a name in one piece, if there is one."""
        if name not in self.schema.names:
            return None
        return self.table.column(name).combine_chunks()

    def _features(self) -> Mapping[str, pa.Array]:
        struct = self.column("features")
        if struct is None:
            return {}
        if not pa.types.is_struct(struct.type):
            raise UnusualError(f"features is {struct.type}")
        if struct.null_count:
            raise UnusualError("rows without features")
        names = [struct.type.field(i).name for i in range(struct.type.num_fields)]
        return dict(zip(names, struct.flatten(), strict=True))

    def _find(self, features: Mapping[str, pa.Array], name: str) -> pa.Array | None:
        return self.column(name) if name in OUTPUT_SIGNALS else features.get(name)

    def _floats(self, features: Mapping[str, pa.Array], name: str) -> Floats:
        column = self._find(features, name)
        if column is None:
            return np.full(self.length, ABSENT_VALUE)
        kind = column.type
        if pa.types.is_null(kind):
            return np.full(len(column), NULL_VALUE)
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise UnusualError(f"{name} is {kind}")
        values: Floats = _numpy(_without_nulls(column.cast(pa.float64(), safe=False)))
        finite = np.isfinite(values)
        if not finite.all():
            values = np.where(finite, values, NAN_VALUE)
        if column.null_count:
            values = np.where(_numpy(column.is_null()), NULL_VALUE, values)
        return values

    def _codes(self, features: Mapping[str, pa.Array], signal: CategoricalPlan) -> Places:
        column = self._find(features, signal.name)
        if column is None:
            return np.full(self.length, signal.bins + ABSENT, dtype=np.intp)
        if not pa.types.is_dictionary(column.type):
            return _bins(column, signal)
        # Each value is looked up once; the null at the end is for rows without one.
        values = pa.concat_arrays([column.dictionary, pa.nulls(1, column.type.value_type)])
        indices = column.indices.cast(pa.int64()).fill_null(len(values) - 1)
        codes: Places = _bins(values, signal)[_numpy(indices)]
        return codes


def _bins(column: pa.Array, signal: CategoricalPlan) -> Places:
    text = _as_text(column)
    names = list(signal.bin_of)
    found = pc.index_in(text, value_set=pa.array(names, pa.string())).fill_null(len(names))
    bins = np.array([*signal.bin_of.values(), signal.default_bin], dtype=np.intp)
    codes: Places = bins[_numpy(found)]
    if column.null_count:
        codes[_numpy(column.is_null())] = signal.bins + NULL
    return codes


def _as_text(column: pa.Array) -> pa.Array:
    kind = column.type
    if (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_null(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
    ):
        return column.cast(pa.string())
    raise UnusualError(f"categories of type {kind}")


#: Ticks of a timestamp in a second; nanoseconds are cut to microseconds first: as floats, the last
#: ones of a window would be of the next.
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e6}


def _seconds(timestamps: pa.Array) -> pa.Array:
    """Convert to epoch seconds, nulls to nulls; the name of the zone doesn't matter, nor exist."""
    ticks = timestamps.cast(pa.int64())
    if timestamps.type.unit == "ns":
        ticks = pc.divide(ticks, 1000)
    seconds = ticks.cast(pa.float64(), safe=False)
    return pc.divide(seconds, _PER_SECOND[timestamps.type.unit])


def _without_nulls(column: pa.Array) -> pa.Array:
    return column.fill_null(0.0) if column.null_count else column


def _numpy(column: pa.Array) -> Any:
    return column.to_numpy(zero_copy_only=False)
