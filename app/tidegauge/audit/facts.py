"""Reporting a fact from a command: at once, and without waiting for brokers that are away."""

import time

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tidegauge.audit.clients import PARTITIONER
from tidegauge.config import Settings
from tidegauge.contract import AuditFact, encode

#: A broker that is there takes a record in milliseconds.
_SECONDS = 10.0


class NotAudited(Exception):
    """The brokers didn't take a fact; what it is about has happened all the same."""


def report_fact(settings: Settings, fact: AuditFact) -> None:
    """Send a fact and wait until the brokers have it; raises :class:`NotAudited` if they don't."""
    errors: list[KafkaError] = []
    delivered: list[Message] = []

    def failed(error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._ALL_BROKERS_DOWN:
            errors.append(error)

    def done(error: KafkaError | None, message: Message) -> None:
        if error is None:
            delivered.append(message)
        else:
            errors.append(error)

    producer = Producer(
        {
            **settings.kafka.librdkafka(),
            "enable.idempotence": True,
            "partitioner": PARTITIONER,
            "message.timeout.ms": int(_SECONDS * 1000),
            "error_cb": failed,
            "log_level": 0,  # what goes wrong is said once, below
        }
    )
    deadline = time.monotonic() + _SECONDS
    try:
        producer.produce(
            settings.topics.audit_facts, encode(fact), key=fact.model.encode(), on_delivery=done
        )
        while not (delivered or errors) and time.monotonic() < deadline:
            producer.poll(0.1)
    except KafkaException as error:
        errors.append(error.args[0])
    if not delivered:
        producer.purge()
        why = errors[0].str() if errors else f"no answer in {_SECONDS:g} s"
        raise NotAudited(f"topic {settings.topics.audit_facts}: {why}")
