"""Refusing records: each becomes a dead letter."""

from collections.abc import Callable
from typing import Protocol

from tidegauge.contract import DeadLetter
from tidegauge.ingest import tolerant
from tidegauge.ingest.dead_letters import dead_letter
from tidegauge.ingest.tolerant import RefusedError
from tidegauge.settings import IngestSettings


class Message(Protocol):
    """What is used of a ``confluent_kafka.Message``."""

    def value(self) -> bytes | None: ...  # noqa: D102
    def partition(self) -> int: ...  # noqa: D102
    def offset(self) -> int: ...  # noqa: D102
    def error(self) -> object | None: ...  # noqa: D102


class Refusals:
    """The dead letters of what can't be counted, since they were last sent."""

    def __init__(self, source: str, settings: IngestSettings, clock: Callable[[], float]) -> None:
        self._source = source
        self._settings = settings
        self._clock = clock
        self.letters: list[DeadLetter] = []

    def latest_time(self) -> float:
        """Return the latest event time that can be true now, epoch seconds."""
        return self._clock() + self._settings.max_ahead_seconds

    def time(self, message: Message, row: int | None, time: float, latest: float) -> None:
        """Refuse an event for its time, if that can't be true."""
        try:
            tolerant.check_time(time, latest)
        except RefusedError as refused:
            payload = (message.value() or b"") if row is None else b""
            self.record(message, row, refused, payload)

    def record(
        self, message: Message, row: int | None, refused: RefusedError, payload: bytes
    ) -> None:
        """Refuse a record, or one row of a batch."""
        self.letters.append(
            dead_letter(
                topic=self._source,
                partition=message.partition(),
                offset=message.offset(),
                row=row,
                time=self._clock(),
                refused=refused,
                payload=payload,
                redact=self._settings.redact_dead_letters or row is not None,
            )
        )


def check_size(value: bytes, limit: int) -> None:
    """Refuse a record of more than ``limit`` bytes; raises :class:`RefusedError`."""
    if len(value) > limit:
        raise RefusedError("too_large", f"{len(value)} bytes, at most {limit} are taken")
