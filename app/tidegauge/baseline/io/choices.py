"""Which columns of a file become signals, and how each is read: by options, or by what it holds."""

import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tidegauge.baseline import MAX_SIGNALS, BaselineError, NumericSignal, Signal
from tidegauge.baseline.io.calendar import Holidays
from tidegauge.baseline.io.column import Column, Kind, Role
from tidegauge.baseline.io.table import Table, compact_dates
from tidegauge.contract import OUTPUT_SIGNALS

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
        return {*self.types, self.prediction or "", self.time or "", self.entity or ""} - {""}


def check_choices(path: Path, columns: list[str], choices: ColumnChoices) -> None:
    """Raise ``BaselineError`` if an option names a column that there isn't, or two name one."""
    prediction, time, entity = choices.prediction, choices.time, choices.entity
    for option, wanted in (
        ("--prediction", [] if prediction is None else [prediction]),
        ("--time", [] if time is None else [time]),
        ("--entity", [] if entity is None else [entity]),
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
    left_out = {*choices.exclude, choices.time, choices.entity, *(table.beside - choices.named)}
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
                f"be missing in all of them; --exclude {shlex.quote(name)}"
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


def signal_names(roles: Mapping[str, Role], prediction: str | None) -> dict[str, str]:
    """Return the name of each column's signal; raises ``BaselineError`` for a reserved one."""
    names = {name: name for name in roles}
    if prediction is not None:
        is_class = roles[prediction] == "categorical"
        names[prediction] = "label" if is_class else "prediction"
    for name in roles:
        if name in OUTPUT_SIGNALS and name != prediction:
            use = f", or name it with --prediction {name}" if prediction is None else ""
            raise BaselineError(
                f"column {name!r} has a name that is reserved for what tidegauge derives itself "
                f"({', '.join(OUTPUT_SIGNALS)}): rename it, --exclude {name}{use}"
            )
    return names
