"""Files as one table of DuckDB; CSV is read here."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tidegauge.baseline import BaselineError
from tidegauge.baseline.io.table.database import Database, file_list, literal
from tidegauge.baseline.io.table.dialect import Dialect, find_dialect
from tidegauge.baseline.io.table.files import Files
from tidegauge.baseline.io.table.json_files import load_json
from tidegauge.baseline.io.table.loaded import (
    LONGEST_BYTES,
    Loaded,
    Progress,
    check_names,
    columns_of,
    make_view,
)
from tidegauge.baseline.io.table.options import ReadOptions
from tidegauge.baseline.io.table.text import TextFile, as_utf8
from tidegauge.baseline.io.table.typed_files import load_arrow, load_parquet

#: What pandas calls the nameless column that it wrote its index as, when it reads that CSV.
_UNNAMED = re.compile(r"Unnamed: \d+")


def load(
    database: Database,
    files: Files,
    shown: Path,
    options: ReadOptions,
    model: str,
    scratch: Path,
    check: Callable[[Sequence[str]], None],
    progress: Progress,
) -> Loaded:
    """Make ``t`` of files; raises ``BaselineError`` if they are no table.

    ``check`` is asked of the names of the columns before a file of text is read.
    """
    if files.format == "csv":
        return _csv(database, files, shown, options, scratch, check, progress)
    if options.delimiter is not None or options.decimal is not None:
        raise BaselineError(f"{shown} is no CSV: --delimiter and --decimal are for CSV")
    if files.format == "json":
        return load_json(database, files, shown, options, model, scratch, progress)
    if options.encoding is not None:
        raise BaselineError(f"{shown} is no text: --encoding is for CSV and JSON")
    if files.format == "arrow":
        return load_arrow(database, files, shown)
    return load_parquet(database, files, shown)


def _csv(
    database: Database,
    files: Files,
    shown: Path,
    options: ReadOptions,
    scratch: Path,
    check: Callable[[Sequence[str]], None],
    progress: Progress,
) -> Loaded:
    texts = [as_utf8(it, options.encoding, scratch, i) for i, it in enumerate(files.paths)]
    dialects = [
        find_dialect(path, text.sample, options.delimiter)
        for path, text in zip(files.paths, texts, strict=True)
    ]
    first = dialects[0]
    for path, its in zip(files.paths, dialects, strict=True):
        if its._replace(first=[]) != first._replace(first=[]):
            raise BaselineError(
                f"{path} has other columns than {files.paths[0]}: {', '.join(its.names)[:200]!r}"
            )
    check_names(shown, first.names)
    check(first.names)
    _read_csv(database, texts, first, shown, progress)
    _check_first(database, first, shown)
    make_view(database)
    columns = columns_of(first.names, ["VARCHAR"] * len(first.names), "text")
    nameless = {name for name in first.names if not name or _UNNAMED.fullmatch(name)}
    return Loaded(
        columns,
        [it.doubt for it in texts if it.doubt],
        indexes=frozenset(nameless & {first.names[0]}),
        delimiter=first.delimiter,
    )


def _check_first(database: Database, dialect: Dialect, shown: Path) -> None:
    """Hold the first row against what Python's csv makes of it: none may be passed over."""
    if not dialect.first or len(dialect.names) == 1:  # of one column, an empty line is a row
        return
    expected = [it.replace("\r\n", "\n") for it in dialect.first]
    found = database.rows("SELECT * FROM cells ORDER BY rowid LIMIT 1")
    if not found or [it or "" for it in found[0]] != expected:
        raise BaselineError(
            f"{shown} can't be read: after the header comes {dialect.first[:5]}, found "
            f"{list(found[0])[:5] if found else 'no row'}"
        )


def _read_csv(
    database: Database,
    texts: Sequence[TextFile],
    dialect: Dialect,
    shown: Path,
    progress: Progress,
) -> None:
    fields = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(dialect.names)))
    listed = file_list([it.path for it in texts])
    database.run(
        f"CREATE TABLE cells AS SELECT * FROM read_csv({listed}"
        f", auto_detect = false, header = true, skip = {dialect.skip}"
        f", delim = {literal(dialect.delimiter)}, quote = '\"', escape = '\"'"
        f", columns = {{{fields}}}, max_line_size = {LONGEST_BYTES}"
        f", buffer_size = {LONGEST_BYTES})",
        (),
        shown,
        progress,
    )
