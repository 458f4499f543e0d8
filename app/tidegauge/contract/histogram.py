"""The histogram record: what INGEST tells DETECT. Cumulative within one tenure."""

import msgspec

from tidegauge.contract._base import SCHEMA_VERSION, Record


class SourceRange(Record, omit_defaults=True):
    """Which offsets of one source partition a tenure has counted.

    ``start`` ≤ ``since`` ≤ ``to``: the tenure began at ``start``, its previous record went up to
    ``since``, this one up to ``to`` (exclusive). ``origin`` is where the consumer group first began
    to count this partition: what a reader without any history must have seen from.

    ``series`` grows by one where offsets didn't go on where counting had stopped: the topic was
    made again, its end was lost, or records were skipped. Its ``origin`` is where it began, and
    what was counted before it has nothing to do with its offsets. ``end`` is where the partition
    ended when its owner last heard of it, with records that may not be read yet; 0 if unknown.
    """

    origin: int
    start: int
    since: int
    to: int
    series: int = 0
    end: int = 0


class PartitionClock(Record):
    """Event time of one source partition as its owner saw it when the record was written.

    ``latest`` is how far event time has come (null before the first event): to the latest event
    that was counted, but not beyond the wall, nor in old traffic to where only a few events have
    come. ``idle`` means: caught up with the end of the partition, and nothing has arrived for a
    while.
    """

    latest: float | None
    caught_up: bool
    idle: bool


class SignalHistogram(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Mergeable counts of one signal: add two of the same binning field by field.

    ``counts`` has one entry a value bin. What has no bin is counted beside it: ``absent`` (the name
    was not there), ``null``, ``nan`` (not finite), ``invalid`` (a type the signal can't have).
    ``sum``, ``sumsq``, ``minimum`` and ``maximum`` are over the finite values of numeric signals.
    """

    counts: list[int]
    absent: int = 0
    null: int = 0
    nan: int = 0
    invalid: int = 0
    sum: float = 0.0
    sumsq: float = 0.0
    minimum: float | None = None
    maximum: float | None = None

    @property
    def n(self) -> int:
        """Values that fell into a bin."""
        return sum(self.counts)


class Cell(Record):
    """All signals of one (model, version, variant, segment) in one window under one baseline.

    ``baseline`` is the id whose binning the counts follow, or "" if there was none. ``slices`` is
    how many (version, variant, segment) of the model the tenure has counted by a baseline so far,
    this one included: they share the model's budget of false alarms.
    """

    model: str
    version: str
    variant: str
    segment: dict[str, str]
    window_start: int
    window_seconds: int
    baseline: str
    events: int
    signals: dict[str, SignalHistogram]
    slices: int = 1


class HistogramRecord(Record):
    """What one flush of one INGEST worker says to one partition of DETECT.

    ``cells`` holds the cells that changed since this tenure's previous record, each with its
    counts since the tenure began: for one tenure and cell, the larger ``seq`` replaces the smaller.
    Every flush reaches every partition, with no cells if need be, so that ``ranges`` tile.

    ``baselines_age_seconds`` is how long before the flush this worker last read the baseline store
    (null: never): its cells may be binned by a baseline that was replaced since. ``topic_id`` is
    Kafka's id of the source topic, which another topic of the same name doesn't share; empty if the
    brokers don't tell it.
    """

    tenure: str
    seq: int
    time: float
    source: str
    source_partitions: int
    ranges: dict[int, SourceRange]
    clocks: dict[int, PartitionClock]
    cells: list[Cell]
    baselines_age_seconds: float | None = None
    topic_id: str = ""
    schema_version: int = SCHEMA_VERSION
