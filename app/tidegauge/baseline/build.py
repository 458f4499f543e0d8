"""Building a baseline from a file of rows: CSV, Parquet or NDJSON."""

import logging
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from tidegauge.baseline.columns import MEMORY_BYTES, Collector, Kind, Role, Table
from tidegauge.baseline.csv_table import CsvTable
from tidegauge.baseline.daily import Timed, category_places, daily_cycle
from tidegauge.baseline.document import Baseline, CategoricalSignal, Signal
from tidegauge.baseline.errors import BaselineError
from tidegauge.baseline.ndjson_table import NdjsonTable
from tidegauge.baseline.parquet_table import ParquetTable
from tidegauge.baseline.signals import (
    MANY_VALUES,
    TOP_CATEGORIES,
    categorical_signal,
    numeric_signal,
    seen_once,
    text_spellings,
)
from tidegauge.baseline.validation import MAX_SIGNALS, UnusableBaseline, validate
from tidegauge.contract import OUTPUT_SIGNALS

__all__ = ["BaselineError", "build_baseline"]

log = logging.getLogger(__name__)

#: Called with what is being done and the share of it that is done, 0 to 1.
Progress = Callable[[str, float], None]

_READERS: Mapping[str, Callable[[Path], Table]] = {
    ".csv": CsvTable,
    ".csv.gz": CsvTable,
    ".parquet": ParquetTable,
    ".pq": ParquetTable,
    ".ndjson": NdjsonTable,
    ".jsonl": NdjsonTable,
    ".ndjson.gz": NdjsonTable,
    ".jsonl.gz": NdjsonTable,
}

#: Of a column of which so many of the values never come again, nothing can be compared.
_NOTHING_RECURS = 0.95

_NO_SIGNAL: Mapping[Kind, str] = {
    "instant": "holds dates or times",
    "nested": "holds lists or objects",
    "binary": "holds binary data",
}


def build_baseline(
    path: str | Path,
    *,
    model: str,
    version: str,
    prediction: str | None = None,
    time: str | None = None,
    exclude: Collection[str] = (),
    types: Mapping[str, Role] | None = None,
    progress: Progress = lambda step, done: None,
    warn: Callable[[str], None] = log.warning,
    memory_bytes: int = MEMORY_BYTES,
) -> Baseline:
    """Make a baseline of every column of a file that isn't excluded.

    ``prediction`` names the column of the model's output: numbers become the signal "prediction",
    anything else the signal "label". ``time`` names one with timestamps, which is no signal: with
    14 days of them the baseline says what to expect at each hour of the day. ``types`` overrides
    whether a column is read as numbers or as categories. What is doubtful, but no error, goes to
    ``warn``. At most ``memory_bytes`` of numbers, plus one column, are held in memory; the rest
    waits in a temporary directory.

    The same file with the same options gives the same id, and so do its rows in another order.
    Raises ``BaselineError`` if the file or the options can't make a baseline.
    """
    for what, name in (("model", model), ("version", version)):
        if not 1 <= len(name) <= 200:
            raise BaselineError(f"{what} has {len(name)} characters, expected 1 to 200")
    path = Path(path)
    types = types or {}
    table = _open(path)
    for done in table.scan():
        progress("Reading types", done)
    if table.rows == 0:
        raise BaselineError(f"{path} has no rows")
    _check_options(path, list(table.kinds), prediction, time, exclude, types)
    left_out = {*exclude, time}
    roles = {
        name: _role(table, name, types.get(name)) for name in table.kinds if name not in left_out
    }
    if not roles:
        raise BaselineError(f"every column of {path} is excluded: nothing is left to watch")
    if len(roles) > MAX_SIGNALS:
        raise BaselineError(
            f"{path} has {len(roles):,} columns to watch, and a baseline has at most "
            f"{MAX_SIGNALS:,} signals: leave out those of least use by --exclude"
        )
    names = _signal_names(roles, prediction)

    signals: dict[str, Signal] = {}
    timed: dict[str, Timed] = {}
    unusable: dict[str, Counter[str]] = {}
    with Collector(roles, memory_bytes=memory_bytes) as collector:
        for batch in table.batches(roles):
            collector.add(batch)
            progress("Counting", batch.done)
        for i, (column, role) in enumerate(roles.items(), start=1):
            places: dict[str, int] = {}
            if role == "numeric":
                signal = _numeric(collector, column, table.rows)
            else:
                counts = collector.take_categories(column)
                if _nothing_recurs(counts) and column not in types:
                    unusable[column] = counts
                    continue
                signal = _categorical(counts, collector, column, table, warn)
                if time is not None:
                    kind = table.kinds[column] if table.categories_are_text else "string"
                    places = category_places(text_spellings(counts, kind), signal.categories)
            signals[names[column]] = signal
            timed[names[column]] = Timed(column, role, signal, places)
            progress("Binning", i / len(roles))
    if unusable:
        raise BaselineError(_ids_or_texts(unusable))
    baseline = Baseline(
        model=model, version=version, rows=table.rows, source=path.name, signals=signals
    )
    if time is not None:
        daily = daily_cycle(
            table, time, timed, memory_bytes=memory_bytes, progress=progress, warn=warn
        )
        baseline.daily = daily or msgspec.UNSET
    try:
        validate(baseline)
    except UnusableBaseline as error:
        raise BaselineError(
            f"{path} makes a baseline that can't be used: {error}; leave columns out by --exclude"
        ) from error
    return baseline


def _open(path: Path) -> Table:
    name = path.name.lower()
    reader = next((r for suffix, r in _READERS.items() if name.endswith(suffix)), None)
    if reader is None:
        raise BaselineError(
            f"{path} has a suffix that is not known; known are {', '.join(_READERS)}"
        )
    if not path.exists():
        raise BaselineError(f"{path} does not exist")
    if not path.is_file():
        raise BaselineError(f"{path} is not a file; a table in several files must be joined first")
    return reader(path)


def _check_options(
    path: Path,
    columns: list[str],
    prediction: str | None,
    time: str | None,
    exclude: Collection[str],
    types: Mapping[str, Role],
) -> None:
    for option, wanted in (
        ("--prediction", [] if prediction is None else [prediction]),
        ("--time", [] if time is None else [time]),
        ("--exclude", exclude),
        ("--type", types),
    ):
        for name in wanted:
            if name not in columns:
                raise BaselineError(
                    f"{path} has no column {name!r}, which {option} names; "
                    f"it has {', '.join(map(repr, columns))}"
                )
    if prediction is not None and prediction in exclude:
        raise BaselineError(f"column {prediction!r} is both --prediction and --exclude")
    if time is not None and time == prediction:
        raise BaselineError(f"column {time!r} is both --time and --prediction")


def _role(table: Table, name: str, override: Role | None) -> Role:
    kind = table.kinds[name]
    if not name:
        raise BaselineError(
            'a column has no name (an index that pandas wrote?): give it one, or --exclude ""'
        )
    if kind == "empty":
        raise BaselineError(
            f"column {name!r} has no value in any of {table.rows:,} rows: --exclude {name}"
        )
    if kind == "instant" and override == "categorical" and table.categories_are_text:
        return "categorical"
    if kind in _NO_SIGNAL:
        raise BaselineError(
            f"column {name!r} {_NO_SIGNAL[kind]}, which can't be a signal: --exclude {name}"
        )
    if override == "numeric" and kind == "boolean":
        raise BaselineError(
            f"column {name!r} is to be numeric, but holds true and false, which events would carry "
            f"too and which are no numbers: leave it categorical, or write 0 and 1"
        )
    if override == "numeric" and kind == "string" and name in table.offenders:
        raise BaselineError(
            f"column {name!r} is to be numeric, but {table.offenders[name]} is no number"
        )
    return override or ("numeric" if kind == "numeric" else "categorical")


def _signal_names(roles: Mapping[str, Role], prediction: str | None) -> dict[str, str]:
    names = {name: name for name in roles}
    if prediction is not None:
        names[prediction] = "prediction" if roles[prediction] == "numeric" else "label"
    for name in roles:
        if name in OUTPUT_SIGNALS and name != prediction:
            use = f", or name it with --prediction {name}" if prediction is None else ""
            raise BaselineError(
                f"column {name!r} has a name that is reserved for what tidegauge derives itself "
                f"({', '.join(OUTPUT_SIGNALS)}): rename it, --exclude {name}{use}"
            )
    return names


def _numeric(collector: Collector, column: str, rows: int) -> Signal:
    values = collector.take_values(column)
    if values.size == 0:
        raise BaselineError(
            f"column {column!r} has no finite number in any of {rows:,} rows: --exclude {column}"
        )
    return numeric_signal(values, missing=collector.missing[column], nan=collector.nan[column])


def _categorical(
    counts: Counter[str],
    collector: Collector,
    column: str,
    table: Table,
    warn: Callable[[str], None],
) -> CategoricalSignal:
    missing = collector.missing[column]
    signal = categorical_signal(
        counts, kind=table.kinds[column], are_text=table.categories_are_text, missing=missing
    )
    if _nothing_recurs(counts):
        warn(
            f"column {column!r} looks like an id or free text ({_recurrence(counts)}): all that is "
            f"watched of it is how often it is missing; --exclude {shlex.quote(column)}"
        )
    elif len(counts) == table.rows - missing and len(counts) > TOP_CATEGORIES:
        warn(
            f"column {column!r} has a different value in every row: if it is an id, its drift "
            f"means nothing; --exclude {shlex.quote(column)}"
        )
    elif not signal.known_complete:
        kept = len(signal.categories) + len(signal.known)
        warn(
            f"column {column!r} has {len(counts):,} different values ({_recurrence(counts)}), of "
            f'which {kept:,} are kept: all others count as "other", and none as never seen'
        )
    return signal


def _nothing_recurs(counts: Counter[str]) -> bool:
    """Whether a column is one of ids or free text: many values, of which hardly one comes again."""
    return len(counts) > MANY_VALUES and seen_once(counts) >= _NOTHING_RECURS * counts.total()


def _recurrence(counts: Counter[str]) -> str:
    return f"{seen_once(counts):,} of its {counts.total():,} values were seen once"


def _ids_or_texts(columns: Mapping[str, Counter[str]]) -> str:
    first, counts = next(iter(columns.items()))
    named = f"column {first!r} looks" if len(columns) == 1 else f"{len(columns)} columns look"
    excluded = " ".join(f"--exclude {shlex.quote(name)}" for name in columns)
    return (
        f"{named} like ids or free text, whose drift can't be seen ({first!r}: "
        f"{_recurrence(counts)}): {excluded}; or to watch how often one is missing, "
        f"--type {shlex.quote(first)}=categorical"
    )
