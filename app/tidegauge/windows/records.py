"""Records of the histogram topic as they arrive, and the checks before one is joined. Pure.

Anybody with write access to the topic can send anything, and a joined record changes windows,
detector and watermark for good. So a record that no INGEST worker can have written is refused as a
whole. The types have bounds; the functions check what lies between fields.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Annotated

import msgspec

from tidegauge.contract import (
    LAG_EDGES,
    DecodingError,
    SparseCounts,
    decode,
)
from tidegauge.outcomes import OutcomeCounts
from tidegauge.windows.merging import LARGEST_COUNT, histograms_of
from tidegauge.windows.outcome_values import CellKind, OutcomeWindow, TenureOutcomes
from tidegauge.windows.values import Slice

#: No time is later: the year 2100, epoch seconds.
LATEST_SECONDS = 4_102_444_800

#: No window is longer: a month.
LONGEST_WINDOW_SECONDS = 31 * 24 * 3600

#: Names are no longer: INGEST refuses events whose model, version or variant is, and knows no such
#: dimension and value of a segment.
NAME_CHARACTERS = 200

#: More dimensions than a segment has.
MOST_DIMENSIONS = 10

#: More cells than INGEST puts into a record, which has half a megabyte of them, or a single one.
MOST_CELLS = 10_000

#: More partitions than a topic has in any cluster; each is looked at for every record.
MOST_PARTITIONS = 50_000

_Offset = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Partition = Annotated[int, msgspec.Meta(ge=0, lt=MOST_PARTITIONS)]
_Time = Annotated[float, msgspec.Meta(ge=0, le=LATEST_SECONDS)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARACTERS)]
_NameOrNone = Annotated[str, msgspec.Meta(max_length=NAME_CHARACTERS)]


class RawRange(msgspec.Struct, kw_only=True):
    """Offsets of one source partition as they arrive (:class:`tidegauge.contract.SourceRange`)."""

    origin: _Offset
    start: _Offset
    since: _Offset
    to: _Offset
    series: _Offset = 0
    end: _Offset = 0


class RawClock(msgspec.Struct, kw_only=True):
    """A clock as it arrives (:class:`tidegauge.contract.PartitionClock`)."""

    latest: _Time | None
    caught_up: bool
    idle: bool


class RawCell(msgspec.Struct, kw_only=True):
    """A cell as it arrives; its signals stay encoded until the window closes."""

    model: _Name
    version: _Name
    variant: _NameOrNone
    segment: Annotated[dict[_Name, _Name], msgspec.Meta(max_length=MOST_DIMENSIONS)]
    window_start: Annotated[int, msgspec.Meta(ge=0, le=LATEST_SECONDS)]
    window_seconds: Annotated[int, msgspec.Meta(gt=0, le=LONGEST_WINDOW_SECONDS)]
    baseline: _NameOrNone
    events: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_COUNT)]
    signals: msgspec.Raw
    slices: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_COUNT)] = 1

    @property
    def slice(self) -> Slice:
        """The slice that the cell counts."""
        return Slice(self.model, self.version, self.variant, tuple(sorted(self.segment.items())))


class _Labels(msgspec.Struct):
    """Of a stratum, what is needed before its cohort is reported."""

    baseline: _Name
    lags: SparseCounts = msgspec.field(default_factory=SparseCounts)


_SomeLabels = Annotated[list[_Labels], msgspec.Meta(min_length=1, max_length=MOST_CELLS)]


class RawOutcomeCell(msgspec.Struct, kw_only=True, dict=True):
    """A cell of outcomes as it arrives; most of it stays encoded until its cohort is reported.

    To decode it takes a millisecond, and while labels come, one of a cohort comes every second.
    """

    model: _Name
    kind: CellKind
    window_start: Annotated[int, msgspec.Meta(ge=0, le=LATEST_SECONDS)]
    window_seconds: Annotated[int, msgspec.Meta(gt=0, le=LONGEST_WINDOW_SECONDS)]
    targets: msgspec.Raw
    strata: msgspec.Raw

    @property
    def window(self) -> OutcomeWindow:
        """The window that it is of."""
        return OutcomeWindow(self.model, self.kind, self.window_start, self.window_seconds)

    @cached_property
    def labels(self) -> list[_Labels]:
        """Its labels by baseline and delay; raises :class:`DecodingError` if it has none."""
        found: list[_Labels] = decode(self.strata, _SomeLabels)
        for one in found:
            if one.lags.bins and one.lags.bins[-1] > len(LAG_EDGES):
                raise DecodingError(f"lags has the bin {one.lags.bins[-1]}")
        return found

    def kept(self, seq: int) -> TenureOutcomes:
        """Return what is kept of it for a tenure."""
        delays = [0] * (len(LAG_EDGES) + 1)
        for one in self.labels:
            for at, count in zip(one.lags.bins, one.lags.counts, strict=True):
                # Sums of tenures must fit 64 bits, whatever somebody has sent.
                delays[at] = max(-LARGEST_COUNT, min(LARGEST_COUNT, delays[at] + count))
        return TenureOutcomes(
            seq=seq,
            delays=delays,
            baselines=sorted({one.baseline for one in self.labels}),
            targets=self.targets.copy(),
            strata=self.strata.copy(),
        )


class RawRecord(msgspec.Struct, kw_only=True):
    """A histogram record with undecoded signals, within bounds.

    One of OUTCOMES has ``outcomes`` and no cells; those of INGEST have no ``outcomes``.
    """

    tenure: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    seq: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_COUNT)]
    time: _Time
    source: str
    source_partitions: Annotated[int, msgspec.Meta(ge=1, le=MOST_PARTITIONS)]
    ranges: Annotated[dict[_Partition, RawRange], msgspec.Meta(min_length=1)]
    clocks: dict[_Partition, RawClock]
    baselines_age_seconds: float | None = None
    topic_id: Annotated[str, msgspec.Meta(max_length=200)] = ""
    cells: Annotated[list[RawCell], msgspec.Meta(max_length=MOST_CELLS)]
    outcomes: (
        Annotated[list[RawOutcomeCell], msgspec.Meta(max_length=MOST_CELLS)] | msgspec.UnsetType
    ) = msgspec.UNSET

    @property
    def of_outcomes(self) -> bool:
        """Whether OUTCOMES has written it."""
        return self.outcomes is not msgspec.UNSET

    @property
    def outcome_cells(self) -> list[RawOutcomeCell]:
        """Its cells of outcomes."""
        return [] if self.outcomes is msgspec.UNSET else self.outcomes


#: How far an event's clock may be ahead of its worker's beyond what INGEST accepts: workers' own
#: clocks may be set back between an event and the flush that tells of it.
_CLOCKS_SECONDS = 24 * 3600.0


def read_record(
    value: bytes | None, *, source: str, outcomes: str, max_ahead_seconds: float
) -> RawRecord:
    """Read a record of the histogram topic.

    Raises :class:`DecodingError` for what no worker that counts ``source``, the topic of
    predictions, or ``outcomes``, the topic of outcomes, can have written.
    """
    record = decode(value, RawRecord)
    if record.source == outcomes and not record.of_outcomes:
        record.outcomes = []
    problem = _problem(record, source, outcomes, max_ahead_seconds)
    if problem is not None:
        raise DecodingError(problem)
    for at, cell in enumerate(record.outcome_cells):
        try:
            cell.labels  # noqa: B018 - decoded here, so that what has none is refused
        except DecodingError as error:
            raise DecodingError(f"outcomes[{at}]: {error}") from error
    return record


def check_signals(record: RawRecord) -> None:
    """Look at all that cells have counted; raises :class:`DecodingError`.

    Reading it takes as long as joining does, or longer, so it is done once for a tenure. Of a
    window or cohort that fails at its end it is looked at again.
    """
    for at, outcomes in enumerate(record.outcome_cells):
        try:
            whole = outcomes.kept(record.seq).cell(outcomes.window)
            for stratum in whole.strata:
                OutcomeCounts.from_record(whole.targets[stratum.target], stratum)
        except ValueError as error:
            raise DecodingError(f"outcomes[{at}]: {error}") from error
    for at, cell in enumerate(record.cells):
        try:
            histograms_of(cell.signals, cell.events, baseline=cell.baseline)
        except DecodingError as error:
            raise DecodingError(f"cells[{at}]: {error}") from error


def _problem(record: RawRecord, source: str, outcomes: str, max_ahead_seconds: float) -> str | None:
    if record.source not in (source, outcomes):
        return (
            f"source is {record.source!r}, expected {source!r} or {outcomes!r}: it would hold the "
            "watermark"
        )
    if record.of_outcomes != (record.source == outcomes) or (record.of_outcomes and record.cells):
        return (
            f"source is {record.source!r}, and it has {len(record.cells)} cells and "
            f"{len(record.outcome_cells)} of outcomes"
        )
    ahead = record.time + max_ahead_seconds + _CLOCKS_SECONDS
    for partition, at in record.ranges.items():
        if not at.start <= at.since <= at.to:
            return (
                f"ranges[{partition}] is start {at.start}, since {at.since}, to {at.to}; expected "
                "them in this order"
            )
    for partition in (*record.ranges, *record.clocks):
        if partition >= record.source_partitions:
            return f"source partition {partition} of {record.source_partitions}"
    for partition, clock in record.clocks.items():
        if clock.latest is not None and clock.latest > ahead:
            return f"clocks[{partition}] is {clock.latest:.0f}, and the record of {record.time:.0f}"
    return next(_problems([*record.cells, *record.outcome_cells], ahead), None)


def _problems(cells: Iterable[RawCell | RawOutcomeCell], ahead: float) -> Iterator[str]:
    for at, cell in enumerate(cells):
        if cell.window_start % cell.window_seconds:
            yield (
                f"cells[{at}] has the window {cell.window_start}, which is no multiple of its "
                f"{cell.window_seconds} s"
            )
        if cell.window_start > ahead:
            yield f"cells[{at}] has the window {cell.window_start}, which is yet to come"
