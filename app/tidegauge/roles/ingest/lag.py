"""What waits to be counted, by source partition."""

from collections.abc import Callable, Mapping

from tidegauge.counting import Position
from tidegauge.kafka import Consumer, KafkaException, TopicPartition
from tidegauge.telemetry import Progress

#: How long the brokers may take to say where a quiet partition ends; counting waits meanwhile.
_ASK_SECONDS = 2.0

#: A transaction of a producer that lives ends within seconds, or moves on what may be read.
HELD_SECONDS = 10.0


def behind(
    positions: Mapping[int, Position],
    highs: Mapping[int, int],
    taken: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """Return by partition how many records lie behind what was last committed, where there are any.

    ``highs`` are the ends that the fetcher has seen; beyond the last record they may have markers
    of transactions, so they say nothing of a partition that was read to its end: there, only the
    end that was asked for counts. ``taken`` are the offsets after the records just read.
    """
    found = {}
    for partition, at in positions.items():
        high = 0 if at.caught_up else highs.get(partition, 0)
        to = max(high, at.end, at.to, (taken or {}).get(partition, 0))
        if to > at.since:
            found[partition] = to - at.since
    return found


def describe(lag: Mapping[int, int]) -> str:
    """Return the lag in words.

    >>> describe({3: 5, 0: 7})
    'partitions [0, 3] have a lag of 12 events'
    """
    return f"partitions {sorted(lag)} have a lag of {sum(lag.values())} events"


class HeldPartitions:
    """Knows which partitions an open transaction has held back for :data:`HELD_SECONDS`. Pure."""

    def __init__(self) -> None:
        #: By partition, where it stands and since when.
        self._since: dict[int, tuple[int, float]] = {}

    def of(self, positions: Mapping[int, Position], now: float) -> dict[int, int]:
        """Return by partition how many offsets are held; ``now`` is by the monotonic clock."""
        held = {p: at for p, at in positions.items() if at.held_back}
        self._since = {
            p: seen if (seen := self._since.get(p)) and seen[0] == at.to else (at.to, now)
            for p, at in held.items()
        }
        return {
            p: at.held_back for p, at in held.items() if now - self._since[p][1] >= HELD_SECONDS
        }


class LagWatch:
    """Tells the worker's progress what waits. ``quiet_seconds``: how often partitions are asked."""

    def __init__(
        self,
        consumer: Consumer,
        topic: str,
        progress: Progress,
        *,
        quiet_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._progress = progress
        self._quiet_seconds = quiet_seconds
        self._monotonic = monotonic
        self._asked_at = monotonic()

    def say(self, positions: Mapping[int, Position], taken: Mapping[int, int] | None = None) -> int:
        """Say what waits as far as this process knows, and return how many records that is.

        What an open transaction holds back is returned too, and is no work that waits: a restart
        would not help.
        """
        self.look(positions)
        lag = behind(positions, {p: at.high for p, at in positions.items()}, taken)
        self._progress.lag(len(lag), describe(lag))
        return sum(lag.values()) + sum(at.held_back for at in positions.values())

    def look(self, positions: Mapping[int, Position]) -> None:
        """Note where the partitions end by what has been fetched, open transactions included."""
        for partition, position in positions.items():
            at = TopicPartition(self._topic, partition)
            _, high = self._consumer.get_watermark_offsets(at, cached=True)
            position.high = max(high, 0)  # below zero: nothing was fetched yet

    def ask(self, positions: Mapping[int, Position]) -> None:
        """Ask now and then where quiet partitions end: a fetcher that hangs tells of no lag."""
        now = self._monotonic()
        if now - self._asked_at < self._quiet_seconds:
            return
        self._asked_at = now
        for partition, position in positions.items():
            if now - position.arrived < self._quiet_seconds:
                continue
            at = TopicPartition(self._topic, partition)
            try:
                # The last stable offset: what an open transaction holds back can't be counted yet.
                _, position.end = self._consumer.get_watermark_offsets(at, timeout=_ASK_SECONDS)
            except KafkaException:
                return  # nobody knows; if the brokers are away, the next flush says so
