"""Settings of INGEST's Kafka clients, each with its reason."""

from tidegauge.config import MAX_RECORD_BYTES, RECONNECTING, Settings

Config = dict[str, str | int | float | bool]


def consumer_config(settings: Settings) -> Config:
    """Properties of the consumer of prediction events."""
    ingest = settings.ingest
    return {
        **settings.kafka.librdkafka(),
        **RECONNECTING,
        "group.id": ingest.group_id,
        # Offsets are committed in the producer's transaction, never beside it.
        "enable.auto.commit": False,
        # Every partition is assigned with its offset. Where that is not there (any more), the
        # session ends and the next one says what was lost; "earliest" would count everything again.
        "auto.offset.reset": "error",
        # A rebalance takes from a worker only what it must give.
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": int(ingest.session_timeout_seconds * 1000),
        # A heartbeat is also how a worker learns that another one came or left: partitions of one
        # that leaves move two heartbeats later, whatever the session timeout.
        "heartbeat.interval.ms": 1_000,
        # How a worker knows that it has caught up, where markers of transactions make the end
        # offset larger than the last record's.
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


def producer_config(settings: Settings, *, alone: bool = False) -> Config:
    """Properties of the transactional producer; ``alone``: every record is a batch of its own."""
    return {
        **settings.kafka.librdkafka(),
        **RECONNECTING,
        "transactional.id": settings.transactional_id,
        # A worker killed inside a transaction holds back readers of committed records this long.
        "transaction.timeout.ms": 10_000,
        # A flush waits for its records; there is nothing to gather.
        "linger.ms": 0,
        "compression.type": "lz4",
        # A cell of thousands of signals; the topic takes as much.
        "message.max.bytes": MAX_RECORD_BYTES,
        # A topic's max.message.bytes is for batches: small dead letters together could exceed it.
        # Measured: 1,000 of them one by one take a second.
        **({"batch.num.messages": 1} if alone else {}),
        # A topic that is gone is said to be so in this time, not in the 10 s of a timeout.
        "topic.metadata.propagation.max.ms": 4_000,
        # One flush of thousands of cells must fit the queue.
        "queue.buffering.max.messages": 1_000_000,
        "queue.buffering.max.kbytes": 1_048_576,
    }
