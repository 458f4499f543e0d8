"""Files as one table of DuckDB; CSV is read here."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tidegauge.baseline.errors import BaselineError
from tidegauge.baseline.table.database import Database, file_list, literal
from tidegauge.baseline.table.dialect import Dialect, find_dialect
from tidegauge.baseline.table.files import Files
from tidegauge.baseline.table.json_files import load_json
from tidegauge.baseline.table.loaded import (
    LONGEST_BYTES,
    Loaded,
    Progress,
    check_names,
    columns_of,
    make_view,
)
from tidegauge.baseline.table.options import ReadOptions
from tidegauge.baseline.table.text import TextFile, as_utf8
from tidegauge.baseline.table.typed_files import load_arrow, load_parquet

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
        if (its.names, its.delimiter) != (first.names, first.delimiter) or its.skip != first.skip:
            raise BaselineError(
                f"{path} has other columns than {files.paths[0]}: {', '.join(its.names)[:200]!r}"
            )
    check_names(shown, first.names)
    check(first.names)
    _read_csv(database, texts, first, shown, progress)
    make_view(database)
    columns = columns_of(first.names, ["VARCHAR"] * len(first.names), "text")
    nameless = {name for name in first.names if not name or _UNNAMED.fullmatch(name)}
    return Loaded(
        columns,
        [it.doubt for it in texts if it.doubt],
        indexes=frozenset(nameless & {first.names[0]}),
        delimiter=first.delimiter,
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
