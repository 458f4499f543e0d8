"""What every logger of a serving node promises: it never blocks, never raises, and adds up."""

import atexit
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tidegauge.producer.counters import ProducerStats
from tidegauge.producer.librdkafka import producer_config, take_part_in_forks
from tidegauge.producer.sender import Encode, Sender, describe

#: How long the interpreter's exit may wait for the brokers.
EXIT_TIMEOUT_SECONDS = 5.0


class EventLogger:
    """Publishes events of one kind to a topic, behind the thread that hands them over.

    The connection is made by the first event, in the process that logs it: a logger made before a
    fork serves every child. Safe for any number of threads. Events still queued when the
    interpreter exits get five seconds to leave.

    Raises ``ValueError`` from the constructor, and only there, if the configuration is wrong.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        config: Mapping[str, object] | None,
        max_queued: int,
        *,
        noun: str,
        encode: Encode,
    ) -> None:
        if not topic:
            raise ValueError("topic is empty, expected the name of a Kafka topic")
        self._config = producer_config(bootstrap_servers, max_queued, config or {})
        self._topic = topic
        self._max_queued = max_queued
        self._noun = noun
        self._encode = encode
        self._sender = self._new_sender()
        take_part_in_forks(self)
        atexit.register(self._at_exit)

    def _new_sender(self) -> Sender:
        return Sender(
            self._noun, self._encode, self._topic, self._config, self._max_queued, self._at_exit
        )

    def _hand_over(self, event: dict[str, Any]) -> None:
        """Queue an event that is counted as logged already."""
        sender = self._sender
        try:
            sender.hand_over(event)
        except Exception as error:  # the promise: whatever it is, the serving path goes on
            sender.counters.drop("unencodable", describe(error))

    @property
    def stats(self) -> ProducerStats:
        """Exact counts of what became of every event logged by this process."""
        return self._sender.counters.snapshot()

    def flush(self, timeout: float = 10.0) -> int:
        """Wait up to ``timeout`` seconds until no event is in flight; return how many still are.

        They stay queued. If others go on logging meanwhile, that may take all the time there is.
        """
        return self._sender.flush(timeout)

    def close(self, timeout: float = 10.0) -> int:
        """Flush, then stop; return the events given up, counted as ``delivery_failed``.

        Events logged from now on are dropped as ``closed``. Closing twice does nothing.
        """
        atexit.unregister(self._at_exit)
        return self._sender.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _at_exit(self) -> None:
        self.close(EXIT_TIMEOUT_SECONDS)

    def before_fork(self) -> None:
        """Let a producer that was started a moment ago connect before the process forks."""
        self._sender.settle()

    def after_fork_in_child(self) -> None:
        """Begin again, with counters at 0; what the parent has queued the parent sends."""
        self._sender.abandon()
        self._sender = self._new_sender()
