"""Alerts on a real Kafka and couriers that deliver them, in threads of the test's process."""

import json
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client import CollectorRegistry
from tenacity import wait_fixed

from support.alerts import example_alert
from support.http_sink import Answer, HttpSink
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import wait_until
from tidegauge.config.sections import KafkaSettings, NotifySettings, TopicSettings
from tidegauge.config.settings import Settings
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert
from tidegauge.contract.audit import AuditRecord
from tidegauge.contract.dead_letter import DeadLetter
from tidegauge.contract.silence import Silence, Withheld
from tidegauge.notify.channels import channel_to
from tidegauge.notify.config import ReceiverFile
from tidegauge.roles.notify.delivery_worker import DeliveryWorker
from tidegauge.roles.notify.withheld import SilenceFollower
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import NotifyMetrics


class Running(NamedTuple):
    """A courier in its thread."""

    stop: threading.Event
    thread: threading.Thread
    failures: list[BaseException]

    def wait(self) -> None:
        self.thread.join(40)
        assert not self.thread.is_alive()


class Delivery:
    """Topics of its own, alerts sent to them, and couriers in threads."""

    def __init__(self, broker: KafkaBroker, *, silences: bool = True) -> None:
        self.broker = broker
        name = unique("notify")
        self.settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=broker.bootstrap_servers),
            topics=TopicSettings(
                alerts_history=f"{name}.alerts",
                silences=f"{name}.silences",
                withheld=f"{name}.withheld",
                audit=f"{name}.audit",
                dead_letters=f"{name}.dead",
            ),
            notify=NotifySettings(group_id=name, session_timeout_seconds=6),
        )
        topics = self.settings.topics
        made = [topics.alerts_history, topics.withheld, topics.audit, topics.dead_letters]
        broker.create_topics(dict.fromkeys([*made, topics.silences] if silences else made, 1))
        self.health = Health(clock=lambda: 0.0)
        self.registry = CollectorRegistry()
        self.metrics = NotifyMetrics(self.registry)
        self._producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 0})
        self._running: list[Running] = []
        self._over = threading.Event()
        self.silences = SilenceFollower(
            self.settings, metrics=self.metrics, health=self.health, stop=self._over
        )
        self._follower = threading.Thread(target=self.silences.run)
        self._follower.start()
        self.sinks: list[HttpSink] = []

    def sink(self, *answers: Answer, hanging: bool = False) -> HttpSink:
        self.sinks.append(HttpSink(*answers, hanging=hanging))
        return self.sinks[-1]

    def send(self, *alerts: Alert | bytes, topic: str | None = None) -> None:
        for alert in alerts:
            value = alert if isinstance(alert, bytes) else encode(alert)
            self._producer.produce(topic or self.settings.topics.alerts_history, value, b"key")
        assert self._producer.flush(20) == 0

    def send_audit(self, *records: AuditRecord) -> None:
        for record in records:
            key = record.model.encode()
            self._producer.produce(self.settings.topics.audit, encode(record), key)
        assert self._producer.flush(20) == 0

    def delivery_worker(
        self,
        receiver: dict[str, Any],
        *,
        make: Callable[..., DeliveryWorker] = DeliveryWorker,
        standby: bool = False,
        **options: Any,
    ) -> Running:
        """Start a courier in a thread; returns once it has partitions, unless it stands by."""
        given = ReceiverFile.model_validate({"receivers": [receiver]}).receivers[0]
        channel = channel_to(given)
        stop, failures = threading.Event(), list[BaseException]()
        delivery_worker = make(
            channel,
            self.settings,
            silences=self.silences,
            metrics=self.metrics,
            health=self.health,
            stop=stop,
            **{"backoff": wait_fixed(0.1), **options},
        )

        def run() -> None:
            try:
                delivery_worker.run()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        running = Running(stop, thread, failures)
        self._running.append(running)

        def delivers() -> bool:
            conditions: Any = self.health.ready()[1]["conditions"]
            condition = conditions.get(delivery_worker.name)
            return condition is not None and condition["detail"] == ""

        if not standby:
            wait_until(lambda: delivers() or not thread.is_alive(), seconds=30, what="assigned")
        return running

    def stop(self, *, failing: bool = False) -> list[BaseException]:
        """Stop the couriers; returns what they failed of, of which there is none otherwise."""
        failed: list[BaseException] = []
        for running in self._running:
            running.stop.set()
        for running in self._running:
            running.wait()
            failed += running.failures
        self._running.clear()
        assert failing or not failed, failed
        return failed

    def close(self) -> None:
        """Stop everything."""
        for sink in self.sinks:
            sink.go_on()
        self.stop()
        self._over.set()
        self._follower.join()
        for sink in self.sinks:
            sink.stop()

    def silence(self, silence: Silence, alert: Alert, *, silenced: bool = True) -> None:
        """Send a silence, and return once the couriers know that ``alert`` is silenced, or not."""
        self._producer.produce(self.settings.topics.silences, encode(silence), silence.id)
        assert self._producer.flush(20) == 0
        wait_until(
            lambda: (self.silences.over(alert) is not None) is silenced,
            seconds=20,
            what="the silence to be known",
        )

    def withheld(self) -> dict[str, Withheld | None]:
        """Return the last record of each key of the topic of withheld alerts."""
        reader = TopicReader(self.broker, self.settings.topics.withheld)
        try:
            last = {str(message.key(), "utf-8"): message.value() for message in reader.more()}
        finally:
            reader.close()
        return {
            key: msgspec.json.decode(value, type=Withheld) if value else None
            for key, value in last.items()
        }

    def committed(self, receiver: str, topic: str | None = None) -> int:
        consumer = Consumer(
            {
                "bootstrap.servers": self.broker.bootstrap_servers,
                "group.id": f"{self.settings.notify.group_id}-{receiver}",
            }
        )
        try:
            place = TopicPartition(topic or self.settings.topics.alerts_history, 0)
            (at,) = consumer.committed([place], timeout=20)
            return int(at.offset)
        finally:
            consumer.close()

    def letters(self) -> list[DeadLetter]:
        reader = TopicReader(self.broker, self.settings.topics.dead_letters)
        try:
            values = [message.value() for message in reader.more()]
        finally:
            reader.close()
        return [msgspec.json.decode(value or b"", type=DeadLetter) for value in values]

    def conditions(self) -> dict[str, dict[str, str]]:
        found: Any = self.health.ready()[1]["conditions"]
        return dict(found)

    def condition(self, receiver: str) -> dict[str, str]:
        return self.conditions()[f"receiver {receiver}"]

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


def webhook(sink: HttpSink, name: str = "hook", **options: Any) -> dict[str, Any]:
    return {"name": name, "type": "webhook", "url": f"{sink.url}/alerts", **options}


def numbered(n: int, state: str = "firing", **changes: Any) -> Alert:
    return example_alert(state, id=f"id-{n}", fingerprint=f"f-{n}", **changes)


def ids(sink: HttpSink) -> list[str]:
    return [json.loads(request.body)["id"] for request in sink.requests]


def wait_ids(sink: HttpSink, expected: list[str]) -> None:
    wait_until(
        lambda: ids(sink) == expected, seconds=30, what=lambda: f"{expected}, it is {ids(sink)}"
    )


def wait_committed(
    delivery: Delivery, receiver: str, offset: int, *, topic: str | None = None
) -> None:
    wait_until(
        lambda: delivery.committed(receiver, topic) == offset,
        seconds=30,
        what=lambda: f"committed {offset}, it is {delivery.committed(receiver, topic)}",
    )
