"""Events that there was no slot for: how many, of what, and how an operator learns of it."""

import logging
from collections import Counter
from collections.abc import Callable

from tidegauge.counting.admission import Level
from tidegauge.telemetry import Health, IngestMetrics

log = logging.getLogger(__name__)

#: How long /readyz says that there was an overflow after the last event of it.
SAID_SECONDS = 300.0

#: The log says so at most this often.
LOG_SECONDS = 60.0

#: Models that the counter names; those after them are counted under no name.
MOST_MODELS = 200

_SETTINGS: dict[Level, str] = {
    "model": "ingest.max_models",
    "version": "ingest.max_versions",
    "variant": "ingest.max_variants",
    "slice": "ingest.max_slices",
}


class Overflow:
    """Events by what there was no slot for, and by model where that has a slot, else by ""."""

    def __init__(self) -> None:
        self.events: Counter[tuple[Level, str]] = Counter()
        #: The last model, version and variant of each.
        self.examples: dict[tuple[Level, str], tuple[str, str, str]] = {}

    def add(self, level: Level, model: str, events: int, name: tuple[str, str, str]) -> None:
        """Count events of a name."""
        self.events[level, model] += events
        self.examples[level, model] = name

    def clear(self) -> None:
        """Begin again with nothing."""
        self.events.clear()
        self.examples.clear()


class OverflowNotice:
    """Says what did not fit: metrics, /readyz and log. One for all sessions of a worker.

    ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self, *, metrics: IngestMetrics, health: Health, clock: Callable[[], float]
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._models: set[str] = set()
        self._unlogged: Counter[Level] = Counter()
        self._last: float | None = None
        self._logged: float | None = None

    def committed(self, overflow: Overflow) -> None:
        """Count the overflow of a committed flush, and forget it."""
        now = self._clock()
        for (level, model), events in overflow.events.items():
            self._metrics.overflow.labels(level, self._label(model)).inc(events)
            self._unlogged[level] += events
        if overflow.events:
            self._last = now
            said = self._said(overflow)
            self._health.say("names", "degraded", said)
            if self._logged is None or now - self._logged >= LOG_SECONDS:
                self._logged = now
                log.warning("%s", said)
                self._unlogged.clear()
            overflow.clear()
        elif self._last is not None and now - self._last >= SAID_SECONDS:
            self._last = None
            self._health.say("names", "ok")

    def _label(self, model: str) -> str:
        if model in self._models or len(self._models) < MOST_MODELS:
            self._models.add(model)
            return model
        return ""

    def _said(self, overflow: Overflow) -> str:
        settings = ", ".join(sorted(_SETTINGS[level] for level in self._unlogged))
        (level, _), (model, version, variant) = next(iter(overflow.examples.items()))
        return (
            f"more names than {settings} allow: {self._unlogged.total()} events were not counted, "
            f"as of model {model!a}, version {version!a}, variant {variant!a} (no slot for the "
            f"{level}); is a request id in one of them? What has a baseline is always counted"
        )
