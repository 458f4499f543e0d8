"""A backtest's result as tables for a person."""

from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from tidegauge.backtest.result import Episode, InjectionResult, Result, Sighting, SliceSpan
from tidegauge.printable import printable
from tidegauge.rules import listed

#: Slices whose memory is told of one by one.
_SLICES = 20


def show(result: Result, console: Console, *, episodes: int | None) -> None:
    """Print alarms by rule, who saw the injected drift, and the first ``episodes`` of them."""
    slices = "1 slice" if len(result.slices) == 1 else f"{len(result.slices)} slices"
    console.print(
        f"{result.windows:,} windows of {slices}, "
        f"{_instant(result.since)} to {_instant(result.until)}"
    )
    for line in _memories(result.slices):
        console.print(f"  {line}", highlight=False)
    console.print(_by_rule(result))
    if result.injection is not None:
        _show_injection(result.injection, console)
    shown = result.episodes[:episodes]
    if shown:
        console.print(_of_episodes(shown))
    if len(shown) < len(result.episodes):
        console.print(f"{len(result.episodes) - len(shown)} more: --all shows them")


def _memories(slices: list[SliceSpan]) -> list[str]:
    """Say from when on the detector remembered as much as it does in the long run."""
    lines = []
    for one in slices[:_SLICES]:
        full = one.memory_full_at
        since = f"full from {_instant(full)} on" if full is not None else "never full, or not asked"
        lines.append(f"{printable(_slice(one))}: {one.windows:,} windows, memory {since}")
    if len(slices) > _SLICES:
        lines.append(f"{len(slices) - _SLICES} more slices: --json has them")
    return lines


def _by_rule(result: Result) -> Table:
    table = Table("rule", "model", "alarms", "a month", "firing", "first", "last", "in force")
    for name in (2, 3, 4, 7):
        table.columns[name].justify = "right"
    for one in result.rules:
        table.add_row(
            printable(one.rule),
            printable(one.model),
            f"{one.alarms:,}",
            f"{one.alarms_per_month:.4g}",
            _lasted(one.seconds_firing),
            "" if one.first is None else _instant(one.first),
            "" if one.last is None else _instant(one.last),
            f"{one.in_force:,}",
        )
    return table


def _show_injection(injection: InjectionResult, console: Console) -> None:
    console.print(
        printable(
            f"Injected from {_instant(injection.at)} on: {injection.kind} {injection.size:g} of "
            f"{injection.signal}, {injection.windows:,} windows"
        )
    )
    table = Table("rule", "slice", "seen after windows", "minutes")
    for column in table.columns[2:]:
        column.justify = "right"
    for one in injection.seen:
        table.add_row(printable(one.rule), printable(_slice(one)), *_seen(one))
    console.print(table)


def _seen(one: Sighting) -> tuple[str, str]:
    if one.fired_before:
        return "fired before", ""
    if one.windows is None or one.minutes is None:
        return "never", ""
    return f"{one.windows:,}", f"{one.minutes:,.1f}"


def _of_episodes(episodes: list[Episode]) -> Table:
    table = Table("from", "lasted", "rule", "severity", "slice", "signal", "value")
    table.columns[1].justify = "right"
    for one in episodes:
        value = f"{one.metric} {one.value:.4g} {one.unit}".rstrip()
        table.add_row(
            _instant(one.starts_at),
            _lasted(one.seconds) + ("" if one.ends_at is not None else ", goes on"),
            printable(one.rule),
            one.severity,
            printable(_slice(one)),
            printable(one.signal or listed(one.signals)),
            printable(value),
        )
    return table


def _slice(one: Episode | SliceSpan | Sighting) -> str:
    named = [one.model, one.version, one.variant]
    named += [f"{name}={value}" for name, value in sorted(one.segment.items())]
    return " ".join(filter(None, named))


def _lasted(seconds: int) -> str:
    """Write a span of time.

    >>> _lasted(59), _lasted(60), _lasted(93_840)
    ('59 s', '1 min', '26 h 4 min')
    """
    if seconds < 60:
        return f"{seconds} s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _instant(epoch_seconds: float) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
