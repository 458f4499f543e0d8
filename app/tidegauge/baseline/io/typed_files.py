"""Files whose values have types, as the table ``t``: Parquet and Arrow, NDJSON and JSON."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from tidegauge.baseline import BaselineError
from tidegauge.baseline.io.column import Column, Loaded, ReadOptions, columns_of
from tidegauge.baseline.io.database import (
    LONGEST_BYTES,
    Database,
    Progress,
    check_names,
    file_list,
    literal,
    make_view,
    malformed,
)
from tidegauge.baseline.io.files import Files, TextFile, as_utf8, readable
from tidegauge.contract import DecodingError, decode

#: A column that pandas wrote its index as.
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")

#: What DuckDB calls the number of a row.
_ROW_NUMBER = "file_row_number"


def load_parquet(database: Database, files: Files, shown: Path) -> Loaded:
    """Look at Parquet files; their values stay where they are."""
    indexes: set[str] = set()
    durations: set[str] = set()
    with readable(shown):
        for path in files.paths:
            schema = pq.read_schema(path)
            check_names(path, schema.names)
            indexes |= _pandas_indexes((schema.metadata or {}).get(b"pandas"))
            durations |= {it.name for it in schema if pa.types.is_duration(it.type)}
    source = f"read_parquet({file_list(files.paths)}, union_by_name = true"
    source += f", hive_partitioning = {_hive(files)}, hive_types_autocast = false"
    with malformed(shown):
        described = database.rows(f"DESCRIBE SELECT * FROM {source})")
        names = [str(row[0]) for row in described]
        if len(files.paths) == 1:  # as they are in the file, before DuckDB told them apart
            names = [*schema.names, *names[len(schema.names) :]]
        check_names(shown, names)
        places = ", ".join(f"c{i}" for i in range(len(names)))
        rows = f"SELECT *, 0 FROM {source})"
        if _ROW_NUMBER not in names:
            rows = (
                f"SELECT * EXCLUDE ({_ROW_NUMBER}), {_ROW_NUMBER} "
                f"FROM {source}, {_ROW_NUMBER} = true)"
            )
        database.rows(f"CREATE VIEW t AS SELECT * FROM ({rows}) AS source({places}, at_row)")
    # To Parquet a duration is a number.
    types = [
        "INTERVAL" if name in durations else str(row[1])
        for name, row in zip(names, described, strict=True)
    ]
    columns = columns_of(names, types, "typed")
    # What stands in the names of folders is text, whatever it looks like.
    folders = {part.partition("=")[0] for it in files.paths for part in _keys(it, files.root)}
    columns = [
        Column(it.name, it.place, "text", it.type) if it.name in folders else it for it in columns
    ]
    indexes |= {name for name in names if _PANDAS_INDEX.fullmatch(name)}
    return Loaded(columns, [], indexes=frozenset(indexes & set(names)))


def _hive(files: Files) -> str:
    return "true" if any(_keys(it, files.root) for it in files.paths) else "false"


def _keys(path: Path, root: Path) -> list[str]:
    """Return the folders of a file that are called name=value, below the one that was named."""
    parts = path.relative_to(root).parts
    return [part for part in parts[:-1] if part.partition("=")[1] and part[0] != "="]


def _pandas_indexes(metadata: object) -> set[str]:
    """Return the columns that pandas says it wrote a frame's index as."""
    if not isinstance(metadata, bytes):
        return set()
    try:
        written = decode(metadata, dict[str, Any]).get("index_columns")
    except DecodingError:
        return set()
    # An index that is only a range is described by an object instead.
    return {it for it in written if isinstance(it, str)} if isinstance(written, list) else set()


def load_arrow(database: Database, files: Files, shown: Path) -> Loaded:
    """Read Arrow IPC files."""
    try:
        data = ds.dataset([str(it) for it in files.paths], format="arrow")
    except (pa.ArrowException, OSError) as error:
        detail = " ".join(str(error).split())[:300]
        raise BaselineError(f"{shown} can't be read: {detail}") from error
    names = list(data.schema.names)
    check_names(shown, names)
    indexes = _pandas_indexes((data.schema.metadata or {}).get(b"pandas"))
    with malformed(shown):
        database.register("source", data)
        places = ", ".join(f"c{i}" for i in range(len(names)))
        database.rows(f"CREATE TABLE cells AS SELECT * FROM source AS source({places})")
        types = [str(row[1]) for row in database.rows("DESCRIBE cells")]
        make_view(database)
    return Loaded(columns_of(names, types, "typed"), [], indexes=frozenset(indexes & set(names)))


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
