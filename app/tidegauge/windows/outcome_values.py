"""What DETECT keeps of outcomes in its table, and how two values of one key join.

The cells of one tenure have keys of their own: a cohort stays open for as long as its labels may
come, a month by default, and of all its tenures only the last one changes.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from tidegauge.contract import OutcomeCell, decode, encode

CellKind = Literal["cohort", "arrival"]


class OutcomeWindow(NamedTuple):
    """One window of the outcomes of a model: by time of prediction, or by arrival of the label."""

    model: str
    kind: CellKind
    start: int
    seconds: int

    @classmethod
    def of(cls, cell: OutcomeCell) -> "OutcomeWindow":
        """Return the window that a cell is of."""
        return cls(cell.model, cell.kind, cell.window_start, cell.window_seconds)

    @property
    def end(self) -> int:
        """Exclusive end, epoch seconds."""
        return self.start + self.seconds


class OutcomeKey(msgspec.Struct, frozen=True, array_like=True, tag="outcome"):
    """Key of what one tenure of OUTCOMES has counted in one window."""

    model: str
    kind: CellKind
    window_start: int
    window_seconds: int
    tenure: str

    @property
    def window(self) -> OutcomeWindow:
        """The window."""
        return OutcomeWindow(self.model, self.kind, self.window_start, self.window_seconds)


class CohortKey(msgspec.Struct, frozen=True, array_like=True, tag="cohort"):
    """Key of what was reported of a cohort."""

    model: str
    window_start: int
    window_seconds: int

    @property
    def window(self) -> OutcomeWindow:
        """The window."""
        return OutcomeWindow(self.model, "cohort", self.window_start, self.window_seconds)


class TenureOutcomes(msgspec.Struct, kw_only=True):
    """The largest ``seq`` of a tenure for a window, with its cell as JSON, as that is smaller."""

    seq: int
    cell: msgspec.Raw

    @classmethod
    def of(cls, seq: int, cell: OutcomeCell) -> "TenureOutcomes":
        """Return what a record of number ``seq`` says."""
        return cls(seq=seq, cell=msgspec.Raw(encode(cell)))

    @classmethod
    def read(cls, value: bytes) -> "TenureOutcomes":
        """Return what the changelog has; raises ``DecodingError`` if that is none."""
        found = decode(value, cls)
        found.decoded()
        return found

    def decoded(self) -> OutcomeCell:
        """Return the cell; raises ``DecodingError`` if it is none."""
        return decode(self.cell, OutcomeCell)


class Published(msgspec.Struct, array_like=True):
    """The last report of a part of a cohort: its revision, and the digest of what it said."""

    revision: int
    digest: str


class CohortState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A fold over the reports of a cohort.

    ``step`` counts the changes. ``changed`` says whether counts have changed since the last tick,
    ``due`` is the tick at which the cohort is to be reported, 0 if it isn't. ``published`` is by
    version, variant and group.
    """

    step: int = 0
    changed: bool = False
    due: int = 0
    mature: bool = False
    published: dict[str, Published] = {}


def join_tenures(a: TenureOutcomes, b: TenureOutcomes) -> TenureOutcomes:
    """Take the value with the larger ``seq``."""
    return max(a, b, key=lambda it: (it.seq, bytes(it.cell)))


def join_cohorts(a: CohortState, b: CohortState) -> CohortState:
    """Take the value that has seen more changes."""
    return max(a, b, key=lambda it: (it.step, msgspec.json.encode(it)))


def replaced(state: CohortState, **changes: Any) -> CohortState:
    """Return the next step of a cohort."""
    return msgspec.structs.replace(state, step=state.step + 1, **changes)


#: What tenures have counted of a window.
TenureCells = Mapping[str, TenureOutcomes]
