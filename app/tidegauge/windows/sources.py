"""How far the partitions of a source topic have been counted: event time, offsets and gaps. Pure.

Offsets belong to a *series*. A topic that is deleted and created again, a lost end and skipped
records each begin a new series at its origin. A source partition continues with one series only;
what was counted of earlier ones stays counted.
"""

import copy
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from tidegauge.windows.records import RawRange, RawRecord
from tidegauge.windows.values import (
    Key,
    LastRecord,
    OutcomeProgress,
    PartitionProgress,
    PastSeries,
    ProgressKey,
    Source,
    SourceClock,
    SourceProgress,
)


def source_time(clock: SourceClock, idle_seconds: float) -> float | None:
    """Event time up to which one source partition is complete; ``None`` if nobody knows.

    A partition with traffic is as far as its events have come, but not beyond the clock on the
    wall: no window closes before its end. An idle one has no say: it is as far as that clock, less
    the time it takes to be called idle.
    """
    latest = None if clock.latest is None else min(clock.latest, clock.time)
    if not clock.idle:
        return latest
    return max(clock.time - idle_seconds, latest or 0.0)


def watermark(progress: SourceProgress, idle_seconds: float) -> float:
    """Return the least event time over all source partitions; it never goes back.

    A source partition that nobody has spoken of yet holds everything back.
    """
    times: list[float] = []
    for source in progress.sources.values():
        for partition in range(source.partitions):
            clock = source.clocks.get(partition)
            time = None if clock is None else source_time(clock, idle_seconds)
            if time is None:
                return progress.watermark
            times.append(time)
    return max(min(times, default=0.0), progress.watermark)


#: Past series of a partition, and past topics of one name, that are remembered: those that windows
#: may still have counts of. Far more than are made while a window takes late events.
PAST = 16


def source_of_record(record: RawRecord) -> Source:
    """Return what a record alone says of its source."""
    return Source(
        partitions=record.source_partitions,
        covered={p: at.to for p, at in record.ranges.items()},
        clocks={
            p: SourceClock(time=record.time, latest=clock.latest, idle=clock.idle)
            for p, clock in record.clocks.items()
        },
        topics=[record.topic_id] if record.topic_id else [],
        topic_ids=dict.fromkeys(record.ranges, record.topic_id) if record.topic_id else {},
        series={p: at.series for p, at in record.ranges.items() if at.series},
    )


def goes_on(known: Source, partition: int, topic_id: str, series: int) -> bool:
    """Whether offsets of this topic and series go on where those of the partition have come to.

    Records of older versions, and of brokers that don't tell, name no topic: that may be any.
    """
    return series == known.series.get(partition, 0) and may_be_one(
        known.topic_ids.get(partition, ""), topic_id
    )


def may_be_one(a: str, b: str) -> bool:
    """Whether two ids, of which either may be unknown, may be those of one topic."""
    return not a or not b or a == b


def covered(known: Source | None, partition: int, at: RawRange, topic_id: str) -> int:
    """Return up to where a partition was counted of the series that a range is of.

    A reader without history must have seen everything since the series' origin; what lies before
    that was never counted, and nobody will. A past series that goes on was not over: a record that
    no worker wrote had said so.
    """
    if known is None:
        return at.origin
    if goes_on(known, partition, topic_id, at.series):
        return max(known.covered.get(partition, at.origin), at.origin)
    past = [it.to for it in known.past.get(partition, []) if _is_of(it, topic_id, at.series)]
    return max([at.origin, *past])


def _is_of(past: PastSeries, topic_id: str, series: int) -> bool:
    return past.series == series and may_be_one(past.topic_id, topic_id)


def counted_twice(known: Source, record: RawRecord) -> Iterator[tuple[int, int, int]]:
    """Yield partition and offsets [from, to) of what a tenure that begins has counted again."""
    for partition, at in record.ranges.items():
        to = known.covered.get(partition)
        if to is None or at.start >= to or at.since > at.start:  # its first record was another
            continue
        if goes_on(known, partition, record.topic_id, at.series):
            yield partition, at.start, to


def merge_source(known: Source, news: Source) -> Source:
    """Return what is known of a source after a later record of the log, whatever its clock says."""
    clocks = dict(known.clocks)
    # What a worker that has not noticed says of the topic before is no news of this one.
    is_past = any(topic in known.topics[:-1] for topic in news.topics)
    for p, clock in ({} if is_past else news.clocks).items():
        latest = [it.latest for it in (clocks.get(p), clock) if it and it.latest is not None]
        clocks[p] = SourceClock(time=clock.time, latest=max(latest, default=None), idle=clock.idle)
    ends, past = dict(known.covered), dict(known.past)
    for p, to in news.covered.items():
        topic_id, series = news.topic_ids.get(p, ""), news.series.get(p, 0)
        if p in ends and not goes_on(known, p, topic_id, series):
            over = PastSeries(
                topic_id=known.topic_ids.get(p, ""), series=known.series.get(p, 0), to=ends[p]
            )
            before = past.get(p, [])
            taken_up = [it for it in before if _is_of(it, topic_id, series)]
            past[p] = [*(it for it in before if it not in taken_up), over][-PAST:]
            ends[p] = max([to, *(it.to for it in taken_up)])
        else:
            ends[p] = max(to, ends.get(p, 0))
    topics, partitions = known.topics, known.partitions
    if not is_past:
        topics, partitions = _topics(known, news)
    # Of a partition that is heard of, the series that goes on is the one of the news.
    others = {p: series for p, series in known.series.items() if p not in news.covered}
    return Source(
        partitions=partitions,
        covered=ends,
        clocks=clocks,
        topics=topics,
        topic_ids=known.topic_ids | news.topic_ids,
        series=others | news.series,
        past=past,
    )


def _topics(known: Source, news: Source) -> tuple[list[str], int]:
    """Return the topics of this name, the present one last, and how many partitions that has."""
    if not set(news.topics) <= set(known.topics) and known.topics:
        return [*known.topics, *news.topics][-PAST:], news.partitions
    return known.topics or news.topics, max(known.partitions, news.partitions)


class Gap(NamedTuple):
    """Source offsets that no record joined so far has covered."""

    source: str
    partition: int
    start: int
    to: int


#: A partition is counted again so often within so many seconds. It takes seconds to minutes, in
#: which nothing else of it is reported.
MOST_RECOUNTS = 3
RECOUNT_SECONDS = 600.0

#: So long, by the clocks of the records, what a gap lacks may come after all: every worker flushes
#: several times in it, also one that has just taken over partitions.
PATIENCE_SECONDS = 30.0

#: Gaps that are remembered, of all partitions.
_MOST = 1_000

#: Which record showed a gap: tenure and number.
_Shown = tuple[str, int]


class _Passed(NamedTuple):
    """A gap that was passed over, by which tenure's record it was shown, and when."""

    gap: Gap
    series: int
    tenure: str
    at: float


class GapBook:
    """Gaps of the partitions of this process: which justify a recount, and what is lost.

    A record that no worker wrote may show a gap that does not exist. A recount is expensive, and
    anybody who can write to the topic could cause one after the other. So there is one recount for
    a gap, and a few only within some time. A gap that remains is lost, unless the missing offsets
    arrive after all: the worker whose records tile continues where it was.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` is in seconds."""
        self._clock = clock
        #: By partition, when it was counted again.
        self._recounts: dict[int, deque[float]] = {}
        #: By partition, up to where it had been read by then.
        self._read_to: dict[int, int] = {}
        self._counted_again: OrderedDict[_Shown, None] = OrderedDict()
        self._told: OrderedDict[_Shown, None] = OrderedDict()
        self._passed: dict[int, list[_Passed]] = {}
        #: By partition, those that there was no room for.
        self._lost: dict[int, int] = {}

    def read_to(self, partition: int) -> int:
        """Return up to where the partition had been read when it was last counted again, or 0."""
        return self._read_to.get(partition, 0)

    def may_count_again(self, partition: int, record: RawRecord) -> bool:
        """Whether to count a partition again for the gap before a record."""
        if (record.tenure, record.seq) in self._counted_again:
            return False
        recounts = self._recounts.get(partition, deque())
        since = self._clock() - RECOUNT_SECONDS
        return sum(at > since for at in recounts) < MOST_RECOUNTS

    def counts_again(self, partition: int, record: RawRecord) -> None:
        """Note that a partition is counted again for the gap before a record."""
        _keep(self._counted_again, (record.tenure, record.seq))
        self._recounts.setdefault(partition, deque(maxlen=MOST_RECOUNTS)).append(self._clock())

    def begins_again(self, partition: int, next_offset: int) -> None:
        """Note that a partition, which was read to ``next_offset``, is read from its beginning."""
        self._read_to[partition] = max(next_offset, self.read_to(partition))
        self._passed.pop(partition, None)

    def passed(self, partition: int, record: RawRecord, gaps: Sequence[Gap], now: float) -> None:
        """Note that a record is taken though it leaves gaps; ``now`` is by the log's clocks."""
        if (record.tenure, record.seq) in self._told:
            return
        _keep(self._told, (record.tenure, record.seq))
        series = {p: at.series for p, at in record.ranges.items()}
        waiting = self._passed.setdefault(partition, [])
        waiting += [_Passed(gap, series[gap.partition], record.tenure, now) for gap in gaps]
        if len(waiting) > _MOST:  # what is too much to wait for is lost
            self._lost[partition] = self._lost.get(partition, 0) + len(waiting) - _MOST
            del waiting[:-_MOST]

    def heard(self, partition: int, record: RawRecord, now: float) -> int:
        """Return how many gaps are lost for good by now, after a record that was taken.

        Those that it fills, or that another tenure had shown whose place it holds still, are none.
        ``now`` is by the clocks of the records of its source, so it decides on gaps of that alone.
        """
        lost = self._lost.pop(partition, 0)
        waiting = self._passed.get(partition)
        if not waiting:
            return lost
        waiting = [one for one in waiting if not _is_none(one, record)]
        over = [
            one
            for one in waiting
            if one.gap.source == record.source and now - one.at >= PATIENCE_SECONDS
        ]
        self._passed[partition] = [one for one in waiting if one not in over]
        return lost + len(over)


def _is_none(passed: _Passed, record: RawRecord) -> bool:
    """Whether a record shows that a gap was none.

    It begins where that does or before, or is of a series before: no worker goes on with what
    another one has gone beyond.
    """
    gap = passed.gap
    at = record.ranges.get(gap.partition)
    if at is None or record.source != gap.source or record.tenure == passed.tenure:
        return False
    return at.series < passed.series or (at.series == passed.series and at.since <= gap.start)


def _keep(known: OrderedDict[_Shown, None], shown: _Shown) -> None:
    known[shown] = None
    if len(known) > _MOST:
        known.popitem(last=False)


#: Tenures that are remembered: far more than are active within the time of a window.
TENURES = 1_000


@dataclass(kw_only=True)
class LogProgress:
    """How far a partition of the histogram topic was read, and its sources with it."""

    partition: int
    idle_seconds: float
    progress: PartitionProgress = field(default_factory=PartitionProgress)
    #: Keys whose value in memory is not in the changelog yet.
    unsaved: set[Key] = field(default_factory=set)
    #: Source records that a tenure has counted although another one had: partition, from, to.
    twice: list[tuple[int, int, int]] = field(default_factory=list)
    #: The last ``seq`` of the tenures that were joined last. A record under another name in between
    #: doesn't take that back.
    _tenures: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def progress_of(self, record: RawRecord) -> SourceProgress:
        """Return how far records of its kind have come: those of predictions, or of outcomes."""
        if not record.of_outcomes:
            return self.progress
        outcomes = self.progress.outcomes
        return OutcomeProgress() if outcomes is msgspec.UNSET else outcomes

    def gaps(self, record: RawRecord) -> list[Gap]:
        """Return what is missing between what is covered and where a new record continues."""
        known = self.progress_of(record).sources.get(record.source)
        found = []
        for partition, at in record.ranges.items():
            to = covered(known, partition, at, record.topic_id)
            if at.since > to:
                found.append(Gap(record.source, partition, to, at.since))
        # A flush of several records moves the ranges on with its last one only.
        if not found and record.seq > self._last_seq(record) + 1:
            partition, at = next(iter(record.ranges.items()))
            found.append(Gap(record.source, partition, at.since, at.to))
        return found

    def _last_seq(self, record: RawRecord) -> int:
        heard = self.progress_of(record).heard.get(record.source, {})
        known = [heard[p] for p in record.ranges if p in heard]
        last = max((one.seq for one in known if one.tenure == record.tenure), default=0)
        return max(last, self._tenures.get(record.tenure, 0))

    def has_joined(self, tenure: str) -> bool:
        """Return whether a record of a tenure was joined since the state was read back."""
        return tenure in self._tenures

    def joined_tenure(self, record: RawRecord) -> None:
        """Note that a record of its tenure was joined."""
        last = self._tenures.pop(record.tenure, 0)
        self._tenures[record.tenure] = max(last, record.seq)
        if len(self._tenures) > TENURES:
            self._tenures.popitem(last=False)

    def is_new(self, record: RawRecord) -> bool:
        """Whether nothing was joined of the tenure of a record, or not lately."""
        heard = self.progress_of(record).heard.get(record.source, {})
        return all(one.tenure != record.tenure for one in heard.values())

    def advance(self, record: RawRecord, offset: int) -> None:
        """Move on past a record, of which every cell was joined.

        Replaces what ``progress`` holds and changes none of it, so a copy of ``progress`` is what
        was before.
        """
        progress, name = copy.copy(self.progress_of(record)), record.source
        known, owners = progress.sources.get(name), dict(progress.heard.get(name, {}))
        if known is None:
            source = source_of_record(record)
        else:
            source = merge_source(known, source_of_record(record))
            self.twice += [
                one
                for one in counted_twice(known, record)
                if (owner := owners.get(one[0])) and owner.tenure != record.tenure
                # A tenure that was joined before has not begun now.
                if not self.has_joined(record.tenure)
            ]
        for partition in record.ranges:
            last = owners.get(partition)
            # A record that is sent again takes nothing back: what comes next is no gap.
            same = last is not None and last.tenure == record.tenure
            if last is None or not same or record.seq > last.seq:
                owners[partition] = LastRecord(tenure=record.tenure, seq=record.seq)
        if isinstance(progress, OutcomeProgress) and int(record.time) > int(progress.now):
            progress.reported = 0
        progress.now = max(progress.now, record.time)
        progress.sources = {**progress.sources, name: source}
        progress.heard = {**progress.heard, name: owners}
        progress.watermark = watermark(progress, self.idle_seconds)
        if isinstance(progress, OutcomeProgress):
            self.progress.outcomes = progress
        elif isinstance(progress, PartitionProgress):
            self.progress = progress
        self.progress.next_offset = offset + 1
        self.unsaved.add(ProgressKey(self.partition))

    def skip(self, offset: int) -> None:
        """Move on past a record that is not joined."""
        self.progress.next_offset = max(self.progress.next_offset, offset + 1)
        self.unsaved.add(ProgressKey(self.partition))

    def begin_log(self, topic_id: str) -> None:
        """Start at the first record of a topic that was created again; the counts stay."""
        self.progress = msgspec.structs.replace(self.progress, next_offset=0, topic_id=topic_id)

    def note_log(self, topic_id: str) -> None:
        """Note which topic the offsets belong to."""
        self.progress.topic_id = topic_id
        self.unsaved.add(ProgressKey(self.partition))
