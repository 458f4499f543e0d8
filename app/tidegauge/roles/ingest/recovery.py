"""What is made of records that can't be counted: dead letters, and the search for a faulty record.

Dead letters are committed with the counts, so one that can't be delivered would stop counting.
Therefore there are three fallback levels: whole letters, letters without payload, and letters that
are only counted. After a while whole letters are tried again.

Whatever decoding raises makes a dead letter. The backstop is for exceptions that are raised later,
by counting many records at once: the batch is narrowed down until the failing record is known, and
that record becomes a dead letter, which is committed with the offsets like any other.
"""

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from msgspec import UNSET

from tidegauge.contract import DeadLetter, RawMessage, without_payload
from tidegauge.counting import Position, RefusedError, as_refused
from tidegauge.kafka import DeadLettersError, Quarantine, is_of_a_record
from tidegauge.telemetry import Health, IngestMetrics, LabelMetrics, RecordFaults, State

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
    """The worker's level; kept over sessions. ``clock`` is monotonic, in seconds."""

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
        """Go one level down: a flush failed because the topic refused a letter."""
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
        """Note that a flush was committed in which ``waiting`` were sent as ``level`` has it."""
        if level == "counted":
            self.dropped += len(waiting)
        elif waiting:
            self._failed.clear()

    def condition(self) -> tuple[State, str]:
        """Return the condition that /readyz shows."""
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
    """The fallback with its reports: metrics, /readyz and log. One for all sessions of a worker."""

    def __init__(
        self,
        *,
        topic: str,
        name: str,
        metrics: IngestMetrics | LabelMetrics,
        health: Health,
        clock: Callable[[], float],
    ) -> None:
        """``name`` is that of the condition."""
        self._name = name
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
        self._health.report(self._name, state, detail)
        if detail:
            log.error("%s", detail)

    def committed(self, letters: list[DeadLetter], level: FallbackLevel) -> None:
        """Count the letters of a committed flush, those that were not sent too, and forget them."""
        self._fallback.committed(letters, level)
        for letter in letters:
            refused, problem = letter.rows or 1, letter.label_problem
            reason = letter.reason if problem is UNSET else problem
            self._metrics.dead_letters.labels(reason).inc(refused)
            if level == "counted":
                self._metrics.dead_letters_dropped.labels(reason).inc(refused)
        if letters and level == "counted":
            origins = [f"{letter.partition}@{letter.offset}" for letter in letters[:_ORIGINS]]
            log.error(
                "%d dead letters were not sent, of %s (partition@offset): %s%s",
                len(letters), letters[0].topic, ", ".join(origins),
                " …" if len(letters) > _ORIGINS else "",
            )  # fmt: skip
        letters.clear()
        self._health.report(self._name, *self._fallback.condition())


#: Of the traceback, from its end: a letter's detail is short.
_TRACE_CHARACTERS = 700


class Backstop:
    """The records of ``topic`` that a worker can't count, over all of its sessions."""

    def __init__(self, topic: str, faults: RecordFaults) -> None:
        self._topic = topic
        self._faults = faults
        self._quarantine = Quarantine()
        #: Why records are set aside, by partition and offset, until that is committed.
        self._aside: dict[tuple[int, int], RefusedError] = {}
        #: Records since the last flush, those of the batch that is being counted included.
        self._records = 0
        self._batch: Sequence[RawMessage] = ()

    @property
    def limit(self) -> int | None:
        """How many records may be counted before a flush, if there is a suspicion."""
        return self._quarantine.limit

    def batch(self, most: int) -> int:
        """Return how many records to take at once."""
        return most if self.limit is None else min(most, self.limit)

    @property
    def flush_is_due(self) -> bool:
        """Whether records wait that should be committed by themselves."""
        return self.limit is not None and self._records > 0

    def take(
        self, messages: Sequence[RawMessage], records: int
    ) -> tuple[Sequence[RawMessage], list[tuple[RawMessage, RefusedError]]]:
        """Note the messages that come next, about so many; return them and those to refuse instead.

        Without a suspicion there is no work for each message: they come by millions.
        """
        if self.limit is not None:
            records = sum(1 for message in messages if message.error() is None)
        self._records += records
        if records:
            self._batch = messages
        if not self._aside:
            return messages, []
        counted, refused = [], []
        for message in messages:
            why = self._aside.get((message.partition(), message.offset()))
            if why is None or message.error() is not None:
                counted.append(message)
            else:
                refused.append((message, why))
        return counted, refused

    def counted(self) -> None:
        """Note that the messages were counted: their memory is needed for the next ones.

        A record that is alone since the last flush may still have to be set aside.
        """
        alone = self._records == 1
        self._batch = [it for it in self._batch if it.error() is None] if alone else ()

    def failed(self, error: Exception, positions: Mapping[int, Position]) -> bool:
        """Note what counting or a flush raised; False if no record can be the reason."""
        records, batch = self._records, self._batch
        self.dropped()
        if not records or not is_of_a_record(error):
            return False
        # A partition that nothing comes of stays where it is, and would make any two failures one.
        read = {message.partition() for message in batch}
        begin = {p: at.since for p, at in positions.items() if at.to > at.since or p in read}
        if self._quarantine.failed(begin, records):
            self._set_aside(next(it for it in batch if it.error() is None), error)
        return True

    def dropped(self) -> None:
        """Note that what was counted since the last flush is dropped, to be counted again."""
        self._records, self._batch = 0, ()

    def committed(self, positions: Mapping[int, Position]) -> None:
        """Note that a flush was committed."""
        if self._records:
            self._quarantine.passed(self._records)
        self.dropped()
        if self._aside:  # a topic that is made anew has these offsets again
            self._aside = {
                (partition, offset): why
                for (partition, offset), why in self._aside.items()
                if partition not in positions or offset >= positions[partition].to
            }

    def _set_aside(self, message: RawMessage, error: Exception) -> None:
        partition, offset = message.partition(), message.offset()
        trace = "".join(traceback.format_exception(error))[-_TRACE_CHARACTERS:]
        refused = as_refused(error, message.value() or b"")
        detail = f"set aside, since counting it failed twice: {refused.detail}\n{trace}"
        self._aside[partition, offset] = RefusedError(refused.reason, detail)
        self._faults.quarantined(f"{self._topic}/{partition} at offset {offset}", error)
