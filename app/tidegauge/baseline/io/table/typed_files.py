"""Parquet and Arrow files, which have types, as the table ``t``."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from tidegauge.baseline import BaselineError
from tidegauge.baseline.io.table.column import Column
from tidegauge.baseline.io.table.database import (
    Database,
    Loaded,
    check_names,
    columns_of,
    file_list,
    make_view,
    malformed,
)
from tidegauge.baseline.io.table.files import Files, readable
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
        told = decode(metadata, dict[str, Any]).get("index_columns")
    except DecodingError:
        return set()
    # An index that is only a range is described by an object instead.
    return {it for it in told if isinstance(it, str)} if isinstance(told, list) else set()


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
