"""A detector of one partition without brokers, for tests of what it takes in."""

from collections.abc import Callable, Generator, Mapping
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from tidegauge.alerting.ruleset import DEFAULT_RULES
from tidegauge.baseline.document import Baseline
from tidegauge.config.settings import Settings
from tidegauge.contract import encode
from tidegauge.kafka.backfill import ReadRecords
from tidegauge.roles.detect.detector import Detector
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import DetectMetrics
from tidegauge.windows.changelog import Changelog
from tidegauge.windows.partition import PartitionState

Log = list[tuple[int, bytes]]


class Bench:
    """A detector of one partition without brokers; ``there`` is what they would give to read."""

    def __init__(self, there: Log, begin: int = 0, *, sources: int = 3) -> None:
        self.there = there
        self.read: list[tuple[int, int]] = []
        self.on_read: Callable[[], None] = lambda: None
        self.registry = CollectorRegistry()
        self.now = 0.0
        #: That of the source topic, as the brokers tell it.
        self.topic_id = "present"
        #: Where partitions end, as the brokers tell it.
        self.end = 10**6
        #: Partitions that the stream was told to begin again with, each with its offset.
        self.rewound: list[tuple[int, int]] = []
        self.detector = Detector(
            Settings(windows={"seconds": 60, "grace_seconds": 1, "late_seconds": 90}),
            partitions=1,
            rules=lambda: DEFAULT_RULES,
            baselines=baselines(),
            metrics=DetectMetrics(self.registry),
            health=Health(clock=lambda: 0.0),
            clock=lambda: self.now,
        )
        self.detector.intake.reader._read = self._read  # type: ignore[method-assign]
        self.detector.offsets.begin = lambda topic, partition: begin  # type: ignore[method-assign]
        self.detector.offsets.partitions = lambda topic: sources  # type: ignore[method-assign]
        self.detector.offsets.topic_id = lambda topic: self.topic_id  # type: ignore[method-assign]
        self.detector.offsets.ends = lambda topic, partitions: dict.fromkeys(  # type: ignore[method-assign]
            partitions, self.end
        )
        self.take_over()

    def take_over(self) -> None:
        """Begin with an empty changelog, as after a rebalance."""
        changelog = Changelog(self.detector._make_state(0))
        changelog.restored()
        self.detector.store.changelogs[0] = changelog
        self.detector._on_ready(changelog.state)

    @property
    def state(self) -> PartitionState:
        return self.changelog.state

    @property
    def changelog(self) -> Changelog:
        return self.detector.store.changelogs[0]

    def _read(
        self, begins: Mapping[int, int], ends: Mapping[int, int] | None
    ) -> Generator[ReadRecords, None, None]:
        assert ends is not None
        (begin,), (end,) = begins.values(), ends.values()
        self.read.append((begin, end))
        there = self.there
        self.on_read()
        yield read_records([(at, value) for at, value in there if begin <= at < end])

    async def deliver(self, log: Log) -> None:
        for at, value in log:
            await self.detector.intake.receive(0, at, value)

    def published(self) -> list[bytes]:
        return [encode(output.record) for output in self.state.take_outputs()]

    def count(self, metric: str) -> float:
        return self.registry.get_sample_value(metric) or 0.0

    def close(self) -> None:
        self.detector.offsets.close()


def read_records(log: Log) -> ReadRecords:
    """Return records as a reader of partitions gives them."""
    records: list[Any] = [
        SimpleNamespace(offset=lambda at=at: at, value=lambda value=value: value)
        for at, value in log
    ]
    return ReadRecords(records, set())


def baselines(get: Callable[[str], Baseline | None] = lambda _: None) -> Any:
    """Return what DETECT asks for baselines: a store that is up, with nothing promoted."""
    return SimpleNamespace(get=get, refused=lambda _: None, pointers={}, up=True)
