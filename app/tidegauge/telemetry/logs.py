"""Logs: one JSON object a line on standard error; a line that repeats is written once a minute."""

import datetime
import logging
import math
import re
import sys
import time
from typing import NamedTuple, TextIO

from pythonjsonlogger.json import JsonFormatter

#: Seconds for which a line is not repeated, and over which lines of one kind are counted.
REPEAT_SECONDS = 60.0

#: Different lines of one kind in that time: those of a few models are worth reading, those of a
#: thousand made-up ones are a flood.
MOST_OF_A_KIND = 20

#: ``extra`` of lines of which each has information of its own, such as which records were lost or
#: skipped: so many of one place are written in that time, whatever their words.
ONE_BY_ONE = {"one_by_one": 1_000}

#: Kinds that are remembered.
_MOST_KINDS = 2_000

#: How often suppressed lines are summarised.
_LOOK_SECONDS = 1.0

#: Lines with the same meaning differ in numbers: offsets, milliseconds, names of threads.
_NUMBERS = re.compile(r"\d+")

_Kind = tuple[str, int, str]


class _Count(NamedTuple):
    """When a kind was logged first in this period, how often since, and how many were left out."""

    since: float
    logged: int
    left_out: int
    example: str


class Repeats:
    """Lets one line of the same words pass a minute, and twenty of one place in the code.

    Lines of level INFO are limited by their place alone: they report a new state, and the same
    state may come again. So are lines that are marked :data:`ONE_BY_ONE`.
    """

    def __init__(self) -> None:
        self._counts: dict[_Kind, _Count] = {}
        self._checked_at = 0.0

    def passes(self, record: logging.LogRecord) -> bool:
        """Whether to log a record; one that isn't is counted."""
        words, now = record.getMessage(), record.created
        place = (record.name, record.levelno, f"{record.pathname}:{record.lineno}")
        kinds = [(place, MOST_OF_A_KIND)]
        most_of_them = record.__dict__.pop("one_by_one", None)
        if most_of_them is not None:
            kinds = [(place, most_of_them)]
        elif record.levelno > logging.INFO:
            kinds.append(((record.name, record.levelno, _NUMBERS.sub("0", words)), 1))
        known = {kind: self._known(kind, now, words) for kind, _ in kinds}
        for kind, most in kinds:
            count = known[kind]
            if count.logged >= most:
                self._counts[kind] = count._replace(left_out=count.left_out + 1)
                return False
        for kind, count in known.items():
            self._counts[kind] = count._replace(logged=count.logged + 1)
        return True

    def _known(self, kind: _Kind, now: float, words: str) -> _Count:
        count = self._counts.get(kind)
        if count is not None and now - count.since < REPEAT_SECONDS:
            return count
        return _Count(now, 0, 0, words)

    def over(self, now: float) -> list[tuple[str, int]]:
        """Remove kinds whose period is over; return an example of each and the lines left out."""
        if now - self._checked_at < _LOOK_SECONDS and len(self._counts) < _MOST_KINDS:
            return []
        self._checked_at = now
        full = len(self._counts) >= _MOST_KINDS
        ended = [
            self._counts.pop(kind)
            for kind, it in list(self._counts.items())
            if full or it.since + REPEAT_SECONDS <= now
        ]
        return [(it.example, it.left_out) for it in ended if it.left_out]


class RepeatingHandler(logging.StreamHandler[TextIO]):
    """Writes lines, but not the same one repeatedly; logs how many were left out."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._repeats = Repeats()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it; called with the lock held."""
        for example, number in self._repeats.over(record.created):
            super().emit(_summary(example, number, record.created))
        if self._repeats.passes(record):
            super().emit(record)

    def close(self) -> None:
        """Log how many lines were left out up to now."""
        self.acquire()
        try:
            for example, number in self._repeats.over(math.inf):
                super().emit(_summary(example, number, time.time()))
        finally:
            self.release()
        super().close()


def _summary(example: str, number: int, at: float) -> logging.LogRecord:
    record = logging.LogRecord(
        "tidegauge.telemetry", logging.WARNING, __file__, 0, "left out as repeated: %s",
        (example,), None,
    )  # fmt: skip
    record.created = at
    record.left_out = number
    return record


class _Formatter(JsonFormatter):
    """Writes the time in UTC with milliseconds: lines of several processes are read together."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the time of a record."""
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        return at.isoformat(timespec="milliseconds")


def configure_logging(level: str) -> None:
    """Send everything to standard error as JSON; libraries log from WARNING on.

    What repeats is logged once a minute with the number left out: a broker that is away is news
    once, not twenty times a second.
    """
    handler = RepeatingHandler(sys.stderr)
    handler.setFormatter(
        _Formatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("tidegauge").setLevel(level)
    # Faust's services log every start and stop in the name of the module that derives from them.
    for name in ("workarounds", "faust_store"):
        logging.getLogger(f"tidegauge.roles.detect.{name}").setLevel(logging.WARNING)
