"""What is amiss with the source topic, for /readyz, the metrics and the log."""

import logging
from collections.abc import Callable, Mapping

from tidegauge.counting import BREAKS, Beginning
from tidegauge.telemetry import ONE_BY_ONE, Health, IngestMetrics

log = logging.getLogger(__name__)

#: How long /readyz tells of what happened to a source partition: until somebody has looked.
TELL_SECONDS = 900.0


class SourceCondition:
    """Outlives sessions, so that what one of them met is still told by the next."""

    def __init__(
        self, topic: str, *, metrics: IngestMetrics, health: Health, monotonic: Callable[[], float]
    ) -> None:
        self._topic = topic
        self._metrics = metrics
        self._health = health
        self._monotonic = monotonic
        self._told: dict[int, tuple[float, str]] = {}
        self._held: dict[int, int] = {}
        for happened in BREAKS:  # from 0 on, or the first one has no rate
            metrics.source_breaks.labels(happened)

    def begun(self, partition: int, its: Beginning) -> None:
        """Note where counting of a partition has begun, once that is committed."""
        if not its.said:
            return
        log.error("%s/%d: %s", self._topic, partition, its.said, extra=ONE_BY_ONE)
        self._metrics.source_lost.inc(its.lost)
        self._metrics.source_overlap.inc(its.overlap)
        if its.happened is not None:
            self._metrics.source_breaks.labels(its.happened).inc()
        self._told[partition] = (self._monotonic(), f"{self._topic}/{partition} {its.said}")
        self._say()

    def held(self, partitions: Mapping[int, int]) -> None:
        """Note how many offsets of which partitions an open transaction holds back."""
        for partition in partitions.keys() - self._held.keys():
            log.warning("%s/%d: %s", self._topic, partition, _HELD, extra=ONE_BY_ONE)
        self._held = dict(partitions)
        self._metrics.held.set(sum(partitions.values()))
        self._say()

    def _say(self) -> None:
        now = self._monotonic()
        self._told = {p: one for p, one in self._told.items() if now - one[0] < TELL_SECONDS}
        problems = [said for _, (_, said) in sorted(self._told.items())]
        if self._held:
            names = ", ".join(f"{self._topic}/{partition}" for partition in sorted(self._held))
            problems.insert(0, f"{names}: {sum(self._held.values())} records wait: {_HELD}")
        self._health.say("source", "degraded" if problems else "ok", "; ".join(problems))


_HELD = (
    "a transaction is open, and nothing after its first record may be read; "
    "its producer must end it, or kafka-transactions.sh find-hanging and abort"
)
