"""Which columns of a file become signals, and how each is read: by options, or by what it holds.

Two files say more of columns: importances of features are JSON ``{"age": 0.4, …}`` or CSV
``feature,importance``; types are YAML or JSON, ``column: kind``.
"""

import csv
import json
import math
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast, get_args

import numpy as np

from tidegauge.baseline import MAX_SIGNALS, BaselineError, NumericSignal, Signal
from tidegauge.baseline.io.calendar import Holidays
from tidegauge.baseline.io.column import Column, Kind, Role
from tidegauge.baseline.io.table import Table, compact_dates
from tidegauge.config import parse_document

_HEADER = ["feature", "importance"]


def read_importances(path: str | Path, features: Collection[str]) -> dict[str, float]:
    """Return the importance of each feature that the file names, in the order of ``features``.

    Any unit will do, since only shares of their sum are used: permutation importance, gain, mean
    absolute SHAP value. A feature that is not named has none, which counts as 0.

    Raises ``BaselineError`` that names the file and the place: a name that is not in ``features``
    or there twice, an importance that is no number, negative or not finite, none above 0.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path} can't be read: {error}") from error
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise BaselineError(
            f"{path} has a suffix that is not known; importances are in {' or '.join(_READERS)}"
        )
    found: dict[str, float] = {}
    for place, name, value in _READERS[suffix](path, text):
        if name not in features:
            known = ", ".join(map(repr, features))
            raise BaselineError(f"{place}: {name!r} is no feature of the baseline; it has {known}")
        if name in found:
            raise BaselineError(f"{place}: {name!r} is there twice; keep one")
        found[name] = _importance(place, name, value)
    if not any(found.values()):
        raise BaselineError(f"{path}: no feature has an importance above 0")
    return {name: found[name] for name in features if name in found}


def _importance(place: str, name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number < 0:
        raise BaselineError(
            f"{place}: found {value!r} for {name!r}, expected a finite number of 0 or more"
        )
    return number


_Entries = Iterator[tuple[str, str, object]]


def _of_json(path: Path, text: str) -> _Entries:
    try:
        # Pairs, not a dict: of a name that is there twice, that would keep the last.
        pairs = json.loads(text, object_pairs_hook=list)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BaselineError(f"{path} is no JSON: {error}") from error
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise BaselineError(f'{path}: expected an object such as {{"age": 0.4, "income": 0.6}}')
    for name, value in pairs:
        yield f"{path}", name, value


def _of_csv(path: Path, text: str) -> _Entries:
    rows = csv.reader(text.splitlines())
    header = [cell.strip() for cell in next(rows, [])]
    if header != _HEADER:
        raise BaselineError(f"{path}:1: found {','.join(header)!r}, expected {','.join(_HEADER)!r}")
    for row in rows:
        if not row:
            continue
        if len(row) != len(_HEADER):
            raise BaselineError(f"{path}:{rows.line_num}: found {len(row)} values, expected 2")
        yield f"{path}:{rows.line_num}", row[0].strip(), row[1].strip()


_READERS = {".json": _of_json, ".csv": _of_csv}


#: What may stand for a kind beside the roles: those that ``create`` prints, and to leave out.
_KINDS: Mapping[str, Role] = {
    **{role: cast(Role, role) for role in get_args(Role)},
    "string": "categorical",
    "integer": "categorical",
    "boolean": "categorical",
}
_LEFT_OUT = ("exclude", "left out")


class ColumnTypes(NamedTuple):
    """Roles by column, and the columns to leave out."""

    roles: dict[str, Role]
    exclude: list[str]


def read_types(path: Path) -> ColumnTypes:
    """Read the types of columns; raises ``BaselineError``, which names the place."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path} can't be read: {error}") from error
    _, document, problems = parse_document(text, expected="types such as 'zip: categorical'")
    if problems:
        raise BaselineError(problems[0].text(str(path)))
    if not isinstance(document, dict):
        raise BaselineError(f"{path}: expected a mapping such as 'zip: categorical'")
    roles: dict[str, Role] = {}
    exclude: list[str] = []
    for column, kind in document.items():
        if not isinstance(kind, str):
            raise BaselineError(f"{path}: {column!r} is no word, expected one such as categorical")
        if kind in _LEFT_OUT:
            exclude.append(str(column))
        elif kind in _KINDS:
            roles[str(column)] = _KINDS[kind]
        else:
            expected = ", ".join([*get_args(Role), _LEFT_OUT[0]])
            raise BaselineError(f"{path}: {column!r} is {kind!r}, expected {expected}")
    return ColumnTypes(roles, exclude)


_NO_SIGNAL: Mapping[Kind, str] = {
    "instant": "holds dates or times",
    "nested": "holds lists or objects",
    "binary": "holds binary data",
}

#: Usual names of the column that a model was trained to predict, which no event has.
_TARGETS = frozenset({"target", "y_true", "y_train", "ground_truth", "outcome", "actual"})


@dataclass(frozen=True)
class ColumnChoices:
    """What the options ask for, by column."""

    prediction: str | None
    time: str | None
    time_zone: str | None
    holidays: Holidays | None
    entity: str | None
    exclude: Collection[str]
    types: Mapping[str, Role]
    warn: Callable[[str], None]
    label: str | None = None
    confidence: str | None = None

    def warn_of_dates(self, name: str, signal: Signal) -> None:
        """Warn if the ends of a column of numbers look like dates."""
        assert isinstance(signal, NumericSignal)  # noqa: S101 - of numbers
        ends = (signal.minimum, signal.maximum)
        if signal.minimum == signal.maximum or compact_dates(np.array(ends, dtype=float)) is None:
            return
        quoted = shlex.quote(name)
        self.warn(
            f"column {name!r} holds {ends[0]:.0f} to {ends[1]:.0f}, which look like dates and are "
            f"read as numbers: --exclude {quoted}, or --type {quoted}=numeric if they are numbers"
        )

    @property
    def named(self) -> set[str]:
        """Columns that an option names, but for those that are left out."""
        columns = (self.prediction, self.time, self.entity, self.label, self.confidence)
        return {*self.types, *(name for name in columns if name)} - {""}


def check_choices(path: Path, columns: list[str], choices: ColumnChoices) -> None:
    """Raise ``BaselineError`` if an option names a column that there isn't, or two name one."""
    prediction, time, entity = choices.prediction, choices.time, choices.entity
    for option, wanted in (
        ("--prediction", [] if prediction is None else [prediction]),
        ("--time", [] if time is None else [time]),
        ("--entity", [] if entity is None else [entity]),
        ("--label", [] if choices.label is None else [choices.label]),
        ("--confidence", [] if choices.confidence is None else [choices.confidence]),
        ("--exclude", choices.exclude),
        ("--type", choices.types),
    ):
        for name in wanted:
            if name not in columns:
                raise BaselineError(
                    f"{path} has no column {name!r}, which {option} names; "
                    f"it has {', '.join(map(repr, columns))}"
                )
    if prediction is not None and prediction in choices.exclude:
        raise BaselineError(f"column {prediction!r} is both --prediction and --exclude")
    if time is not None and time == prediction:
        raise BaselineError(f"column {time!r} is both --time and --prediction")
    for option, other in (("--prediction", prediction), ("--time", time)):
        if entity is not None and entity == other:
            raise BaselineError(f"column {entity!r} is both --entity and {option}")


def roles_of(path: Path, table: Table, choices: ColumnChoices) -> dict[str, Role]:
    """Return how each column that becomes a signal is read; warns of those that don't."""
    left_out = {*choices.exclude, choices.time, choices.entity, choices.label}
    left_out |= table.beside - choices.named
    for name in sorted(table.indexes - choices.named - left_out):
        place = f"column {name!r}" if name else "the first column, which has no name,"
        choices.warn(
            f"{place} is left out: it is the index of a frame; "
            + (f"--type {shlex.quote(name)}=numeric keeps it" if name else "name it to keep it")
        )
        left_out.add(name)
    for name, column in table.columns.items():
        if not name and column.kind == "empty" and name not in left_out:
            choices.warn(
                "a column without a name or a value is left out: the rows end in a delimiter"
            )
            left_out.add(name)
    wanted = {name: it for name, it in table.columns.items() if name not in left_out}
    if not wanted:
        raise BaselineError(f"every column of {path} is excluded: nothing is left to watch")
    check_width(path, wanted)
    for name in wanted:
        if name and name != name.strip():
            choices.warn(
                f"column {name!r} has space around its name, and is the feature of that name alone"
            )
        if name.lower() in _TARGETS and name != choices.prediction:
            choices.warn(
                f"column {name!r} may be what the model predicts: no event has that, and it would "
                f"be missing in all of them; --exclude {shlex.quote(name)}, or --label "
                f"{shlex.quote(name)} to count how good the predictions are"
            )
    return {name: _role(table, it, choices.types.get(name)) for name, it in wanted.items()}


def check_width(path: Path, columns: Collection[str]) -> None:
    """Raise ``BaselineError`` if there are more columns than a baseline has signals."""
    if len(columns) > MAX_SIGNALS:
        raise BaselineError(
            f"{path} has {len(columns):,} columns to watch, and a baseline has at most "
            f"{MAX_SIGNALS:,} signals: leave out those of least use by --exclude"
        )


def _role(table: Table, column: Column, override: Role | None) -> Role:
    name, kind = column.name, column.kind
    quoted = shlex.quote(name)
    if not name:
        raise BaselineError('a column has no name: give it one, or --exclude ""')
    if kind == "empty":
        raise BaselineError(
            f"column {name!r} has no value in any of {table.rows:,} rows: --exclude {quoted}"
        )
    is_text = column.nature == "text"
    if kind == "instant" and override == "categorical" and is_text:
        return "categorical"
    if kind in _NO_SIGNAL:
        raise BaselineError(
            f"column {name!r} {_NO_SIGNAL[kind]}, which can't be a signal: --exclude {quoted}"
        )
    as_number = override in ("numeric", "percent")
    if as_number and kind == "boolean":
        raise BaselineError(
            f"column {name!r} is to be numeric, but holds true and false, which events would carry "
            f"too and which are no numbers: leave it categorical, or write 0 and 1"
        )
    if as_number and kind == "string" and column.offender:
        raise BaselineError(
            f"column {name!r} is to be numeric, but {column.offender} is no number; if that means "
            f"missing, --na and the text"
        )
    return override or ("numeric" if kind == "numeric" else "categorical")
