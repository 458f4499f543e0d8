"""``tidegauge baseline``: make, list, show and promote what models are compared with."""

import getpass
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import msgspec
import typer
import yaml
from pydantic import ValidationError
from rich.console import Console, Group
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tidegauge.baseline import (
    LEAST_BASELINE_ROWS,
    Baseline,
    BaselineError,
    NumericSignal,
    bin_labels,
    reference_counts,
    small,
)
from tidegauge.baseline.io import (
    BaselineNotFound,
    BaselineStore,
    CorruptBaseline,
    Pointer,
    ReadOptions,
    Role,
    StoreError,
    StoreUnavailable,
    build,
    read_importances,
    read_types,
)
from tidegauge.cli._columns import show_columns
from tidegauge.cli._errors import BAD_INPUT, UNREACHABLE, fail
from tidegauge.cli._print import PlainConsole, echo, echo_json, plain
from tidegauge.cli._tables import folding_table
from tidegauge.config import Settings, load_settings
from tidegauge.contract import (
    OUTPUT_SIGNALS,
    AuditFact,
    counted,
    deterministic_id,
    printable,
    utc_text,
)

app = typer.Typer(help="What models are compared with.", no_args_is_help=True)

#: Enough of an id to type; commands take any beginning that is unique.
_SHORT = 12

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
    timestamps: Annotated[
        str | None,
        typer.Option(
            "--time",
            help="Column with each row's time, of 14 days or more: for models whose traffic "
            "has a daily cycle.",
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
        raise fail(f"--decimal {decimal}: expected . or ,", BAD_INPUT)
    options = ReadOptions(delimiter, encoding, decimal, tuple(missing or ()))
    warnings: list[str] = []
    with _store() as store:
        store.generation()  # asked now: to read a large file for nothing would be a pity
        told = read_types(types_file) if types_file else None
        with _progress() as progress:
            built = build(
                file,
                model=model,
                version=version,
                prediction=prediction,
                time=timestamps,
                exclude=[*(told.exclude if told else ()), *(exclude or ())],
                types={**(told.roles if told else {}), **_types(types or [])},
                options=options,
                progress=progress,
                warn=warnings.append,
            )
        baseline = built.baseline
        if not json:
            show_columns(built.columns)
        if baseline.rows < LEAST_BASELINE_ROWS:
            warnings.append(small(baseline.rows))
        for message in warnings:
            echo(f"tidegauge: warning: {message}", err=True)
        if importance is not None:
            features = [name for name in baseline.signals if name not in OUTPUT_SIGNALS]
            baseline.importances = read_importances(importance, features)
        id = store.put(baseline)
        numeric = sum(isinstance(signal, NumericSignal) for signal in baseline.signals.values())
        echo(
            f"{baseline.rows:,} rows; {numeric} numeric and {len(baseline.signals) - numeric} "
            f"categorical signals: {', '.join(baseline.signals)}",
            err=True,
        )
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
            echo_json(msgspec.json.format(msgspec.json.encode(shown)))
        else:
            echo(id)


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List stored baselines, oldest first."""
    with _store() as store:
        entries = store.list()
        snapshot = store.snapshot()
    promoted = {pointer.id for pointer in snapshot.promoted.values()}
    for problem in [*snapshot.problems, *(e.problem for e in entries if e.problem)]:
        echo(f"tidegauge: warning: {problem}", err=True)
    rows = [
        {
            "id": entry.id,
            "model": entry.baseline.model if entry.baseline else None,
            "version": entry.baseline.version if entry.baseline else None,
            "rows": entry.baseline.rows if entry.baseline else None,
            "signals": len(entry.baseline.signals) if entry.baseline else None,
            "source": entry.baseline.source if entry.baseline else None,
            "created_at": _instant(entry.created_at),
            "promoted": entry.id in promoted,
            "problem": entry.problem,
        }
        for entry in entries
    ]
    if json:
        echo_json(msgspec.json.format(msgspec.json.encode(rows)))
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
        said = [Text("damaged", "red")]
        if one is not None:
            said = [plain(f"{one.model} {one.version}"), plain(one.source, "dim")]
        table.add_row(
            utc_text(entry.created_at, "%Y-%m-%d\n%H:%M:%SZ"),
            plain(entry.id[:_SHORT]),
            Group(*said),
            *(("", "") if one is None else (f"{one.rows:,}", f"{len(one.signals):,}")),
            "yes" if entry.id in promoted else "",
        )
    _output().print(table)


@app.command()
def show(
    id: Annotated[str | None, typer.Argument(help="Id or its beginning.", metavar="ID")] = None,
    model: OptionalModel = None,
    version: OptionalVersion = None,
    json: JsonOption = False,
) -> None:
    """Show the signals of a baseline and their bins: by id, or what is promoted for a model."""
    with _store() as store:
        if id is not None:
            full_id = store.find(id)
        elif model is not None and version is not None:
            full_id = _promoted(store, model, version).id
        else:
            raise fail("give an ID, or both --model and --version", BAD_INPUT)
        baseline = store.get(full_id)
    if json:
        echo_json(msgspec.json.format(baseline.to_json()))
        return
    output = _output()
    output.print(plain(full_id, "bold"))
    output.print(
        f"model {baseline.model}, version {baseline.version}: "
        f"{baseline.rows:,} rows of {baseline.source}"
    )
    output.print(_hours_line(baseline))
    output.print(_signals_table(baseline))


@app.command()
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
    with _store() as store:
        full_id = store.find(id)
        baseline = store.get(full_id)
        model = baseline.model if model is None else model
        version = baseline.version if version is None else version
        pointer = store.promote(model, version, full_id, now=time.time())
    before = f", before: {pointer.previous[:_SHORT]}" if pointer.previous else ""
    echo(
        f"baseline {full_id[:_SHORT]} is promoted for {model} version "
        f"{version} since {_instant(pointer.promoted_at)}{before}"
    )
    _audit(model, version, pointer, baseline.source, actor)


def _audit(model: str, version: str, pointer: Pointer, source: str, actor: str | None) -> None:
    """Report a promotion to the audit trail, or warn: what is in force must not depend on Kafka."""
    # What it needs, the commands that promote nothing needn't import.
    from tidegauge.audit import NotAudited, report_fact

    try:
        report_fact(
            _settings(),
            AuditFact(
                id=deterministic_id("promotion", model, version, pointer.id, pointer.promoted_at),
                time=int(pointer.promoted_at),
                actor=f"user:{actor or _user()}",
                event="baseline.promoted",
                subject=pointer.id,
                model=model,
                version=version,
                reason=f"{model} {version}: baseline {pointer.id[:_SHORT]} was promoted",
                inputs={
                    "baseline": pointer.id,
                    "previous": pointer.previous or "",
                    "source": source,
                },
            ),
        )
    except NotAudited as error:
        echo(
            printable(f"tidegauge: warning: promoted, but NOT in the audit trail: {error}")
            + "; promote it again when Kafka is there",
            err=True,
            fg="red",
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, as a rule, nobody has given the number a name
        return f"uid-{os.getuid()}"


def _settings() -> Settings:
    """Load the settings. What is wrong is named without its value, which may be a secret."""
    try:
        return load_settings()
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise fail(f"settings: {'; '.join(problems)}", BAD_INPUT) from None
    except (ValueError, OSError, yaml.YAMLError) as error:
        raise fail(f"settings: {_one_line(error)}", BAD_INPUT) from error


@contextmanager
def _store() -> Iterator[BaselineStore]:
    """Open the store that the settings name, and turn what goes wrong into an exit code."""
    redis = _settings().redis
    try:
        store = BaselineStore(redis.url, password=redis.plain_password, prefix=redis.prefix)
    except ValueError as error:
        raise fail(
            f"{_one_line(error)}; set TIDEGAUGE_REDIS__URL to redis://HOST:PORT/DB", BAD_INPUT
        ) from error
    try:
        yield store
    except StoreUnavailable as error:
        raise fail(
            f"{_one_line(error)}. Is it running? Its address is redis.url in tidegauge.yaml or "
            f"TIDEGAUGE_REDIS__URL, its password redis.password",
            UNREACHABLE,
        ) from error
    except (BaselineError, StoreError) as error:
        raise fail(_one_line(error), BAD_INPUT) from error
    finally:
        store.close()


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


def _types(options: list[str]) -> dict[str, Role]:
    types: dict[str, Role] = {}
    for option in options:
        name, _, role = option.rpartition("=")
        if not name or role not in get_args(Role):
            raise fail(
                f"--type {option}: expected COL=numeric, COL=categorical or COL=percent", BAD_INPUT
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


def _hours_line(baseline: Baseline) -> str:
    if not baseline.daily:
        return "no hours of the day: made without --time, or of fewer than 14 days"
    spans = baseline.daily.spans_seconds
    return (
        f"by hour of the day (UTC), of {baseline.daily.days} days; "
        f"dispersion known for spans from {spans[0]:,} to {spans[-1]:,} seconds"
    )


def _signals_table(baseline: Baseline) -> Table:
    table = folding_table("signal", "bin", "count", "share", right=("count", "share"))
    for name, signal in sorted(baseline.signals.items()):
        if isinstance(signal, NumericSignal):
            kind = f"numeric\nmean {_number(signal.mean)}\nstd {_number(signal.std)}"
        else:
            kind = f"categorical, {signal.dtype}"
            if signal.known:
                kind += f"\n{counted(len(signal.known), 'value')} in the bin other"
        counts = reference_counts(signal)
        if baseline.importances:
            kind += f"\nimportance {baseline.importances.get(name, 0.0):.6g}"
        table.add_row(
            Group(plain(name, "bold"), Padding(Text(kind), (0, 0, 0, 2))),
            "\n".join(map(printable, bin_labels(signal))),
            "\n".join(f"{count:,}" for count in counts),
            "\n".join(f"{count / baseline.rows:.2%}" for count in counts),
            end_section=True,
        )
    return table


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _instant(epoch_seconds: float) -> str:
    return utc_text(epoch_seconds, "%Y-%m-%dT%H:%M:%S+00:00")


def _output() -> Console:
    """Return a console on stdout that doesn't cut ids to the width of a pipe."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=160)
