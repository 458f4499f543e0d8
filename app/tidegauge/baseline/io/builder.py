"""Building a baseline from files of rows."""

import logging
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from tidegauge.baseline import (
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
from tidegauge.baseline.io.choices import (
    ColumnChoices,
    check_choices,
    check_width,
    roles_of,
)
from tidegauge.baseline.io.column import Column, ReadOptions, Role
from tidegauge.baseline.io.daily import Timed, category_places, daily_cycle
from tidegauge.baseline.io.dependence import by_entity, by_rows
from tidegauge.baseline.io.joint import (
    Feature,
    Joint,
    JointOptions,
    joint_signals,
    scale_of,
)
from tidegauge.baseline.io.labels import (
    LabelledColumns,
    LabelOptions,
    check_labels,
    labelled_columns,
)
from tidegauge.baseline.io.outputs import check_confidence, check_confidences, signal_names
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
from tidegauge.baseline.io.table import Table, open_table

__all__ = ["BaselineError", "Built", "build"]

log = logging.getLogger(__name__)

#: Called with what is being done and the share of it that is done, 0 to 1.
Progress = Callable[[str, float], None]

#: What is held in memory of a table; the rest waits on disk.
MEMORY_BYTES = 512 * 1024 * 1024

#: Of a column of which so many of the values never come again, nothing can be compared.
_NOTHING_RECURS = 0.95


@dataclass(frozen=True)
class Built:
    """A baseline, and what was decided for each column of its table, in the order of the file.

    ``labelled`` has the rows with a prediction and an actual, if a column of actuals was named.
    """

    baseline: Baseline
    columns: list[ColumnSummary]
    labelled: LabelledColumns | None = None


def build(
    path: str | Path,
    *,
    model: str,
    version: str,
    prediction: str | None = None,
    confidence: str | None = None,
    time: str | None = None,
    time_zone: str | None = None,
    holidays: str | None = None,
    entity: str | None = None,
    exclude: Collection[str] = (),
    types: Mapping[str, Role] | None = None,
    options: ReadOptions | None = None,
    joint: JointOptions = JointOptions(),  # noqa: B008 - it never changes
    labels: LabelOptions | None = None,
    progress: Progress = lambda step, done: None,
    warn: Callable[[str], None] = log.warning,
    memory_bytes: int = MEMORY_BYTES,
) -> Built:
    """Make a baseline of every column of a file that isn't excluded.

    ``path`` may be a folder or a pattern too. ``prediction`` names the column of the model's
    output: numbers become the signal "prediction", anything else the signal "label". ``confidence``
    names one with the probability of the class in ``prediction``, which becomes the signal
    "prediction" beside it, as an event has both. ``time`` names one with timestamps, which is no
    signal: with 14 days of them the baseline says what to expect at each hour of the day, in
    ``time_zone`` or else in UTC. ``holidays`` is a country or a file of dates, which are a kind of
    day. ``entity`` names one with the user, session or device of each row, no signal either: the
    baseline says how far the rows of one depend on each other. Without it, and without hours, it
    says that of rows that are next to each other. ``types`` overrides whether a column is read as
    numbers or as categories, ``options`` how a file of text is written, ``joint`` how many sums of
    features are signals too (:mod:`tidegauge.baseline.joint`), ``labels`` which column has the
    actuals, no signal either.

    What is doubtful, but no error, goes to ``warn``. About ``memory_bytes``, plus one column, are
    held in memory; the rest waits in a temporary directory.

    The same file with the same options gives the same id, and so do its rows in another order if
    they are independent.
    Raises ``BaselineError`` if the file or the options can't make a baseline.
    """
    for what, name in (("model", model), ("version", version)):
        if not 1 <= len(name) <= 200:
            raise BaselineError(f"{what} has {len(name)} characters, expected 1 to 200")
    joint.check()
    if labels is not None:
        check_labels(labels, prediction, list(exclude))
    label = labels.column if labels else None
    if confidence is not None:
        others = {"--time": time, "--entity": entity, "--label": label}
        check_confidence(confidence, prediction, others, list(exclude))
    path = Path(path)
    calendar = _calendar_of(time, time_zone, holidays, warn)
    choices = ColumnChoices(
        prediction, time, *calendar, entity, exclude, types or {}, warn, label, confidence
    )
    with open_table(
        path,
        options or ReadOptions(),
        model=model,
        types=choices.types,
        exclude=exclude,
        memory_bytes=memory_bytes,
        check=lambda names: check_width(path, set(names) - {*exclude, time, entity, label}),
        progress=progress,
    ) as table:
        if table.rows == 0:
            raise BaselineError(f"{path} has no rows")
        for doubt in table.doubts:
            warn(doubt)
        built = _build(path, table, choices, joint, progress, memory_bytes)
        if labels is not None and prediction is not None:
            role = roles_of(path, table, replace(choices, warn=lambda _: None))[prediction]
            read = labelled_columns(table, labels, prediction, role, warn, confidence)
            built = replace(built, labelled=read)
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
    choices: ColumnChoices,
    wanted: JointOptions,
    progress: Progress,
    memory_bytes: int,
) -> Built:
    check_choices(path, list(table.columns), choices)
    roles = roles_of(path, table, choices)
    names = signal_names(roles, choices.prediction, choices.confidence)
    if choices.confidence is not None and choices.prediction is not None:
        check_confidences(table, choices.confidence, choices.prediction, roles, choices.warn)
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
            spellings = text_spellings(counts, column.spelled_as)
            places = category_places(spellings, categorical.categories)
        else:
            signal, distinct, scale = _numeric(table, name)
            if name not in (choices.prediction, choices.confidence):
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
    kinds = {choices.time: "time", choices.entity: "entity", choices.label: "label"}
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
            baseline.signals[name] = in_clusters(signal, held, column.spelled_as, effect)


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
