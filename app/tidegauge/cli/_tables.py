"""Tables that cut nothing: what doesn't fit goes on in the next line."""

from collections.abc import Collection, Iterable, Mapping

from rich import box
from rich.table import Table

#: Names up to this length are not broken; longer ones must not push everything else aside.
_WHOLE_NAME = 24


def folding_table(
    *headers: str,
    whole: Collection[str] = (),
    right: Collection[str] = (),
    names: Mapping[str, Iterable[str]] | None = None,
) -> Table:
    """Return a table of these columns, with few lines, for terminals of 80 columns and more.

    ``whole`` are not broken, such as ids that somebody will copy; ``right`` are aligned so.
    ``names`` has what is in some columns and is not broken if that is possible.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header in headers:
        longest = max(map(len, (names or {}).get(header, ())), default=0)
        table.add_column(
            header,
            overflow="fold",
            # Not by a least width: rich adds that after it has fitted the table to the terminal.
            no_wrap=header in whole or 0 < longest <= _WHOLE_NAME,
            justify="right" if header in right else "left",
        )
    return table
