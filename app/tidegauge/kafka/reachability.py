"""Whether the brokers answer this process: the condition ``kafka``, and no stall while they don't.

Clients of Kafka retry for minutes before they report an error, or for ever, so no role notices by
itself that the brokers are away. Asking them for metadata shows it in seconds.
"""

import logging
from collections.abc import Callable

from tidegauge.telemetry import Health

log = logging.getLogger(__name__)

_NAME = "kafka"

#: The process is not ready once no answer has come for so long. A broker that restarts is away for
#: less; the load balancer and whoever is on call learn of anything longer within half a minute.
AWAY_SECONDS = 10.0


class Reachability:
    """Reports for one process whether the brokers answer. ``clock`` is monotonic, in seconds."""

    def __init__(self, servers: str, *, health: Health, clock: Callable[[], float]) -> None:
        self._servers = servers
        self._health = health
        self._clock = clock
        self._answered_at = clock()
        self._away = False

    def answered(self) -> None:
        """Take note of an answer."""
        self._answered_at = self._clock()
        if self._away:
            self._away = False
            log.info("the brokers answer again")
            self._health.say(_NAME, "ok")

    def no_answer(self, error: object) -> None:
        """Take note that none came."""
        seconds = self._clock() - self._answered_at
        if seconds < AWAY_SECONDS:
            return
        detail = (
            f"no answer from the brokers ({self._servers}) for {seconds:.0f} s: {error}; "
            "nothing is read or written until they answer, and nothing is lost"
        )
        if not self._away:
            self._away = True
            log.error("%s", detail)
        self._health.say(_NAME, "failed", detail)

    @property
    def away(self) -> bool:
        """Whether the brokers are away."""
        return self._away
