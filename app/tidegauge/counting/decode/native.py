"""The native path: JSON straight to columns, if the extension ``tidegauge_native`` is installed.

Built of ``native/`` (Rust). It keeps events that fit a known version of a model, by group, until
they are taken out as columns; whatever is unusual it leaves to
:mod:`tidegauge.counting.decode.fast`, with the same counts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, cast

import numpy as np

from tidegauge.contract import OUTPUT_SIGNALS
from tidegauge.counting.decode import extension
from tidegauge.counting.decode.tolerant import EARLIEST_TIME
from tidegauge.counting.plan import ABSENT, NULL, CategoricalPlan, Floats, Plan
from tidegauge.counting.router import Rows
from tidegauge.counting.segments import SegmentColumn

_INT64 = range(-(2**63), 2**63)

#: Rows are taken out as columns so many bytes at a time: what was written last is then still in the
#: processor's cache when it is counted.
COLUMN_BYTES = 512 * 1024


class _Decoder(Protocol):
    def decode(
        self, values: list[bytes | None], limit: int, earliest: float, latest: float
    ) -> bytes: ...

    @property
    def kept_bytes(self) -> int: ...

    def groups(self) -> tuple[list[tuple[int, str, int]], list[list[str]]]: ...

    def columns(self, group: int, first: int, end: int) -> bytes: ...

    def clear(self) -> None: ...


class NativePath:
    """A decoder of the versions of these plans; the extension must be there.

    ``dimensions`` are the segments that are monitored.
    """

    def __init__(self, plans: Iterable[Plan], dimensions: Sequence[str] = ()) -> None:
        self._plans = list(plans)
        self._dimensions = list(dimensions)
        layouts = [_layout(plan) for plan in self._plans]
        self._decoder = cast(_Decoder, extension.MODULE.Decoder(layouts, self._dimensions))

    def decode(self, values: list[bytes | None], limit: int, latest: float) -> Floats:
        """Keep the events that fit; return all event times, epoch seconds, NaN for the others.

        An event longer than ``limit`` bytes or later than ``latest`` doesn't fit.
        """
        return np.frombuffer(self._decoder.decode(values, limit, EARLIEST_TIME, latest))

    @property
    def kept_bytes(self) -> int:
        """Memory that the events kept take, bytes."""
        return self._decoder.kept_bytes

    def take(self, wanted: Callable[[Plan, str, int], bool] | None = None) -> Iterator[Rows]:
        """Yield what was kept since the last time; go through all of it before decoding more.

        Nothing is yielded of a plan and a variant, with so many rows, that are not ``wanted``.
        """
        groups, values = self._decoder.groups()
        for group, (layout, variant, rows) in enumerate(groups):
            plan = self._plans[layout]
            if wanted is not None and not wanted(plan, variant, rows):
                continue
            width = 1 + len(plan.numeric) + len(plan.categorical) + len(self._dimensions)
            most = max(1, COLUMN_BYTES // (8 * width))
            for first in range(0, rows, most):
                columns = self._decoder.columns(group, first, first + most)
                yield self._rows(plan, variant, columns, width, values)
        self._decoder.clear()

    def _rows(
        self, plan: Plan, variant: str, columns: bytes, width: int, values: list[list[str]]
    ) -> Rows:
        times, *numeric = np.frombuffer(columns).reshape(width, -1)[: 1 + len(plan.numeric)]
        codes = list(np.frombuffer(columns, np.intp).reshape(width, -1)[1 + len(numeric) :])
        categorical = codes[: len(plan.categorical)]
        named = zip(self._dimensions, codes[len(categorical) :], values, strict=True)
        segments = [SegmentColumn(*column) for column in named]
        return Rows(plan, variant, times, numeric, categorical, segments)


def _layout(plan: Plan) -> tuple[Any, ...]:
    numeric = [(signal.name, signal.name not in OUTPUT_SIGNALS) for signal in plan.numeric]
    return plan.model, plan.version, numeric, [_categories(signal) for signal in plan.categorical]


def _categories(signal: CategoricalPlan) -> tuple[Any, ...]:
    values = [
        (value, bin_)
        for value, bin_ in signal.fast_bin_of.items()
        # The others are never met: an event with such a number doesn't fit.
        if isinstance(value, str | bool) or (isinstance(value, int) and value in _INT64)
    ]
    return (
        signal.name,
        signal.name not in OUTPUT_SIGNALS,
        signal.dtype,
        values,
        signal.bins + ABSENT,
        signal.bins + NULL,
        signal.default_bin,
    )
