"""Saying in the log whose events come too late, now and then."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

#: A backfill of an hour is some lines, not one for every record.
SAY_SECONDS = 60.0

#: Models named in a line; a producer may make up names without end.
_NAMED = 5


class LateLog:
    """Gathers late events by model, and says them at once and then once a minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said_at: float | None = None
        self._events: Counter[str] = Counter()

    def note(self, events: Mapping[str, int]) -> None:
        """Note how many events of which models came after their windows had been deleted."""
        self._events.update(events)
        now = self._clock()
        if not self._events or (self._said_at is not None and now - self._said_at < SAY_SECONDS):
            return
        self._said_at = now
        most = ", ".join(f"{model!r} {n}" for model, n in self._events.most_common(_NAMED))
        log.warning(
            "%d events came after their windows had been deleted, and are in no report (%s%s): "
            "if they are no mistake, raise windows.late_seconds",
            self._events.total(), most, " …" if len(self._events) > _NAMED else "",
        )  # fmt: skip
        self._events.clear()
