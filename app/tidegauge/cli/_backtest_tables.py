"""A backtest's result as tables for a person."""

from rich.console import Console
from rich.table import Table

from tidegauge.backtest import InjectionResult, PastEpisode, Result, RuleCount, Sighting, SliceSpan
from tidegauge.cli._print import folding_table, table_time
from tidegauge.contract import (
    counted,
    duration_text,
    figure,
    listed,
    printable,
    quantity,
    segment_text,
    utc_text,
)

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
    for one in sorted(slices, key=_slice)[:_SLICES]:
        full = one.memory_full_at
        memory = "" if full is None else f", detector warmed up at {utc_text(full)}"
        lines.append(f"{printable(_slice(one))}: {counted(one.windows, 'window')}{memory}")
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
        table.add_row(printable(one.rule) + "\n" + printable(_slice(one)), *_seen(one))
    if seen:
        console.print(table)
    # With many slices, a line for each that a rule saw nothing in would be too much.
    for title, name in (("Seen by no rule in", _slice), ("Seen in no slice by", _rule)):
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
                    f"{printable(one.rule)}: {printable(_slice(one))}",
                    printable(f"{signal}: {value}" if signal else value),
                    f"for {lasted}" if one.ends_at is not None else f"still firing, for {lasted}",
                )
            ),
        )
    return table


def _slice(one: PastEpisode | SliceSpan | Sighting) -> str:
    return " ".join(filter(None, (one.model, one.version, one.variant, segment_text(one.segment))))
