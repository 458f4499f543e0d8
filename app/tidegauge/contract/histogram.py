"""The histogram record, from INGEST and OUTCOMES to DETECT: cumulative within one tenure."""

import zlib
from typing import Annotated

import msgspec

from tidegauge.contract.outcome_cell import OutcomeCells
from tidegauge.contract.record import SCHEMA_VERSION, Record, SchemaVersion, doc


class SourceRange(Record, omit_defaults=True):
    """Offsets of one source partition that a tenure has counted: ``start`` ≤ ``since`` ≤ ``to``."""

    origin: Annotated[
        int,
        doc(
            "Where the consumer group first began to count this partition: what a reader without "
            "any history must have seen from."
        ),
    ]
    start: Annotated[int, doc("Where the tenure began.")]
    since: Annotated[int, doc("Up to where its previous record went.")]
    to: Annotated[int, doc("Up to where this record goes, exclusive.")]
    series: Annotated[
        int,
        doc(
            "Grows by one where offsets didn't go on where counting had stopped: the topic was "
            "created again, its end was lost, or records were skipped. Its origin is where it "
            "began; what was counted before it has nothing to do with its offsets."
        ),
    ] = 0
    end: Annotated[
        int,
        doc(
            "Where the partition ended when its owner last read its end, including records that "
            "may not be read yet; 0 if unknown."
        ),
    ] = 0


class PartitionClock(Record):
    """Event time of one source partition as its owner saw it when the record was written."""

    latest: Annotated[
        float | None,
        doc(
            "How far event time has come (null before the first event): to the latest event that "
            "was counted, but not beyond the clock, nor in old traffic to where only a few events"
            " have come."
        ),
    ]
    caught_up: Annotated[bool, doc("Whether the end of the partition was reached.")]
    idle: Annotated[bool, doc("Caught up, and nothing has arrived for a while.")]


class SignalHistogram(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Mergeable counts of one signal: add two of the same binning field by field."""

    counts: Annotated[list[int], doc("One entry for each value bin.")]
    absent: Annotated[int, doc("Events without the name.")] = 0
    null: Annotated[int, doc("Nulls.")] = 0
    nan: Annotated[int, doc("Numbers that are not finite.")] = 0
    invalid: Annotated[int, doc("Values of a type that the signal can't have.")] = 0
    sum: Annotated[float, doc("Sum of the finite values of a numeric signal.")] = 0.0
    sumsq: Annotated[float, doc("Sum of their squares.")] = 0.0
    minimum: Annotated[float | None, doc("The least of them.")] = None
    maximum: Annotated[float | None, doc("The greatest of them.")] = None

    @property
    def n(self) -> int:
        """Values that fell into a bin."""
        return sum(self.counts)


class Cell(Record):
    """All signals of one (model, version, variant, segment) in one window under one baseline."""

    model: Annotated[str, doc("Name of the model.")]
    version: Annotated[str, doc("Version of the model.")]
    variant: Annotated[str, doc("Variant of the version; empty for traffic without one.")]
    segment: Annotated[
        dict[str, str], doc("Dimension and value of the segment; empty for all traffic.")
    ]
    window_start: Annotated[int, doc("Start of the window, epoch seconds.")]
    window_seconds: Annotated[int, doc("Length of the window.")]
    baseline: Annotated[
        str, doc("Id of the baseline whose binning the counts follow; empty if there was none.")
    ]
    events: Annotated[int, doc("Events of the cell.")]
    signals: Annotated[dict[str, SignalHistogram], doc("Counts by signal.")]
    slices: Annotated[
        int,
        doc(
            "How many (version, variant, segment) of the model the tenure has counted by a "
            "baseline so far, this one included: they share the model's budget of false alarms."
        ),
    ] = 1


class HistogramRecord(Record):
    """What one flush of one INGEST or OUTCOMES worker sends to one partition of DETECT.

    For one tenure and cell, the larger ``seq`` replaces the smaller. Every flush reaches every
    partition, with no cells if need be, so that ``ranges`` tile.
    """

    tenure: Annotated[str, doc("Id of the tenure.")]
    seq: Annotated[int, doc("Counts the tenure's records.")]
    time: Annotated[float, doc("When it was written, epoch seconds.")]
    source: Annotated[str, doc("Source topic.")]
    source_partitions: Annotated[int, doc("Number of partitions of the source topic.")]
    ranges: Annotated[dict[int, SourceRange], doc("What was counted, by source partition.")]
    clocks: Annotated[dict[int, PartitionClock], doc("Event time, by source partition.")]
    cells: Annotated[
        list[Cell],
        doc(
            "Cells that changed since this tenure's previous record, each with its counts since "
            "the tenure began."
        ),
    ]
    baselines_age_seconds: Annotated[
        float | None,
        doc(
            "How long before the flush this worker last read the baseline store (null: never): "
            "its cells may be binned by a baseline that was replaced since."
        ),
    ] = None
    topic_id: Annotated[
        str,
        doc(
            "Kafka's id of the source topic, which another topic of the same name doesn't share; "
            "empty if unknown."
        ),
    ] = ""
    outcomes: Annotated[
        OutcomeCells | msgspec.UnsetType,
        doc(
            "Of OUTCOMES, whose source is the topic of outcomes: cells that changed since this "
            "tenure's previous record, each with its counts since the tenure began."
        ),
    ] = msgspec.UNSET
    schema_version: SchemaVersion = SCHEMA_VERSION


def cell_partition(model: str, version: str, variant: str, partitions: int) -> int:
    """Map everything about one variant of a model's version to one of ``partitions``.

    Its segments are there too: what holds for all the traffic is not said of each of them again.
    Stable over processes and releases: the slices' windows and alert state live in that partition.
    Changing the number of partitions moves slices, so it needs an empty application.

    >>> cell_partition("credit", "3", "", 8) == cell_partition("credit", "3", "", 8)
    True
    """
    # The empty list is where the segment of a slice once was.
    key = msgspec.json.encode((model, version, variant, []))
    return zlib.crc32(key) % partitions
