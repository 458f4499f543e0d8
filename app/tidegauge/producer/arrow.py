"""Many predictions at once: one Arrow record batch per message, laid out as docs/producing.md says.

pyarrow is imported on first use only; the base install does without. pandas and polars are never
imported, only recognised.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from datetime import datetime
from numbers import Number
from typing import Any

from msgspec import UNSET

from tidegauge.producer.counters import LeftOutReason
from tidegauge.producer.librdkafka import BATCH_LIMIT_BYTES
from tidegauge.producer.values import (
    RESERVED_NAMES,
    TimeError,
    UnencodableError,
    check_time,
    is_scalar,
    required_name,
)

#: Called for a column that is left out of a batch: why, and what is wrong with it.
LeaveOut = Callable[[LeftOutReason, str], None]


def record_batch(
    columns: Any,
    *,
    rows: int,
    model: object,
    version: object,
    variant: object,
    time: object,
    prediction: object = UNSET,
    label: object = UNSET,
    latency_ms: object = UNSET,
    status: object = UNSET,
    id: object = UNSET,
    segments: Any = None,
    leave_out: LeaveOut | None = None,
) -> Any:
    """Return the ``pyarrow.RecordBatch`` of a batch of predictions.

    ``columns`` maps feature names to array-likes, or is a frame, a list of records, or a pyarrow
    Table or RecordBatch. The other columns, and those that ``segments`` maps dimensions to, are
    array-likes of ``rows`` values, or one scalar for all rows. Raises :class:`UnencodableError`
    that names the column, and ``ImportError`` without pyarrow. With ``leave_out`` a wrong column is
    left out and reported to it, and only a wrong time, model or version is raised.
    """
    import pyarrow as pa

    metadata = {
        "model": required_name(model, "model"),
        "version": required_name(version, "version"),
    }
    if variant:
        metadata["variant"] = str(variant)
    text = pa.string()
    outputs = {"time": _filled("time", _instants(time), rows)}
    given = (
        ("prediction", prediction, pa.float64()),
        ("label", label, None),
        ("latency_ms", latency_ms, pa.float64()),
        ("status", status, text),
        ("id", id, text),
    )
    for name, values, kind in given:
        if values is not UNSET:
            with _left_out(leave_out):
                outputs[name] = _cast(name, _filled(name, values, rows), kind)
    features: dict[str, Any] = {}
    for name, values in _unique(columns_of(columns, "columns"), "columns", leave_out).items():
        if leave_out is not None and name in RESERVED_NAMES:
            leave_out("reserved_name", f"feature {name!r}: give it to log_batch({name}=...)")
            continue
        with _left_out(leave_out):
            feature = _feature(name, values)
            _same_length(f"feature {name!r}", feature, rows)
            features[name] = feature
    outputs["features"] = _struct(features, rows)
    if segments:
        found: dict[str, Any] = {}
        for name, values in _unique(
            columns_of(segments, "segments"), "segments", leave_out
        ).items():
            field = f"segment {name!r}"
            with _left_out(leave_out):
                found[name] = _cast(field, _filled(field, values, rows), text)
        outputs["segments"] = _struct(found, rows)
    schema = pa.schema(
        [pa.field(name, values.type) for name, values in outputs.items()], metadata=metadata
    )
    return pa.RecordBatch.from_arrays(list(outputs.values()), schema=schema)


@contextmanager
def _left_out(leave_out: LeaveOut | None) -> Iterator[None]:
    """Leave a wrong column out, if that is wanted: the others are worth sending."""
    try:
        yield
    except UnencodableError as error:
        if leave_out is None:
            raise
        leave_out("bad_column", str(error))


def _unique(
    columns: Iterable[tuple[str, Any]], field: str, leave_out: LeaveOut | None
) -> Mapping[str, Any]:
    """Return columns by name, without those whose name occurs twice."""
    pairs = list(columns)
    counts = Counter(name for name, _ in pairs)
    twice = sorted(name for name, count in counts.items() if count > 1)
    for name in twice:
        problem = f"{field} has the name {name!r} twice"
        if leave_out is None:
            raise UnencodableError(problem)
        leave_out("duplicate_name", problem)
    return {name: values for name, values in pairs if counts[name] == 1}


def check_times(batch: Any) -> None:
    """Raise :class:`TimeError` if an event time of a batch can't be one: INGEST would refuse it."""
    import pyarrow.compute as pc

    times = batch.column("time")
    if times.null_count:
        raise TimeError("time has rows without a value")
    ends = pc.min_max(times).as_py() if len(times) else {}
    for end in ends.values():
        check_time(end)


def messages(batch: Any, limit: int = BATCH_LIMIT_BYTES) -> Iterator[tuple[bytes, int]]:
    """Yield (Arrow IPC stream, rows), each at most ``limit`` bytes unless it is a single row."""
    rows = batch.num_rows
    if not rows:
        return
    parts = min(rows, -(-batch.nbytes // limit))
    if parts <= 1:
        encoded = _stream(batch)
        if len(encoded) <= limit or rows == 1:
            yield encoded, rows
            return
        parts = 2
    for i in range(parts):
        start, end = rows * i // parts, rows * (i + 1) // parts
        yield from messages(batch.slice(start, end - start), limit)


def _stream(batch: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _struct(columns: Mapping[str, Any], rows: int) -> Any:
    import pyarrow as pa

    if not columns:
        return pa.array([{}] * rows, pa.struct([]))
    fields = [pa.field(name, values.type) for name, values in columns.items()]
    return pa.StructArray.from_arrays(list(columns.values()), fields=fields)


def _feature(name: str, values: Any) -> Any:
    import pyarrow as pa

    field = f"feature {name!r}"
    values = array_of(field, values)
    kind, is_ = values.type, pa.types
    if (
        is_.is_boolean(kind)
        or is_.is_null(kind)
        or is_.is_string(kind)
        or is_.is_large_string(kind)
    ):
        return values
    if is_.is_integer(kind) or is_.is_float32(kind) or is_.is_float64(kind):
        return values
    if is_.is_float16(kind):
        return _cast(field, values, pa.float32())
    if is_.is_decimal(kind):
        return _cast(field, values, pa.float64())
    if is_.is_temporal(kind) or is_.is_string_view(kind):
        return _cast(field, values, pa.string())
    raise UnencodableError(f"{field} is of type {kind}, expected numbers, strings or bools")


def _instants(time: object) -> Any:
    """Event times as float64 epoch seconds; a timestamp without a zone is UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise UnencodableError(
                "time is a datetime without a zone, expected epoch seconds or an aware datetime"
            )
        return time.timestamp()
    if is_scalar(time):
        return time
    values = array_of("time", time)
    if pa.types.is_timestamp(values.type):
        microseconds = _cast("time", values, pa.timestamp("us", values.type.tz))
        return pc.divide(pc.cast(microseconds.cast(pa.int64()), pa.float64()), 1e6)
    return values


def _filled(name: str, given: Any, rows: int) -> Any:
    """Return a column of ``rows`` values: the array-like, or the scalar repeated."""
    import pyarrow as pa

    if is_scalar(given):
        item = getattr(given, "item", None)
        given = item() if callable(item) else given
        try:
            given = pa.repeat(pa.scalar(given), rows)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise UnencodableError(f"{name} is no scalar Arrow knows: {error}") from error
    values = array_of(name, given)
    _same_length(name, values, rows)
    return _cast(name, values, pa.float64()) if name == "time" else values


def _cast(name: str, values: Any, kind: Any) -> Any:
    import pyarrow as pa

    if kind is None:  # a label: whole floats are the integers they mean, other floats their text
        kind = values.type
        if pa.types.is_floating(kind):
            try:
                return values.cast(pa.int64())
            except pa.ArrowException:
                kind = pa.string()
        elif not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
            kind = pa.string()
    try:
        # An integer beyond 2**53 loses its last digits as a double, and is binned all the same.
        return values.cast(kind, safe=not pa.types.is_floating(kind))
    except pa.ArrowException as error:
        raise UnencodableError(f"{name} can't be {kind}: {error}") from error


def _same_length(field: str, values: Any, rows: int) -> None:
    if len(values) != rows:
        raise UnencodableError(f"{field} has {len(values)} values, expected {rows} like the first")


def columns_of(columns: Any, field: str) -> Iterator[tuple[str, Any]]:
    """Yield (name, array-like); a name may come twice, which is for the caller to refuse."""
    import pyarrow as pa

    if not isinstance(columns, pa.Table | pa.RecordBatch):
        items = getattr(columns, "items", None)
        if callable(items):
            yield from ((str(name), values) for name, values in items())
            return
        if isinstance(columns, list | tuple) and all(isinstance(it, Mapping) for it in columns):
            names = dict.fromkeys(name for row in columns for name in row)
            for name in names:
                yield str(name), [row.get(name) for row in columns]
            return
        if not hasattr(columns, "__arrow_c_stream__"):
            raise UnencodableError(
                f"{field} is a {type(columns).__name__}, expected a mapping of names to arrays, a "
                "list of records, a frame of pandas or polars, or a pyarrow Table or RecordBatch"
            )
        columns = pa.table(columns)
    yield from zip(columns.schema.names, columns.columns, strict=True)


def array_of(field: str, values: Any) -> Any:
    """Return a column as a pyarrow Array of one type; raises :class:`UnencodableError`.

    What pandas writes for missing (NaN, NaT, NA) is null in its columns, and in arrays of objects.
    Elsewhere NaN is a number that something went wrong with.
    """
    import pyarrow as pa

    if values is None or isinstance(values, str | bytes | Number):
        raise UnencodableError(f"{field} is one value, expected one for each row; log() takes one")
    if isinstance(values, Set | Mapping):
        raise UnencodableError(f"{field} is a {type(values).__name__}, which has no order of rows")
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = _converted(field, _one_dimension(field, values))
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
        if isinstance(values, pa.ChunkedArray):  # newer releases keep what is too large for one
            values = pa.concat_arrays(values.chunks)
    if pa.types.is_dictionary(values.type):
        if pa.types.is_string_view(values.type.value_type):  # of which pyarrow can take nothing
            texts = values.dictionary.cast(pa.string())
            values = pa.DictionaryArray.from_arrays(values.indices, texts)
        values = values.dictionary_decode()
    return values


def _converted(field: str, values: Any) -> Any:
    import pyarrow as pa

    is_objects = getattr(getattr(values, "dtype", None), "kind", "") == "O"
    module = type(values).__module__
    if module.startswith("polars"):
        return values.to_arrow()
    nulls = is_objects or module.startswith("pandas")
    try:
        return pa.array(values, from_pandas=nulls)
    except _refused() as error:
        for attempt in _attempts(values):
            try:
                # Beside text or booleans NaN is what a frame's records have for missing.
                return pa.array(attempt, from_pandas=True)
            except _refused():
                continue
        raise UnencodableError(
            f"{field} is no column of one type{_types(values)}: {error}"
        ) from error


def _attempts(values: Any) -> Iterator[Any]:
    """Yield what a column that pyarrow doesn't take may be taken for."""
    yield values
    numbers = _numbers(values)
    if numbers is not None:
        yield numbers
    if not isinstance(values, list | tuple) and hasattr(values, "__array__"):  # a tensor
        yield values.__array__()


def _refused() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return (pa.ArrowException, TypeError, ValueError, OverflowError)


def _one_dimension(field: str, values: Any) -> Any:
    """Return a column of (n, 1) as one of n: what many models predict."""
    shape = getattr(values, "shape", None)
    if not isinstance(shape, tuple) or len(shape) < 2:
        return values
    if any(it != 1 for it in shape[1:]):
        raise UnencodableError(
            f"{field} has the shape {tuple(shape)}, expected one value a row: such as [:, 1]"
        )
    to_numpy = getattr(values, "to_numpy", None)
    return (to_numpy() if callable(to_numpy) else values).reshape(-1)


def _numbers(values: Any) -> list[float | None] | None:
    """Return numbers of several types, decimals among them, as floats; None if not all are."""
    found: list[float | None] = []
    try:
        for value in values:
            if value is None or type(value).__name__ in ("NAType", "NaTType"):
                found.append(None)
            elif isinstance(value, Number) and not isinstance(value, complex):
                found.append(float(value))  # type: ignore[arg-type]
            else:
                return None
    except (TypeError, ValueError, OverflowError):
        return None
    return found


def _types(values: Any) -> str:
    try:
        kinds = Counter(type(value).__name__ for value in values)
    except TypeError:
        return ""
    return f" ({', '.join(f'{n:,} of {kind}' for kind, n in kinds.most_common(3))})"
