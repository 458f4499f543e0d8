"""Cells while they are being counted: arrays that rows are added to, and their record form."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from tidegauge.baseline import canonical_category
from tidegauge.contract import NON_FINITE, Cell, SignalHistogram
from tidegauge.counting.decode import native
from tidegauge.counting.plan import (
    ABSENT,
    ABSENT_VALUE,
    INVALID,
    NAN,
    NAN_VALUE,
    NULL,
    SPECIALS,
    CategoricalPlan,
    NumericPlan,
    Plan,
)
from tidegauge.counting.rows import Segment
from tidegauge.stats import Floats, Places

_LARGEST = float(np.finfo(np.float64).max)


class CountingCell:
    """The counts of one (plan, variant, segment, window), since the tenure began."""

    __slots__ = (
        "changed", "counts", "events", "maxima", "minima", "plan", "segment", "sums", "sumsqs",
        "variant", "window_seconds", "window_start",
    )  # fmt: skip

    def __init__(
        self, plan: Plan, variant: str, segment: Segment, window_start: int, window_seconds: int
    ) -> None:
        self.plan = plan
        self.variant = variant
        self.segment = segment
        self.window_start = window_start
        self.window_seconds = window_seconds
        self.events = 0
        self.changed = False
        self.counts = np.zeros(plan.size, dtype=np.int64)
        signals = len(plan.numeric)
        self.sums = np.zeros(signals)
        self.sumsqs = np.zeros(signals)
        self.minima = np.full(signals, math.inf)
        self.maxima = np.full(signals, -math.inf)

    def add_columns(self, numeric: Sequence[Floats], categorical: Sequence[Places]) -> None:
        """Count rows given by column, in the order of the plan's signals.

        Numeric columns are float64 in which inf, -inf and NaN stand for absent, not finite and
        null; categorical ones hold bin numbers, specials included.
        """
        self.events += len(numeric[0])
        self.changed = True
        if native.MODULE is not None:
            self._add_native(numeric, categorical)
            return
        with np.errstate(over="ignore", invalid="ignore"):
            for j, (plan, column) in enumerate(zip(self.plan.numeric, numeric, strict=True)):
                self._add_numeric(j, plan, column)
        for codes_plan, codes in zip(self.plan.categorical, categorical, strict=True):
            width = codes_plan.bins + SPECIALS
            counts = self.counts[codes_plan.offset : codes_plan.offset + width]
            counts += np.bincount(codes, minlength=width)

    def _add_native(self, numeric: Sequence[Floats], categorical: Sequence[Places]) -> None:
        plan = self.plan
        native.MODULE.add_columns(
            list(map(np.ascontiguousarray, numeric)),
            plan.edges,
            plan.numeric_offsets,
            list(map(np.ascontiguousarray, categorical)),
            plan.categorical_offsets,
            self.counts,
            self.sums,
            self.sumsqs,
            self.minima,
            self.maxima,
        )

    def add_in_place(self, batch: native.InPlaceBatch) -> int:
        """Count the rows of an Arrow batch, all in this cell; return how many there are."""
        rows = batch.add_to(self.counts, self.sums, self.sumsqs, self.minima, self.maxima)
        self.events += rows
        self.changed = True
        return rows

    def _add_numeric(self, j: int, plan: NumericPlan, column: Floats) -> None:
        total = column.sum()
        if not math.isfinite(total):
            specials = self.counts[plan.offset + plan.bins :]
            specials[NULL] += np.count_nonzero(np.isnan(column))
            specials[ABSENT] += np.count_nonzero(column == ABSENT_VALUE)
            specials[NAN] += np.count_nonzero(column == NAN_VALUE)
            column = column[np.isfinite(column)]
            total = column.sum()
        if not len(column):
            return
        counts = self.counts[plan.offset : plan.offset + plan.bins]
        counts += np.bincount(plan.edges.searchsorted(column, side="right"), minlength=plan.bins)
        self.sums[j] += total
        # Not column.dot(column): that is BLAS, whose idle threads spin: a second core was busy with
        # nothing, which librdkafka needs for itself.
        self.sumsqs[j] += np.square(column).sum()
        self.minima[j] = min(self.minima[j], column.min())
        self.maxima[j] = max(self.maxima[j], column.max())

    def add_event(self, features: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        """Count one event of any shape; the counts are those of :meth:`add_columns`.

        A value that isn't there is ``msgspec.UNSET``.
        """
        self.events += 1
        self.changed = True
        with np.errstate(over="ignore", invalid="ignore"):
            values = []
            for j, plan in enumerate(self.plan.in_events):
                name = plan.name
                value = (outputs if name in outputs else features).get(name, msgspec.UNSET)
                values.append(value)
                self._add_value(j, plan, value)
            if self.plan.joint is not None:
                numbers = [_finite_number(values[place]) for place in self.plan.joint_inputs]
                joint = self.plan.joint.of_event(numbers)
                for j, total in enumerate(joint, len(values)):
                    absent = total == ABSENT_VALUE
                    self._add_value(j, self.plan.numeric[j], msgspec.UNSET if absent else total)
        for codes_plan in self.plan.categorical:
            name = codes_plan.name
            value = (outputs if name in outputs else features).get(name, msgspec.UNSET)
            self.counts[codes_plan.offset + _category_bin(codes_plan, value)] += 1

    def _add_value(self, j: int, plan: NumericPlan, value: object) -> None:
        special = plan.offset + plan.bins
        if value is msgspec.UNSET:
            self.counts[special + ABSENT] += 1
        elif value is None:
            self.counts[special + NULL] += 1
        elif isinstance(value, str):
            self.counts[special + (NAN if value in NON_FINITE else INVALID)] += 1
        elif not isinstance(value, int | float):
            self.counts[special + INVALID] += 1
        else:
            number = as_float(value)
            if not math.isfinite(number):
                self.counts[special + NAN] += 1
                return
            self.counts[plan.offset + bisect_right(plan.edge_list, number)] += 1
            self.sums[j] += number
            self.sumsqs[j] += number * number
            self.minima[j] = min(self.minima[j], number)
            self.maxima[j] = max(self.maxima[j], number)

    def to_record(self) -> Cell:
        """Return the cell as it stands now."""
        counts = self.counts.tolist()
        # JSON has no infinity: a sum that overflowed becomes the largest float.
        sums = np.nan_to_num(self.sums, posinf=_LARGEST, neginf=-_LARGEST).tolist()
        sumsqs = np.nan_to_num(self.sumsqs, posinf=_LARGEST).tolist()
        signals: dict[str, SignalHistogram] = {}
        for j, plan in enumerate(self.plan.numeric):
            bins, special = plan.offset + plan.bins, plan.offset + plan.bins + SPECIALS
            seen = self.minima[j] != math.inf
            signals[plan.name] = _histogram(counts[plan.offset : bins], counts[bins:special])
            signals[plan.name].sum = sums[j]
            signals[plan.name].sumsq = sumsqs[j]
            signals[plan.name].minimum = float(self.minima[j]) if seen else None
            signals[plan.name].maximum = float(self.maxima[j]) if seen else None
        for codes_plan in self.plan.categorical:
            bins = codes_plan.offset + codes_plan.bins
            signals[codes_plan.name] = _histogram(
                counts[codes_plan.offset : bins], counts[bins : bins + SPECIALS]
            )
        return Cell(
            model=self.plan.model,
            version=self.plan.version,
            variant=self.variant,
            segment=dict(self.segment),
            window_start=self.window_start,
            window_seconds=self.window_seconds,
            baseline=self.plan.baseline,
            events=self.events,
            signals=signals,
        )


def _histogram(counts: list[int], specials: list[int]) -> SignalHistogram:
    absent, null, nan, invalid = specials
    return SignalHistogram(counts=counts, absent=absent, null=null, nan=nan, invalid=invalid)


def _finite_number(value: object) -> float:
    """Return what a value is to a joint signal; NaN if it has no bin as a number."""
    number = as_float(value) if isinstance(value, int | float) else math.nan
    return number if math.isfinite(number) else math.nan


def as_float(number: float) -> float:
    """Convert to float; an integer beyond a float's range becomes infinite."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _category_bin(plan: CategoricalPlan, value: object) -> int:
    if value is msgspec.UNSET:
        return plan.bins + ABSENT
    if value is None:
        return plan.bins + NULL
    if isinstance(value, float) and not math.isfinite(value):
        return plan.bins + NAN
    if not isinstance(value, str | bool | int | float):
        return plan.bins + INVALID
    return plan.bin_of.get(canonical_category(value), plan.default_bin)
