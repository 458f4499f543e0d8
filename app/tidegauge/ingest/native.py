"""The native path: JSON straight to columns, if the extension ``tidegauge_native`` is installed.

Built of ``native/`` (Rust). It keeps events that fit a known version of a model, by group, until
they are taken out as columns; whatever is unusual it leaves to :mod:`tidegauge.ingest.fast`, with
the same counts.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, cast

import numpy as np

from tidegauge.contract import OUTPUT_SIGNALS
from tidegauge.ingest import extension
from tidegauge.ingest.placing import Rows
from tidegauge.ingest.plan import ABSENT, NULL, CategoricalPlan, Floats, Plan
from tidegauge.ingest.segments import SegmentColumn
from tidegauge.ingest.tolerant import EARLIEST_TIME

_INT64 = range(-(2**63), 2**63)

_Taken = tuple[str, str, str, bytes, bytes, bytes, bytes]


class _Decoder(Protocol):
    def decode(
        self, values: list[bytes | None], limit: int, earliest: float, latest: float
    ) -> bytes: ...

    def take(self) -> tuple[list[_Taken], list[list[str]]]: ...


class NativePath:
    """A decoder of the versions of these plans; the extension must be there.

    ``dimensions`` are the segments that are monitored.
    """

    def __init__(self, plans: Iterable[Plan], dimensions: Sequence[str] = ()) -> None:
        self._plans = {(plan.model, plan.version): plan for plan in plans}
        self._dimensions = list(dimensions)
        layouts = [_layout(plan) for plan in self._plans.values()]
        self._decoder = cast(_Decoder, extension.MODULE.Decoder(layouts, self._dimensions))

    def decode(self, values: list[bytes | None], limit: int, latest: float) -> Floats:
        """Keep the events that fit; return all event times, epoch seconds, NaN for the others.

        An event longer than ``limit`` bytes or later than ``latest`` doesn't fit.
        """
        return np.frombuffer(self._decoder.decode(values, limit, EARLIEST_TIME, latest))

    def take(self) -> Iterator[Rows]:
        """Yield what was kept since the last time."""
        groups, values = self._decoder.take()
        for model, version, variant, times, numeric, codes, segments in groups:
            plan = self._plans[model, version]
            yield Rows(
                plan,
                variant,
                np.frombuffer(times),
                list(np.frombuffer(numeric).reshape(len(plan.numeric), -1)),
                list(np.frombuffer(codes, np.intp).reshape(len(plan.categorical), -1)),
                [
                    SegmentColumn(*column)
                    for column in zip(
                        self._dimensions,
                        np.frombuffer(segments, np.intp).reshape(len(values), len(times) // 8),
                        values,
                        strict=True,
                    )
                ],
            )


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
