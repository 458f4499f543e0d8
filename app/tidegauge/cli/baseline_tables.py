"""Tables of ``tidegauge baseline``: the columns of a file, and the signals of a baseline."""

from collections.abc import Sequence

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tidegauge.baseline import (
    Baseline,
    DayCalendar,
    NumericSignal,
    bin_labels,
    counted_by_bin,
    features_of,
)
from tidegauge.baseline.io import (
    ColumnSummary,
)
from tidegauge.cli.printing import PlainConsole, echo, folding_table, plain
from tidegauge.contract import (
    counted,
    printable,
)

#: Without a terminal, as in a log.
_WIDTH = 80

#: Columns that are shown; nobody reads a table of thousands.
_MOST = 200

#: The kind of day after those of the week.
_HOLIDAY = 7

#: Letters of an example.
_LONGEST = 18


def show_columns(columns: Sequence[ColumnSummary]) -> None:
    """Print a table of columns on stderr, as wide as the terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("column", overflow="fold", max_width=28)
    table.add_column("kind", no_wrap=True)
    table.add_column("missing", justify="right", no_wrap=True)
    table.add_column("distinct", justify="right", no_wrap=True)
    table.add_column("examples", overflow="fold")
    for it in columns[:_MOST]:
        name = it.column or "(no name)"
        if it.signal and it.signal != it.column:
            name += f" ({it.signal})"
        missing = "" if it.missing is None else f"{it.missing + it.not_finite:,}"
        distinct = "" if it.distinct is None else f"{it.distinct:,}"
        examples = "; ".join(map(_short, it.examples))
        table.add_row(printable(name), it.kind, missing, distinct, examples)
    console = PlainConsole(stderr=True)
    if not console.is_terminal:
        console = PlainConsole(stderr=True, width=_WIDTH)
    console.print(table)
    if len(columns) > _MOST:
        echo(f"… and {len(columns) - _MOST:,} columns more: --json has all of them", err=True)


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def hours_line(baseline: Baseline) -> str:
    """Say whether a baseline knows the hours of the day."""
    if not baseline.daily:
        return "no hours of the day: made without --time, or of too few days or rows"
    spans = baseline.daily.spans_seconds
    calendar = baseline.daily.calendar or DayCalendar()
    by_kind = sum(bool(it.kinds) for it in baseline.daily.signals.values())
    weeks = f", and by day of the week for {counted(by_kind, 'signal')}" if by_kind else ""
    if calendar.holidays:
        kind = "a kind of their own" if calendar.holiday_kind == _HOLIDAY else "as days of rest"
        weeks += f" (holidays of {printable(calendar.holidays_of)} are {kind})"
    elif not calendar.holidays_of:
        weeks += " (no holidays named)"
    if calendar.slots:
        slots = ", ".join(
            f"{_clock(it.begin_seconds)}-{_clock(it.end_seconds)}" for it in calendar.slots
        )
        weeks += f", by the minutes that stand out each day ({slots})"
    zone = printable(calendar.time_zone) or "UTC, no time zone named"
    return (
        f"by hour of the day ({zone}){weeks}, of "
        f"{baseline.daily.days} days; "
        f"dispersion known for spans from {spans[0]:,} to {spans[-1]:,} seconds"
    )


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}"


def dependence_line(baseline: Baseline) -> str:
    """Say how far rows depend on each other."""
    its = baseline.dependence
    if not its:
        return "rows taken for independent: made without --entity, and their order tells nothing"
    by = f"column {printable(its.entity)}" if its.entity else "the order of the rows"
    if not its.design_effects:
        return f"rows independent of each other, by {by}"
    most = max(its.design_effects.values())
    return (
        f"rows depend on each other, by {by}: design effect up to {most:.3g} "
        f"({counted(len(its.design_effects), 'signal')})"
    )


def joint_line(baseline: Baseline) -> str:
    """Say how many joint signals there are, and of what; nothing without any."""
    joint = [its for it in baseline.signals.values() if (its := features_of(it))]
    if not joint:
        return ""
    used = {name for its in joint for name in its}
    numeric = sum(isinstance(baseline.signals[it], NumericSignal) for it in baseline.features)
    return (
        f"{counted(len(joint), 'joint signal')} of {len(used):,} of the {numeric:,} numeric "
        f"features: each counts in the alarm budget as a signal does"
    )


def signals_table(baseline: Baseline) -> Table:
    """Return the bins of each signal, with their counts and shares."""
    table = folding_table("signal", "bin", "count", "share", right=("count", "share"))
    for name, signal in sorted(baseline.signals.items()):
        if isinstance(signal, NumericSignal):
            kind = "joint" if features_of(signal) else "numeric"
            kind += f"\nmean {_number(signal.mean)}\nstd {_number(signal.std)}"
        else:
            kind = f"categorical, {signal.dtype}"
            if signal.known:
                kind += f"\n{counted(len(signal.known), 'value')} in the bin other"
        counts = counted_by_bin(signal)
        if (effect := baseline.design_effect(name)) > 1:
            kind += f"\ndesign effect {effect:.3g}"
        if baseline.importances and not features_of(signal):
            kind += f"\nimportance {baseline.importances.get(name, 0.0):.6g}"
        table.add_row(
            Group(plain(name, "bold"), Padding(Text(kind), (0, 0, 0, 2))),
            "\n".join(map(printable, bin_labels(signal))),
            "\n".join(f"{count:,}" for count in counts),
            "\n".join(f"{count / baseline.rows:.2%}" for count in counts),
            end_section=True,
        )
    return table


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def output_console() -> Console:
    """Return a console on stdout that doesn't cut ids to the width of a pipe."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=160)
