"""What one event passes through, from a model's call of the producer to the request of a webhook.

The roles run as they are, each in a thread of this process, against librdkafka's mock cluster. Only
the application of Faust is replaced by helpers of the tests: records are handed to the intake of
DETECT as its stream would hand them, and what it publishes is taken from its writer. What is called
before the first event is left out: the start of a role, its command line.
"""

import asyncio
import contextlib
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
APP = ROOT / "app" / "tidegauge"

#: Events of a window: enough for the default rules to raise an alert.
_EVENTS = 1_500
_WINDOWS = 5
#: Partitions of every topic of a mock cluster.
_PARTITIONS = 4
_WAIT_SECONDS = 60.0


class Call(NamedTuple):
    """A function that was called: its file, as from the package on, and its name in there."""

    file: str
    name: str


class _Notes:
    """Notes the functions of the package that are called in any thread begun since."""

    def __init__(self) -> None:
        self.calls: set[Call] = set()
        self._on = False
        self._prefix = f"{APP}/"

    def start(self) -> None:
        """Note what is called from now on, and the loops of the roles, which run already."""
        self._on = True
        for running in sys._current_frames().values():
            frame: FrameType | None = running
            while frame is not None:
                self._note(frame)
                frame = frame.f_back

    def stop(self) -> None:
        """Note nothing more."""
        self._on = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if self._on and event == "call":
            self._note(frame)

    def _note(self, frame: FrameType) -> None:
        code = frame.f_code
        if code.co_filename.startswith(self._prefix) and code.co_name != "<module>":
            file = code.co_filename.removeprefix(self._prefix)
            self.calls.add(Call(file, code.co_qualname))


@contextlib.contextmanager
def _noting() -> Iterator[_Notes]:
    notes = _Notes()
    threading.setprofile(notes)
    sys.setprofile(notes)
    try:
        yield notes
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _wait(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_WAIT_SECONDS:.0f} s: {what}")
        time.sleep(0.05)


class _Cluster:
    """librdkafka's mock cluster; a topic is made when it is asked for."""

    def __init__(self) -> None:
        from confluent_kafka import Producer

        self._client = Producer(
            {"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 0}
        )
        brokers = self._client.list_topics(timeout=_WAIT_SECONDS).brokers.values()
        self.bootstrap_servers = ",".join(f"{it.host}:{it.port}" for it in brokers)

    def create_topics(self, names: Any) -> None:
        for name in names:
            self._client.list_topics(name, timeout=_WAIT_SECONDS)

    def records(self, topic: str) -> dict[int, list[tuple[int, bytes]]]:
        """Return the offsets and values of a topic by partition."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "group.id": "trace",
                "enable.partition.eof": True,
            }
        )
        partitions = consumer.list_topics(topic, timeout=_WAIT_SECONDS).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        found: dict[int, list[tuple[int, bytes]]] = {partition: [] for partition in partitions}
        left = set(partitions)
        while left:
            for message in consumer.consume(1_000, 1.0):
                if message.error() is None:
                    found[message.partition()].append((message.offset(), message.value()))
                else:
                    left.discard(message.partition())
        consumer.close()
        return found


def _all_idle(histograms: dict[int, list[tuple[int, bytes]]]) -> bool:
    """Whether the newest record of each partition has no source that may still bring events."""
    newest = [json.loads(records[-1][1])["clocks"] for records in histograms.values() if records]
    return bool(newest) and all(it["idle"] for clocks in newest for it in clocks.values())


def _count(cluster: _Cluster, notes: _Notes, baseline: Any, minute: int) -> list[tuple[int, bytes]]:
    """Log events for INGEST; return the histograms that it writes for the model, with offsets."""
    from prometheus_client import CollectorRegistry

    from support.counting import promote
    from tidegauge import PredictionLogger
    from tidegauge.config import IngestSettings, KafkaSettings, Settings
    from tidegauge.roles.ingest import Combiner, IngestState
    from tidegauge.telemetry import Health, IngestMetrics

    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=cluster.bootstrap_servers),
        ingest=IngestSettings(flush_seconds=0.2, idle_seconds=1),
    )
    topics = settings.topics
    cluster.create_topics([topics.predictions, topics.histograms, topics.dead_letters])
    registry, stop = CollectorRegistry(), threading.Event()
    health = Health(clock=time.monotonic)
    state = IngestState(
        settings,
        promoted=lambda: promote(baseline),
        baselines_age=lambda: 0.5,
        metrics=IngestMetrics(registry),
        health=health,
        clock=lambda: float(minute + 60 * _WINDOWS),
    )
    combiner = Combiner(state, stop)
    thread = threading.Thread(target=combiner.run)
    thread.start()

    def counted() -> float:
        name = "tidegauge_ingest_events_total"
        paths = ("native", "tolerant", "arrow")
        return sum(registry.get_sample_value(name, {"path": it}) or 0 for it in paths)

    def owns() -> bool:
        conditions: Any = health.ready()[1]["conditions"]
        said = conditions.get("ingest", {})
        return bool(said.get("detail", "").startswith("owns partitions [0"))

    try:
        _wait(owns, "INGEST owns partitions")
        notes.start()
        with PredictionLogger(
            cluster.bootstrap_servers, topic=topics.predictions, model=baseline.model, version="1"
        ) as logger:
            for window in range(_WINDOWS):
                for _ in range(_EVENTS):
                    logger.log(features={"amount": 5.0}, time=minute + 60 * window + 1.0)
                logger.flush(_WAIT_SECONDS)
        _wait(lambda: counted() == _WINDOWS * _EVENTS, "every event is counted")
        _wait(lambda: _all_idle(cluster.records(topics.histograms)), "every partition is idle")
        notes.stop()
    finally:
        stop.set()
        thread.join()
    partitions = cluster.records(topics.histograms).values()
    return max(partitions, key=lambda records: sum(len(value) for _, value in records))


def _detect(notes: _Notes, baseline: Any, log: list[tuple[int, bytes]]) -> list[bytes]:
    """Hand records to DETECT; return the alerts that it publishes."""
    from support.detector_bench import Bench
    from tidegauge.roles.detect.writer import Writer

    class Producer:
        def __init__(self) -> None:
            self.sent: list[tuple[str, bytes]] = []

        async def send(self, topic: str, key: bytes, value: bytes, *rest: object) -> Any:
            answer = asyncio.get_running_loop().create_future()
            offset = sum(sent_to == topic for sent_to, _ in self.sent)
            answer.set_result(SimpleNamespace(offset=offset))
            self.sent.append((topic, value))
            return answer

    async def detect(producer: Producer) -> None:
        bench = Bench(log, sources=_PARTITIONS)
        try:
            bench.state.hold_baseline(baseline.id, baseline)
            app: Any = SimpleNamespace(producer=producer)
            writer = Writer(
                app,
                "changelog",
                no_offsets,
                baselines=nothing_promoted,
                source="/detect",
                mode="binary",
                unsound=lambda _: {},
                on_refused=lambda _: None,
            )
            notes.start()
            await bench.deliver(log)
            await writer.publish(bench.state.take_outputs())
            await writer.save(bench.changelog, bench.changelog.checkpoint())
            notes.stop()
        finally:
            bench.close()

    from tidegauge.contract import DataRange

    no_offsets: Any = SimpleNamespace(
        data=lambda *_, since, until: DataRange(since=since, until=until, offsets=[])
    )
    nothing_promoted: Any = SimpleNamespace(pointers={})
    producer = Producer()
    asyncio.run(detect(producer))
    return [value for topic, value in producer.sent if topic.endswith("alerts.history")]


def _notify(cluster: Any, notes: _Notes, alert: bytes) -> None:
    """Have NOTIFY deliver an alert to a webhook."""
    from support.delivery import Delivery, webhook

    delivery = Delivery(cluster)
    try:
        sink = delivery.sink()
        delivery.delivery_worker(webhook(sink))
        notes.start()
        delivery.send(alert)
        _wait(lambda: sink.requests, "the alert is delivered")
        notes.stop()
    finally:
        delivery.close()


def calls_of_one_event() -> set[Call]:
    """Return the functions that events of one model pass through until a receiver's request."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.counting import NOW, a_baseline, numeric

    minute = int(NOW // 60 * 60)
    baseline = a_baseline(amount=numeric([0.0, 1.0, 2.0], [5_000, 5_000, 5_000, 5_000]))
    cluster = _Cluster()
    with _noting() as notes:
        alerts = _detect(notes, baseline, _count(cluster, notes, baseline, minute))
        _notify(cluster, notes, alerts[-1])
    return notes.calls


def walk(page: str) -> list[Call]:
    """Return the steps of the walk in docs/architecture.md, in their order."""
    rows = re.findall(r"^\| \w* ?\| `app/tidegauge/([\w/.]+)` \| `([\w.]+)` \|", page, re.MULTILINE)
    return [Call(file, name) for file, name in rows]


def helpers(page: str) -> list[Call]:
    """Return the helpers that docs/architecture.md names after the walk."""
    rows = re.findall(r"^\| `app/tidegauge/([\w/.]+)` \| `([\w.]+)` \|", page, re.MULTILINE)
    return [Call(file, name) for file, name in rows]


def passed(calls: Iterable[Call]) -> set[Call]:
    """Return what was called, by the names that the walk has: functions, methods and classes."""
    return {
        Call(call.file, ".".join(call.name.split(".")[:depth]))
        for call in calls
        for depth in (1, 2)
    }


class Traced(NamedTuple):
    """What was traced of one event: the files of the walk, and all in which anything is called.

    ``missed`` are steps of the walk that were not called.
    """

    walk: set[str]
    called: set[str]
    missed: list[Call]


def trace_one_event() -> Traced:
    """Trace an event, and compare what is called with the walk of docs/architecture.md."""
    calls = calls_of_one_event()
    steps, seen = walk((ROOT / "docs" / "architecture.md").read_text("utf-8")), passed(calls)
    return Traced(
        walk={step.file for step in steps if step in seen},
        called={call.file for call in calls},
        missed=[step for step in steps if step not in seen],
    )
