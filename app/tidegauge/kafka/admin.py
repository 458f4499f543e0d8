"""Asking the brokers for topics, offsets and groups, and one clear line if they don't answer."""

import logging
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from tidegauge.config import KafkaSettings
from tidegauge.kafka.clients import admin_client

T = TypeVar("T")

#: The errors of a client whose brokers don't answer.
NO_ANSWER = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._DESTROY_BROKER,
    }
)

#: Kafka's word for "no id", of topics that were made before there were any.
NO_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA"


#: A broker that is there lists its topics in milliseconds, one on the other side of the world in a
#: second or two. With the start of the command, an answer that there is none takes less than 5 s:
#: the second wait is only for brokers that have not refused the connection yet.
_WAITS_SECONDS = (2.0, 1.5)

#: What librdkafka logs goes nowhere: what matters of it is in the error.
_silent = logging.getLogger(f"{__name__}.silent")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class Admin:
    """Asks the brokers for topics, offsets and groups; methods raise ``KafkaException``.

    A client that gets no answer is replaced before the next question. librdkafka may lose its
    brokers for good (issue 5301; see ``producer/lifeline.py``), and an admin client waits for the
    broker that it takes for the controller, also after that has left the cluster. A new client
    learns of the others.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._client = admin_client(kafka)

    def ask(self, question: Callable[[AdminClient], T], *, twice: bool = False) -> T:
        """Ask a question; ``twice``: where no answer comes, ask a new client too."""
        try:
            return question(self._client)
        except (KafkaException, TimeoutError) as error:
            is_answer = isinstance(error, KafkaException) and error.args[0].code() not in NO_ANSWER
            if is_answer:
                raise
            self._client = admin_client(self._kafka)
            if not twice:
                if isinstance(error, KafkaException):
                    raise
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error
        return self.ask(question)

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

        ``committed``: where what may be read ends, without what is in open transactions.
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
        """Return where a partition ends, with what is in open transactions."""
        return self._offset(topic, partition, OffsetSpec.latest(), seconds)

    def _offset(self, topic: str, partition: int, spec: OffsetSpec, seconds: float) -> int:
        found = self.offsets(topic, [partition], spec, seconds, committed=False)
        return int(found[partition].offset)

    def topic_settings(
        self, names: Collection[str], seconds: float
    ) -> dict[str, dict[str, str] | KafkaException]:
        """Return the settings of each topic by their names, or the error of a topic."""

        def describe(client: AdminClient) -> dict[str, dict[str, str] | KafkaException]:
            resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
            found: dict[str, dict[str, str] | KafkaException] = {}
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
            # An attempt to connect that hangs is one of several, not the whole of the wait.
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
    raise BrokersAway(_said(kafka, reasons, otherwise))


def _said(kafka: KafkaSettings, reasons: list[str], otherwise: str) -> str:
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
