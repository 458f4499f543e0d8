"""Dead letters of alerts that a receiver will not take, and of records that are no alerts."""

import logging
import time

from confluent_kafka import KafkaError, Message, Producer

from tidegauge.contract import PAYLOAD_LIMIT_BYTES, DeadLetter, NotifyReason, encode
from tidegauge.notify.outcome import RetryLater
from tidegauge.settings import Settings

log = logging.getLogger(__name__)

_SECONDS = 10.0
_DETAIL_CHARACTERS = 1_000


class Letters:
    """Writes dead letters, by a producer that is made for the first of them."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topics.dead_letters
        self._kafka = settings.kafka
        self._producer: Producer | None = None

    def write(self, message: Message, receiver: str, reason: NotifyReason, detail: str) -> None:
        """Write the letter of an alert; raises :class:`RetryLater` if it isn't taken in time."""
        if self._producer is None:
            self._producer = Producer(
                {
                    **self._kafka.librdkafka(),
                    "enable.idempotence": True,
                    "message.timeout.ms": int(_SECONDS * 1000),
                    "linger.ms": 0,
                    # A topic that is gone is said to be so in this time.
                    "topic.metadata.propagation.max.ms": 4_000,
                },
                logger=log,
            )
        answers: list[KafkaError | None] = []
        self._producer.produce(
            self._topic,
            encode(letter_of(message, receiver, reason, detail, now=time.time())),
            on_delivery=lambda error, _: answers.append(error),
        )
        self._producer.flush(_SECONDS + 1)
        if answers != [None]:
            why = answers[0] if answers else "no answer"
            raise RetryLater(f"topic {self._topic} takes no dead letters: {why}")


def letter_of(
    message: Message, receiver: str, reason: NotifyReason, detail: str, *, now: float
) -> DeadLetter:
    """Describe an alert that was not delivered; ``now`` in epoch seconds."""
    payload = message.value() or b""
    kept = payload[:PAYLOAD_LIMIT_BYTES]
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None and partition is not None and offset is not None  # noqa: S101 - read
    return DeadLetter(
        topic=topic,
        partition=partition,
        offset=offset,
        row=None,
        time=now,
        reason=reason,
        detail=detail[:_DETAIL_CHARACTERS],
        # What is no alert may be no text either.
        payload=kept.decode(errors="replace"),
        payload_encoding="utf-8",
        payload_bytes=len(payload),
        payload_truncated=len(payload) > len(kept),
        receiver=receiver,
    )
