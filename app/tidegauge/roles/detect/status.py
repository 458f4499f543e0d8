"""The log lines and health conditions of DETECT.

The completed work, since a log without it can't distinguish an idle worker from a hung one; slices
that fail; late events; versions without a baseline; outputs and state that could not be written.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Set
from dataclasses import dataclass

from tidegauge.baseline.io import (
    BaselineCache,
    Key,
    Pointer,
    name_of,
    nearest_baseline,
    without_baseline,
)
from tidegauge.contract import (
    Alert,
    WindowReport,
    counted,
    segment_text,
    subject,
    utc_text,
    with_subject,
)
from tidegauge.telemetry import DetectMetrics, Health
from tidegauge.windows import Closed, Output, RawCell, Slice, Window

log = logging.getLogger(__name__)

#: How long the condition stays degraded after an output was too large for its topic.
REFUSED_SECONDS = 600.0

#: The name of the condition in /readyz.
_SLICES = "slices"

#: So many are named there; the log names all.
_MOST_SLICES = 5


class SliceFailures:
    """Tracks slices that fail, until they succeed again. For all partitions of a process."""

    def __init__(self, metrics: DetectMetrics, health: Health) -> None:
        self._metrics = metrics
        self._health = health
        self._failing: dict[Slice, str] = {}

    def failed(self, where: Slice, what: str, error: Exception) -> None:
        """Report that a step failed for a slice, and that work continues without it."""
        self._metrics.failed_slices.labels(where.model).inc()
        log.error("%s of %s failed and is left out", what, _slice_name(where), exc_info=error)
        self._failing[where] = f"{_slice_name(where)}: {what}: {type(error).__name__}: {error}"
        self._report()

    def window_failed(self, window: Window, error: Exception) -> None:
        """Report that a window has no report."""
        self.failed(window.slice, f"the window {window.start} to {window.end}", error)

    def went_well(self, where: Slice) -> None:
        """Note that a window of a slice was reported."""
        if self._failing.pop(where, None) is not None:
            self._report()

    def _report(self) -> None:
        named = list(self._failing.values())[:_MOST_SLICES]
        more = len(self._failing) - len(named)
        detail = "; ".join(named) + (f"; and {more} more" if more else "")
        self._health.report(_SLICES, "degraded" if named else "ok", detail)


def _slice_name(where: Slice) -> str:
    segment = segment_text(dict(where.segment))
    parts = [f"model {where.model} {where.version}", where.variant, segment]
    return " ".join(part for part in parts if part)


#: A backfill of an hour is some lines, not one for every record.
LATE_LOG_SECONDS = 60.0

#: Models named in a line; a producer may make up names without end.
_MOST_MODELS = 5


class LateLog:
    """Counts late events by model, and logs them at once and then once a minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged_at: float | None = None
        self._events: Counter[str] = Counter()

    def note(self, events: Mapping[str, int]) -> None:
        """Note how many events of which models came after their windows had been deleted."""
        self._events.update(events)
        now = self._clock()
        if not self._events or (
            self._logged_at is not None and now - self._logged_at < LATE_LOG_SECONDS
        ):
            return
        self._logged_at = now
        most = ", ".join(f"{model!r} {n}" for model, n in self._events.most_common(_MOST_MODELS))
        log.warning(
            "%d events came after their windows had been deleted, and are in no report (%s%s): "
            "if they are no mistake, raise windows.late_seconds",
            self._events.total(), most, " …" if len(self._events) > _MOST_MODELS else "",
        )  # fmt: skip
        self._events.clear()


#: Versions of models whose first window is logged; made-up names must not fill a log.
_MOST_VERSIONS_LOGGED = 200

_LOGGED = {"firing": "fires", "raised": "is more severe", "resolved": "is resolved"}


class Lifecycle:
    """Logs the first window of each version of a model, and alerts that fire and end."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()
        self._owned: list[int] | None = None

    def passed(self, closed: Closed) -> None:
        """Log the results of one pass over a partition."""
        for report in closed.reports:
            self._first(report)
        for alert in closed.alerts:
            if alert.event in _LOGGED:
                _alert(alert)

    def owned(self, partitions: list[int]) -> None:
        """Log which partitions are owned, if they are others than before."""
        if partitions != self._owned:
            self._owned = partitions
            log.info("owns partitions %s", partitions)

    def _first(self, report: WindowReport) -> None:
        name = (report.model, report.version)
        if name in self._seen or len(self._seen) >= _MOST_VERSIONS_LOGGED:
            return
        self._seen.add(name)
        log.info(
            "first window of %s %s closed: %s to %s, %s",
            *name,
            utc_text(report.window_start),
            utc_text(report.window_end, "%H:%M:%SZ"),
            counted(report.events, "event"),
        )


def _alert(alert: Alert) -> None:
    log.info(
        "alert %s of rule %s %s (%s), %s: %s",
        alert.id[:12],
        alert.rule,
        _LOGGED[alert.event],
        alert.severity,
        subject(alert),
        with_subject(alert).removeprefix(f"{subject(alert)}: "),
    )


#: The name of the condition in /readyz.
_MISSING = "missing_baselines"

#: A version is reported once it was counted in so many windows: one stray event is no version.
_LEAST_WINDOWS = 2

#: A version of which nothing was counted for so long is not reported any more.
FORGOTTEN_SECONDS = 3600.0

#: How often changes are checked for.
_CHECK_SECONDS = 2.0

#: Of more versions than this, those with the least traffic are forgotten at once: some MB.
_MOST_VERSIONS_SEEN = 10_000

#: Versions with a series of their own; the others are only counted. Anybody can make up names.
MOST_NAMED = 10


@dataclass
class _SeenVersion:
    partition: int
    first_window: int
    last_window: int
    at: float
    events: int = 0

    @property
    def windows(self) -> int:
        return 1 + (self.last_window > self.first_window)


@dataclass(eq=False)
class MissingBaselines:
    """Counts cells without a baseline; sets the condition and the metrics of a process.

    While the store of ``baselines`` is down, nothing is known of a new version. ``clock`` is
    monotonic.
    """

    metrics: DetectMetrics
    health: Health
    baselines: BaselineCache
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._seen: dict[Key, _SeenVersion] = {}
        self._checked_at = self.clock()
        self._reported: list[Key] = []

    def counted(self, partition: int, cells: Iterable[RawCell]) -> None:
        """Count the cells of a record."""
        now = self.clock()
        for cell in cells:
            if cell.baseline or cell.segment:
                continue
            key, start = (cell.model, cell.version), cell.window_start
            seen = self._seen.get(key)
            if seen is None:
                seen = self._seen[key] = _SeenVersion(partition, start, start, now)
            seen.partition, seen.at = partition, now
            seen.first_window = min(seen.first_window, start)
            seen.last_window = max(seen.last_window, start)
            seen.events += cell.events

    def check(self, partitions: Set[int]) -> None:
        """Report what is missing in the ``partitions`` of this process."""
        now = self.clock()
        if now - self._checked_at < _CHECK_SECONDS or not self.baselines.up:
            return
        self._checked_at = now
        pointers = self.baselines.pointers
        self._seen = {
            key: seen
            for key, seen in self._seen.items()
            if key not in pointers
            and seen.partition in partitions
            and now - seen.at < FORGOTTEN_SECONDS
        }
        # Those with the most traffic first: made-up names have little.
        ordered = sorted(self._seen, key=lambda key: (-self._seen[key].events, key))
        for key in ordered[_MOST_VERSIONS_SEEN:]:
            del self._seen[key]
        found = [
            key
            for key in ordered[:_MOST_VERSIONS_SEEN]
            if self._seen[key].windows >= _LEAST_WINDOWS
        ]
        self._report(found, pointers)

    def _report(self, found: list[Key], pointers: Mapping[Key, Pointer]) -> None:
        detail = without_baseline(found, pointers)
        self.health.report(_MISSING, "degraded" if found else "ok", detail)
        self.metrics.versions_without_baseline.set(len(found))
        series: dict[tuple[str, ...], float] = {}
        for model, version in found[:MOST_NAMED]:
            nearest = nearest_baseline(pointers, model, version)
            series[model, version, name_of(nearest) if nearest else ""] = 1.0
        self.metrics.without_baseline.show(_MISSING, series)
        if set(found) - set(self._reported):
            log.warning("%s", detail)
        self._reported = found


class OutputStatus:
    """Reports outputs that are too large for their topics, and state that could not be saved."""

    def __init__(self, metrics: DetectMetrics, health: Health, clock: Callable[[], float]) -> None:
        """``clock`` is monotonic."""
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._refused_at = math.inf

    def refused(self, output: Output) -> None:
        """Report an output that its topic refused because of its size."""
        self._metrics.outputs_refused.labels(output.topic).inc()
        self._refused_at = self._clock()
        detail = f"a record of {output.topic} was too large for it and is not published"
        self._health.report("outputs", "degraded", f"{detail}: key {output.key:.200}")

    def check(self, unsaved: MutableMapping[int, str], partitions: Set[int]) -> None:
        """Report the reasons in ``unsaved`` of owned partitions, and remove those of others."""
        if self._clock() - self._refused_at > REFUSED_SECONDS:
            self._refused_at = math.inf
            self._health.report("outputs", "ok")
        for partition in unsaved.keys() - partitions:
            del unsaved[partition]
        problems = "; ".join(unsaved.values())
        if problems or not self._health.is_ok("state"):
            self._health.report("state", "degraded" if problems else "ok", problems)
