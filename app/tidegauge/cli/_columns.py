"""What ``tidegauge baseline create`` shows of a table: each column, and what it became."""

from collections.abc import Sequence

from rich.table import Table

from tidegauge.baseline.io import ColumnSummary
from tidegauge.cli._print import PlainConsole, echo
from tidegauge.contract import printable

#: Without a terminal, as in a log.
_WIDTH = 80

#: Columns that are shown; a model with thousands has few readers of its table.
_MOST = 200

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
