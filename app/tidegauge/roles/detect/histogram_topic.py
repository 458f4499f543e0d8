"""Goes on with a topic of histograms that was deleted and made again, or that lost its end."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Mapping

from tidegauge.roles.detect.intake import Intake
from tidegauge.roles.detect.lag import shortened
from tidegauge.roles.detect.offsets import Offsets
from tidegauge.telemetry import ONE_BY_ONE, DetectMetrics, Health
from tidegauge.windows import Change, Joined, PartitionState, TopicChanges

log = logging.getLogger(__name__)

#: How long the condition stays degraded after such a change.
SHOWN_SECONDS = 600.0

#: A partition of which the stream hands out nothing is begun again with after two looks, and then
#: once in so many.
_LOOKS = 12

_WHAT: Mapping[Change, str] = {
    "recreated": "was made anew: it is read from its beginning",
    "truncated": "has lost its end: it is counted again from its beginning",
}


class HistogramTopic:
    """Looks at the topic beside the stream, and has partitions read anew that need it.

    The windows that are open keep what was counted: to join it again changes nothing.
    """

    def __init__(
        self,
        topic: str,
        *,
        offsets: Offsets,
        intake: Intake,
        metrics: DetectMetrics,
        health: Health,
        clock: Callable[[], float],
        rewind: Callable[[int, int], Awaitable[None]],
    ) -> None:
        """``rewind`` has the stream hand out a partition from an offset on."""
        self._topic = topic
        self._offsets = offsets
        self._intake = intake
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._rewind = rewind
        self._changes = TopicChanges()
        #: By partition, how many looks in a row found new records and none of them joined.
        self._waited: dict[int, int] = {}
        self._said = ""
        self._changed_at = -math.inf
        for change in _WHAT:
            metrics.histogram_breaks.labels(change)

    async def is_there(self) -> bool:
        """Return whether it exists; raises ``KafkaException`` if the brokers don't answer."""
        if await asyncio.to_thread(self._offsets.exists, self._topic):
            return True
        missing = f"{self._topic} is missing: nothing is counted; make it with"
        self._health.say("histograms", "failed", f"{missing} `tidegauge topics create`")
        return False

    @staticmethod
    def joined(states: Mapping[int, PartitionState]) -> dict[int, Joined]:
        """Return how far the partitions are joined whose state is read back."""
        return {
            p: Joined(state.progress.next_offset, state.progress.topic_id)
            for p, state in states.items()
            if state.ready
        }

    async def look(
        self,
        before: Mapping[int, Joined],
        ends: Mapping[int, int],
        states: Mapping[int, PartitionState],
        *,
        waiting: Collection[int] = (),
    ) -> None:
        """Compare ``ends`` of partitions with what was joined; raises as :meth:`is_there`.

        ``before`` is what was joined when nobody had asked for the ends yet. ``waiting`` are those
        that have new records, none of which was joined since the last look.
        """
        topic_id = await asyncio.to_thread(self._offsets.topic_id, self._topic)
        now = self.joined(states)
        joined = {p: it for p, it in now.items() if p in ends and p in before}
        # The answers may be older than what came while the brokers were asked: the end than the
        # records that were joined since, the id than one that was noted since.
        joined = {p: it for p, it in joined.items() if it.topic_id == before[p].topic_id}
        ready = {p: states[p] for p in joined}
        still = {p: ends[p] for p, it in joined.items() if it == before[p]}
        changed = self._changes.of(topic_id, still, joined)
        for partition, change in changed.items():
            if await self._intake.begin_log(ready[partition], topic_id, change):
                self._note(partition, change, joined[partition], ends[partition])
        self._waited = {p: self._waited.get(p, 0) + 1 for p in waiting if p in ready}
        stuck = {p for p, looks in self._waited.items() if looks % _LOOKS == 2}
        for partition in sorted((self._intake.anew | stuck) & ready.keys()):
            # Again, until a record comes: what the stream was handing out may have undone it. And
            # after a rebalance it starts at what is committed, which may be of a topic before.
            await self._rewind(partition, ready[partition].progress.next_offset)
        same = {p: it for p, it in joined.items() if p not in changed}
        lost = shortened(
            {p: end for p, end in still.items() if p in same},
            {p: it.next_offset for p, it in same.items()},
        )
        for partition, it in same.items():
            if topic_id and not it.topic_id and not lost:
                ready[partition].note_log(topic_id)
        if lost:
            what = f"{self._topic} was made anew or lost its end: {'; '.join(lost)}"
            self._health.say("histograms", "failed", what)
        elif self._clock() - self._changed_at < SHOWN_SECONDS:
            self._health.say("histograms", "degraded", self._said)
        else:
            self._health.say("histograms", "ok")

    def _note(self, partition: int, change: Change, joined: Joined, end: int) -> None:
        self._metrics.histogram_breaks.labels(change).inc()
        self._said = f"{self._topic} {_WHAT[change]}. What nobody had read of it is lost"
        self._changed_at = self._clock()
        log.error(
            "%s %s: partition %d ends at %d and was read to %d",
            self._topic, _WHAT[change], partition, end, joined.next_offset, extra=ONE_BY_ONE,
        )  # fmt: skip
