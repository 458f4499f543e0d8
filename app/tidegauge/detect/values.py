"""What DETECT keeps in its table, and how two values of one key join.

Every value is what a fold over the partition's log of histogram records had come to at one offset.
Every join is commutative, associative and idempotent, so a value that was written twice, late or by
a worker that had lost the partition does no harm.
"""

import msgspec

from tidegauge.contract import PartitionClock, SourceRange
from tidegauge.rules import AlertState


class RawCell(msgspec.Struct, kw_only=True):
    """A cell as it arrives; its signals stay encoded until the window closes."""

    model: str
    version: str
    variant: str
    segment: dict[str, str]
    window_start: int
    window_seconds: int
    baseline: str
    events: int
    signals: msgspec.Raw


class RawRecord(msgspec.Struct, kw_only=True):
    """A histogram record with undecoded signals."""

    tenure: str
    seq: int
    time: float
    source: str
    source_partitions: int
    ranges: dict[int, SourceRange]
    clocks: dict[int, PartitionClock]
    baselines_age_seconds: float | None = None
    cells: list[RawCell]


class Slice(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One slice of one model's traffic: what a window report is about."""

    model: str
    version: str
    variant: str
    segment: tuple[tuple[str, str], ...]


class CellKey(msgspec.Struct, frozen=True, array_like=True, tag="cell"):
    """Key of the counts of one slice in one window under one baseline."""

    slice: Slice
    window_start: int
    window_seconds: int
    baseline: str


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


Key = CellKey | SliceKey | ProgressKey | BaselineKey | LogKey


class TenureCounts(msgspec.Struct, kw_only=True):
    """Counts of one cell by one tenure: everything since the tenure's ``starts``."""

    seq: int
    source: str
    starts: dict[int, int]
    events: int
    baselines_age_seconds: float | None
    signals: msgspec.Raw


#: The value of a :class:`CellKey`: by tenure, the largest ``seq`` there is.
CellCounts = dict[str, TenureCounts]


class SourceClock(msgspec.Struct, kw_only=True):
    """Event time of a source partition as last heard."""

    time: float
    latest: float | None
    idle: bool


class Source(msgspec.Struct, kw_only=True):
    """How far the partitions of one source topic have been counted."""

    partitions: int
    covered: dict[int, int]
    clocks: dict[int, SourceClock]


class Heard(msgspec.Struct, kw_only=True):
    """The last record joined of the tenure that owns a source partition."""

    tenure: str
    seq: int


class Progress(msgspec.Struct, kw_only=True):
    """How far the fold over a partition of the histogram topic has come.

    Everything before ``next_offset`` is in the table. ``now`` is the time of
    the youngest record, by the clock of the worker that wrote it. ``watermark`` never goes back: a
    window that it has passed by more than its lateness stays deleted. ``heard`` is by source topic
    and partition.
    """

    next_offset: int = 0
    now: float = 0.0
    watermark: float = 0.0
    sources: dict[str, Source] = {}
    heard: dict[str, dict[int, Heard]] = {}


class WindowMark(msgspec.Struct, kw_only=True):
    """A closed window that still takes late events: its last revision, and what that counted.

    ``late_since`` is when the first event came that no revision has counted yet.
    """

    seconds: int
    revision: int
    events: int
    late_since: float | None = None


class ScoreSum(msgspec.Struct, kw_only=True):
    """Predictions of one closed window."""

    window_end: int
    sum: float
    n: int


class SliceState(msgspec.Struct, kw_only=True):
    """A fold over the closed windows of a slice.

    ``step`` counts the changes: of two values, the one with more steps has seen what the other saw.
    """

    step: int = 0
    last_end: int = 0
    marks: dict[int, WindowMark] = {}
    scores: list[ScoreSum] = []
    alerts: AlertState = msgspec.field(default_factory=AlertState)


def join_cells(a: CellCounts, b: CellCounts) -> CellCounts:
    """Take each tenure's value with the larger ``seq``."""
    joined = dict(a)
    for tenure, counts in b.items():
        mine = joined.get(tenure)
        if mine is None or counts.seq > mine.seq:
            joined[tenure] = counts
    return joined


def _join_clocks(a: SourceClock, b: SourceClock) -> SourceClock:
    newer = max(a, b, key=lambda clock: (clock.time, clock.idle))
    times = [clock.latest for clock in (a, b) if clock.latest is not None]
    return SourceClock(time=newer.time, latest=max(times, default=None), idle=newer.idle)


def join_sources(a: Source, b: Source) -> Source:
    """Take the larger of every offset and time."""
    covered = {
        p: max(a.covered.get(p, 0), b.covered.get(p, 0))
        for p in a.covered.keys() | b.covered.keys()
    }
    clocks = dict(a.clocks)
    for p, clock in b.clocks.items():
        clocks[p] = _join_clocks(clocks[p], clock) if p in clocks else clock
    return Source(partitions=max(a.partitions, b.partitions), covered=covered, clocks=clocks)


def join_progress(a: Progress, b: Progress) -> Progress:
    """Take the larger of every offset and time: what either worker knew to be in the table."""
    sources = dict(a.sources)
    for name, source in b.sources.items():
        sources[name] = join_sources(sources[name], source) if name in sources else source
    # Of one log, so whoever has read further has heard what the other heard.
    further = max(a, b, key=lambda it: (it.next_offset, msgspec.json.encode(it.heard)))
    return Progress(
        next_offset=further.next_offset,
        now=max(a.now, b.now),
        watermark=max(a.watermark, b.watermark),
        sources=sources,
        heard=further.heard,
    )


def join_slices(a: SliceState, b: SliceState) -> SliceState:
    """Take the value with more steps; between equals any fixed choice will do."""
    return max(a, b, key=lambda state: (state.step, state.last_end, msgspec.json.encode(state)))
