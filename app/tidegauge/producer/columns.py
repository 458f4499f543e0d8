"""The columns of a batch given as a frame, a table, a mapping or a list of records.

pyarrow is imported on first use only; pandas and polars are never imported, only recognised.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from numbers import Number
from typing import Any

from tidegauge.producer.values import UnencodableError


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
