"""What all that take messages in have in common: dead letters, and the consumer's own events."""

from collections.abc import Callable
from typing import Any

from tidegauge.config import IngestSettings
from tidegauge.contract import RawMessage
from tidegauge.counting.decode.reference import RefusedError
from tidegauge.counting.refusals import Refusals


class MessageCounter:
    """Refuses messages, and keeps those that are no records until they are taken."""

    def __init__(self, source: str, settings: IngestSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._refusals = Refusals(source, settings, clock)
        self.dead_letters = self._refusals.letters
        self._errors: list[Any] = []

    def refuse(self, message: RawMessage, refused: RefusedError) -> None:
        """Make a dead letter of a message without a look at it."""
        self._refusals.record(message, refused, message.value() or b"")

    def refuse_range(self, partition: int, first: int, end: int, why: str) -> None:
        """Make a dead letter of offsets that can't be read, ``first`` to before ``end``."""
        self._refusals.unreadable(partition, first, end, why)

    def take_errors(self) -> list[Any]:
        """Return the messages so far that are events of the consumer and not records."""
        errors, self._errors = self._errors, []
        return errors
