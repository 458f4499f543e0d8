"""A broker, a Redis, and a DETECT process that is killed, started again and timed."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

import _harness
from support.kafka_broker import KafkaBroker
from support.processes import Child, wait_until
from support.product import Installation
from support.redis_server import RedisServer
from tidegauge.baseline import Baseline
from tidegauge.baseline.io import BaselineStore
from tidegauge.config import KafkaSettings, Settings, TopicSettings, WindowSettings
from tidegauge.config.sections import DetectSettings, RedisSettings

unique = _harness.unique

NOTHING: Mapping[str, Any] = {}

#: What a restart may take at most before the benchmark gives up, seconds.
PATIENCE_SECONDS = 900.0


@dataclass(frozen=True)
class Restart:
    """When what had happened, seconds since the process was started.

    ``cpu`` is what the process spent between assignment and restoration: about the time that it
    would have taken on a core of its own.
    """

    listening: float
    assigned: float
    restored: float
    joined: float
    windows: int
    rss_mb: float
    cpu: float

    def row(self) -> dict[str, float]:
        """Return the figures to print, seconds and MB."""
        return {
            "start_to_listening_s": round(self.listening, 2),
            "start_to_assigned_s": round(self.assigned, 2),
            "assigned_to_restored_s": round(self.restored - self.assigned, 2),
            "assigned_to_restored_cpu_s": round(self.cpu, 2),
            "restored_to_first_joined_s": round(self.joined - self.restored, 2),
            "start_to_first_joined_s": round(self.joined, 2),
            "windows": self.windows,
            "rss_mb": round(self.rss_mb),
        }


@dataclass
class Site:
    """One installation on a broker of its own."""

    broker: KafkaBroker
    settings: Settings
    installation: Installation
    #: Sizes of the changelog's segments by partition directory and base offset: the largest seen.
    _segments: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def changelog(self) -> str:
        """The changelog's topic."""
        return f"{self.settings.detect.app_id}-windows-changelog"

    def start(self) -> Child:
        """Start DETECT."""
        return self.installation.start("run", "--role", "detect")

    def committed(self, written: Mapping[int, int]) -> bool:
        """Whether everything written has been acknowledged, and so is in the changelog."""
        topic = self.settings.topics.histograms
        consumer = self._consumer()
        try:
            found = consumer.committed([TopicPartition(topic, p) for p in written], timeout=10)
        except KafkaException:
            return False
        finally:
            consumer.close()
        return all(at.offset > written[at.partition] for at in found)

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.broker.bootstrap_servers,
                "group.id": self.settings.detect.app_id,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.message.max.bytes": 16 * 1024 * 1024,
                "fetch.queue.backoff.ms": 2,
            }
        )

    def changelog_bytes(self) -> tuple[int, int]:
        """Bytes of the changelog's log on disk now, and bytes ever written to it.

        A segment is cleaned only some time after it has been closed, so the largest size at which
        it was seen is what was written to it, if one looks often.
        """
        now = 0
        for path in self.broker.directory.glob(f"data/{self.changelog}-*/*.log"):
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                continue  # cleaned meanwhile
            now += size
            key = path.parent.name, path.name
            self._segments[key] = max(self._segments.get(key, 0), size)
        return now, sum(self._segments.values())

    def members(self) -> dict[str, int]:
        """Return how many partitions of the input each member of the group has; empty if unsure."""
        group, admin = self.settings.detect.app_id, self.broker.admin()
        found = admin.describe_consumer_groups([group], request_timeout=10)[group].result()
        if found.state.name != "STABLE":
            return {}
        topic = self.settings.topics.histograms
        return {
            one.member_id: sum(at.topic == topic for at in one.assignment.topic_partitions)
            for one in found.members
        }

    def time_restart(self, child: Child, started: float, dead: Set[str], events: int) -> Restart:
        """Follow a process until its state is back and ``events`` new events are joined.

        ``started`` is when it was started, by the monotonic clock; ``dead`` are the members that
        the group had before.
        """
        partitions = self.settings.topics.detect_partitions

        def since() -> float:
            return time.monotonic() - started

        def listening() -> float | None:
            return since() if self.installation.http("/healthz") else None

        def assigned() -> float | None:
            given = sum(n for member, n in self.members().items() if member not in dead)
            return since() if given == partitions else None

        def restored() -> float | None:
            lines = [line for line in child.output().splitlines() if " restored: " in line]
            return since() if len(lines) >= partitions else None

        def joined() -> float | None:
            return since() if self.joined() >= events else None

        def wait(condition: Callable[[], float | None], what: str) -> float:
            def alive_and_there() -> float | None:
                child.check_alive()
                return condition()

            return wait_until(
                alive_and_there, seconds=PATIENCE_SECONDS, what=lambda: f"{what}\n{child.tail()}"
            )

        was_listening = wait(listening, "DETECT listens")
        was_assigned = wait(assigned, "every partition is assigned")
        cpu = _cpu_seconds(child.pid)
        was_restored = wait(restored, "every partition is restored")
        cpu = _cpu_seconds(child.pid) - cpu
        rss = _peak_rss_mb(child.pid)
        return Restart(
            listening=was_listening,
            assigned=min(was_assigned, was_restored),
            restored=was_restored,
            joined=wait(joined, f"{events} new events are joined"),
            windows=_restored_windows(child.output()),
            rss_mb=rss,
            cpu=cpu,
        )

    def wait_committed(self, child: Child, written: Mapping[int, int]) -> None:
        """Return once everything written is in the changelog and acknowledged."""

        def done() -> bool:
            child.check_alive()
            return self.committed(written)

        wait_until(done, seconds=PATIENCE_SECONDS, what=lambda: f"all is saved\n{child.tail()}")

    def wait_empty(self) -> None:
        """Return once the consumer group has forgotten the member that died."""
        group, admin = self.settings.detect.app_id, self.broker.admin()

        def empty() -> bool:
            found = admin.describe_consumer_groups([group], request_timeout=10)[group].result()
            return not found.members

        wait_until(empty, seconds=60, what=f"{group} has no members")

    def census(self) -> dict[str, float]:
        """Read the whole changelog with librdkafka: what is in it, and how long reading takes."""
        consumer, partitions = self._consumer(), self.settings.topics.detect_partitions
        wanted = [TopicPartition(self.changelog, p, 0) for p in range(partitions)]
        open_ends = {
            p: high
            for p in range(partitions)
            if (high := consumer.get_watermark_offsets(wanted[p], timeout=10)[1])
        }
        found: dict[str, float] = dict.fromkeys(("records", "bytes", "tombstones", "cells"), 0)
        found["ever_written"] = sum(open_ends.values())
        began = time.monotonic()
        consumer.assign(wanted)
        cells: set[bytes] = set()
        while open_ends:
            for message in consumer.consume(500, 0.05):
                if message.error() is not None:
                    raise KafkaException(message.error())
                key, value = message.key() or b"", message.value()
                found["records"] += 1
                found["bytes"] += len(key) + len(value or b"")
                found["tombstones"] += value is None
                if key.startswith(b'["cell"'):
                    cells.discard(key) if value is None else cells.add(key)
                if message.offset() + 1 >= open_ends.get(message.partition(), 0):
                    open_ends.pop(message.partition(), None)
        found["cells"] = len(cells)
        found["librdkafka_read_s"] = round(time.monotonic() - began, 2)
        consumer.close()
        return found

    def joined(self) -> float:
        """How many events the running process has joined."""
        answer = self.installation.http("/metrics")
        name = "tidegauge_events_total{"
        lines = answer[1].splitlines() if answer else []
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def _restored_windows(output: str) -> int:
    messages = [
        json.loads(line)["message"] for line in output.splitlines() if " restored: " in line
    ]
    return sum(int(text.split(" restored: ")[1].split()[0]) for text in messages)


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process with its threads."""
    return sum(psutil.Process(pid).cpu_times()[:2])


def _peak_rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


@contextmanager
def site(
    baselines: list[Baseline],
    *,
    windows: WindowSettings,
    detect_partitions: int,
    workers: int,
    detect: Mapping[str, float] = NOTHING,
    broker_properties: Mapping[str, object] = NOTHING,
    topic_config: Mapping[str, Mapping[str, object]] = NOTHING,
) -> Iterator[Site]:
    """Start broker and Redis, make topics, promote baselines; stop all at the end.

    ``topic_config``, by topic ("changelog" or the kind), replaces what ``tidegauge topics create``
    gives it.
    """
    with tempfile.TemporaryDirectory(prefix="tidegauge-recovery-") as name:
        directory = Path(name)
        broker, redis = (
            KafkaBroker(directory / "kafka", heap_megabytes=1024),
            RedisServer(directory),
        )
        with (directory / "kafka" / "server.properties").open("a") as properties:
            properties.writelines(f"{key}={value}\n" for key, value in broker_properties.items())
        try:
            broker.start()
            redis.start()
            called = unique("recovery")
            extra = {
                "TOPICS__PREDICTIONS_PARTITIONS": str(workers),
                "TOPICS__DETECT_PARTITIONS": str(detect_partitions),
                **{f"WINDOWS__{key.upper()}": str(v) for key, v in windows.model_dump().items()},
                **{f"DETECT__{key.upper()}": str(value) for key, value in detect.items()},
            }
            installation = Installation(
                directory / "installation", called, broker.bootstrap_servers, redis.url, extra
            )
            settings = Settings(
                kafka=KafkaSettings(bootstrap_servers=broker.bootstrap_servers),
                topics=TopicSettings(
                    predictions=installation.topic("predictions"),
                    histograms=installation.topic("histograms"),
                    predictions_partitions=workers,
                    detect_partitions=detect_partitions,
                ),
                redis=RedisSettings(url=redis.url, prefix=called),
                windows=windows,
                detect=DetectSettings(app_id=f"{called}-detect", **detect),
            )
            installation.succeed("topics", "create")
            for kind, config in topic_config.items():
                topic = f"{called}-detect-windows-changelog"
                topic = topic if kind == "changelog" else installation.topic(kind)
                _alter(broker, topic, config)
            store = BaselineStore(redis.url, prefix=called)
            for baseline in baselines:
                store.promote(
                    baseline.model, baseline.version, store.put(baseline), now=time.time()
                )
            store.close()
            yield Site(broker, settings, installation)
        finally:
            redis.stop()
            broker.stop()


def _alter(broker: KafkaBroker, topic: str, config: Mapping[str, object]) -> None:
    if not config:
        return
    entries = [
        ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)
        for name, value in config.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = broker.admin()  # held: without it nobody would hear the answer
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)
