"""Settings of INGEST's Kafka clients, each with its reason."""

from tidegauge.settings import MAX_RECORD_BYTES, Settings

Config = dict[str, str | int | float | bool]


def consumer_config(settings: Settings) -> Config:
    """Properties of the consumer of prediction events."""
    ingest = settings.ingest
    return {
        **settings.kafka.librdkafka(),
        "group.id": ingest.group_id,
        # Offsets are committed in the producer's transaction, never beside it.
        "enable.auto.commit": False,
        # Every partition is assigned with its offset. Where that is not there (any more), the
        # session ends and the next one says what was lost; "earliest" would count everything again.
        "auto.offset.reset": "error",
        # A rebalance takes from a worker only what it must give.
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": int(ingest.session_timeout_seconds * 1000),
        "heartbeat.interval.ms": int(ingest.session_timeout_seconds * 1000 / 4),
        # How a worker knows that it has caught up, where markers of transactions make the end
        # offset larger than the last record's.
        "enable.partition.eof": True,
        # The default of 1000 ms lets the queue run dry between fetches: a third of the throughput.
        "fetch.queue.backoff.ms": 2,
        # Fetch ahead by bytes, not by the default 100,000 messages …
        "queued.min.messages": 1_000_000,
        # … and this bounds memory, whatever the lag. A fifth of a second at full speed; 64 MB took
        # 100 MB more and was no faster.
        "queued.max.messages.kbytes": 16_384,
        "fetch.wait.max.ms": 50,
        "max.partition.fetch.bytes": 4_000_000,
    }


def producer_config(settings: Settings) -> Config:
    """Properties of the transactional producer."""
    return {
        **settings.kafka.librdkafka(),
        "transactional.id": settings.transactional_id,
        # A worker killed inside a transaction holds back readers of committed records this long.
        "transaction.timeout.ms": 10_000,
        # A flush waits for its records; there is nothing to gather.
        "linger.ms": 0,
        "compression.type": "lz4",
        # A cell of thousands of signals; the topic takes as much.
        "message.max.bytes": MAX_RECORD_BYTES,
        # One flush of thousands of cells must fit the queue.
        "queue.buffering.max.messages": 1_000_000,
        "queue.buffering.max.kbytes": 1_048_576,
    }
