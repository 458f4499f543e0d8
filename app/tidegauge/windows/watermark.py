"""Event time: up to where a partition of DETECT has heard from every source partition."""

from tidegauge.windows.values import PartitionProgress, SourceClock


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


def watermark(progress: PartitionProgress, idle_seconds: float) -> float:
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
