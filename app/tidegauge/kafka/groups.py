"""The state of the roles' consumer groups: members, lag, and the newest record that they wrote.

All of it comes from the brokers, so no worker has to be reachable.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from tidegauge.config import Settings
from tidegauge.kafka.admin import Admin

_TIMEOUT_SECONDS = 10.0

#: The errors of a broker that has no such group.
_NO_GROUP = frozenset({KafkaError.GROUP_ID_NOT_FOUND})


class RoleGroup(NamedTuple):
    """A consumer group: what it is of, what it reads, and the topic that shows that it works.

    ``writes`` is written only by this role; "" if there is no such topic.
    """

    name: str
    role: str
    group: str
    reads: str
    writes: str


class GroupState(NamedTuple):
    """How a group stands. ``behind`` are offsets, markers of transactions among them.

    ``started``: it has committed something, so it had a member at some time. ``wrote_at`` is when
    the newest record of what it writes was written, epoch seconds; None if there is none.
    """

    of: RoleGroup
    members: int
    started: bool
    behind: int
    wrote_at: float | None


def role_groups(settings: Settings, receivers: Sequence[tuple[str, str]] = ()) -> list[RoleGroup]:
    """Return the groups of an installation; ``receivers`` are names and what each one reads."""
    topics = settings.topics
    return [
        RoleGroup(
            "ingest", "ingest", settings.ingest.group_id, topics.predictions, topics.histograms
        ),
        RoleGroup("detect", "detect", settings.detect.app_id, topics.histograms, topics.windows),
        RoleGroup("ledger", "ledger", settings.ledger.group_id, topics.audit_facts, topics.audit),
        *(
            RoleGroup(f"receiver {name}", "notify", f"{settings.notify.group_id}-{name}", reads, "")
            for name, reads in receivers
        ),
    ]


class Groups:
    """Asks one cluster. Methods raise ``KafkaException`` if it doesn't answer, or refuses to."""

    def __init__(self, settings: Settings) -> None:
        self._admin = Admin(settings.kafka)

    def state(self, of: RoleGroup) -> GroupState:
        """Return how a group stands."""
        members = self._members(of.group)
        partitions = self._admin.partitions(of.reads, _TIMEOUT_SECONDS)
        ends = self._offsets(of.reads, partitions, OffsetSpec.latest())
        committed = self._committed(of, ends)
        begins = self._offsets(of.reads, partitions, OffsetSpec.earliest())
        behind = sum(
            max(0, end.offset - max(committed.get(partition, 0), begins[partition].offset))
            for partition, end in ends.items()
        )
        return GroupState(of, members, bool(committed), behind, self._newest(of))

    def _members(self, group: str) -> int:
        described = self._answer(
            lambda client: client.describe_consumer_groups(
                [group], request_timeout=_TIMEOUT_SECONDS
            )[group]
        )
        return len(described.members) if described else 0

    def _committed(self, of: RoleGroup, partitions: Iterable[int]) -> dict[int, int]:
        wanted = [TopicPartition(of.reads, partition) for partition in partitions]
        if not wanted:
            return {}
        # Never without partitions, for all of them: while the topic of offsets is being made, as
        # at the first question to a fresh cluster, librdkafka 2.15 then ends the process.
        asked = [ConsumerGroupTopicPartitions(of.group, wanted)]
        found = self._answer(
            lambda client: client.list_consumer_group_offsets(
                asked, request_timeout=_TIMEOUT_SECONDS
            )[of.group]
        )
        return (
            {at.partition: at.offset for at in found.topic_partitions if at.offset >= 0}
            if found
            else {}
        )

    def _answer(self, question: Callable[[AdminClient], Future[Any]]) -> Any:
        """Ask about a group; return None if there is no such group."""
        try:
            return self._admin.ask(lambda client: question(client).result())
        except KafkaException as error:
            if error.args[0].code() in _NO_GROUP:
                return None
            raise

    def _newest(self, of: RoleGroup) -> float | None:
        """Return when the newest record was written, if the brokers can tell (Kafka 3.0 and on)."""
        if not of.writes:
            return None
        try:
            partitions = self._admin.partitions(of.writes, _TIMEOUT_SECONDS)
            times = self._offsets(of.writes, partitions, OffsetSpec.max_timestamp())
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNSUPPORTED_VERSION:
                return None
            raise
        newest = max((at.timestamp for at in times.values()), default=-1)
        return newest / 1000 if newest > 0 else None

    def _offsets(self, topic: str, partitions: list[int], spec: OffsetSpec) -> dict[int, Any]:
        return self._admin.offsets(topic, partitions, spec, _TIMEOUT_SECONDS, committed=True)
