"""Settings of LEDGER's Kafka clients, each with its reason."""

from tidegauge.config import MAX_AUDIT_BYTES, RECONNECTING, Settings

Config = dict[str, str | int | float | bool]

#: That of the Java clients and of aiokafka, which DETECT sends by. librdkafka's own default would
#: put a model's facts into another partition, and so into a chain of their own.
PARTITIONER = "murmur2_random"


def consumer_config(settings: Settings) -> Config:
    """Properties of the consumer of facts."""
    return {
        **settings.kafka.librdkafka(),
        **RECONNECTING,
        "group.id": settings.ledger.group_id,
        # Offsets are committed in the producer's transaction, never beside it.
        "enable.auto.commit": False,
        # What retention deleted before it was read can't be had; the rest is chained.
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": int(settings.ledger.session_timeout_seconds * 1000),
        "heartbeat.interval.ms": 1_000,
        # It waits a second before it fetches more, unless told otherwise.
        "fetch.queue.backoff.ms": 50,
    }


def reader_config(settings: Settings) -> Config:
    """Properties of a consumer that reads the audit topic, and joins no group."""
    return {
        **settings.kafka.librdkafka(),
        **RECONNECTING,
        "group.id": f"{settings.ledger.group_id}-reader",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        # How a reader knows that it has come to the end, where only a transaction's marker is left.
        "enable.partition.eof": True,
        "fetch.queue.backoff.ms": 5,
    }


def producer_config(settings: Settings) -> Config:
    """Properties of the transactional producer."""
    return {
        **settings.kafka.librdkafka(),
        **RECONNECTING,
        "transactional.id": settings.ledger_transactional_id,
        # A worker killed inside a transaction holds back its successor this long.
        "transaction.timeout.ms": 10_000,
        "linger.ms": 0,
        "compression.type": "lz4",
        # A fact of the largest size, with what the chain adds to it.
        "message.max.bytes": MAX_AUDIT_BYTES,
    }
