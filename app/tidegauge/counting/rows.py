"""Rows of events that are laid out by a plan, by column.

Their segments are numbers: a segment value is text of 1 to 200 characters; absent, null and "" name
no segment. Anything else can't name a slice, but the event is still counted overall, since nothing
else is wrong with it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.counting.awaited import AwaitedColumns
from tidegauge.counting.decode.reference import NAME_CHARACTERS
from tidegauge.counting.plan import Plan
from tidegauge.stats import Floats, Places

#: A segment as a slice has it: one (dimension, value), or none for all of the traffic.
Segment = tuple[tuple[str, str], ...]
OVERALL: Segment = ()

#: What stands for no value, and for one that can't name a slice. The extension knows them too.
NONE, UNUSABLE = -1, -2

#: Some of the rows: whether each is one of them, their numbers, or from where to where.
Selection = npt.NDArray[np.bool_] | Places | slice


def code(value: object, otherwise: int = 0) -> int:
    """Return :data:`NONE` or :data:`UNUSABLE` where they apply, else ``otherwise``.

    >>> [code(value) for value in ("EU", "", None, 3, "x" * 201)]
    [0, -1, -1, -2, -2]
    """
    if value is None or value == "":
        return NONE
    if not isinstance(value, str) or len(value) > NAME_CHARACTERS:
        return UNUSABLE
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair can't be written
        return UNUSABLE
    return otherwise


class SegmentColumn(NamedTuple):
    """Segments of some rows in one dimension: ``codes`` are places in ``values``, or below 0."""

    dimension: str
    codes: Places
    values: Sequence[str | None]

    @classmethod
    def of(cls, dimension: str, found: Sequence[str | None]) -> "SegmentColumn":
        """Make a column of the value of each row."""
        values = list(dict.fromkeys(found))
        codes = {value: code(value, place) for place, value in enumerate(values)}
        return cls(
            dimension, np.fromiter(map(codes.__getitem__, found), np.intp, len(found)), values
        )

    def at(self, places: Selection) -> "SegmentColumn":
        """Return the column of some of the rows."""
        return self._replace(codes=self.codes[places])

    def groups(self) -> Iterator[tuple[str | None, Places]]:
        """Yield each value there is, None for those that can't name a slice, and the rows of it."""
        order = np.argsort(self.codes, kind="stable")
        in_order = self.codes[order]
        begins = np.flatnonzero(np.diff(in_order, prepend=in_order[0] - 1))
        members = np.split(order, begins[1:].tolist())
        for found, rows in zip(in_order[begins].tolist(), members, strict=True):
            if found != NONE:
                yield None if found == UNUSABLE else self.values[found], rows


class Rows(NamedTuple):
    """Events of one group by column, in the order of the plan's signals.

    Decoders give the columns that events have, :meth:`with_joint` those of all signals.
    """

    plan: Plan
    variant: str
    times: Floats
    numeric: Sequence[Floats]
    categorical: Sequence[Places]
    segments: Sequence[SegmentColumn]
    #: Where labels are awaited.
    awaited: AwaitedColumns | None = None

    def with_joint(self) -> "Rows":
        """Return the rows with the columns of joint signals, computed of the others."""
        plan = self.plan
        if plan.joint is None:
            return self
        found = plan.joint.columns([self.numeric[place] for place in plan.joint_inputs])
        return self._replace(numeric=[*self.numeric, *found])

    def at(self, places: Selection) -> "Rows":
        """Return the rows of some places, to be counted in a cell."""
        return self._replace(
            times=self.times[places],
            numeric=[column[places] for column in self.numeric],
            categorical=[column[places] for column in self.categorical],
            segments=[column.at(places) for column in self.segments],
            awaited=None,
        )
