"""The thread of INGEST that reads labels: sessions as those that count, with a group of their own.

Whatever is wrong with labels or their topic, predictions are counted: this thread never ends the
process, its condition is never worse than degraded, and it gives way while counting lags.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from tidegauge.counting import Admission, LabelRouter, Position
from tidegauge.kafka import Consumer, ingest_consumer, ingest_producer
from tidegauge.roles.ingest.conditions import CommittedTotals
from tidegauge.roles.ingest.session import BATCH, Combiner
from tidegauge.roles.ingest.state import SourceState
from tidegauge.telemetry import LabelMetrics, Progress, State

log = logging.getLogger(__name__)

#: How long the thread waits after an error that nobody has foreseen.
_AGAIN_SECONDS = 5.0

#: Counting lags if so many events waited at its last flush: more than it takes at once.
_MANY_EVENTS = 5 * BATCH

#: Of the time while counting lags, labels get one part in so many and one more.
_PARTS = 3


@dataclass(eq=False)
class LabelState(SourceState):
    """The state of routing labels; ``events_waiting`` returns how many wait to be counted."""

    metrics: LabelMetrics
    _: KW_ONLY
    stop: threading.Event
    events_waiting: Callable[[], int] = lambda: 0
    name: ClassVar[str] = "labels"
    source_condition: ClassVar[str] = "labels_source"
    letters_condition: ClassVar[str] = "labels_dead_letters"
    counts: ClassVar[bool] = False
    poll_seconds: ClassVar[float] = 0.1
    _totals: CommittedTotals = field(default_factory=CommittedTotals)

    def __post_init__(self) -> None:
        super().__post_init__()
        # As that of counting: a label with its prediction may name any variant.
        self.admission = Admission(self.settings.ingest, self.monotonic)

    @property
    def topic(self) -> str:
        """The topic that is read."""
        return self.settings.topics.labels

    @property
    def destination(self) -> str:
        """The topic without which nothing can be done."""
        return self.settings.topics.outcomes

    def new_progress(self) -> Progress:
        """Return a progress that nobody watches: labels are no reason to restart the process."""
        return Progress(self.name, self.monotonic, done="handed on")

    def new_consumer(self) -> Consumer:
        """Return a member of the consumer group."""
        return ingest_consumer(self.settings, self.settings.ingest.labels_group_id)

    def new_producer(self, *, alone: bool) -> Any:
        """Return a transactional producer; ``alone``: every record is a batch of its own."""
        id = self.settings.labels_transactional_id
        return ingest_producer(self.settings, alone=alone, id=id)

    def new_counter(self) -> LabelRouter:
        """Return what routes labels."""
        return LabelRouter(
            source=self.topic,
            settings=self.settings.ingest,
            clock=self.clock,
            groups=self.settings.outcome_groups,
            settings_of=self.settings.outcomes_of,
            keys=self.settings.outcomes.receipt_keys,
            admission=self.admission,
        )

    def rest(self, seconds: float) -> None:
        """Give way while counting lags: both share one lock of Python's."""
        if self.events_waiting() > _MANY_EVENTS:
            self.stop.wait(_PARTS * seconds)

    def report(self, state: State, detail: str) -> None:
        """Report the condition of the session, which is at worst degraded."""
        super().report("degraded" if state == "failed" else state, detail)

    def committed(self, counter: LabelRouter, positions: Mapping[int, Position]) -> None:
        """Show what a flush has committed."""
        self._totals.show(counter, (self.metrics.routed, counter.routed))


def route_labels(state: LabelState) -> None:
    """Route labels until stopped, whatever happens."""
    while not state.stop.is_set():
        try:
            Combiner(state, state.stop).run()
        except Exception as error:
            log.exception("routing of labels failed, and begins again")
            state.metrics.aborted.inc()
            state.report("degraded", f"failed: {type(error).__name__}: {error}; beginning again")
            state.stop.wait(_AGAIN_SECONDS)
