"""What DETECT keeps in its table, and how two values of one key join.

Every value is what a fold over the partition's log of histogram records had come to at one offset.
Every join is commutative, associative and idempotent, so a value that was written twice, late or by
a worker that had lost the partition does no harm.
"""

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, NamedTuple

import msgspec

from tidegauge.alerting import AlertState
from tidegauge.contract import WindowReport
from tidegauge.windows.outcome_values import CohortAlertsKey, CohortKey, OutcomeKey


class Slice(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One slice of one model's traffic: what a window report is about."""

    model: str
    version: str
    variant: str
    segment: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, report: WindowReport) -> "Slice":
        """Return the slice that a report is about."""
        segment = tuple(sorted(report.segment.items()))
        return cls(report.model, report.version, report.variant, segment)

    @property
    def whole(self) -> "Slice":
        """All the traffic that this is a part of; itself if it is no segment."""
        return Slice(self.model, self.version, self.variant, ()) if self.segment else self


class CellKey(msgspec.Struct, frozen=True, array_like=True, tag="cell"):
    """Key of the counts of one slice in one window under one baseline."""

    slice: Slice
    window_start: int
    window_seconds: int
    baseline: str


class WaitingKey(msgspec.Struct, frozen=True, array_like=True, tag="waiting"):
    """Key of what a window held when it was passed, while it can't be reported yet."""

    slice: Slice
    window_start: int
    window_seconds: int


class JudgedKey(msgspec.Struct, frozen=True, array_like=True, tag="judged"):
    """Key of what the last report of a window counted, while late events wait for the next one."""

    slice: Slice
    window_start: int
    window_seconds: int


class MemoryKey(msgspec.Struct, frozen=True, array_like=True, tag="memory"):
    """Key of what the drift detector remembers of a slice."""

    slice: Slice


class SliceKey(msgspec.Struct, frozen=True, array_like=True, tag="slice"):
    """Key of what is remembered of a slice beyond its open windows."""

    slice: Slice


class ProgressKey(msgspec.Struct, frozen=True, array_like=True, tag="progress"):
    """Key of a partition's progress."""

    partition: int


class BaselineKey(msgspec.Struct, frozen=True, array_like=True, tag="baseline"):
    """Key of a baseline document in use, kept so that no outage of the store can stop a window."""

    id: str


class LogKey(msgspec.Struct, frozen=True, array_like=True, tag="log"):
    """Key of the name that who begins a changelog gives it: what has no such name is void."""


Key = (
    CellKey
    | WaitingKey
    | JudgedKey
    | MemoryKey
    | SliceKey
    | ProgressKey
    | BaselineKey
    | LogKey
    | OutcomeKey
    | CohortKey
    | CohortAlertsKey
)


class TenureCounts(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Counts of one cell by one tenure: everything since the tenure's ``starts``.

    ``slices`` of the model share its budget of false alarms, as far as the tenure knew. ``series``
    has the source partitions whose offsets are not of their first series.
    """

    seq: int
    source: str
    starts: dict[int, int]
    events: int
    baselines_age_seconds: float | None
    signals: msgspec.Raw
    slices: int = 1
    topic_id: str = ""
    series: dict[int, int] = {}


#: The value of a :class:`CellKey`: by tenure, the largest ``seq`` there is.
CellCounts = dict[str, TenureCounts]


class SourceClock(msgspec.Struct, kw_only=True):
    """Event time of a source partition as last heard."""

    time: float
    latest: float | None
    idle: bool


class PastSeries(msgspec.Struct, kw_only=True):
    """A series of offsets that a source partition doesn't go on with, and where it ended."""

    topic_id: str
    series: int
    to: int


class Source(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far the partitions of one source topic have been counted.

    ``topics`` are the ids of the topics that had its name, the present one last. ``topic_ids`` and
    ``series`` say by partition of which topic and series ``covered`` is, and ``past`` what series
    there were before.
    """

    partitions: int
    covered: dict[int, int]
    clocks: dict[int, SourceClock]
    topics: list[str] = []
    topic_ids: dict[int, str] = {}
    series: dict[int, int] = {}
    past: dict[int, list[PastSeries]] = {}


class LastRecord(msgspec.Struct, kw_only=True):
    """The last record joined of the tenure that owns a source partition."""

    tenure: str
    seq: int


class SourceProgress(msgspec.Struct, kw_only=True):
    """How far the counting of one kind of records has come: of predictions, or of outcomes.

    ``now`` is the time of the youngest record, by the clock of the worker that wrote it.
    ``watermark`` never goes back: what it has passed by more than its lateness stays deleted.
    ``heard`` is by source topic and partition.
    """

    now: float = 0.0
    watermark: float = 0.0
    sources: dict[str, Source] = {}
    heard: dict[str, dict[int, LastRecord]] = {}


class OutcomeProgress(SourceProgress, kw_only=True):
    """That of outcomes; ``reported``: parts of cohorts, in the last second of the records."""

    reported: int = 0


class PartitionProgress(SourceProgress, kw_only=True):
    """How far the fold over a partition of the histogram topic has come.

    Everything before ``next_offset`` is in the table. The inherited fields are those of
    predictions, and ``outcomes`` has those of outcomes: neither moves the other. ``topic_id`` is
    Kafka's id of the histogram topic that ``next_offset`` is of, "" if that isn't known.
    """

    next_offset: int = 0
    topic_id: str = ""
    outcomes: OutcomeProgress | msgspec.UnsetType = msgspec.UNSET


class WindowMark(msgspec.Struct, kw_only=True):
    """A closed window that still takes late events: its last revision, and what that counted.

    ``late_since`` is when the first event came that no revision has counted yet. ``held`` are the
    fingerprints of what rules have held on in it, once it has been revised. ``prediction_mean_5m``
    is what the last report said; it is of other windows too, which may have been revised since.
    Unset if there is no report, or an earlier release made it.
    """

    seconds: int
    revision: int
    events: int
    late_since: float | None = None
    held: list[str] = []
    prediction_mean_5m: float | msgspec.UnsetType | None = msgspec.UNSET


class JudgedCounts(msgspec.Struct, kw_only=True):
    """What a report counted, by baseline, and its revision."""

    revision: int
    parts: dict[str, CellCounts]


class ScoreSum(msgspec.Struct, kw_only=True):
    """Predictions of one closed window."""

    window_end: int
    sum: float
    n: int


class SliceState(msgspec.Struct, kw_only=True):
    """A fold over the closed windows of a slice.

    ``step`` counts the changes: of two values, the one with more steps has seen what the other saw.
    ``began`` is the end of its first window since it was last forgotten; 0 if that is not known.
    ``based`` says whether a window since then was counted by a baseline.
    """

    step: int = 0
    began: int = 0
    last_end: int = 0
    marks: dict[int, WindowMark] = {}
    scores: list[ScoreSum] = []
    alerts: AlertState = msgspec.field(default_factory=AlertState)
    based: bool = False

    @property
    def lived_seconds(self) -> int:
        """From the first to the last window since it was last forgotten."""
        return self.last_end - self.began


class SliceMemory(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the drift detector remembers of the windows of a slice that ended up to ``through``.

    The arrays of ``sequential.ewma.Memory`` as bytes of float64, so that they come back to the bit;
    their shape is that of the signals of ``baseline``. ``hours``, ``pooled_hours`` and
    ``squares`` are those of ``sequential.daily.HoursMemory``, empty if the baseline has no hours of
    the day; ``squares`` also if an earlier version remembered the windows. ``late`` is how
    often late counts were added since ``through``: they are in ``pooled``, for the next window.
    ``onsets`` are float64 as well, one for each signal: the end of the window in which its change
    began, 0 where it has none; empty if none has. Of a baseline with more profiles than 24 hours,
    ``by_row`` has ``hours`` and ``pooled_hours``: ``profiles`` are the places of those in it,
    uint16, and ``rows`` which row of it each signal has: mostly all have the same one.
    """

    through: int
    baseline: str
    counts: bytes
    total: bytes
    squared: bytes
    pooled: bytes
    hours: bytes = b""
    pooled_hours: bytes = b""
    squares: bytes = b""
    late: int = 0
    onsets: bytes = b""
    profiles: bytes = b""
    rows: bytes = b""
    by_row: bytes = b""


def join_memories(a: SliceMemory, b: SliceMemory) -> SliceMemory:
    """Take the one that has seen the later window; of the same, that with more late counts."""
    return max(a, b, key=lambda it: (it.through, it.late, msgspec.json.encode(it)))


def join_cells(a: CellCounts, b: CellCounts) -> CellCounts:
    """Take each tenure's value with the larger ``seq``."""
    joined = dict(a)
    for tenure, counts in b.items():
        mine = joined.get(tenure)
        if mine is None or counts.seq > mine.seq:
            joined[tenure] = counts
    return joined


def join_judged(a: JudgedCounts, b: JudgedCounts) -> JudgedCounts:
    """Take the later revision; of one there is only one."""
    return max(a, b, key=lambda it: (it.revision, msgspec.json.encode(it)))


def join_progress(a: PartitionProgress, b: PartitionProgress) -> PartitionProgress:
    """Take the one that has read further: of one log, it has heard all that the other has heard."""
    return max(a, b, key=lambda it: (it.next_offset, msgspec.json.encode(it)))


def join_slices(a: SliceState, b: SliceState) -> SliceState:
    """Take the value that has seen the later window; of two with the same, that with more steps.

    A slice that comes back after it was forgotten counts its steps anew, with later windows.
    """
    return max(a, b, key=lambda state: (state.last_end, state.step, msgspec.json.encode(state)))


class Window(NamedTuple):
    """One window of one slice."""

    slice: Slice
    start: int
    seconds: int

    @property
    def end(self) -> int:
        """Exclusive end, epoch seconds."""
        return self.start + self.seconds


class Counts(NamedTuple):
    """What a window held, by baseline, at one place of the log.

    ``covered`` is how far each source had been counted there, by topic and partition, and ``past``
    where the series of offsets ended that don't go on.
    """

    window: Window
    parts: dict[str, CellCounts]
    covered: Mapping[str, Mapping[int, int]]
    watermark: float
    past: Mapping[str, Mapping[int, list[PastSeries]]] = {}

    def without(self, tenures: Iterable[tuple[str, str]]) -> "Counts":
        """Return it without what some tenures have said, each with its baseline."""
        out = set(tenures)
        parts = {
            baseline: {t: one for t, one in said.items() if (baseline, t) not in out}
            for baseline, said in self.parts.items()
        }
        return self._replace(parts={baseline: said for baseline, said in parts.items() if said})

    @property
    def slices(self) -> int:
        """How many slices its model has: what the tenure knew that had seen the most."""
        return max(one.slices for tenures in self.parts.values() for one in tenures.values())


_MISSING: Any = object()


class Journal:
    """Notes what mappings held before they are changed.

    >>> counts, journal = {"a": 1}, Journal()
    >>> for key in "ab":
    ...     journal.note(counts, key)
    ...     counts[key] = 7
    >>> journal.undo()
    >>> counts
    {'a': 1}
    """

    def __init__(self) -> None:
        self._before: list[tuple[MutableMapping[Any, Any], Any, Any]] = []

    def note(self, mapping: MutableMapping[Any, Any], key: Any) -> None:
        """Note what a key has; call it before that is changed."""
        self._before.append((mapping, key, mapping.get(key, _MISSING)))

    def undo(self) -> None:
        """Put everything back, the last change first."""
        while self._before:
            mapping, key, before = self._before.pop()
            if before is _MISSING:
                mapping.pop(key, None)
            else:
                mapping[key] = before
