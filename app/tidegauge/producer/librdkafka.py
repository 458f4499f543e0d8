"""librdkafka for a producer that must not disturb its host: settings, forks, and lost brokers."""

import ctypes
import math
import os
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaException, Producer

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
        # The bounded queue. When it is full, the newest event is dropped and counted.
        "queue.buffering.max.messages": max_queued,
        # Column batches are up to 500 kB each: bound the memory too, not only the number (64 MiB).
        "queue.buffering.max.kbytes": 65_536,
        # Windows are minutes long: 50 ms of collecting is invisible there, and makes hundreds of
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


#: What takes part in every fork while it exists: librdkafka's threads stay behind in the parent,
#: their locks do not.
_known: "weakref.WeakSet[Any]" = weakref.WeakSet()


def take_part_in_forks(one: Any) -> None:
    """Call ``one.before_fork()`` before a fork, and ``one.after_fork_in_child()`` in the child."""
    _known.add(one)


def _before_fork() -> None:
    for one in list(_known):
        one.before_fork()


def _after_fork_in_child() -> None:
    for one in list(_known):
        one.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


def leak(producer: object) -> None:
    """Keep a child from destroying the producer it inherited: that crashes, or waits forever.

    One reference too many keeps even the interpreter's exit from trying.
    https://github.com/confluentinc/librdkafka/issues/2374
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(producer))


def at_exit_of_worker(function: Callable[[], None]) -> None:
    """Call ``function`` when this process ends, if it is a worker of ``multiprocessing``.

    Forked ones end without running what ``atexit`` knows.
    """
    multiprocessing, util = map(sys.modules.get, ("multiprocessing", "multiprocessing.util"))
    if multiprocessing is not None and util is not None and multiprocessing.parent_process():
        util.Finalize(None, function, exitpriority=10)


#: The brokers are checked once messages have waited for so long without one being delivered.
QUIET_SECONDS = 10.0

#: How long it takes to connect and be answered, at most. A producer configured to wait longer
#: before it tries again gets twice that on top.
ANSWER_SECONDS = 10.0


class Lifeline:
    """Detects that a producer has lost its brokers for good, while others reach them.

    Since 2.10 librdkafka forgets brokers that an answer doesn't name. A broker that stops may leave
    itself out, and close the connection in the same moment: a producer that knew no other one is
    left with none, and doesn't ask those that it began with either (librdkafka issue 5301). It
    waits for ever, and reports nothing. ``config`` are the producer's settings.
    """

    def __init__(
        self,
        topic: str,
        config: Mapping[str, object],
        *,
        other: Callable[[Mapping[str, object]], Any] = Producer,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``other`` makes another producer, to see whether the brokers answer that one."""
        self._topic = topic
        self._config = config
        self._other = other
        self._monotonic = monotonic
        self._delivered = 0
        self._since = math.inf

    def is_lost(self, producer: Any, *, delivered: int, waiting: int) -> bool:
        """Return whether the brokers answer another producer and not this one, nor will they.

        ``delivered`` is how many messages have been so far, ``waiting`` how many haven't yet. It
        returns at once while messages are delivered, and may wait for answers for long if not.
        """
        now = self._monotonic()
        if not waiting or delivered != self._delivered or self._since == math.inf:
            self._delivered, self._since = delivered, now
            return False
        if now - self._since < QUIET_SECONDS:
            return False
        pause = float(str(self._config.get("reconnect.backoff.max.ms", 10_000))) / 1000
        # The other one first: where the brokers have just come back, this one needs a moment more.
        lost = self._answers(
            self._other({**self._config, "log_level": 0}), ANSWER_SECONDS
        ) and not self._answers(producer, ANSWER_SECONDS + 2 * pause)
        self._since = self._monotonic()
        return lost

    def _answers(self, producer: Any, seconds: float) -> bool:
        try:
            return bool(producer.list_topics(self._topic, timeout=seconds).brokers)
        except KafkaException:
            return False
