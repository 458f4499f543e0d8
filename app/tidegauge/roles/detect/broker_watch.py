"""Checks the lag and the topics beside the stream.

A topic of histograms that was deleted and created again, or that lost its end, is read again from
its beginning. The open windows keep their counts: joining a record again changes nothing.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

from tidegauge.kafka import KafkaException, Offsets
from tidegauge.roles.detect.faust_store import JoinStore
from tidegauge.roles.detect.intake import Intake, TopicChange
from tidegauge.telemetry import ONE_BY_ONE, DetectMetrics, Health, Progress
from tidegauge.windows import PartitionState

log = logging.getLogger(__name__)


class JoinedOffset(NamedTuple):
    """How far a partition was joined, and the id of the topic that this is of, "" if unknown."""

    next_offset: int
    topic_id: str


class TopicChanges:
    """Compares the brokers' answers on a topic with what was joined of it, check after check.

    Kafka's id of a topic never comes back, so another id is proof. A partition that ends before
    what was read of it has to do so twice, and nothing may be read of it in between: a broker that
    has just become its leader may say less for a moment. Brokers that don't tell ids leave it open
    whether it was made anew; the answer is yes then, since that loses nothing.
    """

    def __init__(self) -> None:
        #: By partition that ended before its read offset at the last check, without another known
        #: change: that read offset.
        self.shorter: dict[int, int] = {}
        #: Ids of deleted topics, which a broker that is behind may still report.
        self._past: set[str] = set()

    def of(
        self, topic_id: str, ends: Mapping[int, int], joined: Mapping[int, JoinedOffset]
    ) -> dict[int, TopicChange]:
        """Return what happened to which partitions; ``topic_id`` is the present one.

        ``ends`` must have been requested after ``joined`` was taken: records that come meanwhile
        are joined beyond an older end. A partition without an end is compared by the id alone.

        >>> changes = TopicChanges()
        >>> changes.of("b", {0: 9, 1: 9}, {0: JoinedOffset(7, "a"), 1: JoinedOffset(7, "b")})
        {0: 'recreated'}
        >>> changes.of("b", {0: 9, 1: 5}, {0: JoinedOffset(7, "b"), 1: JoinedOffset(7, "b")})
        {}
        >>> changes.of("b", {0: 9, 1: 6}, {0: JoinedOffset(7, "b"), 1: JoinedOffset(7, "b")})
        {1: 'truncated'}
        """
        shorter = {
            p: it.next_offset
            for p, it in joined.items()
            if ends.get(p, it.next_offset) < it.next_offset
        }
        found: dict[int, TopicChange] = {}
        for partition in sorted(joined):
            known = joined[partition].topic_id
            if topic_id and known and topic_id != known:
                if topic_id not in self._past:
                    self._past.add(known)
                    found[partition] = "recreated"
            elif shorter.get(partition, -1) == self.shorter.get(partition):
                found[partition] = "truncated" if topic_id and known else "recreated"
        self.shorter = {p: read for p, read in shorter.items() if p not in found}
        return found


class InputLag:
    """Compares how far the input reaches with how far it has been joined. Pure.

    The end of a partition lies behind the last record by the markers of transactions, so it never
    equals the next offset to join. But if the end moves on and the joining does not, there is lag.
    """

    def __init__(self) -> None:
        #: By partition, the next offset to join and the end as they were when joining last moved.
        self._seen: dict[int, tuple[int, int]] = {}

    def of(self, ends: Mapping[int, int], joined: Mapping[int, int]) -> dict[int, int]:
        """Return by partition how many offsets came since its joining last moved, if any did.

        >>> lag = InputLag()
        >>> lag.of({0: 10}, {0: 8}), lag.of({0: 12}, {0: 10}), lag.of({0: 20}, {0: 10})
        ({}, {}, {0: 8})
        """
        self._seen = {
            p: seen if (seen := self._seen.get(p)) and seen[0] == joined[p] else (joined[p], end)
            for p, end in ends.items()
        }
        waiting = {p: end - self._seen[p][1] for p, end in ends.items()}
        return {p: n for p, n in waiting.items() if n > 0}


#: How often the brokers are asked for the ends of the input.
LAG_SECONDS = 5.0

#: How long the condition stays degraded after such a change.
SHOWN_SECONDS = 600.0

#: A partition from which the stream delivers nothing is rewound after two checks, and then once in
#: so many.
_LOOKS = 12

_WHAT: Mapping[TopicChange, str] = {
    "recreated": "was made anew: it is read from its beginning",
    "truncated": "has lost its end: it is counted again from its beginning",
}


@dataclass(eq=False)
class BrokerWatch:
    """Reports input that is not taken, which is a stall, and topics that are missing or changed.

    Makes partitions of the topic of histograms be read again that need it.

    ``app`` is the Faust application, ``progress`` that of the joining; ``topic`` has the
    histograms. ``rewind`` makes the stream continue with a partition at an
    offset.
    """

    app: Any
    store: JoinStore
    intake: Intake
    offsets: Offsets
    _: KW_ONLY
    topic: str
    changelog_topic: str
    metrics: DetectMetrics
    health: Health
    progress: Progress
    clock: Callable[[], float]
    rewind: Callable[[int, int], Awaitable[None]]

    def __post_init__(self) -> None:
        self._lag = InputLag()
        self._changes = TopicChanges()
        #: By partition, how many checks in a row found new records and none of them joined.
        self._waited: dict[int, int] = {}
        self._last_change = ""
        self._changed_at = -math.inf
        for change in _WHAT:
            self.metrics.histogram_breaks.labels(change)

    async def run(self, stopping: asyncio.Event) -> None:
        """Ask the brokers every ``LAG_SECONDS``, until ``stopping`` is set."""
        while not stopping.is_set():
            try:
                await self.check()
            except KafkaException:
                # An outage of the brokers is no stall.
                self.progress.lag(0)
                self.health.beat("detect")
            else:
                # Nor is a topic that can't be written: the loop that publishes waits for it.
                if not self.health.is_ok("topics"):
                    self.health.beat("detect")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), timeout=LAG_SECONDS)

    async def check(self) -> None:
        """Ask the brokers once; raises ``KafkaException`` if they don't answer."""
        missing = await self._missing(self.changelog_topic, "nothing is reported")
        self.health.report("changelog", "failed" if missing else "ok", missing)
        if missing := await self._missing(self.topic, "nothing is counted"):
            self.health.report("histograms", "failed", missing)
            self.progress.lag(0)
            return
        states = self.store.partitions
        assigned = {
            tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == self.topic
        }
        before = joined_of(states)
        ends = await asyncio.to_thread(self.offsets.ends, self.topic, assigned)
        # A partition that is assigned but has no state is not joined at all.
        joined = {p: states[p].progress.next_offset if p in states else -1 for p in assigned}
        waiting = self._lag.of(ends, joined)
        await self.compare(before, ends, states, waiting=waiting)
        if self.app.rebalancing:
            self.progress.lag(1, "the group is rebalancing")
        elif unread := self.store.unread:
            self.progress.lag(len(unread), f"the state of partitions {unread} is read back")
        else:
            new = f"partitions {sorted(waiting)} of {self.topic} have new records"
            self.progress.lag(sum(waiting.values()), new)

    async def _missing(self, topic: str, consequence: str) -> str:
        """Return what to report of a topic that doesn't exist; "" if it does."""
        if await asyncio.to_thread(self.offsets.partitions, topic):
            return ""
        return f"{topic} is missing: {consequence}; `tidegauge topics create` makes it"

    async def compare(
        self,
        before: Mapping[int, JoinedOffset],
        ends: Mapping[int, int],
        states: Mapping[int, PartitionState],
        *,
        waiting: Collection[int] = (),
    ) -> None:
        """Compare ``ends`` of partitions with what was joined; raises as :meth:`check` does.

        ``before`` is what was joined before the ends were requested. ``waiting`` are partitions
        with new records, none of which was joined since the last check.
        """
        topic_id = await asyncio.to_thread(self.offsets.topic_id, self.topic)
        joined = {p: it for p, it in joined_of(states).items() if p in ends and p in before}
        # Records may have come during the requests: the end may be older than those joined since,
        # and the id older than one noted since.
        joined = {p: it for p, it in joined.items() if it.topic_id == before[p].topic_id}
        ready = {p: states[p] for p in joined}
        still = {p: ends[p] for p, it in joined.items() if it == before[p]}
        changed = self._changes.of(topic_id, still, joined)
        for partition, change in changed.items():
            if await self.intake.begin_log(ready[partition], topic_id, change):
                self._note(partition, change, joined[partition], ends[partition])
        self._waited = {p: self._waited.get(p, 0) + 1 for p in waiting if p in ready}
        stuck = {p for p, looks in self._waited.items() if looks % _LOOKS == 2}
        for partition in sorted((self.intake.recreated | stuck) & ready.keys()):
            # Repeated until a record comes: records buffered in the stream may have undone it. And
            # after a rebalance the stream starts at the committed offset, maybe of an earlier
            # topic.
            await self.rewind(partition, ready[partition].progress.next_offset)
        shorter = self._changes.shorter
        for partition in joined.keys() - changed.keys():
            if topic_id and not joined[partition].topic_id and not shorter:
                ready[partition].note_log(topic_id)
        if shorter:
            lost = "; ".join(
                f"partition {p} ends at {ends[p]} and was read to {read}"
                for p, read in sorted(shorter.items())
            )
            what = f"{self.topic} was made anew or lost its end: {lost}"
            self.health.report("histograms", "failed", what)
        elif self.clock() - self._changed_at < SHOWN_SECONDS:
            self.health.report("histograms", "degraded", self._last_change)
        else:
            self.health.report("histograms", "ok")

    def _note(self, partition: int, change: TopicChange, joined: JoinedOffset, end: int) -> None:
        self.metrics.histogram_breaks.labels(change).inc()
        self._last_change = f"{self.topic} {_WHAT[change]}. What nobody had read of it is lost"
        self._changed_at = self.clock()
        log.error(
            "%s %s: partition %d ends at %d and was read to %d",
            self.topic, _WHAT[change], partition, end, joined.next_offset, extra=ONE_BY_ONE,
        )  # fmt: skip


def joined_of(states: Mapping[int, PartitionState]) -> dict[int, JoinedOffset]:
    """Return how far the partitions are joined whose state is read back."""
    return {
        p: JoinedOffset(state.progress.next_offset, state.progress.topic_id)
        for p, state in states.items()
        if state.ready
    }
