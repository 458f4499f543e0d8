"""Building a baseline from files of rows."""

import logging
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from tidegauge.baseline import (
    MAX_SIGNALS,
    Baseline,
    BaselineError,
    CategoricalSignal,
    FeatureScale,
    JointSums,
    NumericSignal,
    Signal,
    UnusableBaseline,
    validate,
)
from tidegauge.baseline.io.calendar import Holidays, read_holidays, zone_changes
from tidegauge.baseline.io.column import Column, Kind, ReadOptions, Role
from tidegauge.baseline.io.daily import Timed, category_places, daily_cycle
from tidegauge.baseline.io.dependence import by_entity, by_rows
from tidegauge.baseline.io.joint import (
    Feature,
    Joint,
    JointOptions,
    joint_signals,
    scale_of,
)
from tidegauge.baseline.io.signals import (
    MANY_VALUES,
    TOP_CATEGORIES,
    ColumnSummary,
    categorical_signal,
    in_clusters,
    mostly_numbers,
    numeric_signal,
    of_size,
    seen_once,
    summary_of,
    text_spellings,
)
from tidegauge.baseline.io.table import Table, compact_dates, open_table
from tidegauge.contract import OUTPUT_SIGNALS

__all__ = ["BaselineError", "Built", "build"]

log = logging.getLogger(__name__)

#: Called with what is being done and the share of it that is done, 0 to 1.
Progress = Callable[[str, float], None]

#: What is held in memory of a table; the rest waits on disk.
MEMORY_BYTES = 512 * 1024 * 1024

#: Of a column of which so many of the values never come again, nothing can be compared.
_NOTHING_RECURS = 0.95

_NO_SIGNAL: Mapping[Kind, str] = {
    "instant": "holds dates or times",
    "nested": "holds lists or objects",
    "binary": "holds binary data",
}

#: Usual names of the column that a model was trained to predict, which no event has.
_TARGETS = frozenset({"target", "y_true", "y_train", "ground_truth", "outcome", "actual"})


@dataclass(frozen=True)
class Built:
    """A baseline, and what was decided for each column of its table, in the order of the file."""

    baseline: Baseline
    columns: list[ColumnSummary]


@dataclass(frozen=True)
class _ColumnOptions:
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


def build(
    path: str | Path,
    *,
    model: str,
    version: str,
    prediction: str | None = None,
    time: str | None = None,
    time_zone: str | None = None,
    holidays: str | None = None,
    entity: str | None = None,
    exclude: Collection[str] = (),
    types: Mapping[str, Role] | None = None,
    options: ReadOptions | None = None,
    joint: JointOptions = JointOptions(),  # noqa: B008 - it never changes
    progress: Progress = lambda step, done: None,
    warn: Callable[[str], None] = log.warning,
    memory_bytes: int = MEMORY_BYTES,
) -> Built:
    """Make a baseline of every column of a file that isn't excluded.

    ``path`` may be a folder or a pattern too. ``prediction`` names the column of the model's
    output: numbers become the signal "prediction", anything else the signal "label". ``time`` names
    one with timestamps, which is no signal: with 14 days of them the baseline says what to expect
    at each hour of the day, in ``time_zone`` or else in UTC. ``holidays`` is a country or a file of
    dates, which are a kind of day. ``entity`` names one with the user, session or device of each
    row, no signal either: the baseline says how far the rows of one
    depend on each other. Without it, and without hours, it says that of rows that are next to each
    other. ``types`` overrides whether a column is read as numbers or as categories, ``options`` how
    a file of text is written, ``joint`` how many sums of features are signals too
    (:mod:`tidegauge.baseline.joint`). What is doubtful, but no error, goes to ``warn``. About
    ``memory_bytes``, plus one column, are held in memory; the rest waits in a temporary directory.

    The same file with the same options gives the same id, and so do its rows in another order if
    they are independent.
    Raises ``BaselineError`` if the file or the options can't make a baseline.
    """
    for what, name in (("model", model), ("version", version)):
        if not 1 <= len(name) <= 200:
            raise BaselineError(f"{what} has {len(name)} characters, expected 1 to 200")
    joint.check()
    path = Path(path)
    calendar = _calendar_of(time, time_zone, holidays, warn)
    choices = _ColumnOptions(prediction, time, *calendar, entity, exclude, types or {}, warn)
    with open_table(
        path,
        options or ReadOptions(),
        model=model,
        types=choices.types,
        exclude=exclude,
        memory_bytes=memory_bytes,
        check=lambda names: _check_width(path, set(names) - {*exclude, time, entity}),
        progress=progress,
    ) as table:
        if table.rows == 0:
            raise BaselineError(f"{path} has no rows")
        for doubt in table.doubts:
            warn(doubt)
        built = _build(path, table, choices, joint, progress, memory_bytes)
    baseline = msgspec.structs.replace(built.baseline, model=model, version=version)
    try:
        validate(baseline)
    except UnusableBaseline as error:
        raise BaselineError(
            f"{path} makes a baseline that can't be used: {error}; leave columns out by --exclude"
        ) from error
    return replace(built, baseline=baseline)


def _build(
    path: Path,
    table: Table,
    choices: _ColumnOptions,
    wanted: JointOptions,
    progress: Progress,
    memory_bytes: int,
) -> Built:
    _check_options(path, list(table.columns), choices)
    roles = _roles(path, table, choices)
    names = _signal_names(roles, choices.prediction)
    signals: dict[str, Signal] = {}
    timed: dict[str, Timed] = {}
    unusable: dict[str, Counter[str]] = {}
    summaries: dict[str, ColumnSummary] = {}
    features: dict[str, Feature] = {}
    for i, (name, role) in enumerate(roles.items(), start=1):
        column, places = table.columns[name], dict[str, int]()
        if role == "categorical":
            counts, missing = table.categories(name)
            if _nothing_recurs(counts) and name not in choices.types:
                unusable[name] = counts
                continue
            categorical = _categorical(column, counts, missing, table.rows, choices.warn)
            signal: Signal = categorical
            distinct = len(counts)
            kind = column.kind if column.nature == "text" else "string"
            places = category_places(text_spellings(counts, kind), categorical.categories)
        else:
            signal, distinct, scale = _numeric(table, name)
            if name != choices.prediction:
                lost = signal.missing + signal.nan
                features[name] = Feature(scale, lost / table.rows)
            if name not in choices.types:
                choices.warn_of_dates(name, signal)
        for doubt in column.doubts:
            choices.warn(doubt)
        signals[names[name]] = signal
        timed[names[name]] = Timed(name, role, signal, places)
        summaries[name] = summary_of(column, names[name], signal, distinct)
        progress("Counting", i / len(roles))
    if unusable:
        for name in unusable:  # what is doubtful may be why: prices with a sign are text
            for doubt in table.columns[name].doubts:
                choices.warn(doubt)
        raise BaselineError(_ids_or_texts(unusable))
    joint = None
    if any(wanted):
        joint = joint_signals(
            table,
            features,
            roles,
            wanted,
            memory_bytes=memory_bytes,
            progress=progress,
            warn=choices.warn,
        )
        signals |= joint.signals
        timed |= _timed(joint)
    baseline = Baseline(
        model="-",
        version="-",
        rows=table.rows,
        source=path.name,
        signals=signals,
        scales=dict(joint.sums.scales) if joint else msgspec.UNSET,
    )
    if choices.entity is not None:
        baseline.dependence = by_entity(
            table, choices.entity, choices.time, timed, progress, choices.warn
        )
        timed = {
            name: its._replace(effect=baseline.design_effect(name)) for name, its in timed.items()
        }
    if choices.time is not None:
        baseline.daily = (
            daily_cycle(
                table,
                choices.time,
                timed,
                time_zone=choices.time_zone,
                holidays=choices.holidays,
                memory_bytes=memory_bytes,
                progress=progress,
                warn=choices.warn,
            )
            or msgspec.UNSET
        )
    if choices.entity is None and not baseline.daily:
        baseline.dependence = by_rows(table, timed, progress, choices.warn) or msgspec.UNSET
    _count_entities(table, timed, baseline, choices.entity)
    kinds = {choices.time: "time", choices.entity: "entity"}
    left_out = {name: kinds.get(name, "left out") for name in table.columns if name not in roles}
    columns = [
        summaries.get(name) or ColumnSummary.left_out(column, left_out[name])
        for name, column in table.columns.items()
    ]
    return Built(baseline, columns)


def _count_entities(
    table: Table, timed: Mapping[str, Timed], baseline: Baseline, entity: str | None
) -> None:
    """Count by entities what to expect of categories: as far as they are known, or of rows."""
    for name, its in timed.items():
        signal, effect = its.signal, baseline.design_effect(name)
        if not isinstance(signal, CategoricalSignal) or not (entity or effect > 1):
            continue
        column = table.columns[its.column]
        held = (
            table.held(column.name, entity)
            if entity
            else of_size(table.categories(column.name)[0], effect)
        )
        if held:
            kind = column.kind if column.nature == "text" else "string"
            baseline.signals[name] = in_clusters(signal, held, kind, effect)


def _timed(joint: Joint) -> dict[str, Timed]:
    """Return joint signals as those of columns are, each with what it is computed of."""
    sums = joint.sums
    return {
        name: Timed("", "numeric", its, {}, sums=JointSums(sums.scales, {name: sums.weights[name]}))
        for name, its in joint.signals.items()
    }


def _calendar_of(
    time: str | None, time_zone: str | None, holidays: str | None, warn: Callable[[str], None]
) -> tuple[str | None, Holidays | None]:
    """Return the options of the calendar; raises before a large file is read if they are wrong."""
    for option, value in (("--time-zone", time_zone), ("--holidays", holidays)):
        if value is not None and time is None:
            raise BaselineError(f"{option} needs --time, the column with the time of each row")
    if time_zone is not None:
        zone_changes(time_zone)
    return time_zone, None if holidays is None else read_holidays(holidays, warn)


def _check_options(path: Path, columns: list[str], choices: _ColumnOptions) -> None:
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


def _roles(path: Path, table: Table, choices: _ColumnOptions) -> dict[str, Role]:
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
    _check_width(path, wanted)
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


def _check_width(path: Path, columns: Collection[str]) -> None:
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


def _signal_names(roles: Mapping[str, Role], prediction: str | None) -> dict[str, str]:
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


def _numeric(table: Table, name: str) -> tuple[NumericSignal, int, FeatureScale | None]:
    values, missing, nan = table.numbers(name)
    if values.size == 0:
        raise BaselineError(
            f"column {name!r} has no finite number in any of {table.rows:,} rows: "
            f"--exclude {shlex.quote(name)}"
        )
    distinct = 1 + int((values[1:] != values[:-1]).sum())
    return numeric_signal(values, missing=missing, nan=nan), distinct, scale_of(values)


def _categorical(
    column: Column,
    counts: Counter[str],
    missing: int,
    rows: int,
    warn: Callable[[str], None],
) -> CategoricalSignal:
    name = column.name
    signal = categorical_signal(
        counts, kind=column.kind, are_text=column.nature == "text", missing=missing
    )
    if _nothing_recurs(counts):
        warn(
            f"column {name!r} looks like an id or free text ({_recurrence(counts)}): all that is "
            f"watched of it is how often it is missing; --exclude {shlex.quote(name)}"
        )
    elif len(counts) == rows - missing and len(counts) > TOP_CATEGORIES:
        warn(
            f"column {name!r} has a different value in every row: if it is an id, its drift "
            f"means nothing; --exclude {shlex.quote(name)}"
        )
    elif not signal.known_complete:
        kept = len(signal.categories) + len(signal.known)
        warn(
            f"column {name!r} has {len(counts):,} different values ({_recurrence(counts)}), of "
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
    numbers = (
        f"; or, as most of it is numbers, --type {shlex.quote(first)}=numeric, --na for the rest"
        if mostly_numbers(counts)
        else ""
    )
    return (
        f"{named} like ids or free text, whose drift can't be seen ({first!r}: "
        f"{_recurrence(counts)}): {excluded}; or to watch how often one is missing, "
        f"--type {shlex.quote(first)}=categorical{numbers}"
    )
