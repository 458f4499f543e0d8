"""Whether a record may be joined: what no INGEST worker can have written is refused whole. Pure.

Anybody who may write to the topic can send anything, and a record is joined into windows, detector
and watermark for good. So a record is looked at before anything of it is joined. The types of
:class:`~tidegauge.windows.values.RawRecord` have bounds already; here is what lies between fields.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from tidegauge.contract import LATENCY_EDGES_MS, STATUS_CATEGORIES, DecodingError, decode
from tidegauge.windows.merging import BoundedHistogram, signals_of
from tidegauge.windows.values import RawCell, RawRecord

#: How far an event's clock may be ahead of its worker's beyond what INGEST accepts: workers' own
#: clocks may be set back between an event and the flush that tells of it.
_CLOCKS_SECONDS = 24 * 3600.0

#: Bins of the signals that every cell has; a prediction has one for each interval of its baseline.
_OUTPUT_BINS = {"latency_ms": len(LATENCY_EDGES_MS) + 1, "status": len(STATUS_CATEGORIES) + 2}


def read_record(value: bytes | None, *, source: str, max_ahead_seconds: float) -> RawRecord:
    """Read a record of the histogram topic.

    Raises :class:`DecodingError` for what no worker that counts ``source`` can have written.
    """
    record = decode(value, RawRecord)
    problem = _problem(record, source, max_ahead_seconds)
    if problem is not None:
        raise DecodingError(problem)
    return record


def check_signals(record: RawRecord) -> None:
    """Look at the signals of every cell; raises :class:`DecodingError`.

    Reading them takes as long as joining does, so it is done once for a tenure. Of a window that
    fails at its end they are looked at again.
    """
    for at, cell in enumerate(record.cells):
        try:
            histograms_of(cell.signals, cell.events, baseline=cell.baseline)
        except DecodingError as error:
            raise DecodingError(f"cells[{at}]: {error}") from error


def histograms_of(
    signals: msgspec.Raw, events: int, *, baseline: str
) -> Mapping[str, BoundedHistogram]:
    """Return the histograms of a cell of so many events; raises :class:`DecodingError`."""
    found = signals_of(signals)
    for name, bins in {**_OUTPUT_BINS, "prediction": None if baseline else 1}.items():
        if bins is not None and len(found[name].counts) != bins:
            raise DecodingError(f"{name} has {len(found[name].counts)} bins, expected {bins}")
    for name, histogram in found.items():
        counted = (
            histogram.n + histogram.absent + histogram.null + histogram.nan + histogram.invalid
        )
        if counted != events:
            raise DecodingError(f"{name} has {counted} events, the cell has {events}")
    return found


def _problem(record: RawRecord, source: str, max_ahead_seconds: float) -> str | None:
    if record.source != source:
        return f"source is {record.source!r}, expected {source!r}: it would hold the watermark"
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
    return next(_problems(record.cells, ahead), None)


def _problems(cells: Iterable[RawCell], ahead: float) -> Iterator[str]:
    for at, cell in enumerate(cells):
        if cell.window_start % cell.window_seconds:
            yield (
                f"cells[{at}] has the window {cell.window_start}, which is no multiple of its "
                f"{cell.window_seconds} s"
            )
        if cell.window_start > ahead:
            yield f"cells[{at}] has the window {cell.window_start}, which is yet to come"
