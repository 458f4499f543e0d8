"""What a session of OUTCOMES holds: the joins of its partitions, and the cells of its tenure."""

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from tidegauge.config import Settings
from tidegauge.contract import (
    DeadLetter,
    HistogramRecord,
    LabelReason,
    PartitionClock,
    dead_letter_of,
    encode,
)
from tidegauge.counting import Counted, Position, flush_records
from tidegauge.outcomes import JoinLimits, OutcomeCells, OutcomeJoin, Result, Strata

#: How long after it arrived a label may be read. An hour less than what the topic of outcomes is
#: kept for beyond the retention: nothing is of use any longer than its record is there.
LAG_SECONDS = 23 * 3600

_REASONS: dict[Result, LabelReason] = {
    "unknown": "unknown_prediction",
    "expired": "expired_label",
    "invalid_class": "invalid_class",
}

#: A flush with more cells than are sent in a second puts the next one off, by so many seconds at
#: most.
CELLS_A_SECOND, LONGEST_PAUSE_SECONDS = 200, 10.0


@dataclass(eq=False)
class JoinState:
    """The state of a session. Times are seconds; ``began`` is by the monotonic clock."""

    settings: Settings
    began: float
    positions: dict[int, Position] = field(default_factory=dict)
    joins: dict[int, OutcomeJoin] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = self.settings
        #: How many cells the last flush had.
        self.changed_cells = 0
        models = [settings.outcomes, *map(settings.outcomes_of, settings.model_outcomes)]
        self._limits = JoinLimits(
            early_seconds=max(one.early_seconds for one in models),
            early_labels=settings.outcomes.early_labels,
            lag_seconds=LAG_SECONDS,
        )
        of = cache(settings.outcomes_of)
        self._cohort_seconds = cache(lambda model: of(model).cohort_seconds)
        self._window_seconds = cache(lambda model: settings.window_of(model).seconds)
        self._strata = Strata(lambda model: of(model).retention_seconds)
        self.renew(self.began)

    def renew(self, now: float) -> None:
        """Begin the next tenure with empty cells; everything counted must have been flushed."""
        self.began = now
        self._name = uuid.uuid4().hex
        self._seqs: dict[int, int] = {}
        self._sent: dict[int, int] = {}
        self.cells = OutcomeCells(self._strata, self._cohort_seconds, self._window_seconds)
        for position in self.positions.values():
            position.start = position.since

    def new_join(self) -> OutcomeJoin:
        """Return the join of a partition at the beginning of its log."""
        return OutcomeJoin(self._strata, self._limits)

    def settle(self) -> None:
        """Note what time has made of labels, before a flush."""
        for join in self.joins.values():
            join.settle()

    def results(self) -> Counter[Result]:
        """Return what has become of labels since the last flush."""
        return sum((join.held.results for join in self.joins.values()), Counter())

    def letters(self, now: float) -> list[DeadLetter]:
        """Return dead letters for the labels that were refused since the last flush.

        ``now`` is by the wall clock. The record of a label is where its letter says.
        """
        return [
            dead_letter_of(
                topic=self.settings.topics.labels,
                partition=it.partition,
                offset=it.offset,
                time=now,
                reason=_REASONS[it.reason],
                detail=it.detail,
                payload=b"",
                redact=True,
            )
            for join in self.joins.values()
            for it in join.held.unused
        ]

    @property
    def letters_wait(self) -> int:
        """How many labels were refused since the last flush."""
        return sum(len(join.held.unused) for join in self.joins.values())

    def records(
        self, *, now: float, monotonic: float, partitions: int, destinations: int, topic_id: str
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (destination partition, record) of everything that changed since the last flush."""
        self._sent = dict(self._seqs)
        changed = {
            partition: [encode(cell) for cell in cells]
            for partition, cells in self.cells.changed(destinations).items()
        }
        self.changed_cells = sum(map(len, changed.values()))
        record = HistogramRecord(
            tenure=self._name,
            seq=0,
            time=now,
            source=self.settings.topics.outcomes,
            source_partitions=partitions,
            ranges={p: at.range() for p, at in self.positions.items()},
            clocks={p: self._clock(p, monotonic) for p in self.positions},
            cells=[],
            topic_id=topic_id,
        )
        yield from flush_records(record, changed, self._sent, kind="outcomes")

    def _clock(self, partition: int, monotonic: float) -> PartitionClock:
        at = self.positions[partition].clock(monotonic, self.settings.ingest.idle_seconds)
        # Labels have arrived by the time of the log.
        at.latest = float(self.joins[partition].clock) or None
        return at

    def counted(self, topic_id: str) -> dict[int, Counted]:
        """Return what goes with the offsets, by partition."""
        return {
            p: Counted(
                origin=at.origin, to=at.to, topic_id=topic_id, series=at.series, end=at.least_end
            )
            for p, at in self.positions.items()
        }

    def flushed(self) -> None:
        """Note that what :meth:`records` gave is committed; until then it gives the same again."""
        self._seqs = self._sent
        self.cells.flushed()
        for join in self.joins.values():
            join.held.forget_counts()
        for position in self.positions.values():
            position.since = position.to


def pause_seconds(flush_seconds: float, cells: int) -> float:
    """Return how long to wait after a flush of so many cells.

    Labels that are spread over weeks change each cohort of these a little. Each is sent as a whole,
    and DETECT takes it in as a whole; so 200 a second are sent, and a flush waits for 10 s at most.

    >>> pause_seconds(1.0, 60), pause_seconds(1.0, 721), pause_seconds(1.0, 50_000)
    (1.0, 3.605, 10.0)
    """
    return max(flush_seconds, min(cells / CELLS_A_SECOND, LONGEST_PAUSE_SECONDS))
