"""``tidegauge backtest``: which alerts other rules or another budget would have caused."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer

from tidegauge.alerting import DEFAULT_RULES, RuleSet, load_rules
from tidegauge.backtest import BacktestPlan, Injection, ModelKeys, NoWindows, backtest, fired
from tidegauge.baseline import Baseline
from tidegauge.baseline.io import BaselineNotFound, BaselineStore, CorruptBaseline
from tidegauge.cli._backtest_tables import show
from tidegauge.cli._errors import reported
from tidegauge.cli._kafka import kafka_settings
from tidegauge.cli._print import PlainConsole, echo_json, short
from tidegauge.cli._records import skipping, warn
from tidegauge.config import Settings
from tidegauge.contract import counted, moment
from tidegauge.kafka import read_span

#: Episodes in the table, unless all are asked for.
_EPISODES = 50


@reported
def try_rules(
    since: Annotated[
        str, typer.Option(help="From when on: -30d, -6h, or 2026-11-21T12:00:00Z.", metavar="TIME")
    ],
    until: Annotated[str, typer.Option(help="Up to when.", metavar="TIME")] = "now",
    rules: Annotated[
        Path | None, typer.Option(help="Rule file to try; those in force if left out.")
    ] = None,
    model: Annotated[str, typer.Option(help="Models, as a glob.", metavar="GLOB")] = "*",
    inject: Annotated[
        str | None,
        typer.Option(
            help="Put in a drift from the middle on, as SIGNAL:KIND:SIZE, or from a time on, as "
            "SIGNAL:KIND:SIZE@TIME. KIND is mean (SIZE in standard deviations), scale (variance "
            "factor), missing or unseen (shares).",
            metavar="DRIFT",
        ),
    ] = None,
    alarms_per_month: Annotated[
        float | None, typer.Option(help="Budget to try; the one in force if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the events that --inject draws.")] = 1,
    everything: Annotated[bool, typer.Option("--all", help="Show every episode.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Replay window reports through rules: what would have fired, when, and for how long."""
    settings, now = kafka_settings(), time.time()
    begin, end = _moment("--since", since, now), _moment("--until", until, now)
    if begin >= end:
        raise ValueError(f"--since {since} is not before --until {until}")
    if alarms_per_month is not None and not alarms_per_month > 0:
        raise ValueError(f"--alarms-per-month: found {alarms_per_month:g}, expected more than 0")
    plan = BacktestPlan(
        rules=_rules(rules, settings),
        alarms_of=settings.alarms_of if alarms_per_month is None else lambda _: alarms_per_month,
        since=begin,
        until=end,
        model=model,
        window_of=settings.window_of,
        injection=None if inject is None else _injection(inject, begin, end, now, seed),
    )
    topics = settings.topics
    keys = ModelKeys(lambda name: fnmatchcase(name, model))
    with _baselines(settings) as baseline_of, skipping() as skipped:
        history = read_span(settings.kafka, topics.alerts_history, begin, end, skipped=skipped)
        newest = read_span(settings.kafka, topics.alerts, skipped=skipped)
        in_force = fired(history, newest, begin, end, skipped)
        records = read_span(settings.kafka, topics.windows, begin, end, keep=keys, skipped=skipped)
        try:
            result = backtest(plan, records, baseline_of, in_force, skipped)
        except NoWindows as error:
            others = ", ".join(sorted(keys.others))
            there = f"there are some of {others}" if others else f"{topics.windows} has none at all"
            raise ValueError(f"{error}; {there}") from error
    for one in result.missing_baselines:
        warn(
            f"{counted(one.windows, 'window')} of {one.model} were counted by baseline "
            f"{short(one.id)}, which is not in the store or can't be used: they have no evidence "
            "of a drift"
        )
    if json:
        echo_json(result)
    else:
        show(result, PlainConsole(), episodes=None if everything else _EPISODES)


def _moment(option: str, text: str, now: float) -> float:
    try:
        return moment(text, now)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from error


def _rules(path: Path | None, settings: Settings) -> RuleSet:
    file = settings.detect.rules_file if path is None else path
    return DEFAULT_RULES if file is None else load_rules(file)


def _injection(spec: str, begin: float, end: float, now: float, seed: int) -> Injection:
    try:
        signal, kind, size, text = Injection.split(spec)
        at = (begin + end) / 2 if text is None else moment(text, now)
    except ValueError as error:
        raise ValueError(f"--inject: {error}") from error
    return Injection(signal, kind, size, at, seed)


@contextmanager
def _baselines(settings: Settings) -> Iterator[Callable[[str], Baseline | None]]:
    """Open the store; a missing baseline is None, an outage is an error."""
    store = BaselineStore.of(settings)

    def baseline_of(id: str) -> Baseline | None:
        try:
            return store.get(id)
        except BaselineNotFound:
            return None
        except CorruptBaseline as error:  # other windows may have a valid one
            warn(str(error))
            return None

    try:
        yield baseline_of
    finally:
        store.close()
