"""Rows of a table with their times, from which the hours of the day are counted."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.baseline import BaselineError
from tidegauge.stats import Bools, Floats


@dataclass(frozen=True, slots=True)
class NumericRows:
    """A number for each row; any where it is missing."""

    values: Floats
    missing: Bools


@dataclass(frozen=True, slots=True)
class CategoryRows:
    """A place in ``names`` for each row, -1 where it is missing."""

    places: NDArray[np.int64]
    names: list[Any]


@dataclass(frozen=True, slots=True)
class TimedRows:
    """Some rows of a table; ``seconds`` is their time since 1970, NaN without one."""

    seconds: Floats
    columns: Mapping[str, NumericRows | CategoryRows]
    done: float


#: The year 2100; what is beyond it, in the first of all cases, counts milliseconds.
_LATEST = 4_102_444_800.0


def epoch_seconds(name: str, values: Iterable[object]) -> Floats:
    """Return the time of each row, NaN where there is none.

    ISO 8601 text, in UTC where it names no zone, or numbers of seconds since 1970. Raises
    ``BaselineError`` for anything else, and for numbers that can't be seconds.
    """
    return checked(name, np.array([_seconds(name, value) for value in values], dtype=np.float64))


def checked(name: str, seconds: Floats) -> Floats:
    """Raise ``BaselineError`` for numbers that aren't seconds since 1970, of this century or so.

    Numbers that are all dates written as YYYYMMDD are taken for those: as seconds they would be of
    a few weeks of 1970.
    """
    dates = compact_dates(seconds)
    if dates is not None:
        return dates
    wrong = seconds[(seconds < 0) | (seconds > _LATEST)]
    if wrong.size:
        raise BaselineError(
            f"column {name!r}, which --time names, holds {wrong[0]:g}; expected ISO 8601 or "
            f"seconds since 1970 (are these milliseconds?)"
        )
    return seconds


def compact_dates(numbers: Floats) -> Floats | None:
    """Return the seconds since 1970 of dates written as numbers; None if one is no such date.

    >>> compact_dates(np.array([20240101.0, np.nan])).tolist()
    [1704067200.0, nan]
    >>> compact_dates(np.array([20240101.0, 20241301.0])) is None
    True
    """
    there = numbers[~np.isnan(numbers)]
    if not there.size or there.min() < 1900_01_01 or there.max() > 2100_12_31:
        return None
    whole = there.astype(np.int64)
    years, months, days = whole // 10_000, whole // 100 % 100, whole % 100
    if (whole != there).any() or not ((months >= 1) & (months <= 12) & (days >= 1)).all():
        return None
    first = (years - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (months - 1)
    found = first.astype("datetime64[D]") + (days - 1)
    if (found >= (first + 1).astype("datetime64[D]")).any():
        return None
    result = np.full(len(numbers), math.nan)
    result[~np.isnan(numbers)] = found.astype("datetime64[s]").astype(np.float64)
    return result


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
