"""Which cells rows are counted in: their window's, overall and in each segment that they name."""

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from tidegauge.config import IngestSettings, WindowSettings
from tidegauge.counting.cells import CountingCell
from tidegauge.counting.decode.reference import LooseEvent
from tidegauge.counting.plan import Plan
from tidegauge.counting.rows import NONE, OVERALL, UNUSABLE, Rows, Segment, code
from tidegauge.counting.tenure import Tenure


class CellRouter:
    """Adds rows to the cells of a tenure.

    Each is counted in the slice of all the traffic and, for each monitored dimension that it has a
    value of, in the slice of that value: marginals, not the product of the dimensions.
    """

    def __init__(
        self, settings: IngestSettings, window_of: Callable[[str], WindowSettings]
    ) -> None:
        self._dimensions = settings.segments
        self._most_values = settings.segment_values
        self._most_without_baseline = settings.max_slices
        self._window_of = window_of
        #: Events that no slice of the dimension was there for, since the start; the dimension has
        #: more values than are taken, or theirs can't name one.
        self.dropped = Counter[str](dict.fromkeys(self._dimensions, 0))

    def add(self, rows: Rows, tenure: Tenure) -> None:
        """Count rows, at least one, as decoders give them."""
        rows = rows.with_joint()
        seconds = self._window_of(rows.plan.model).seconds
        # Of whole seconds: as exact as to divide floats, which takes ten times as long.
        first = math.floor(rows.times.min()) // seconds * seconds
        if rows.times.max() < first + seconds:
            self._add_window(rows, first, seconds, tenure)
            return
        starts = np.floor(rows.times).astype(np.int64) // seconds * seconds
        if (np.diff(starts) < 0).any():  # of several partitions, or late
            order = np.argsort(starts, kind="stable")
            starts = starts[order]
            rows = rows.at(order)
        begins = np.flatnonzero(np.diff(starts, prepend=first - 1)).tolist()
        for begin, end in pairwise([*begins, len(starts)]):
            part = rows.at(slice(begin, end))
            self._add_window(part, int(starts[begin]), seconds, tenure)

    def only_cell(
        self, plan: Plan, variant: str, earliest: float, latest: float, tenure: Tenure
    ) -> CountingCell | None:
        """Return the cell of events that name no segment, from the earliest to the latest.

        None if they are of several windows. Times are epoch seconds.
        """
        seconds = self._window_of(plan.model).seconds
        start = math.floor(earliest) // seconds * seconds
        if latest >= start + seconds:
            return None
        return tenure.cell(plan, variant, OVERALL, start, seconds)

    def _add_window(self, rows: Rows, start: int, seconds: int, tenure: Tenure) -> None:
        plan, variant = rows.plan, rows.variant
        cell = tenure.cell(plan, variant, OVERALL, start, seconds)
        cell.add_columns(rows.numeric, rows.categorical)
        for column in rows.segments:
            if column.dimension not in self._dimensions:  # it is for labels alone
                continue
            for value, members in column.groups():
                segment = self._segment(plan, variant, column.dimension, value, tenure)
                if segment is None:
                    self.dropped[column.dimension] += len(members)
                    continue
                cell = tenure.cell(plan, variant, segment, start, seconds)
                cell.add_columns(
                    [numbers[members] for numbers in rows.numeric],
                    [codes[members] for codes in rows.categorical],
                )

    def add_event(self, plan: Plan, event: LooseEvent, tenure: Tenure) -> None:
        """Count one event of any shape."""
        variant = event.variant or ""
        seconds = self._window_of(plan.model).seconds
        start = int(event.epoch // seconds) * seconds
        segments = [OVERALL]
        for dimension in self._dimensions:
            value = event.segment(dimension)
            kind = code(value)
            if kind == NONE:
                continue
            named = None if kind == UNUSABLE else value
            segment = self._segment(plan, variant, dimension, named, tenure)
            if segment is None:
                self.dropped[dimension] += 1
            else:
                segments.append(segment)
        for segment in segments:
            cell = tenure.cell(plan, variant, segment, start, seconds)
            cell.add_event(event.features or {}, event.outputs)

    def _segment(
        self, plan: Plan, variant: str, dimension: str, value: str | None, tenure: Tenure
    ) -> Segment | None:
        """Return the segment of a value, or None if it has no slice of its own."""
        if value is None:
            return None
        values = tenure.values[plan.model, plan.version, variant, dimension]
        if value not in values:
            if len(values) >= self._most_values:
                return None
            if not plan.baseline:
                if tenure.values_without_baseline >= self._most_without_baseline:
                    return None
                tenure.values_without_baseline += 1
            values.add(value)
        return ((dimension, value),)
