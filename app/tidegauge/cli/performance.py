"""``tidegauge performance``: how good a model is, by the labels of each cohort."""

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from msgspec import UNSET
from rich.table import Table

from tidegauge.cli.command import kafka_settings, of_model, reported, skipping
from tidegauge.cli.printing import PlainConsole, echo, echo_json, folding_table, plain, table_time
from tidegauge.config import Settings
from tidegauge.contract import ESTIMATED, DecodingError, Figure, PerformanceReport, decode
from tidegauge.kafka import read_topic

app = typer.Typer(help="How good models are, by their labels.", no_args_is_help=True)

#: Cohorts shown unless something else is asked for: a day of hours.
_COHORTS = 24

#: What is shown of a problem unless something else is asked for.
_FIGURES = {
    "binary": ("accuracy", "f1", "auc"),
    "multiclass": ("accuracy", "f1", "log_loss"),
    "regression": ("mae", "rmse", "r2"),
}


@app.callback()
def _group() -> None:
    pass


@app.command("show")
@reported
def show(
    model: Annotated[str, typer.Option(help="Name of the model.")],
    version: Annotated[str | None, typer.Option(help="Of this version only.")] = None,
    group: Annotated[
        str | None,
        typer.Option(help="Of this group, as in region=EU; else of all traffic.", metavar="GROUP"),
    ] = None,
    figure: Annotated[
        list[str] | None,
        typer.Option(help="Show this figure; repeatable.", metavar="NAME"),
    ] = None,
    cohorts: Annotated[int, typer.Option("-n", min=1, help="So many of the last cohorts.")] = (
        _COHORTS
    ),
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the figures of a model's cohorts, each with its interval of 95 %.

    A cohort is all predictions of one window; its figures change while its labels come. Those that
    begin with estimated_ are known before.
    """
    of_group = _group_of(group)
    settings = kafka_settings()
    known, models = _newest(settings, model)
    found = [
        one
        for one in known
        if one.group == of_group and (version is None or one.version == version)
    ]
    if not found:
        name = " ".join(part for part in (version, group) if part)
        what = "no cohort was reported" + of_model(model, models, "cohort")
        echo(f"{what}{f' and {name}' if name and known else ''}", err=json)
        return
    parts: dict[tuple[str, str], list[PerformanceReport]] = {}
    for one in sorted(found, key=lambda it: (it.version, it.variant, it.cohort_start)):
        parts.setdefault((one.version, one.variant), []).append(one)
    for (of_version, variant), reports in parts.items():
        if json:
            for one in reports[-cohorts:]:
                echo_json(one)
            continue
        name = " ".join(part for part in (model, of_version, variant, group or "") if part)
        echo(f"{name}, baseline {reports[-1].baseline[:12]}")
        if record := record_text(reports[-1]):
            echo(record)
        PlainConsole().print(performance_table(reports[-cohorts:], figure or ()))


def _group_of(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    dimension, equals, value = text.partition("=")
    if not (dimension and equals and value):
        raise ValueError(f"--group: found {text!r}, expected DIMENSION=VALUE, as in region=EU")
    return {dimension: value}


def _newest(settings: Settings, model: str) -> tuple[list[PerformanceReport], set[str]]:
    """Return the newest report of each part of each cohort of a model, and the models there are."""
    models = set[str]()

    def keep(key: bytes | None) -> bool:
        try:
            of = decode(key, list[object])[0]
        except (DecodingError, IndexError):
            return False
        if isinstance(of, str):
            models.add(of)
        return of == model

    with skipping() as skipped:
        found = read_topic(
            settings.kafka, settings.topics.performance, PerformanceReport, skipped, keep=keep
        )
        return newest_reports_of_cohorts(found), models


def newest_reports_of_cohorts(reports: Iterable[PerformanceReport]) -> list[PerformanceReport]:
    """Return the report of the largest revision of each part of each cohort."""
    newest: dict[tuple[object, ...], PerformanceReport] = {}
    for one in reports:
        group = tuple(sorted(one.group.items()))
        key = (one.model, one.version, one.variant, group, one.cohort_start, one.cohort_end)
        before = newest.get(key)
        if before is None or (before.time, before.revision) <= (one.time, one.revision):
            newest[key] = one
    return list(newest.values())


def performance_table(reports: Sequence[PerformanceReport], names: Sequence[str]) -> Table:
    """Return a row for each cohort: its counts, how complete its labels are, and its figures.

    Beside the first figure stands its estimate, if there is one of a cohort.
    """
    shown = list(names) or list(_FIGURES[reports[-1].problem])
    if not names and any(_has_value(one.figure(ESTIMATED + shown[0])) for one in reports):
        shown.insert(1, ESTIMATED + shown[0])
    known = {name for one in reports for name in one.figure_names}
    for name in shown:
        if name not in known:
            raise ValueError(
                f"--figure: found {name!r}, expected one of {', '.join(sorted(known))}"
            )
    counts = ("predicted", "labelled", "expected")
    headers = [name.replace("_", " ") for name in shown]
    table = folding_table("cohort", *counts, *headers, whole=("cohort", *counts), right=counts)
    for one in reports:
        table.add_row(
            table_time(one.cohort_start),
            plain(f"{one.performance.predicted:,}"),
            plain(f"{one.performance.labelled:,}"),
            plain("-" if one.maturity is None else f"{one.maturity:.0%}"),
            *(plain(figure_text(one.figure(name))) for name in shown),
        )
    return table


def _has_value(figure: Figure | None) -> bool:
    return figure is not None and figure.value is not None


def record_text(report: PerformanceReport) -> str:
    """Return how often the intervals of estimates have held; empty where none was compared yet."""
    if report.estimated is UNSET:
        return ""
    record = report.estimated.record
    found = [
        f"{name} in {record.held.get(name, 0)} of {cohorts}"
        for name, cohorts in sorted(record.cohorts.items())
    ]
    return f"estimates held in earlier cohorts: {', '.join(found)}" if found else ""


def figure_text(figure: Figure | None) -> str:
    """Return a figure with its interval, or why there is none.

    >>> figure_text(Figure(n=10, value=0.9, low=0.5958, high=0.9821))
    '0.900 (0.596 to 0.982)'
    >>> figure_text(Figure(n=0, reason="no_labels")), figure_text(None)
    ('no labels', '-')
    """
    if figure is None:
        return "-"
    if figure.value is None:
        return str(figure.reason or "-").replace("_", " ")
    text = _number(figure.value)
    if figure.low is None or figure.high is None:
        return text
    return f"{text} ({_number(figure.low)} to {_number(figure.high)})"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.4g}"
