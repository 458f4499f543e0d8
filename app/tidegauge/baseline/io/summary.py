"""What was decided for each column of a table, for people and programs to look at."""

import msgspec

from tidegauge.baseline import NumericSignal, Signal
from tidegauge.baseline.io.table import Column


class ColumnSummary(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One column: what it is called, what it became, and what that was decided by.

    ``kind`` is numeric, string, integer, boolean, time or left out; ``signal`` the name of the
    signal, empty if it is none. ``missing`` and ``distinct`` are counts of rows and of values,
    ``not_finite`` of numbers that are NaN or infinite in the file.
    """

    column: str
    kind: str
    signal: str = ""
    missing: int | None = None
    not_finite: int = 0
    distinct: int | None = None
    examples: tuple[str, ...] = ()

    @classmethod
    def left_out(cls, column: Column, why: str) -> "ColumnSummary":
        """Return that of a column which is no signal."""
        return cls(column=column.name, kind=why, examples=column.examples)


def summary_of(column: Column, name: str, signal: Signal, distinct: int) -> ColumnSummary:
    """Return what a column became."""
    if isinstance(signal, NumericSignal):
        kind, not_finite = "numeric", signal.nan
    else:
        kind, not_finite = signal.dtype, 0
    return ColumnSummary(
        column=column.name,
        kind=kind,
        signal=name,
        missing=signal.missing,
        not_finite=not_finite,
        distinct=distinct,
        examples=column.examples,
    )
