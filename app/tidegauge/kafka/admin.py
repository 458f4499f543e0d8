"""Requests to the brokers for topics, offsets and groups, and a clear error without an answer."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeAlias, TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from tidegauge.config import KafkaSettings, Settings
from tidegauge.kafka.clients import admin_client

T = TypeVar("T")

#: The settings of a topic by their names, or why they can't be read.
TopicConfig: TypeAlias = dict[str, str] | KafkaException

#: Errors of a client whose brokers don't answer.
NO_ANSWER = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._DESTROY_BROKER,
    }
)

#: Errors of a client that knows who led a partition before. librdkafka's admin client doesn't learn
#: of the new leader by them: after brokers were lost it has sent the old epoch again and again.
_STALE = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError._NOENT,  # it has found no leader
    }
)

#: Kafka's value for "no id", of topics that were created before topics had ids.
NO_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA"


#: A broker that is there lists its topics in milliseconds, one on the other side of the world in a
#: second or two. With the start of the command, an answer that there is none takes less than 5 s:
#: the second wait is only for brokers that have not refused the connection yet.
_WAITS_SECONDS = (2.0, 1.5)

#: librdkafka's log lines are discarded: the error has what matters of them.
_silent = logging.getLogger(f"{__name__}.silent")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class Admin:
    """Asks the brokers for topics, offsets and groups; methods raise ``KafkaException``.

    A client that gets no answer is replaced before the next question, and one that doesn't know the
    leaders at once. librdkafka may lose its
    brokers for good (issue 5301; see ``producer/librdkafka.py``), and an admin client waits for the
    broker that it takes for the controller, also after that has left the cluster. A new client
    learns of the others.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._client = admin_client(kafka)

    def ask(self, question: Callable[[AdminClient], T], *, twice: bool = False) -> T:
        """Make a request; with ``twice``, again by a new client if no answer comes."""
        for is_last in (False, True):
            try:
                return question(self._client)
            except (KafkaException, TimeoutError) as error:
                code = error.args[0].code() if isinstance(error, KafkaException) else None
                if code is not None and code not in NO_ANSWER | _STALE:
                    raise
                self._client = admin_client(self._kafka)
                if not is_last and (twice or code in _STALE):
                    continue
                if isinstance(error, KafkaException):
                    raise
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error
        raise AssertionError("the last failure is raised")

    def partitions(self, topic: str, seconds: float) -> list[int]:
        """Return the partitions of a topic, none if it isn't there."""
        found = self.ask(lambda client: client.list_topics(topic, timeout=seconds))
        return list(found.topics[topic].partitions)

    def describe(self, topic: str, seconds: float, *, twice: bool = False) -> tuple[str, int]:
        """Return Kafka's id of a topic, "" if it has none, and how many partitions it has."""

        def describe(client: AdminClient) -> Any:
            answers = client.describe_topics(TopicCollection([topic]), request_timeout=seconds)
            return answers[topic].result(2 * seconds)

        found = self.ask(describe, twice=twice)
        topic_id = str(found.topic_id)
        return ("" if topic_id == NO_TOPIC_ID else topic_id), len(found.partitions)

    def offsets(
        self,
        topic: str,
        partitions: Collection[int],
        spec: OffsetSpec,
        seconds: float,
        *,
        committed: bool,
    ) -> dict[int, Any]:
        """Return offset and timestamp of a place in partitions.

        ``committed``: of committed records only, without those of open transactions.
        """
        if not partitions:
            return {}
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED

        def offsets(client: AdminClient) -> dict[int, Any]:
            wanted = {TopicPartition(topic, partition): spec for partition in partitions}
            answers = client.list_offsets(wanted, isolation_level=level, request_timeout=seconds)
            return {at.partition: future.result() for at, future in answers.items()}

        return self.ask(offsets)

    def begin(self, topic: str, partition: int, seconds: float) -> int:
        """Return the first offset that a partition has."""
        return self._offset(topic, partition, OffsetSpec.earliest(), seconds)

    def end(self, topic: str, partition: int, seconds: float) -> int:
        """Return the end of a partition, with the records of open transactions."""
        return self._offset(topic, partition, OffsetSpec.latest(), seconds)

    def _offset(self, topic: str, partition: int, spec: OffsetSpec, seconds: float) -> int:
        found = self.offsets(topic, [partition], spec, seconds, committed=False)
        return int(found[partition].offset)

    def topic_settings(self, names: Collection[str], seconds: float) -> dict[str, TopicConfig]:
        """Return the settings of each topic, or the error of a topic."""

        def describe(client: AdminClient) -> dict[str, TopicConfig]:
            resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
            found: dict[str, TopicConfig] = {}
            answers = client.describe_configs(resources, request_timeout=seconds)
            for resource, answer in answers.items():
                try:
                    entries = answer.result()
                except KafkaException as error:
                    if error.args[0].code() in NO_ANSWER:
                        raise
                    found[resource.name] = error
                else:
                    found[resource.name] = {name: it.value for name, it in entries.items()}
            return found

        return self.ask(describe) if names else {}


class BrokersAway(Exception):
    """No broker has answered."""


def ask_brokers(kafka: KafkaSettings) -> None:
    """Raise :class:`BrokersAway`, with the reason and the remedy, unless a broker answers soon."""
    reasons: list[str] = []
    down: list[KafkaError] = []

    def failed(error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            down.append(error)
        else:
            reasons.append(error.str())

    client = admin_client(
        kafka,
        {
            "error_cb": failed,
            # One attempt to connect that hangs must not take all of the time.
            "socket.connection.setup.timeout.ms": 1_500,
        },
        logger=_silent,
    )
    for seconds in _WAITS_SECONDS:
        try:
            client.list_topics(timeout=seconds)
            return
        except KafkaException as error:
            client.poll(0)  # calls ``failed``
            otherwise = error.args[0].str()
        if down:
            break
    raise BrokersAway(_message(kafka, reasons, otherwise))


def _message(kafka: KafkaSettings, reasons: list[str], otherwise: str) -> str:
    why = _shortened(reasons[-1] if reasons else otherwise)
    return (
        f"no answer from Kafka at {kafka.bootstrap_servers} ({why}); is the broker up, and is "
        "kafka.bootstrap_servers (TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS) right?"
    )


def _shortened(reason: str) -> str:
    """Leave out what is internal to librdkafka: the thread, the time, the state.

    >>> _shortened("x:9092/bootstrap: Connect to ipv4#1.2.3.4:9092 failed: refused (after 0ms in \
state CONNECT, 3 identical error(s) suppressed)")
    'Connect to ipv4#1.2.3.4:9092 failed: refused'
    """
    return reason.partition("/bootstrap: ")[2].partition(" (after ")[0] or reason


_TIMEOUT_SECONDS = 10.0

#: The errors of a broker that has no such group.
_NO_GROUP = frozenset({KafkaError.GROUP_ID_NOT_FOUND})


class RoleGroup(NamedTuple):
    """A consumer group: its role, what it reads, and the topic that shows that it works.

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
        RoleGroup("ingest labels", "ingest", settings.ingest.labels_group_id, topics.labels, ""),
        RoleGroup("outcomes", "outcomes", settings.outcomes.group_id, topics.outcomes, ""),
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
        requested = [ConsumerGroupTopicPartitions(of.group, wanted)]
        found = self._answer(
            lambda client: client.list_consumer_group_offsets(
                requested, request_timeout=_TIMEOUT_SECONDS
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
