"""Writing single records to Kafka, each one answered before anything follows from it."""

import time
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, Producer

from tidegauge.config import KafkaSettings
from tidegauge.kafka.clients import record_producer

#: A broker that is there takes a record in milliseconds.
_SECONDS = 10.0

#: What becomes of a record that the brokers haven't answered in time.
_NO_ANSWER = frozenset(
    {KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN}
)


class NotTaken(Exception):
    """The brokers have not taken a record; writing it again does no harm."""


class TooLarge(NotTaken):
    """Its topic takes no record of this size."""


class RecordWriter:
    """Writes to one topic, by a producer that is made for the first record.

    ``what`` are the records, for the error. With ``at_once``, for commands, it doesn't wait for
    brokers that are away, and logs nothing. ``more`` are properties of the producer.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        what: str,
        *,
        at_once: bool = False,
        more: Mapping[str, object] | None = None,
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._what = what
        self._more: dict[str, object] = (
            {"error_cb": self._failed, "log_level": 0} if at_once else {}
        )
        self._more.update(more or {})
        self._answers: list[KafkaError | None] = []
        self._producer: Producer | None = None

    def write(
        self,
        value: bytes | None,
        key: str | bytes | None = None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Write a record, None for a tombstone; raises :class:`NotTaken`."""
        if self._producer is None:
            self._producer = record_producer(self._kafka, _SECONDS, self._more)
        self._answers = answers = []
        try:
            self._producer.produce(
                self._topic,
                value,
                key,
                headers=[*(headers or ())],
                on_delivery=lambda error, _: answers.append(error),
            )
        except KafkaException as error:  # a topic that is known to be gone is refused at once
            answers.append(error.args[0])
        deadline = time.monotonic() + _SECONDS + 1
        while not answers and time.monotonic() < deadline:
            self._producer.poll(0.1)
        # Not by ==, which a KafkaError can't stand with None.
        why = answers[0] if answers else None
        if answers and why is None:
            return
        if why is None or why.fatal() or why.code() in _NO_ANSWER:
            # It refuses all that follows, or may have lost its brokers for good
            # (producer/lifeline.py); the next record is another one's.
            self._producer.purge()
            self._producer = None
        is_too_large = why is not None and why.code() == KafkaError.MSG_SIZE_TOO_LARGE
        raise (TooLarge if is_too_large else NotTaken)(
            f"topic {self._topic} takes no {self._what}: {why.str() if why else 'no answer'}"
        )

    def _failed(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._answers.append(error)
