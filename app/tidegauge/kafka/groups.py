"""How the consumer groups of the roles stand: members, what they have yet to read, what they wrote.

Everything is asked of the brokers, so it needs no access to any worker, and holds for all of them.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from tidegauge.config import Settings

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 10.0

#: By these a broker says that there is no such group.
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
        self._admin = AdminClient(settings.kafka.librdkafka(), logger=log)

    def state(self, of: RoleGroup) -> GroupState:
        """Return how a group stands."""
        members = self._members(of.group)
        ends = self._offsets(of.reads, OffsetSpec.latest())
        committed = self._committed(of, ends)
        begins = self._offsets(of.reads, OffsetSpec.earliest())
        behind = sum(
            max(0, end - max(committed.get(partition, 0), begins.get(partition, 0)))
            for partition, end in ends.items()
        )
        return GroupState(of, members, bool(committed), behind, self._newest(of))

    def _members(self, group: str) -> int:
        described = self._admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_SECONDS)
        try:
            return len(described[group].result().members)
        except KafkaException as error:
            if error.args[0].code() in _NO_GROUP:
                return 0
            raise

    def _committed(self, of: RoleGroup, partitions: Iterable[int]) -> dict[int, int]:
        wanted = [TopicPartition(of.reads, partition) for partition in partitions]
        if not wanted:
            return {}
        # Never without partitions, for all of them: while the topic of offsets is being made, as
        # at the first question to a fresh cluster, librdkafka 2.15 then ends the process.
        asked = [ConsumerGroupTopicPartitions(of.group, wanted)]
        answers = self._admin.list_consumer_group_offsets(asked, request_timeout=_TIMEOUT_SECONDS)
        try:
            found = answers[of.group].result().topic_partitions
        except KafkaException as error:
            if error.args[0].code() in _NO_GROUP:
                return {}
            raise
        return {at.partition: at.offset for at in found if at.offset >= 0}

    def _newest(self, of: RoleGroup) -> float | None:
        """Return when the newest record was written, if the brokers can tell (Kafka 3.0 and on)."""
        if not of.writes:
            return None
        try:
            times = self._ask(of.writes, OffsetSpec.max_timestamp())
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNSUPPORTED_VERSION:
                return None
            raise
        newest = max((at.timestamp for at in times.values()), default=-1)
        return newest / 1000 if newest > 0 else None

    def _offsets(self, topic: str, spec: OffsetSpec) -> dict[int, int]:
        return {partition: at.offset for partition, at in self._ask(topic, spec).items()}

    def _ask(self, topic: str, spec: OffsetSpec) -> dict[int, Any]:
        found = self._admin.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
        wanted = {TopicPartition(topic, partition): spec for partition in found.partitions}
        if not wanted:
            return {}
        answers = self._admin.list_offsets(
            wanted,
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=_TIMEOUT_SECONDS,
        )
        return {at.partition: future.result() for at, future in answers.items()}
