"""What outlives the sessions of a worker of INGEST: one state for each topic that it reads."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tidegauge.config import Settings
from tidegauge.counting import Admission, Counter, Position, PredictionRouter, Promoted
from tidegauge.kafka import Consumer, ingest_consumer, ingest_producer
from tidegauge.roles.ingest.conditions import FlushMetrics, OverflowNotice, SourceCondition
from tidegauge.roles.ingest.recovery import Backstop, DeadLetterWriter
from tidegauge.telemetry import (
    Health,
    IngestMetrics,
    Progress,
    RecordFaults,
    State,
)


@dataclass(eq=False)
class SourceState(ABC):
    """What sessions of one source go by, and what they hand on to the next one.

    ``clock`` is the wall clock; both clocks are in seconds.
    """

    settings: Settings
    promoted: Callable[[], Promoted]
    baselines_age: Callable[[], float]
    metrics: Any
    health: Health
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    #: The names of its conditions: of the session, of the topic and of dead letters.
    name: ClassVar[str]
    source_condition: ClassVar[str]
    letters_condition: ClassVar[str]
    #: Whether histograms are made of it; they show what was counted.
    counts: ClassVar[bool]
    #: How long a session waits for a full batch, which bounds the delay at low rates. 100 empty
    #: rounds a second cost about 1 % of a core.
    poll_seconds: ClassVar[float] = 0.01
    #: Records that waited when the last flush was committed.
    waiting = 0
    #: Whether the topic of outcomes was not there when a flush last asked for it.
    lacks_outcomes = False

    def __post_init__(self) -> None:
        health, metrics = self.health, self.metrics
        self.letters = DeadLetterWriter(
            topic=self.settings.topics.dead_letters,
            name=self.letters_condition,
            metrics=metrics,
            health=health,
            clock=self.monotonic,
        )
        self.progress = self.new_progress()
        faults = RecordFaults(metrics.records_set_aside, health, (self.topic,))
        self.backstop = Backstop(self.topic, faults)
        self.condition = SourceCondition(
            self.topic,
            name=self.source_condition,
            metrics=metrics,
            health=health,
            monotonic=self.monotonic,
        )

    @property
    @abstractmethod
    def topic(self) -> str:
        """The topic that is read."""

    @property
    @abstractmethod
    def destination(self) -> str:
        """The topic without which nothing can be done."""

    @abstractmethod
    def new_progress(self) -> Progress:
        """Return what shows whether work moves on."""

    @abstractmethod
    def new_consumer(self) -> Consumer:
        """Return a member of the consumer group."""

    @abstractmethod
    def new_producer(self, *, alone: bool) -> Any:
        """Return a transactional producer; ``alone``: every record is a batch of its own."""

    @abstractmethod
    def new_counter(self) -> Any:
        """Return what takes messages in: a ``Counter``, or what has its methods."""

    def beat(self) -> None:
        """Note that the loop of a session came round; by default nobody asks."""
        return

    def rest(self, seconds: float) -> None:
        """Let others work after a batch that took so many seconds; by default there are none."""
        return

    def report(self, state: State, detail: str) -> None:
        """Report the condition of the session."""
        self.health.report(self.name, state, detail)

    def owns(self, positions: Mapping[int, Position]) -> None:
        """Show the positions of an assignment; by default nobody asks."""
        return

    @abstractmethod
    def committed(self, counter: Any, positions: Mapping[int, Position]) -> None:
        """Show what a flush has committed."""


@dataclass(eq=False)
class IngestState(SourceState):
    """The state of counting predictions."""

    metrics: IngestMetrics
    name: ClassVar[str] = "ingest"
    source_condition: ClassVar[str] = "source"
    letters_condition: ClassVar[str] = "dead_letters"
    counts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        metrics, health = self.metrics, self.health
        # A session that begins anew must not give the slots of known models to a flood of names.
        self.admission = Admission(self.settings.ingest, self.monotonic)
        self.overflow = OverflowNotice(metrics=metrics, health=health, clock=self.monotonic)
        self._seen = FlushMetrics(self.settings, metrics, health, self.clock)

    @property
    def topic(self) -> str:
        """The topic that is read."""
        return self.settings.topics.predictions

    @property
    def destination(self) -> str:
        """The topic without which nothing can be done."""
        return self.settings.topics.histograms

    def new_progress(self) -> Progress:
        """Return the progress that ``/healthz`` watches."""
        return self.health.progress(self.name, done="counted")

    def new_consumer(self) -> Consumer:
        """Return a member of the consumer group."""
        return ingest_consumer(self.settings)

    def new_producer(self, *, alone: bool) -> Any:
        """Return a transactional producer; ``alone``: every record is a batch of its own."""
        return ingest_producer(self.settings, alone=alone)

    def new_counter(self) -> Counter:
        """Return a counter of events."""
        return Counter(
            source=self.topic,
            settings=self.settings.ingest,
            window_of=self.settings.window_of,
            clock=self.clock,
            admission=self.admission,
            predictions=PredictionRouter(self.settings.outcome_groups, self.settings.outcomes_of),
        )

    def beat(self) -> None:
        """Note that the loop of a session came round."""
        self.health.beat(self.name)

    def owns(self, positions: Mapping[int, Position]) -> None:
        """Show the positions of an assignment."""
        self._seen.clocks(positions)

    def committed(self, counter: Counter, positions: Mapping[int, Position]) -> None:
        """Show what a flush has committed."""
        self.overflow.committed(counter.overflow)
        self._seen.committed(counter)
        self._seen.clocks(positions)
