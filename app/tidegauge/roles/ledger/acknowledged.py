"""Makes audit facts of acknowledgements, silences and configurations, from their topics.

Acknowledgements of actions are counted too. The ids of the facts follow from the records, so
publishing them at least once is enough: the ledger takes each id once.
"""

import logging
import threading

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
    place_of,
    run_sessions,
)
from tidegauge.telemetry import Health, LedgerMetrics, RecordFaults

log = logging.getLogger(__name__)

_BATCH = 500
_POLL_SECONDS = 0.5
_DELIVERY_SECONDS = 10.0

#: Bytes in the producer's queue at most before it is flushed; its limit is 1 GB.
_HELD_BYTES = 256 * 2**20

#: No record that is read or written here is larger.
_LARGEST_BYTES = 2**20

#: The name of its condition in /readyz.
_NAME = "acknowledgements"

Reported = Acknowledgement | Silence | Configuration

#: The key and the value of each fact of a record.
Facts = list[tuple[bytes, bytes]]


class Acknowledged:
    """``run`` works until the stop event is set, over any number of sessions."""

    def __init__(
        self, settings: Settings, *, metrics: LedgerMetrics, health: Health, stop: threading.Event
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.health = health
        self._stop = stop
        topics = settings.topics
        self.kinds: dict[str, type[Reported]] = {
            topics.acknowledgements: Acknowledgement,
            topics.silences: Silence,
            topics.configuration: Configuration,
        }
        self.faults = RecordFaults(metrics.records_set_aside, health, tuple(self.kinds))

    def run(self) -> None:
        """Make facts of records until stopped."""
        run_sessions(lambda: _Session(self), self._stop, failed=self._report)

    def _report(self, error: object) -> None:
        self.health.report(_NAME, "degraded", f"{error}; trying again")
        log.warning("acknowledgements are not read, trying again: %s", error)


class _Session:
    """One membership of the consumer group, with a producer of facts."""

    def __init__(self, role: Acknowledged) -> None:
        self._role = role
        self._facts = role.settings.topics.audit_facts
        self._consumer = acknowledgement_consumer(role.settings, passed=role.faults.skipped)
        self._producer = fact_producer(role.settings)

    def run(self, stop: threading.Event) -> None:
        """Read records, and commit their offsets once the brokers have their facts."""
        self._consumer.subscribe(list(self._role.kinds))
        self._role.health.report(_NAME, "ok")
        while not stop.is_set():
            messages = self._consumer.consume(_BATCH, _POLL_SECONDS)
            if messages:
                self._hand_on(messages)
                self._consumer.commit(asynchronous=False)

    def close(self) -> None:
        """Leave the group; records that were not committed are read again."""
        self._producer.purge()
        self._consumer.close()

    def _hand_on(self, messages: list[Message]) -> None:
        """Send the facts and wait until the brokers have them, or raise ``KafkaException``."""
        refused: list[tuple[Message, KafkaError]] = []
        outcomes: list[tuple[str, str]] = []
        for message in messages:
            record, facts = self._read(message)
            self._send(message, facts, refused)
            if isinstance(record, Acknowledgement):
                outcomes.append((record.kind, record.outcome))
        if self._producer.flush(_DELIVERY_SECONDS):
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))
        for message, error in refused:
            if not is_of_a_record(KafkaException(error)):
                raise KafkaException(error)
            why = f"its facts can't be written: {error}"
            self._role.faults.skipped(place_of(message), why)
        for labels in outcomes:
            self._role.metrics.acknowledgements.labels(*labels).inc()

    def _send(
        self, message: Message, facts: Facts, refused: list[tuple[Message, KafkaError]]
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

    def _read(self, message: Message) -> tuple[Reported | None, Facts]:
        """Read a record; one that can't be read is reported, counted and passed over."""
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        kind = self._role.kinds[str(message.topic())]
        try:
            return facts_in(message.value(), kind)
        except DecodingError as wrong:
            self._role.faults.skipped(place_of(message), f"no {kind.__name__}: {wrong}")
        except Exception as wrong:
            self._role.faults.quarantined(place_of(message), wrong)
        return None, []


def facts_in(value: bytes | None, kind: type[Reported]) -> tuple[Reported, Facts]:
    """Return a record and its facts; raises :class:`DecodingError` if it is none.

    Names that are no fact's are found here, and not once the fact is sent: a time that no fact can
    have, for example.
    """
    record = decode(unwrap(value), kind)
    try:
        return record, [(fact.model.encode(), encode(fact)) for fact in facts_of(record)]
    except (ValueError, OverflowError, UnicodeError) as error:
        raise DecodingError(f"no fact can be made of it: {error}") from error
