"""Versions that are counted without a baseline: no drift of them can be seen, so it is reported."""

import logging
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass

from tidegauge.baseline.io import Key, Pointer, name_of, nearest_baseline, without_baseline
from tidegauge.roles.detect.action_details import Pointers
from tidegauge.telemetry import DetectMetrics, Health
from tidegauge.windows import RawCell

log = logging.getLogger(__name__)

#: The condition that health has of them.
_NAME = "missing_baselines"

#: A version is reported once it was counted in so many windows: one stray event is no version.
_WINDOWS = 2

#: A version of which nothing was counted for so long is not reported any more.
FORGOTTEN_SECONDS = 3600.0

#: How often it is looked at what has changed.
_LOOK_SECONDS = 2.0

#: Of more versions than this, those with the least traffic are forgotten at once: some MB.
_MOST = 10_000

#: Versions with a series of their own; the others are only counted. Anybody can make up names.
MOST_NAMED = 10


@dataclass
class _Seen:
    partition: int
    first_window: int
    last_window: int
    at: float
    events: int = 0

    @property
    def windows(self) -> int:
        return 1 + (self.last_window > self.first_window)


class MissingBaselines:
    """Takes note of cells without a baseline; sets the condition and the metrics of a process.

    ``pointers`` are the promotions that this worker knows, and ``known`` whether it knows them at
    present: while the store is down nothing can be said of a version that is new. ``clock`` is
    monotonic.
    """

    def __init__(
        self,
        metrics: DetectMetrics,
        health: Health,
        *,
        pointers: Pointers,
        known: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._pointers = pointers
        self._known = known
        self._clock = clock
        self._seen: dict[Key, _Seen] = {}
        self._looked_at = clock()
        self._said: list[Key] = []

    def counted(self, partition: int, cells: Iterable[RawCell]) -> None:
        """Take note of the cells of a record."""
        now = self._clock()
        for cell in cells:
            if cell.baseline or cell.segment:
                continue
            key, start = (cell.model, cell.version), cell.window_start
            seen = self._seen.get(key)
            if seen is None:
                seen = self._seen[key] = _Seen(partition, start, start, now)
            seen.partition, seen.at = partition, now
            seen.first_window = min(seen.first_window, start)
            seen.last_window = max(seen.last_window, start)
            seen.events += cell.events

    def look(self, partitions: Set[int]) -> None:
        """Report what is missing in the ``partitions`` of this process."""
        now = self._clock()
        if now - self._looked_at < _LOOK_SECONDS or not self._known():
            return
        self._looked_at = now
        pointers = self._pointers()
        self._seen = {
            key: seen
            for key, seen in self._seen.items()
            if key not in pointers
            and seen.partition in partitions
            and now - seen.at < FORGOTTEN_SECONDS
        }
        # Those with the most traffic first: made-up names have little.
        ordered = sorted(self._seen, key=lambda key: (-self._seen[key].events, key))
        for key in ordered[_MOST:]:
            del self._seen[key]
        found = [key for key in ordered[:_MOST] if self._seen[key].windows >= _WINDOWS]
        self._say(found, pointers)

    def _say(self, found: list[Key], pointers: Mapping[Key, Pointer]) -> None:
        detail = without_baseline(found, pointers)
        self._health.say(_NAME, "degraded" if found else "ok", detail)
        self._metrics.versions_without_baseline.set(len(found))
        series: dict[tuple[str, ...], float] = {}
        for model, version in found[:MOST_NAMED]:
            nearest = nearest_baseline(pointers, model, version)
            series[model, version, name_of(nearest) if nearest else ""] = 1.0
        self._metrics.without_baseline.show(_NAME, series)
        if set(found) - set(self._said):
            log.warning("%s", detail)
        self._said = found
