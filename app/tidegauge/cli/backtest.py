"""``tidegauge backtest``: which alerts other rules or another budget would have caused."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tidegauge.alerting import DEFAULT_RULES, load_rules
from tidegauge.backtest import (
    BacktestPlan,
    Calibration,
    Injection,
    InjectionResult,
    ModelKeys,
    NoWindows,
    PastEpisode,
    Result,
    RuleCount,
    Sighting,
    SliceSpan,
    backtest,
    calibrate as calibration,
    fired,
)
from tidegauge.baseline import Baseline
from tidegauge.baseline.io import BaselineNotFound, BaselineStore, CorruptBaseline
from tidegauge.cli.calibration import exceptions, show_calibration
from tidegauge.cli.command import kafka_settings, reported, skipping, warn
from tidegauge.cli.printing import PlainConsole, echo_json, folding_table, short, table_time
from tidegauge.config import Settings
from tidegauge.contract import (
    Alert,
    counted,
    duration_text,
    figure,
    listed,
    moment,
    printable,
    quantity,
    subject,
    utc_text,
)
from tidegauge.kafka import KafkaRecord, Skipped, read_span, read_topic

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
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Instead of rules: how many false alarms the budget promised and how many there "
            "were, by signal, why, and what would restore the promise.",
        ),
    ] = False,
    excepted: Annotated[
        list[str] | None,
        typer.Option(
            "--except",
            help="Time of a known drift, which --calibrate leaves out; repeatable.",
            metavar="FROM/TO",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every episode, or every signal.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Replay window reports through rules: what would have fired, when, and for how long."""
    settings, now = kafka_settings(), time.time()
    begin, end = _moment("--since", since, now), _moment("--until", until, now)
    if begin >= end:
        raise ValueError(f"--since {since} is not before --until {until}")
    if alarms_per_month is not None and not alarms_per_month > 0:
        raise ValueError(f"--alarms-per-month: found {alarms_per_month:g}, expected more than 0")
    if calibrate and (rules or inject):
        raise ValueError("--calibrate takes neither --rules nor --inject: it is about the budget")
    if excepted and not calibrate:
        raise ValueError("--except is only for --calibrate")
    left_out = exceptions(excepted or (), now)
    file = rules or settings.detect.rules_file
    plan = BacktestPlan(
        rules=(DEFAULT_RULES if file is None or calibrate else load_rules(file)).of_windows,
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

        def read(skipped: Skipped) -> Iterator[KafkaRecord]:
            return read_span(settings.kafka, topics.windows, begin, end, keep=keys, skipped=skipped)

        found: Result | Calibration
        try:
            if calibrate:
                found = calibration(plan, read, baseline_of, left_out, skipped)
            else:
                history = read_topic(settings.kafka, topics.alerts_history, Alert, skipped, begin)
                newest = read_topic(settings.kafka, topics.alerts, Alert, skipped)
                in_force = fired(history, newest, begin, end)
                found = backtest(plan, read(skipped), baseline_of, in_force, skipped)
        except NoWindows as error:
            others = ", ".join(sorted(keys.others))
            there = f"there are some of {others}" if others else f"{topics.windows} has none at all"
            raise ValueError(f"{error}; {there}") from error
    for one in found.missing_baselines:
        warn(
            f"{counted(one.windows, 'window')} of {one.model} were counted by baseline "
            f"{short(one.id)}, which is not in the store or can't be used: they have no evidence "
            "of a drift"
        )
    if json:
        echo_json(found)
    elif isinstance(found, Result):
        show(found, PlainConsole(), episodes=None if everything else _EPISODES)
    else:
        show_calibration(found, PlainConsole(), everything=everything)


def _moment(option: str, text: str, now: float) -> float:
    try:
        return moment(text, now)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from error


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
    with closing(BaselineStore.of(settings)) as store:

        def baseline_of(id: str) -> Baseline | None:
            try:
                return store.get(id)
            except BaselineNotFound:
                return None
            except CorruptBaseline as error:  # other windows may have a valid one
                warn(str(error))
                return None

        yield baseline_of


_DAY_SECONDS = 24 * 3600

#: Slices that are listed one by one.
_SLICES = 20


def show(result: Result, console: Console, *, episodes: int | None) -> None:
    """Print alarms by rule, which rules saw the injected drift, and the first ``episodes``."""
    console.print(
        f"{counted(result.windows, 'window')} of {counted(len(result.slices), 'slice')}, "
        f"{utc_text(result.since)} to {utc_text(result.until)}"
    )
    for line in _memories(result.slices):
        console.print(f"  {line}", highlight=False)
    _by_rule(result, console)
    if result.injection is not None:
        _show_injection(result.injection, console)
    shown = result.episodes[:episodes]
    if shown:
        console.print(_of_episodes(shown))
    if len(shown) < len(result.episodes):
        more = counted(len(result.episodes) - len(shown), "more episode")
        console.print(f"{more}: --all shows them")


def _memories(slices: list[SliceSpan]) -> list[str]:
    """Return for each slice when the memory of the detector was full."""
    lines = []
    for one in sorted(slices, key=subject)[:_SLICES]:
        full = one.memory_full_at
        memory = "" if full is None else f", detector warmed up at {utc_text(full)}"
        lines.append(f"{printable(subject(one))}: {counted(one.windows, 'window')}{memory}")
    if len(slices) > _SLICES:
        lines.append(f"{counted(len(slices) - _SLICES, 'more slice')}: --json has them")
    return lines


def _by_rule(result: Result, console: Console) -> None:
    """Print the rules that fired, here or in force; those that never did are a line."""
    # A drift that was put in never happened: there is nothing to compare with.
    compared = result.injection is None
    in_force = ("in force",) if compared else ()
    fired = [one for one in result.rules if one.alarms or (compared and one.in_force)]
    a_month = ("a month",) if any(_is_long(result, one.model) for one in fired) else ()
    numbers = ("episodes", "firing", *in_force, *a_month)
    table = folding_table(
        "rule and model",
        "episodes",
        *in_force,
        *a_month,
        "firing",
        "first and last",
        whole=numbers,
        right=numbers,
    )
    for one in fired:
        first = "" if one.first is None else utc_text(one.first)
        last = "" if one.last is None or one.last == one.first else f"\n{utc_text(one.last)}"
        table.add_row(
            printable(one.rule) + "\n" + printable(one.model),
            _number(one.alarms),
            *([_number(one.in_force)] if compared else []),
            *([_a_month(one, result)] if a_month else []),
            duration_text(one.seconds_firing) if one.seconds_firing else "",
            first + last,
        )
    if fired:
        console.print(table)
    silent = sorted({one.rule for one in result.rules} - {one.rule for one in fired})
    if silent:
        names = ", ".join(printable(name) for name in silent)
        console.print(f"Never fired{'' if fired else ', like all others'}: {names}")


def _a_month(one: RuleCount, result: Result) -> str:
    return figure(one.alarms_per_month) if one.alarms and _is_long(result, one.model) else ""


def _is_long(result: Result, model: str) -> bool:
    """Whether the windows of a model span a day: less allows no estimate for a month."""
    spans = [one for one in result.slices if one.model == model]
    first = min((one.first_window_start for one in spans), default=0)
    return max((one.last_window_end for one in spans), default=0) - first >= _DAY_SECONDS


def _number(n: int) -> str:
    return f"{n:,}" if n else ""


def _show_injection(injection: InjectionResult, console: Console) -> None:
    console.print(
        printable(
            f"Injected from {utc_text(injection.at)} on: {injection.kind} {injection.size:g} of "
            f"{injection.signal}, {counted(injection.windows, 'window')}"
        )
    )
    seen = [one for one in injection.seen if one.fired_before or one.windows is not None]
    table = folding_table(
        "rule and slice", "seen after", "that is", right=("seen after", "that is")
    )
    for one in seen:
        table.add_row(printable(one.rule) + "\n" + printable(subject(one)), *_seen(one))
    if seen:
        console.print(table)
    # With many slices, a line for each that a rule saw nothing in would be too much.
    for title, name in (("Seen by no rule in", subject), ("Seen in no slice by", _rule)):
        unseen = {name(one) for one in injection.seen} - {name(one) for one in seen}
        if unseen:
            console.print(f"{title}: {', '.join(printable(one) for one in sorted(unseen))}")


def _rule(one: Sighting) -> str:
    return one.rule


def _seen(one: Sighting) -> tuple[str, str]:
    if one.windows is None or one.minutes is None:
        return "fired before", ""
    return counted(one.windows, "window"), duration_text(one.minutes * 60)


def _of_episodes(episodes: list[PastEpisode]) -> Table:
    table = folding_table("from", "severity", "episode", whole=("from", "severity"))
    for one in episodes:
        signal = one.signal or listed(one.signals)
        value = f"{one.metric} {quantity(one.value, one.unit, one.threshold)}"
        lasted = duration_text(one.seconds)
        table.add_row(
            table_time(one.starts_at),
            one.severity,
            "\n".join(
                (
                    f"{printable(one.rule)}: {printable(subject(one))}",
                    printable(f"{signal}: {value}" if signal else value),
                    f"for {lasted}" if one.ends_at is not None else f"still firing, for {lasted}",
                )
            ),
        )
    return table
