"""Detects a librdkafka client that has lost its brokers for good, while others reach them.

Since 2.10 librdkafka forgets brokers that an answer doesn't name. A broker that stops may leave
itself out, and close the connection in the same moment: a producer that knew no other one is left
with none, and doesn't ask those that it began with either (librdkafka issue 5301). It waits for
ever, and reports nothing.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaException, Producer

#: Messages that have waited for so long without one being delivered are looked into.
QUIET_SECONDS = 10.0

#: How long it takes to connect and be answered, at most. A producer that was told to wait longer
#: before it tries again gets twice that on top.
ANSWER_SECONDS = 10.0


class Lifeline:
    """Looks at one producer, whose settings are ``config``."""

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
