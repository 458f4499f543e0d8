"""Logs: one JSON object a line on standard error."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

#: Seconds for which a line that was logged is not repeated.
REPEAT_SECONDS = 10.0


class _OncePerPeriod(logging.Filter):
    """Drops what the same logger has said with the same words a moment ago."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log the record."""
        words = record.getMessage()
        if record.created - self._said.get(words, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        if len(self._said) > 1_000:
            self._said.clear()
        self._said[words] = record.created
        return True


_repeats = _OncePerPeriod()


def configure_logging(level: str) -> None:
    """Send everything to standard error as JSON; libraries speak from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("tidegauge").setLevel(level)
    # A broker that is away is news once, not twenty times a second.
    for name in ("aiokafka", "aiokafka.consumer.fetcher", "aiokafka.consumer.group_coordinator"):
        logging.getLogger(name).addFilter(_repeats)
    # Faust's services log every start and stop in the name of the module that derives from them.
    for name in ("tidegauge.detect.transport", "tidegauge.detect.store"):
        logging.getLogger(name).setLevel(logging.WARNING)
