"""How far the partitions of a source topic have been counted, over topics made again. Pure.

Offsets are of one *series*: a topic that is deleted and made again, an end that was lost and
records that were skipped each begin another one, at its origin. Of a source partition only one
series goes on; what was counted of those before stays counted.
"""

from collections.abc import Iterator

from tidegauge.windows.values import PastSeries, RawRange, RawRecord, Source, SourceClock

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
