"""How much of a dead letter is sent while its topic refuses them: counting must go on.

Dead letters are committed with the counts, so one that can't be delivered would hold counting up
for ever. A ladder leads from whole letters to letters without their payload to letters that are
only counted; after a while all is tried anew.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Literal

from tidegauge.contract import DeadLetter, without_payload
from tidegauge.kafka import DeadLettersError
from tidegauge.telemetry import Health, IngestMetrics, State

log = logging.getLogger(__name__)

FallbackLevel = Literal["full", "bare", "counted"]

_LEVELS: tuple[FallbackLevel, ...] = ("full", "bare", "counted")

#: How long less is sent before whole letters are tried again. Each try costs up to two sessions,
#: some seconds each; an operator who has mended the topic should not have to restart anything.
RETRY_SECONDS = 600.0

#: Flushes in a row whose letters alone came to nothing, without a refusal, before that counts as
#: one: the broker that holds the topic may just be restarting.
_PATIENCE = 2

#: Origins that the log names of dead letters that were not sent.
_ORIGINS = 20


class DeadLetterFallback:
    """Where the worker stands; kept over sessions. ``clock`` is monotonic, in seconds."""

    def __init__(self, *, topic: str, clock: Callable[[], float]) -> None:
        self._topic = topic
        self._clock = clock
        self._at = 0
        self._stepped = 0.0
        self._why = ""
        self._failed: list[float] = []
        #: Letters that were counted but not sent, since the process began.
        self.dropped = 0

    @property
    def level(self) -> FallbackLevel:
        """What is sent now; once its time is over, whole letters again."""
        if self._at and self._clock() - self._stepped >= RETRY_SECONDS:
            self._at = 0
        return _LEVELS[self._at]

    def refused(self, why: str) -> None:
        """Go a step down: a flush failed because the topic refused a letter."""
        self._failed.clear()
        self._at = min(self._at + 1, len(_LEVELS) - 1)
        self._stepped = self._clock()
        self._why = why

    def undelivered(self, why: str) -> None:
        """Note a flush whose letters, and they alone, came to nothing; the second is a refusal."""
        now = self._clock()
        self._failed = [at for at in self._failed if now - at < RETRY_SECONDS] + [now]
        if len(self._failed) >= _PATIENCE:
            self.refused(why)

    def committed(self, waiting: Sequence[DeadLetter], level: FallbackLevel) -> None:
        """Note that a flush was committed in which ``waiting`` were treated as ``rung`` says."""
        if level == "counted":
            self.dropped += len(waiting)
        elif waiting:
            self._failed.clear()

    def condition(self) -> tuple[State, str]:
        """Return what /readyz says of it."""
        level = self.level
        dropped = f"{self.dropped} were not sent since the process began" if self.dropped else ""
        if level == "full":
            return "ok", dropped
        minutes = max(0.0, RETRY_SECONDS - (self._clock() - self._stepped)) / 60
        how = "go without payload" if level == "bare" else "are only counted"
        return "degraded", (
            f"topic {self._topic} refuses dead letters ({self._why}): they {how}; "
            f"{dropped + '; ' if dropped else ''}whole ones are tried again in {minutes:.0f} min"
        )


def to_send(waiting: Sequence[DeadLetter], level: FallbackLevel) -> list[DeadLetter]:
    """Return what a flush sends of the letters that wait."""
    if level == "counted":
        return []
    return [without_payload(letter) for letter in waiting] if level == "bare" else list(waiting)


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
        self._health.report("dead_letters", state, detail)
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
        self._health.report("dead_letters", *self._fallback.condition())
