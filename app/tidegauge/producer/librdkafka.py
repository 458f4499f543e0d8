"""How librdkafka is set up for a producer that must not disturb its host."""

from collections.abc import Mapping

from confluent_kafka import Producer

#: A batch is split so that no message's encoding is larger than this. Half of what librdkafka and
#: the brokers take by default (1 MB): room for rows of uneven size, and for brokers set tighter.
BATCH_LIMIT_BYTES = 500_000

# PredictionLogger counts by these callbacks and begins no transactions.
_OURS = ("on_delivery", "dr_cb", "error_cb", "logger", "transactional.id")


def producer_config(
    bootstrap_servers: str, max_queued: int, overrides: Mapping[str, object]
) -> dict[str, object]:
    """Return the properties of the Producer; raises ``ValueError`` naming the one that is wrong.

    They are tried on a Producer without brokers: a typing error must surface where the serving
    process starts, not in the background once it serves.
    """
    if not bootstrap_servers:
        raise ValueError("bootstrap_servers is empty, expected host:port[,host:port…]")
    if max_queued < 1:
        raise ValueError(f"max_queued is {max_queued}, expected at least 1")
    for name in _OURS:
        if name in overrides:
            raise ValueError(f"config may not set {name!r}: PredictionLogger needs it itself")
    config = {
        "bootstrap.servers": bootstrap_servers,
        "client.id": "tidegauge-producer",
        # The bounded queue. What is full drops the newest event and counts it.
        "queue.buffering.max.messages": max_queued,
        # Column batches are up to 500 kB each: bound the memory too, not only the number (64 MiB).
        "queue.buffering.max.kbytes": 65_536,
        # Drift is told by the minute: 50 ms of collecting is invisible there, and makes hundreds of
        # events one request. At 5 ms a node of 10,000 events/s sends ten times the requests.
        "linger.ms": 50,
        # Larger than the default 1 MB never fills in 50 ms on one node; smaller cuts compression.
        "batch.size": 1_000_000,
        # Events repeat their field names: about a fourth of the bytes, for less CPU than zstd.
        "compression.type": "lz4",
        # An event must be counted once: the broker discards what a retry repeats, and acknowledges
        # only what all in-sync replicas have.
        "enable.idempotence": True,
        "acks": "all",
        # How long a broker may be away before its events are given up. Windows take late events for
        # 15 minutes by default; later than that, an event would only cost memory here.
        "message.timeout.ms": 300_000,
        # Back soon after a broker's restart, without hammering one that stays away.
        "reconnect.backoff.max.ms": 5_000,
        # Only critical messages. librdkafka would log an absent broker every few seconds; the error
        # callback is called for it too, and logs it once a minute.
        "log_level": 2,
        **overrides,
    }
    _try(config)
    return config


def _try(config: Mapping[str, object]) -> None:
    # Without brokers nothing is resolved or connected, and no thread outlives the check: a process
    # that forks afterwards, like a pre-fork web server, inherits nothing.
    offline = {
        name: value
        for name, value in config.items()
        if name not in ("bootstrap.servers", "metadata.broker.list")
        and not name.startswith("test.mock.")
    }
    try:
        Producer({**offline, "log_level": 0})
    except Exception as error:
        raise ValueError(f"librdkafka refuses the configuration: {error}") from error
