"""Writing single records to Kafka, each one answered before anything follows from it."""

import logging

from confluent_kafka import KafkaError, KafkaException, Producer

from tidegauge.config import MAX_RECORD_BYTES, RECONNECTING, KafkaSettings

log = logging.getLogger(__name__)

_SECONDS = 10.0

#: What becomes of a record that the brokers haven't answered in time.
_NO_ANSWER = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT})


class NotTaken(Exception):
    """The brokers have not taken a record; writing it again does no harm."""


class TooLarge(NotTaken):
    """Its topic takes no record of this size."""


class RecordWriter:
    """Writes to one topic, by a producer that is made for the first record.

    ``what`` are the records, for the error.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, what: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._what = what
        self._producer: Producer | None = None

    def write(
        self,
        value: bytes | None,
        key: str | None = None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Write a record, None for a tombstone; raises :class:`NotTaken`."""
        if self._producer is None:
            self._producer = Producer(
                {
                    **self._kafka.librdkafka(),
                    **RECONNECTING,
                    "enable.idempotence": True,
                    "message.timeout.ms": int(_SECONDS * 1000),
                    "linger.ms": 0,
                    # An alert that is withheld may be as large as alerts are.
                    "message.max.bytes": MAX_RECORD_BYTES,
                    # A topic that is gone is said to be so in this time.
                    "topic.metadata.propagation.max.ms": 4_000,
                },
                logger=log,
            )
        answers: list[KafkaError | None] = []
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
        self._producer.flush(_SECONDS + 1)
        # Not by ==, which a KafkaError can't stand with None.
        why = answers[0] if answers else None
        if answers and why is None:
            return
        if why is None or why.code() in _NO_ANSWER:
            # It may have lost its brokers for good (producer/lifeline.py); the next record is
            # another one's.
            self._producer.purge()
            self._producer = None
        is_too_large = why is not None and why.code() == KafkaError.MSG_SIZE_TOO_LARGE
        raise (TooLarge if is_too_large else NotTaken)(
            f"topic {self._topic} takes no {self._what}: {why or 'no answer'}"
        )
