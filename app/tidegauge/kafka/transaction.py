"""Writing to Kafka: records with the offsets that they follow from in one transaction, and alone.

In a transaction of INGEST dead letters go after the histograms have arrived, so that it is known
whether the flush failed because of them: for that, the deliveries themselves are checked. A single
record is answered before anything follows from it.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from tidegauge.config import KafkaSettings
from tidegauge.kafka.clients import record_producer

#: A transaction that is not committed by now has been given up by the brokers (clients.py).
COMMIT_SECONDS = 10.0

#: librdkafka gives a message up after the transaction's timeout, and notices a second later.
_DELIVERY_SECONDS = COMMIT_SECONDS + 2

#: A call of librdkafka's that passes over its timeout is given up after this; whatever came later
#: the brokers would not commit any more.
_GIVE_UP_SECONDS = 1.5 * COMMIT_SECONDS

#: librdkafka's send_offsets_to_transaction passes over its timeout, and once the group's
#: coordinator is lost it may never return (confluentinc/librdkafka issues 5456 and 5511): it waits
#: for a broker that has left the cluster. The others have a new coordinator after some 4 s, and
#: another producer finds it. Every report waits for that; sent to a coordinator that is there,
#: offsets take milliseconds.
OFFSETS_SECONDS = 4.0

#: Errors by which a topic refuses a record, and will refuse it again. Other errors may pass.
REFUSALS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)

#: Errors of one record that the brokers will never take, however often it is sent.
_OF_A_RECORD = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
    }
)

#: The errors of messages whose transaction failed before they were sent.
_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})

#: Another producer has the transactional id now.
_REPLACED = frozenset(
    {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}
)


#: The group has a generation that this member doesn't know yet: it is being rebalanced.
_REBALANCING = frozenset({KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS})


def bounded(call: Callable[[], None], seconds: float) -> None:
    """Call in a thread and wait for it; raises what it raises, or ``TimeoutError``.

    A call that doesn't end is left to itself: there is no way to interrupt it. Whatever it works on
    must not be used any more.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # raised again below, where it's waited for
            raised.append(error)

    thread = threading.Thread(target=run, name="bounded", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no end after {seconds:g} s")
    if raised:
        raise raised[0]


class RebalancingError(Exception):
    """Nothing was committed since the group is being rebalanced; the producer can be used on.

    The next poll shows whether this member keeps its partitions.
    """


class StuckError(TimeoutError):
    """Offsets were not taken in time, so nothing was or will be committed by this producer.

    Another one must take its place: a thread may be left in it for good.
    """


class DeadLettersError(Exception):
    """Every histogram arrived and a dead letter did not. ``refused``: nor would it next time."""

    def __init__(self, why: str, *, refused: bool) -> None:
        super().__init__(f"dead letters were not delivered: {why}")
        self.why = why
        self.refused = refused


def is_of_a_record(error: BaseException) -> bool:
    """Whether a record may have caused an error; an outage of the brokers is of no record.

    >>> is_of_a_record(KeyError("status"))
    True
    >>> is_of_a_record(KafkaException(KafkaError(KafkaError._TRANSPORT)))
    False
    >>> is_of_a_record(KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)))
    True
    """
    if isinstance(error, KafkaException):
        found = error.args[0] if error.args else None
        return isinstance(found, KafkaError) and found.code() in _OF_A_RECORD
    return isinstance(error, Exception) and not isinstance(error, TimeoutError)


class DeliveryReports:
    """Callback that keeps the errors of a group of messages."""

    def __init__(self) -> None:
        self.errors: list[KafkaError] = []

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """Note how the delivery of one message ended."""
        if error is not None:
            self.errors.append(error)


def commit(
    producer: Producer,
    *,
    topic: str,
    records: Iterable[tuple[int, str | None, bytes]],
    offsets: list[TopicPartition],
    group: Any,
    letters: Sequence[bytes] = (),
    letter_topic: str = "",
    others: Iterable[tuple[str, int, bytes]] = (),
) -> None:
    """Commit records, each a partition, a key and a value, with the offsets that they follow from.

    ``others`` are records of other topics, each a topic, a partition and a value.

    Raises :class:`RebalancingError`, :class:`StuckError`, :class:`DeadLettersError`, or
    ``KafkaException`` or ``TimeoutError`` for anything else. After any but the first the producer
    must not be used any more: the next one's first act is to end the transaction that this left. A
    record that was refused fails its transaction, whose error is less exact: the record's is
    raised.
    """
    arrived = DeliveryReports()
    # Begun only now: an open transaction holds back every reader of committed records.
    producer.begin_transaction()
    for partition, key, value in records:
        producer.produce(topic, value, key, partition=partition, on_delivery=arrived)
    for other, partition, value in others:
        producer.produce(other, value, partition=partition, on_delivery=arrived)

    def deliver_letters() -> None:
        _await(producer, arrived)
        errors = _send_letters(producer, letter_topic, letters)
        if errors and all(error.code() in _PURGED for error in errors):
            errors += _transaction_error(producer, offsets, group)
        if errors:
            raise letters_error(errors)

    def send_offsets() -> None:
        try:
            producer.send_offsets_to_transaction(offsets, group, COMMIT_SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in _REBALANCING:
                raise
            producer.abort_transaction(COMMIT_SECONDS)
            raise RebalancingError(error.args[0].str()) from error

    if letters:
        bounded(deliver_letters, _GIVE_UP_SECONDS)
    try:
        try:
            bounded(send_offsets, OFFSETS_SECONDS)
        except TimeoutError as error:
            raise StuckError(f"the group's coordinator took no offsets: {error}") from error
        # Not in the thread of send_offsets, which may have been given up: that must never commit.
        bounded(lambda: producer.commit_transaction(COMMIT_SECONDS), _GIVE_UP_SECONDS)
    except KafkaException:
        of_a_record = filter(is_of_a_record, map(KafkaException, arrived.errors))
        if (refused := next(of_a_record, None)) is not None:
            raise refused from None
        raise


def _await(producer: Producer, deliveries: DeliveryReports) -> None:
    left = producer.flush(_DELIVERY_SECONDS)
    if left:
        why = f"{left} records not delivered after {_DELIVERY_SECONDS:g} s"
        deliveries.errors.append(KafkaError(KafkaError._MSG_TIMED_OUT, why))
    if deliveries.errors:
        raise KafkaException(deliveries.errors[0])


def _send_letters(producer: Producer, topic: str, letters: Sequence[bytes]) -> list[KafkaError]:
    deliveries = DeliveryReports()
    try:
        for letter in letters:
            producer.produce(topic, letter, on_delivery=deliveries)
        _await(producer, deliveries)
    except KafkaException as error:
        if not deliveries.errors:  # a topic that is known to be gone is refused by produce itself
            deliveries.errors.append(error.args[0])
    return deliveries.errors


def _transaction_error(
    producer: Producer, offsets: list[TopicPartition], group: Any
) -> list[KafkaError]:
    """Return why the transaction failed before a letter was even sent; nothing is committed.

    A topic that may not be written to is refused when it joins the transaction, and what waits for
    it is purged without a word. The histograms' topic had joined by then.
    """
    try:
        producer.send_offsets_to_transaction(offsets, group, COMMIT_SECONDS)
    except KafkaException as error:
        return [error.args[0]]
    return []


def letters_error(errors: Sequence[KafkaError]) -> DeadLettersError | KafkaException:
    """Return why letters were not delivered; of a producer that was replaced, that it was."""
    for error in errors:
        if error.code() in REFUSALS:
            return DeadLettersError(f"{error.name()}: {error.str()}", refused=True)
    for error in errors:
        if error.fatal() or error.code() in _REPLACED:
            return KafkaException(error)
    return DeadLettersError(errors[-1].str(), refused=False)


#: A broker that is there takes a record in milliseconds.
_RECORD_SECONDS = 10.0

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
            self._producer = record_producer(self._kafka, _RECORD_SECONDS, self._more)
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
        deadline = time.monotonic() + _RECORD_SECONDS + 1
        while not answers and time.monotonic() < deadline:
            self._producer.poll(0.1)
        # Not by ==, which a KafkaError can't stand with None.
        why = answers[0] if answers else None
        if answers and why is None:
            return
        if why is None or why.fatal() or why.code() in _NO_ANSWER:
            # It refuses all that follows, or may have lost its brokers for good
            # (producer/librdkafka.py); the next record is another one's.
            self._producer.purge()
            self._producer = None
        is_too_large = why is not None and why.code() == KafkaError.MSG_SIZE_TOO_LARGE
        raise (TooLarge if is_too_large else NotTaken)(
            f"topic {self._topic} takes no {self._what}: {why.str() if why else 'no answer'}"
        )

    def _failed(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._answers.append(error)
