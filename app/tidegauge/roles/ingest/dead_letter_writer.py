"""What becomes of the dead letters of each flush, and how an operator learns of it."""

import logging
from collections.abc import Callable

from tidegauge.contract import DeadLetter
from tidegauge.kafka import DeadLettersError
from tidegauge.roles.ingest.dead_letter_fallback import DeadLetterFallback, FallbackLevel
from tidegauge.telemetry import Health, IngestMetrics

log = logging.getLogger(__name__)

#: Origins that the log names of dead letters that were not sent.
_ORIGINS = 20


class DeadLetterWriter:
    """The ladder with its voice: metrics, /readyz and log. One for all sessions of a worker."""

    def __init__(
        self, *, topic: str, metrics: IngestMetrics, health: Health, clock: Callable[[], float]
    ) -> None:
        self._fallback = DeadLetterFallback(topic=topic, clock=clock)
        self._metrics = metrics
        self._health = health

    @property
    def level(self) -> FallbackLevel:
        """How much of a letter is sent now."""
        return self._fallback.level

    def failed(self, error: DeadLettersError) -> None:
        """Note a flush that failed because of its letters."""
        if error.refused:
            self._fallback.refused(error.why)
        else:
            self._fallback.undelivered(error.why)
        state, detail = self._fallback.condition()
        self._health.say("dead_letters", state, detail)
        if detail:
            log.error("%s", detail)

    def committed(self, letters: list[DeadLetter], level: FallbackLevel) -> None:
        """Count the letters of a committed flush, those that were not sent too, and forget them."""
        self._fallback.committed(letters, level)
        for letter in letters:
            refused = letter.rows or 1
            self._metrics.dead_letters.labels(letter.reason).inc(refused)
            if level == "counted":
                self._metrics.dead_letters_dropped.labels(letter.reason).inc(refused)
        if letters and level == "counted":
            origins = [f"{letter.partition}@{letter.offset}" for letter in letters[:_ORIGINS]]
            log.error(
                "%d dead letters were not sent, of %s (partition@offset): %s%s",
                len(letters), letters[0].topic, ", ".join(origins),
                " …" if len(letters) > _ORIGINS else "",
            )  # fmt: skip
        letters.clear()
        self._health.say("dead_letters", *self._fallback.condition())
