"""NDJSON and JSON files as the table ``t``: each value as JSON, so that its type is known."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tidegauge.baseline import BaselineError
from tidegauge.baseline.io.table.column import ReadOptions
from tidegauge.baseline.io.table.database import (
    LONGEST_BYTES,
    Database,
    Loaded,
    Progress,
    columns_of,
    file_list,
    literal,
    make_view,
)
from tidegauge.baseline.io.table.files import Files, TextFile, as_utf8, readable
from tidegauge.contract import DecodingError, decode


def load_json(
    database: Database,
    files: Files,
    shown: Path,
    options: ReadOptions,
    model: str,
    scratch: Path,
    progress: Progress,
) -> Loaded:
    """Read objects, one a row; of recorded events, those of ``model``."""
    texts = [
        as_utf8(it, options.encoding, scratch, i, fallback=None) for i, it in enumerate(files.paths)
    ]
    arrays = {it.sample.lstrip("\ufeff \t\r\n").startswith("[") for it in texts}
    if len(arrays) > 1:
        raise BaselineError(f"{shown} has files of arrays and files of lines: name those of one")
    form = "array" if arrays == {True} else "unstructured"
    listed = file_list([it.path for it in texts])
    try:
        database.run(
            f"CREATE TABLE raw AS SELECT json FROM read_json_objects({listed}, format = '{form}'"
            f", maximum_object_size = {LONGEST_BYTES})",
            (),
            shown,
            progress,
        )
    except BaselineError:
        for path, text in zip(files.paths, texts, strict=True):
            _check_lines(path, text, is_array=form == "array")
        raise
    for row, value in database.rows(
        "SELECT rowid + 1, json FROM raw WHERE json_type(json) <> 'OBJECT' ORDER BY rowid LIMIT 1"
    ):
        raise BaselineError(
            f"{shown}, row {row:,}: expected an object with a value for each column, found "
            f"{str(value)[:50]}"
        )
    doubts = [it.doubt for it in texts if it.doubt]
    if _are_events(database):
        return _events(database, model, doubts)
    names = _json_names(database, "json")
    _check_orientation(database, shown, names)
    _make_table(database, [_pointer(name) for name in names])
    return Loaded(columns_of(names, ["JSON"] * len(names), "json"), doubts)


def _json_names(database: Database, source: str) -> list[str]:
    """Return the names of an object, in the order in which the rows bring them."""
    found = database.rows(
        f"SELECT name, min(rowid * 100000 + place) FROM ("
        f"SELECT rowid, unnest(json_keys({source})) AS name, "
        f"generate_subscripts(json_keys({source}), 1) AS place FROM raw) GROUP BY 1 ORDER BY 2"
    )
    return [str(row[0]) for row in found]


def _pointer(*names: str) -> str:
    """Return where a value is in an object, as RFC 6901 writes it."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def _make_table(database: Database, pointers: Sequence[str]) -> None:
    """Make ``t`` of ``raw``: each value as JSON, NULL where it is null or not there."""
    fields = ", ".join(
        f"nullif(found[{i + 1}]::VARCHAR, 'null') AS c{i}" for i in range(len(pointers))
    )
    paths = "[" + ", ".join(map(literal, pointers)) + "]"
    database.rows(
        f"CREATE TABLE cells AS SELECT {fields or 'NULL AS nothing'} FROM "
        f"(SELECT json_extract(json, {paths}) AS found FROM raw)"
        if pointers
        else "CREATE TABLE cells AS SELECT NULL AS nothing FROM raw"
    )
    database.rows("DROP TABLE raw")
    make_view(database)


def _are_events(database: Database) -> bool:
    """Whether the rows are prediction events: an object of features, and what they are of."""
    rows, events = database.rows(
        "SELECT count(*), count(*) FILTER (json_type(json, '/features') = 'OBJECT' "
        "AND json_exists(json, '/model') AND json_exists(json, '/time')) FROM raw"
    )[0]
    return bool(rows) and bool(events == rows)


#: Of a recorded event, what an option may name: the output, and the time.
_BESIDE = ("prediction", "label", "latency_ms", "time")


def _events(database: Database, model: str, doubts: list[str]) -> Loaded:
    """Make ``t`` of the features of recorded events, of one model."""
    counted = database.rows(
        "SELECT json_extract_string(json, '/model'), count(*) FROM raw "
        "GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    models = {str(name): rows for name, rows in counted}
    doubts.append(
        "the rows are recorded events: the signals are their features; --prediction prediction "
        "adds the output, --time time the hours of the day"
    )
    if len(models) > 1:
        if model not in models:
            raise BaselineError(
                f"the rows are events of {len(models):,} models, none of them {model!r}: "
                f"{', '.join(map(repr, list(models)[:10]))}"
            )
        database.rows(
            "DELETE FROM raw WHERE json_extract_string(json, '/model') IS DISTINCT FROM ?", [model]
        )
        doubts.append(
            f"the rows are events of {len(models):,} models: those {models[model]:,} of {model!r} "
            f"are read"
        )
    features = _json_names(database, "json_extract(json, '/features')")
    beside = [name for name in _BESIDE if name not in features]
    _make_table(
        database,
        [*(_pointer("features", name) for name in features), *(_pointer(name) for name in beside)],
    )
    names = [*features, *beside]
    columns = columns_of(names, ["JSON"] * len(names), "json")
    return Loaded(columns, doubts, beside=frozenset(beside))


def _check_orientation(database: Database, shown: Path, names: Sequence[str]) -> None:
    """Refuse one object that has the columns, which is what pandas writes if it isn't asked."""
    rows, nested = database.rows(
        "SELECT count(*), min(list_bool_and([json_type(v) = 'ARRAY' OR json_exists(v, '/0') "
        "FOR v IN json_extract(json, '$.*')])) FROM raw"
    )[0]
    if rows == 1 and nested and names:
        raise BaselineError(
            f"{shown} is one object of columns, expected rows: "
            f"to_json(orient='records', lines=True)"
        )


def _check_lines(path: Path, text: TextFile, *, is_array: bool) -> None:
    """Say which line is no JSON: DuckDB counts lines in blocks of its own."""
    if is_array:
        return
    with readable(path), pa.input_stream(str(text.path), compression="detect") as raw:
        for number, line in enumerate(io.BufferedReader(raw), start=1):
            if line.isspace():
                continue
            try:
                decode(line, Any)
            except DecodingError as error:
                if b"NaN" in line or b"Infinity" in line:
                    continue
                raise BaselineError(f"{path}, line {number}: {error}") from error
