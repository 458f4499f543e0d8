"""Slices of which a window can't be closed: reported by name, while all others go on."""

import logging

from tidegauge.contract import segment_text
from tidegauge.telemetry import DetectMetrics, Health
from tidegauge.windows import Slice, Window

log = logging.getLogger(__name__)

#: The condition that health has of them.
_NAME = "slices"

#: So many are named there; the log names all.
_NAMED = 5


class SliceFailures:
    """Takes note of failures, and of what goes well again. For all partitions of a process."""

    def __init__(self, metrics: DetectMetrics, health: Health) -> None:
        self._metrics = metrics
        self._health = health
        self._failing: dict[Slice, str] = {}

    def failed(self, where: Slice, what: str, error: Exception) -> None:
        """Report that something couldn't be done for a slice, and that work goes on without."""
        self._metrics.failed_slices.labels(where.model).inc()
        log.error("%s of %s failed, going on without it", what, _name(where), exc_info=error)
        self._failing[where] = f"{_name(where)}: {what}: {type(error).__name__}: {error}"
        self._say()

    def window_failed(self, window: Window, error: Exception) -> None:
        """Report that a window has no report."""
        self.failed(window.slice, f"the window {window.start} to {window.end}", error)

    def went_well(self, where: Slice) -> None:
        """Take note that a window of a slice was reported."""
        if self._failing.pop(where, None) is not None:
            self._say()

    def _say(self) -> None:
        named = list(self._failing.values())[:_NAMED]
        more = len(self._failing) - len(named)
        detail = "; ".join(named) + (f"; and {more} more" if more else "")
        self._health.say(_NAME, "degraded" if named else "ok", detail)


def _name(where: Slice) -> str:
    segment = segment_text(dict(where.segment))
    parts = [f"model {where.model} {where.version}", where.variant, segment]
    return " ".join(part for part in parts if part)
