"""Takes what people say, and what came into force, from their topics to the audit trail.

That is what became of actions, which is counted too, silences, and rules and receivers. Each
becomes facts with ids of their own, so handing it on at least once is enough: the ledger takes each
id once.
"""

import logging
import threading

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from tidegauge.contract import Acknowledgement, Configuration, Silence, encode, unwrap
from tidegauge.ledger.clients import PARTITIONER
from tidegauge.ledger.words import facts_of
from tidegauge.sessions import run_sessions
from tidegauge.settings import Settings
from tidegauge.telemetry import Health, LedgerMetrics

log = logging.getLogger(__name__)

_BATCH = 500
_POLL_SECONDS = 0.5
_DELIVERY_SECONDS = 10.0

#: The condition that health has of this.
_NAME = "acknowledgements"


class Acknowledged:
    """``run`` works until the stop event is set, over any number of sessions."""

    def __init__(
        self, settings: Settings, *, metrics: LedgerMetrics, health: Health, stop: threading.Event
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._stop = stop

    def run(self) -> None:
        """Hand acknowledgements on until stopped."""
        run_sessions(self._begin, self._stop, failed=self._report)

    def _begin(self) -> "_Session":
        return _Session(self._settings, self._metrics, self._health)

    def _report(self, error: object) -> None:
        self._health.say(_NAME, "degraded", f"{error}; trying again")
        log.warning("acknowledgements wait, trying again: %s", error)


class _Session:
    """One membership of the consumer group, with a producer of facts."""

    def __init__(self, settings: Settings, metrics: LedgerMetrics, health: Health) -> None:
        topics = settings.topics
        self._facts = topics.audit_facts
        self._kinds: dict[str, type[Acknowledgement | Silence | Configuration]] = {
            topics.acknowledgements: Acknowledgement,
            topics.silences: Silence,
            topics.configuration: Configuration,
        }
        self._metrics = metrics
        self._health = health
        kafka = settings.kafka.librdkafka()
        self._consumer = Consumer(
            {
                **kafka,
                "group.id": settings.ledger.acknowledgements_group_id,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": int(settings.ledger.session_timeout_seconds * 1000),
            },
            logger=log,
        )
        self._producer = Producer(
            {**kafka, "enable.idempotence": True, "partitioner": PARTITIONER}, logger=log
        )

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
        refused: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                refused.append(error)

        said = [one for one in map(self._read, messages) if one is not None]
        for fact in (fact for one in said for fact in facts_of(one)):
            self._producer.produce(
                self._facts,
                encode(fact),
                key=fact.model.encode(),
                on_delivery=delivered,
            )
        if self._producer.flush(_DELIVERY_SECONDS):
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))
        if refused:
            raise KafkaException(refused[0])
        for one in said:
            if isinstance(one, Acknowledgement):
                self._metrics.acknowledgements.labels(one.kind, one.outcome).inc()

    def _read(self, message: Message) -> Acknowledgement | Silence | Configuration | None:
        """Return the record; one that can't be read is said, counted and passed over."""
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        kind = self._kinds[str(message.topic())]
        try:
            return msgspec.json.decode(unwrap(message.value(), message.headers()), type=kind)
        except msgspec.DecodeError as wrong:
            self._metrics.refused.inc()
            log.error(
                "%s/%d at offset %d is no %s: %s",
                message.topic(), message.partition(), message.offset(), kind.__name__, wrong,
            )  # fmt: skip
            return None
