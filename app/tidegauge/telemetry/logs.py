"""Logs: one JSON object a line on standard error."""

import datetime
import logging
import sys

from pythonjsonlogger.json import JsonFormatter

from tidegauge.telemetry.repeats import RepeatingHandler


class _Formatter(JsonFormatter):
    """Writes the time in UTC with milliseconds: lines of several processes are read together."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the time of a record."""
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        return at.isoformat(timespec="milliseconds")


def configure_logging(level: str) -> None:
    """Send everything to standard error as JSON; libraries speak from WARNING on.

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
    for name in ("transport", "faust_store", "recovery"):
        logging.getLogger(f"tidegauge.roles.detect.{name}").setLevel(logging.WARNING)
