"""Takes what became of actions from its topic to the audit trail, and counts it.

Each acknowledgement becomes a fact with an id of its own, so handing it on at least once is enough:
the ledger takes each id once.
"""

import logging
import threading

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_when_event_set,
    wait_random,
)

from tidegauge.bounded import bounded
from tidegauge.contract import Acknowledgement, AuditFact, deterministic_id, encode
from tidegauge.ledger.clients import PARTITIONER
from tidegauge.settings import Settings
from tidegauge.telemetry import Health, LedgerMetrics

log = logging.getLogger(__name__)

_BATCH = 500
_POLL_SECONDS = 0.5
_DELIVERY_SECONDS = 10.0
_LEAVE_SECONDS = 5.0

#: The condition that health has of this.
_NAME = "acknowledgements"


def fact_of(said: Acknowledgement) -> AuditFact:
    """Return the fact that an action was taken, or has failed."""
    result = {f"result {name}": value for name, value in said.result.items()}
    return AuditFact(
        id=deterministic_id("audit", said.id),
        time=int(said.time),
        actor=said.actor,
        event=f"action.{said.outcome}",
        subject=said.action,
        model=said.model,
        version=said.version,
        reason=said.note,
        inputs={"action": said.kind, "acknowledgement": said.id, **result},
    )


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
        retrying = Retrying(
            retry=retry_if_exception_type(KafkaException),
            wait=wait_random(0.5, 2),
            stop=stop_when_event_set(self._stop),
            sleep=self._sleep,
            before_sleep=self._report,
            retry_error_callback=self._report,
        )
        retrying(self._run_session)

    def _sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _run_session(self) -> None:
        kafka = self._settings.kafka.librdkafka()
        consumer = Consumer(
            {
                **kafka,
                "group.id": self._settings.ledger.acknowledgements_group_id,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": int(self._settings.ledger.session_timeout_seconds * 1000),
            },
            logger=log,
        )
        producer = Producer(
            {**kafka, "enable.idempotence": True, "partitioner": PARTITIONER}, logger=log
        )
        try:
            consumer.subscribe([self._settings.topics.acknowledgements])
            self._health.say(_NAME, "ok")
            while not self._stop.is_set():
                messages = consumer.consume(_BATCH, _POLL_SECONDS)
                if messages:
                    self._hand_on(messages, producer)
                    consumer.commit(asynchronous=False)
        finally:
            producer.purge()
            try:
                bounded(consumer.close, _LEAVE_SECONDS)
            except TimeoutError:
                log.warning("the brokers did not answer on leaving: they will notice")

    def _hand_on(self, messages: list[Message], producer: Producer) -> None:
        """Send the facts and wait until the brokers have them, or raise ``KafkaException``."""
        refused: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                refused.append(error)

        for message in messages:
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            try:
                said = msgspec.json.decode(message.value() or b"", type=Acknowledgement)
            except msgspec.DecodeError as wrong:
                self._metrics.refused.inc()
                log.error(
                    "%s/%d at offset %d is no acknowledgement: %s",
                    message.topic(), message.partition(), message.offset(), wrong,
                )  # fmt: skip
                continue
            fact = fact_of(said)
            producer.produce(
                self._settings.topics.audit_facts,
                encode(fact),
                key=fact.model.encode(),
                on_delivery=delivered,
            )
            self._metrics.acknowledgements.labels(said.kind, said.outcome).inc()
        if producer.flush(_DELIVERY_SECONDS):
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))
        if refused:
            raise KafkaException(refused[0])

    def _report(self, state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        self._health.say(_NAME, "degraded", f"{error}; trying again")
        log.warning("acknowledgements wait, trying again: %s", error)
