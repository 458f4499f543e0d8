"""Every Kafka client of a worker or a command: the settings of each with their reasons.

The Kafka settings are read here and nowhere else, with two exceptions by design. A serving node's
producer (``tidegauge.producer``) imports nothing of a worker. Faust connects by aiokafka, in
``roles.detect.faust_store``.
"""

import logging
import uuid
from collections.abc import Mapping
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING as OFFSET_BEGINNING,
    Consumer as Consumer,
    KafkaError as KafkaError,
    KafkaException as KafkaException,
    Message as Message,
    Producer,
    TopicPartition as TopicPartition,
    libversion,
)
from confluent_kafka.admin import AdminClient

from tidegauge.config import MAX_AUDIT_BYTES, MAX_RECORD_BYTES, KafkaSettings, Settings
from tidegauge.kafka.unreadable import Skipped, SteadyConsumer

log = logging.getLogger(__name__)

Config = Mapping[str, object]

#: By default librdkafka tries to reach a broker that is away less and less often, down to every 10
#: s. Requests that wait for a coordinator are tried again only when a connection changes: after the
#: loss of a broker, offsets sent to a transaction waited for 8 to 15 s. With this setting they wait
#: for 4, the time in which the other brokers elect a coordinator. Reports and the audit trail wait
#: as long.
_RECONNECTING = {"reconnect.backoff.max.ms": 500}

#: The partitioner of the Java clients and of aiokafka, which DETECT sends by. librdkafka's own
#: default would put a model's facts into another partition, and so into a chain of their own.
PARTITIONER = "murmur2_random"


def _connection(kafka: KafkaSettings) -> dict[str, Any]:
    return {**kafka.librdkafka(), **_RECONNECTING}


def reader(
    kafka: KafkaSettings, group: str = "", *, passed: Skipped | None = None, **more: object
) -> SteadyConsumer:
    """Return a consumer that joins no group: it reads assigned partitions from given offsets on.

    librdkafka needs a ``group`` all the same. ``passed`` is called with each batch that can't be
    read. ``more`` are further properties, with ``_`` for each dot.
    """
    return SteadyConsumer(
        {
            **_connection(kafka),
            "group.id": group or f"tidegauge-read-{uuid.uuid4()}",
            "enable.auto.commit": False,
            # Continue after records that retention or compaction deletes meanwhile.
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            # Shows a reader that it has reached the end where the last offset is only the marker of
            # a transaction.
            "enable.partition.eof": True,
            # The default of 1000 ms before it fetches more would cut the throughput to a third.
            "fetch.queue.backoff.ms": 5,
            **{name.replace("_", "."): value for name, value in more.items()},
        },
        passed=passed,
        logger=log,
    )


def _member(kafka: KafkaSettings, group: str, timeout_seconds: float) -> dict[str, Any]:
    """Properties of a member of a consumer group, which commits when it is done with a record."""
    return {
        **_connection(kafka),
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "session.timeout.ms": int(timeout_seconds * 1000),
    }


def ingest_consumer(settings: Settings, group: str | None = None) -> Consumer:
    """Return INGEST's consumer of prediction events, or of labels if that is its ``group``."""
    ingest = settings.ingest
    group = ingest.group_id if group is None else group
    config = _member(settings.kafka, group, ingest.session_timeout_seconds) | {
        # Every partition is assigned with its offset. Where that is not there (any more), the
        # session ends and the next one reports what was lost; "earliest" would count all again.
        "auto.offset.reset": "error",
        # A rebalance revokes only the partitions that move.
        "partition.assignment.strategy": "cooperative-sticky",
        # A heartbeat is also how a worker learns that another one came or left: partitions of one
        # that leaves move two heartbeats later, whatever the session timeout.
        "heartbeat.interval.ms": 1_000,
        # Shows a worker that it has caught up, where markers of transactions make the end offset
        # larger than that of the last record.
        "enable.partition.eof": True,
        # The default of 1000 ms lets the queue run dry between fetches: a third of the throughput.
        "fetch.queue.backoff.ms": 2,
        # Fetch ahead by bytes, not by the default 100,000 messages …
        "queued.min.messages": 1_000_000,
        # … and this bounds memory, whatever the lag. A tenth of a second at full speed; 64 MB took
        # 100 MB more and was no faster.
        "queued.max.messages.kbytes": 16_384,
        "fetch.wait.max.ms": 50,
        # How soon partitions that were added are shared out; the default is five minutes.
        "topic.metadata.refresh.interval.ms": 5_000,
        # A fetch comes on top of the queue, compressed and then not: 4 MB a partition took 80 MB
        # more and was no faster.
        "max.partition.fetch.bytes": 1_000_000,
    }
    return Consumer(config, logger=log)


def outcomes_consumer(settings: Settings, *, passed: Skipped) -> SteadyConsumer:
    """Return OUTCOMES' consumer of predictions and labels."""
    outcomes = settings.outcomes
    config = _member(settings.kafka, outcomes.group_id, outcomes.session_timeout_seconds) | {
        # As of INGEST.
        "auto.offset.reset": "error",
        "partition.assignment.strategy": "cooperative-sticky",
        "heartbeat.interval.ms": 1_000,
        "enable.partition.eof": True,
        "fetch.queue.backoff.ms": 2,
        "queued.max.messages.kbytes": 16_384,
        "fetch.wait.max.ms": 50,
        "topic.metadata.refresh.interval.ms": 5_000,
        "max.partition.fetch.bytes": 1_000_000,
    }
    return SteadyConsumer(config, passed=passed, logger=log)


def ledger_consumer(settings: Settings, *, passed: Skipped) -> SteadyConsumer:
    """Return LEDGER's consumer of audit facts."""
    ledger = settings.ledger
    config = _member(settings.kafka, ledger.group_id, ledger.session_timeout_seconds) | {
        "partition.assignment.strategy": "cooperative-sticky",
        "heartbeat.interval.ms": 1_000,
        "fetch.queue.backoff.ms": 50,
    }
    return SteadyConsumer(config, passed=passed, logger=log)


def acknowledgement_consumer(settings: Settings, *, passed: Skipped) -> SteadyConsumer:
    """Return LEDGER's consumer of acknowledgements, silences and configurations."""
    ledger = settings.ledger
    group, seconds = ledger.acknowledgements_group_id, ledger.session_timeout_seconds
    return SteadyConsumer(_member(settings.kafka, group, seconds), passed=passed, logger=log)


def receiver_consumer(settings: Settings, group: str, *, passed: Skipped | None) -> SteadyConsumer:
    """Return NOTIFY's consumer of the topic that one receiver reads."""
    config = _member(settings.kafka, group, settings.notify.session_timeout_seconds) | {
        # Eager: an assignment is always complete, so the firing alerts can be restored with it.
        "partition.assignment.strategy": "range",
        # Shows the end of the records to restore, whatever compaction has left of them.
        "enable.partition.eof": True,
    }
    return SteadyConsumer(config, passed=passed, logger=log)


def ingest_producer(settings: Settings, *, alone: bool = False, id: str | None = None) -> Producer:
    """Return INGEST's transactional producer; ``alone``: every record is a batch of its own.

    ``id`` is its transactional id, if it is another one than that of the counts.
    """
    return Producer(ingest_producer_config(settings, alone=alone, id=id), logger=log)


def ingest_producer_config(
    settings: Settings, *, alone: bool = False, id: str | None = None
) -> dict[str, Any]:
    """Return the properties of INGEST's producer."""
    return {
        **_transactional(settings.kafka, settings.transactional_id if id is None else id),
        # A cell of thousands of signals; the topic takes as much.
        "message.max.bytes": MAX_RECORD_BYTES,
        **_batches(alone),
        # A topic that is gone is reported in this time, not after the 10 s of a timeout.
        "topic.metadata.propagation.max.ms": 4_000,
        # One flush of thousands of cells must fit the queue.
        "queue.buffering.max.messages": 1_000_000,
        "queue.buffering.max.kbytes": 1_048_576,
    }


def outcomes_producer(settings: Settings, *, alone: bool = False) -> Producer:
    """Return OUTCOMES' transactional producer; ``alone``: every record is a batch of its own."""
    config = _transactional(settings.kafka, settings.outcomes_transactional_id)
    return Producer(
        {**config, "message.max.bytes": MAX_RECORD_BYTES, **_batches(alone)}, logger=log
    )


def ledger_producer(settings: Settings) -> Producer:
    """Return LEDGER's transactional producer."""
    config = _transactional(settings.kafka, settings.ledger_transactional_id)
    # A fact of the largest size, with what the chain adds to it.
    return Producer({**config, "message.max.bytes": MAX_AUDIT_BYTES}, logger=log)


def _batches(alone: bool) -> dict[str, Any]:
    # A topic's max.message.bytes is for batches: small dead letters together could exceed it.
    # Measured: 1,000 of them one by one take a second.
    return {"batch.num.messages": 1} if alone else {}


def _transactional(kafka: KafkaSettings, id: str) -> dict[str, Any]:
    return {
        **_connection(kafka),
        "transactional.id": id,
        # A worker killed inside a transaction holds back its successor, and the readers of
        # committed records, for this long.
        "transaction.timeout.ms": 10_000,
        # A flush waits for its records; there is nothing to gather.
        "linger.ms": 0,
        "compression.type": "lz4",
    }


def fact_producer(settings: Settings) -> Producer:
    """Return LEDGER's producer of the facts of acknowledgements, silences and configurations."""
    config = {**_connection(settings.kafka), "enable.idempotence": True, "partitioner": PARTITIONER}
    return Producer(config, logger=log)


def record_producer(kafka: KafkaSettings, seconds: float, more: Config) -> Producer:
    """Return a producer of single records, each of which is answered within ``seconds``."""
    return Producer(
        {
            **_connection(kafka),
            "enable.idempotence": True,
            "message.timeout.ms": int(seconds * 1000),
            "linger.ms": 0,
            # An alert that is withheld may be as large as alerts are.
            "message.max.bytes": MAX_RECORD_BYTES,
            # A topic that is gone is reported in this time.
            "topic.metadata.propagation.max.ms": 4_000,
            **more,
        },
        logger=log,
    )


def mock_cluster() -> Producer:
    """Return a producer with librdkafka's in-process mock cluster, which ends with it."""
    return Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 0})


def admin_client(
    kafka: KafkaSettings, more: Config | None = None, logger: logging.Logger = log
) -> AdminClient:
    """Return a client that asks for topics, offsets and groups; :class:`Admin` replaces it."""
    return AdminClient({**_connection(kafka), **(more or {})}, logger=logger)


def client_version() -> str:
    """Return the version of librdkafka."""
    return str(libversion()[0])
