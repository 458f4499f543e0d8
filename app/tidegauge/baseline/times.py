"""Timestamps of the rows of a table, as epoch seconds."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from tidegauge.baseline.errors import BaselineError

Floats = npt.NDArray[np.float64]

#: The year 2100; what is beyond it, in the first of all cases, counts milliseconds.
_LATEST = 4_102_444_800.0


def epoch_seconds(name: str, values: Iterable[object]) -> Floats:
    """Return the time of each row, NaN where there is none.

    ISO 8601 text, in UTC where it names no zone, or numbers of seconds since 1970. Raises
    ``BaselineError`` for anything else, and for numbers that can't be seconds.
    """
    return checked(name, np.array([_seconds(name, value) for value in values], dtype=np.float64))


def checked(name: str, seconds: Floats) -> Floats:
    """Raise ``BaselineError`` for numbers that aren't seconds since 1970, of this century or so."""
    wrong = seconds[(seconds < 0) | (seconds > _LATEST)]
    if wrong.size:
        raise BaselineError(
            f"column {name!r}, which --time names, holds {wrong[0]:g}; expected ISO 8601 or "
            f"seconds since 1970 (are these milliseconds?)"
        )
    return seconds


def _seconds(name: str, value: object) -> float:
    if value is None or value == "":
        return math.nan
    if isinstance(value, str):
        try:
            return _of_text(value.strip())
        except ValueError:
            pass
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise BaselineError(
        f"column {name!r}, which --time names, holds {str(value)[:50]!r}; expected ISO 8601 such "
        f"as 2026-07-01T12:00:00Z, or seconds since 1970"
    )


def _of_text(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
