"""``tidegauge baseline``: create, list, show and promote baselines."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer
from rich.console import Group
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from tidegauge.baseline import (
    LEAST_BASELINE_ROWS,
    NumericSignal,
    features_of,
    small,
)
from tidegauge.baseline.io import (
    BaselineNotFound,
    BaselineStore,
    CorruptBaseline,
    JointOptions,
    LabelOptions,
    Pointer,
    ReadOptions,
    Role,
    build,
    read_importances,
    read_types,
)
from tidegauge.cli.baseline_outcomes import outcomes_line, outcomes_table
from tidegauge.cli.baseline_tables import (
    dependence_line,
    hours_line,
    joint_line,
    output_console,
    show_columns,
    signals_table,
)
from tidegauge.cli.command import reported, user, warn
from tidegauge.cli.printing import (
    PlainConsole,
    echo,
    echo_json,
    folding_table,
    plain,
    short,
    table_time,
)
from tidegauge.config import load_settings
from tidegauge.contract import (
    AuditFact,
    Problem,
    deterministic_id,
    utc_text,
)
from tidegauge.outcomes import outcomes_of_rows

app = typer.Typer(help="What models are compared with.", no_args_is_help=True)

ModelOption = Annotated[str, typer.Option("--model", help="Model name, as in its events.")]
VersionOption = Annotated[str, typer.Option("--version", help="Model version, as in its events.")]
OptionalModel = Annotated[str | None, typer.Option("--model", help="Model name.")]
OptionalVersion = Annotated[str | None, typer.Option("--version", help="Model version.")]
ActorOption = Annotated[
    str | None,
    typer.Option(help="Who does it, for the audit trail; the user of this process by default."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
@reported
def create(
    model: ModelOption,
    version: VersionOption,
    file: Annotated[
        Path,
        typer.Option(
            "--from",
            help="CSV, Parquet, Arrow, NDJSON or JSON, by its suffix (.gz and .zst too); a folder, "
            "or a pattern in quotes.",
            metavar="FILE",
        ),
    ],
    prediction: Annotated[
        str | None, typer.Option(help="Column with the model's output.", metavar="COL")
    ] = None,
    confidence: Annotated[
        str | None,
        typer.Option(
            help="Of several classes, column with the probability of the predicted one.",
            metavar="COL",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            help="Column with what came true: with it, labels of the model are counted.",
            metavar="COL",
        ),
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(
            help="Of two classes, the one that the score is the probability of.", metavar="CLASS"
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Of two classes, the score from which on the positive one is predicted.",
            metavar="SCORE",
        ),
    ] = None,
    problem: Annotated[
        str | None,
        typer.Option(
            help="Where the columns don't show what is predicted.",
            metavar="binary|multiclass|regression",
        ),
    ] = None,
    timestamps: Annotated[
        str | None,
        typer.Option(
            "--time",
            help="Column with each row's time, of 14 days or more: for models whose traffic "
            "has a daily cycle.",
            metavar="COL",
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            "--time-zone",
            help="Time zone whose hours of the day the traffic follows, such as Europe/Berlin, "
            "where clocks change, or UTC. Without it hours are of UTC, and a change of clocks "
            "hides small drifts.",
            metavar="ZONE",
        ),
    ] = None,
    holidays: Annotated[
        str | None,
        typer.Option(
            "--holidays",
            help="Country whose holidays are a kind of day, such as DE or DE-BY (needs the extra "
            "holidays), or a file with a date on each line; none if no day differs.",
            metavar="COUNTRY|FILE|none",
        ),
    ] = None,
    entity: Annotated[
        str | None,
        typer.Option(
            "--entity",
            help="Column with the user, session or device of each row: for models to which one "
            "sends several events.",
            metavar="COL",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            "--drop",
            help="Column to leave out, such as the target; repeatable.",
            metavar="COL",
        ),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            help="Read a column as numeric, categorical or percent; repeatable.",
            metavar="COL=KIND",
        ),
    ] = None,
    types_file: Annotated[
        Path | None,
        typer.Option(
            "--types", help="YAML or JSON of column: kind; exclude leaves one out.", metavar="FILE"
        ),
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option("--na", help="Text that means missing in any column; repeatable."),
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Of a CSV, where it isn't found: , ; | or tab.")
    ] = None,
    decimal: Annotated[
        str | None, typer.Option(help="Decimal sign of a CSV: . or ,", metavar=".|,")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of a text file, such as utf-8, utf-16 or cp1252.")
    ] = None,
    joint: Annotated[
        int,
        typer.Option(
            help="Watch so many sums of a few numeric features too, drawn at random (8 to 32): "
            "for changes that no feature shows alone.",
            metavar="N",
        ),
    ] = 0,
    pairs: Annotated[
        int,
        typer.Option(
            help="Watch so many of the most correlated pairs of numeric features too: for a "
            "correlation that is lost.",
            metavar="N",
        ),
    ] = 0,
    importance: Annotated[
        Path | None,
        typer.Option(
            help="Importance of each feature, to rank drifts by: JSON or CSV.", metavar="FILE"
        ),
    ] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Put it in force at once.")] = False,
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Make a baseline of a file's columns, store it and print its id.

    What each column is read as is shown on stderr; what is doubtful is a warning
    with the option that settles it.
    """
    if decimal not in (None, ".", ","):
        raise ValueError(f"--decimal {decimal}: expected . or ,")
    options = ReadOptions(delimiter, encoding, decimal, tuple(missing or ()))
    warnings: list[str] = []
    with closing(BaselineStore.of(load_settings())) as store:
        store.generation()  # fails now rather than after a large file has been read
        from_file = read_types(types_file) if types_file else None
        with _progress() as progress:
            built = build(
                file,
                model=model,
                version=version,
                prediction=prediction,
                confidence=confidence,
                time=timestamps,
                time_zone=time_zone,
                holidays=holidays,
                entity=entity,
                exclude=[*(from_file.exclude if from_file else ()), *(exclude or ())],
                types={**(from_file.roles if from_file else {}), **_types(types or [])},
                options=options,
                joint=JointOptions(joint, pairs),
                labels=_labels(label, positive, threshold, problem),
                progress=progress,
                warn=warnings.append,
            )
        baseline = built.baseline
        if not json:
            show_columns(built.columns)
        if baseline.rows < LEAST_BASELINE_ROWS:
            warnings.append(small(baseline.rows))
        for message in warnings:
            warn(message)
        if importance is not None:
            baseline.importances = read_importances(importance, baseline.features)
        if built.labelled is not None:
            its = built.labelled
            baseline.outcomes = outcomes_of_rows(
                its.target, its.value, its.predicted, its.actual, its.rows
            )
        id = store.put(baseline)
        of_columns = [name for name, its in baseline.signals.items() if not features_of(its)]
        numeric = sum(isinstance(baseline.signals[it], NumericSignal) for it in of_columns)
        echo(
            f"{baseline.rows:,} rows; {numeric} numeric and {len(of_columns) - numeric} "
            f"categorical signals: {', '.join(of_columns)}",
            err=True,
        )
        if line := joint_line(baseline):
            echo(line, err=True)
        if baseline.outcomes:
            echo(outcomes_line(baseline), err=True)
        if promote:
            pointer = store.promote(model, version, id, now=time.time())
            echo(f"promoted for {model} version {version}", err=True)
            _audit(model, version, pointer, baseline.source, actor)
        if json:
            shown = {
                "id": id,
                "rows": baseline.rows,
                "columns": built.columns,
                "warnings": warnings,
            }
            echo_json(shown, indent=True)
        else:
            echo(id)


@app.command("list")
@reported
def list_(json: JsonOption = False) -> None:
    """List stored baselines, oldest first."""
    with closing(BaselineStore.of(load_settings())) as store:
        entries = store.list()
        snapshot = store.snapshot()
    promoted = {pointer.id for pointer in snapshot.promoted.values()}
    for problem in [*snapshot.problems, *(e.problem for e in entries if e.problem)]:
        warn(problem)
    rows = [
        {
            "id": entry.id,
            "model": entry.baseline.model if entry.baseline else None,
            "version": entry.baseline.version if entry.baseline else None,
            "rows": entry.baseline.rows if entry.baseline else None,
            "signals": len(entry.baseline.signals) if entry.baseline else None,
            "source": entry.baseline.source if entry.baseline else None,
            "created_at": utc_text(entry.created_at, "%Y-%m-%dT%H:%M:%S+00:00"),
            "promoted": entry.id in promoted,
            "problem": entry.problem,
        }
        for entry in entries
    ]
    if json:
        echo_json(rows, indent=True)
        return
    if not entries:
        echo("no baseline is stored; make one: tidegauge baseline create --help")
        return
    whole, right = ("id", "rows", "signals", "promoted"), ("rows", "signals")
    table = folding_table(
        "created", "id", "model, version, source", "rows", "signals", "promoted",
        whole=whole, right=right,
    )  # fmt: skip
    for entry in entries:
        one = entry.baseline
        about = [Text("damaged", "red")]
        if one is not None:
            about = [plain(f"{one.model} {one.version}"), plain(one.source, "dim")]
        table.add_row(
            table_time(entry.created_at),
            short(entry.id),
            Group(*about),
            *(("", "") if one is None else (f"{one.rows:,}", f"{len(one.signals):,}")),
            "yes" if entry.id in promoted else "",
        )
    output_console().print(table)


@app.command()
@reported
def show(
    id: Annotated[str | None, typer.Argument(help="Id or its beginning.", metavar="ID")] = None,
    model: OptionalModel = None,
    version: OptionalVersion = None,
    json: JsonOption = False,
) -> None:
    """Show the signals of a baseline and their bins: by id, or what is promoted for a model."""
    with closing(BaselineStore.of(load_settings())) as store:
        if id is not None:
            full_id = store.find(id)
        elif model is not None and version is not None:
            full_id = _promoted(store, model, version).id
        else:
            raise ValueError("give an ID, or both --model and --version")
        baseline = store.get(full_id)
    if json:
        echo_json(baseline, indent=True)
        return
    output = output_console()
    output.print(plain(full_id, "bold"))
    output.print(
        f"model {baseline.model}, version {baseline.version}: "
        f"{baseline.rows:,} rows of {baseline.source}"
    )
    output.print(hours_line(baseline))
    output.print(dependence_line(baseline))
    if line := joint_line(baseline):
        output.print(line)
    output.print(outcomes_line(baseline))
    output.print(signals_table(baseline))
    if baseline.outcomes:
        output.print(outcomes_table(baseline))


@app.command()
@reported
def promote(
    id: Annotated[str, typer.Argument(help="Id or its beginning.", metavar="ID")],
    model: OptionalModel = None,
    version: OptionalVersion = None,
    actor: ActorOption = None,
) -> None:
    """Put a baseline in force for the model and version it was made for.

    Running workers take it up within 5 seconds. Who did it is written to the audit trail; without
    Kafka the baseline is promoted all the same, and a warning says that nothing was written.
    """
    with closing(BaselineStore.of(load_settings())) as store:
        full_id = store.find(id)
        baseline = store.get(full_id)
        model = baseline.model if model is None else model
        version = baseline.version if version is None else version
        pointer = store.promote(model, version, full_id, now=time.time())
    before = f", before: {short(pointer.previous)}" if pointer.previous else ""
    echo(
        f"baseline {short(full_id)} is promoted for {model} version "
        f"{version} since {utc_text(pointer.promoted_at)}{before}"
    )
    _audit(model, version, pointer, baseline.source, actor)


def _audit(model: str, version: str, pointer: Pointer, source: str, actor: str | None) -> None:
    """Report a promotion to the audit trail, or warn: a promotion must not depend on Kafka."""
    # Only a promotion needs these imports.
    from tidegauge.audit import report_fact
    from tidegauge.kafka import BrokersAway, NotTaken, ask_brokers

    settings = load_settings()
    try:
        ask_brokers(settings.kafka)
        report_fact(
            settings,
            AuditFact(
                id=deterministic_id("promotion", model, version, pointer.id, pointer.promoted_at),
                time=int(pointer.promoted_at),
                actor=f"user:{actor or user()}",
                event="baseline.promoted",
                subject=pointer.id,
                model=model,
                version=version,
                reason=f"{model} {version}: baseline {pointer.id[:12]} was promoted",
                inputs={
                    "baseline": pointer.id,
                    "previous": pointer.previous or "",
                    "source": source,
                },
            ),
        )
    except (BrokersAway, NotTaken) as error:
        warn(
            f"promoted, but NOT in the audit trail: {error}; promote it again when Kafka is there",
            fg="red",
        )


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Show a bar on stderr if that is a terminal."""
    console = PlainConsole(stderr=True)
    columns = (
        TextColumn("{task.description:14}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def advance(step: str, done: float) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=1.0)
            bar.update(tasks[step], completed=done)

        yield advance


def _labels(
    label: str | None, positive: str | None, threshold: float | None, problem: str | None
) -> LabelOptions | None:
    if problem not in (None, *get_args(Problem)):
        raise ValueError(f"--problem {problem}: expected binary, multiclass or regression")
    if label is None:
        for option, value in (
            ("--positive", positive), ("--threshold", threshold), ("--problem", problem),
        ):  # fmt: skip
            if value is not None:
                raise ValueError(f"{option} needs --label, the column with what came true")
        return None
    return LabelOptions(label, positive, threshold, cast(Problem | None, problem))


def _types(options: list[str]) -> dict[str, Role]:
    types: dict[str, Role] = {}
    for option in options:
        name, _, role = option.rpartition("=")
        if not name or role not in get_args(Role):
            raise ValueError(
                f"--type {option}: expected COL=numeric, COL=categorical or COL=percent"
            )
        types[name] = cast(Role, role)
    return types


def _promoted(store: BaselineStore, model: str, version: str) -> Pointer:
    snapshot = store.snapshot()
    promoted = snapshot.promoted
    if (model, version) not in promoted and snapshot.problems:  # it may be one of these
        raise CorruptBaseline("; ".join(snapshot.problems))
    if (model, version) not in promoted:
        known = ", ".join(f"{m} version {v}" for m, v in sorted(promoted)) or "nothing"
        raise BaselineNotFound(
            f"no baseline is promoted for {model} version {version}; there is one for: {known}"
        )
    return promoted[model, version]
