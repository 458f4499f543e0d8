"""Makes audit facts of acknowledgements, silences and configurations, from their topics.

Acknowledgements of actions are counted too. The ids of the facts follow from the records, so
publishing them at least once is enough: the ledger takes each id once.
"""

import logging
import threading
from typing import NamedTuple

from tidegauge.audit import facts_of
from tidegauge.config import Settings
from tidegauge.contract import (
    Acknowledgement,
    Configuration,
    DecodingError,
    Silence,
    decode,
    encode,
    unwrap,
)
from tidegauge.kafka import (
    KafkaError,
    KafkaException,
    Message,
    acknowledgement_consumer,
    fact_producer,
    is_of_a_record,
    run_sessions,
)
from tidegauge.telemetry import Health, LedgerMetrics, RecordFaults

log = logging.getLogger(__name__)

_BATCH = 500
_POLL_SECONDS = 0.5
_DELIVERY_SECONDS = 10.0

#: What the producer holds at most before it is waited for: it takes 1 GB, and then no more.
_HELD_BYTES = 256 * 2**20

#: No record that is read or written here is larger.
_LARGEST_BYTES = 2**20

#: The condition that health has of this.
_NAME = "acknowledgements"

Said = Acknowledgement | Silence | Configuration


class _Read(NamedTuple):
    """A record, and the key and value of each of its facts."""

    said: Said
    facts: list[tuple[bytes, bytes]]


class Acknowledged:
    """``run`` works until the stop event is set, over any number of sessions."""

    def __init__(
        self, settings: Settings, *, metrics: LedgerMetrics, health: Health, stop: threading.Event
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._stop = stop
        topics = settings.topics
        self._faults = RecordFaults(
            metrics.records_set_aside,
            health,
            (topics.acknowledgements, topics.silences, topics.configuration),
        )

    def run(self) -> None:
        """Hand acknowledgements on until stopped."""
        run_sessions(self._begin, self._stop, failed=self._report)

    def _begin(self) -> "_Session":
        return _Session(self._settings, self._metrics, self._health, self._faults)

    def _report(self, error: object) -> None:
        self._health.say(_NAME, "degraded", f"{error}; trying again")
        log.warning("acknowledgements are not read, trying again: %s", error)


class _Session:
    """One membership of the consumer group, with a producer of facts."""

    def __init__(
        self, settings: Settings, metrics: LedgerMetrics, health: Health, faults: RecordFaults
    ) -> None:
        topics = settings.topics
        self._faults = faults
        self._facts = topics.audit_facts
        self._kinds: dict[str, type[Said]] = {
            topics.acknowledgements: Acknowledgement,
            topics.silences: Silence,
            topics.configuration: Configuration,
        }
        self._metrics = metrics
        self._health = health
        self._consumer = acknowledgement_consumer(settings, passed=faults.passed)
        self._producer = fact_producer(settings)

    def run(self, stop: threading.Event) -> None:
        """Hand on what comes, and commit it once the brokers have its facts."""
        self._consumer.subscribe(list(self._kinds))
        self._health.say(_NAME, "ok")
        while not stop.is_set():
            messages = self._consumer.consume(_BATCH, _POLL_SECONDS)
            if messages:
                self._hand_on(messages)
                self._consumer.commit(asynchronous=False)

    def close(self) -> None:
        """Leave the group; what was not committed is handed on again."""
        self._producer.purge()
        self._consumer.close()

    def _hand_on(self, messages: list[Message]) -> None:
        """Send the facts and wait until the brokers have them, or raise ``KafkaException``."""
        refused: list[tuple[Message, KafkaError]] = []
        handed_on: list[Said] = []
        for message in messages:
            read = self._read(message)
            if read is not None:
                self._send(message, read.facts, refused)
                handed_on.append(read.said)
        if self._producer.flush(_DELIVERY_SECONDS):
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))
        for message, error in refused:
            if not is_of_a_record(KafkaException(error)):
                raise KafkaException(error)
            self._skip(message, f"its facts can't be written: {error}")
        for said in handed_on:
            if isinstance(said, Acknowledgement):
                self._metrics.acknowledgements.labels(said.kind, said.outcome).inc()

    def _send(
        self,
        message: Message,
        facts: list[tuple[bytes, bytes]],
        refused: list[tuple[Message, KafkaError]],
    ) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                refused.append((message, error))

        for key, value in facts:
            if len(self._producer) * _LARGEST_BYTES > _HELD_BYTES:
                self._producer.flush(_DELIVERY_SECONDS)
            try:
                self._producer.produce(self._facts, value, key=key, on_delivery=delivered)
            except KafkaException as error:
                refused.append((message, error.args[0]))

    def _read(self, message: Message) -> _Read | None:
        """Read a record; one that can't be read is reported, counted and passed over."""
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        kind = self._kinds[str(message.topic())]
        try:
            return facts_in(message.value(), kind)
        except DecodingError as wrong:
            self._skip(message, f"no {kind.__name__}: {wrong}")
        except Exception as wrong:
            self._faults.quarantined(
                str(message.topic()), message.partition(), message.offset(), wrong
            )
        return None

    def _skip(self, message: Message, why: str) -> None:
        self._faults.skipped(str(message.topic()), message.partition(), message.offset(), why)


def facts_in(value: bytes | None, kind: type[Said]) -> _Read:
    """Return a record and its facts; raises :class:`DecodingError` if it is none.

    Names that are no fact's are found here, and not once the fact is sent: a time that no fact can
    have, for example.
    """
    said = decode(unwrap(value), kind)
    try:
        facts = [(fact.model.encode(), encode(fact)) for fact in facts_of(said)]
    except (ValueError, OverflowError, UnicodeError) as error:
        raise DecodingError(f"no fact can be made of it: {error}") from error
    return _Read(said, facts)
