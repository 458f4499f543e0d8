"""Any input or output of a model, as the scalar that stands for it in JSON."""

import math
from collections import Counter
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any
from uuid import UUID

from tidegauge.contract import OUTPUT_SIGNALS

Scalar = float | int | str | bool | None


#: The longest name of a model or version that the contract takes.
NAME_LIMIT = 200


#: The year 2100, epoch seconds. A time beyond it counts milliseconds; INGEST refuses it.
LATEST_TIME = 4_102_444_800.0

#: Names of features that INGEST passes over: these are signals of their own.
RESERVED_NAMES = frozenset(OUTPUT_SIGNALS)


class UnencodableError(ValueError):
    """A value that has no place in a prediction event; the message names the field."""


class TimeError(UnencodableError):
    """An event time that can't be one."""


def check_time(time: Any) -> None:
    """Raise :class:`TimeError` for a time that is not in seconds.

    ``time`` is one that :func:`~tidegauge.producer.events.encode_event` takes.
    """
    seconds = time.timestamp() if isinstance(time, datetime) else float(time)
    if not seconds < LATEST_TIME:  # nor is NaN
        hint = " (it looks like milliseconds)" if 1e11 < seconds < 1e14 else ""
        raise TimeError(f"time is {seconds!r}, expected epoch seconds{hint}")


def finite_or_name(number: float) -> float | str:
    """Return the number, or the name it travels by: JSON has no token for what is not finite.

    >>> finite_or_name(0.5), finite_or_name(float("nan")), finite_or_name(float("-inf"))
    (0.5, 'NaN', '-Infinity')
    """
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def scalar(value: object, field: str) -> Scalar:
    """Return the JSON scalar for ``value``; raises :class:`UnencodableError` if there is none.

    NumPy scalars and arrays or tensors of one element become their ``item()``, ``Decimal`` and
    ``Fraction`` a float, an ``Enum`` its value, dates, times and UUIDs their text, and the missing
    markers of pandas (``NA``, ``NaT``) null.

    >>> scalar(Decimal("1.5"), "x"), scalar(float("nan"), "x"), scalar(None, "x")
    (1.5, 'NaN', None)
    >>> scalar([1, 2], "feature 'embedding'")
    Traceback (most recent call last):
    tidegauge.producer.values.UnencodableError: feature 'embedding' is of type list, expected a \
number, string, bool or None
    """
    kind = type(value)
    if kind is float:
        return finite_or_name(value)  # type: ignore[arg-type]
    if value is None or kind is str or kind is int or kind is bool:
        return value  # type: ignore[return-value]
    if isinstance(value, Enum):
        return scalar(value.value, field)
    if isinstance(value, float):
        return finite_or_name(float(value))
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, Decimal | Fraction):
        return finite_or_name(_float(value, field))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    return _item(value, field)


def _float(value: Decimal | Fraction, field: str) -> float:
    try:
        return float(value)
    except (OverflowError, ValueError) as error:
        raise UnencodableError(f"{field} has no floating-point value: {error}") from error


def _item(value: object, field: str) -> Scalar:
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "kind", None) in ("M", "m"):
        # item() of nanoseconds is an integer that says nothing of dates any more.
        text = str(value)
        return None if text == "NaT" else text
    item = getattr(value, "item", None)
    if callable(item):
        try:
            inner = item()
        except (ValueError, RuntimeError, TypeError) as error:
            raise UnencodableError(f"{field} is not one value: {error}") from error
        if type(inner) is not type(value):
            return scalar(inner, field)
    raise UnencodableError(
        f"{field} is of type {type(value).__name__}, expected a number, string, bool or None"
    )


def number(value: object, field: str) -> float | str | None:
    """Return a number, the name of one that is not finite, or None; else raise as ``scalar``."""
    plain = scalar(value, field)
    if isinstance(plain, bool):
        return float(plain)
    if isinstance(plain, str) and plain not in ("NaN", "Infinity", "-Infinity"):
        raise UnencodableError(
            f"{field} is the string {plain[:40]!r}, expected a number (a class goes into label)"
        )
    return plain


def text(value: object, field: str) -> str | None:
    """Return a scalar as text (``true``/``false`` for bools), or None; else raise as ``scalar``."""
    plain = scalar(value, field)
    if plain is None or isinstance(plain, str):
        return plain
    return str(plain).lower() if isinstance(plain, bool) else str(plain)


def class_label(value: object, field: str) -> str | int | bool | None:
    """Return a predicted class; a whole float is the integer it means, any other its text.

    >>> class_label(1.0, "label"), class_label("approve", "label"), class_label(0.5, "label")
    (1, 'approve', '0.5')
    """
    plain = scalar(value, field)
    if isinstance(plain, float):
        return int(plain) if plain.is_integer() else str(plain)
    return plain


def required_name(value: object, field: str) -> str:
    """Return the name of a model or version; raises if it is empty or longer than the contract."""
    name = text(value, field)
    if not name or len(name) > NAME_LIMIT:
        raise UnencodableError(
            f"{field} is {name!r:.40}, expected 1 to {NAME_LIMIT} characters: give it to log() or "
            "to PredictionLogger()"
        )
    return name


def is_scalar(value: object) -> bool:
    """Tell one value for all rows of a batch from a column of them."""
    return isinstance(value, str | bytes) or not hasattr(value, "__len__")


def row_count(columns: object, *outputs: object) -> int:
    """Return the rows of a batch: the length that most columns have; 1 if there is none to ask.

    >>> row_count({"age": [31, 54], "city": ["Bern", "Genf"]}), row_count({}, "ok", [0.1, 0.2, 0.3])
    (2, 3)
    >>> row_count([{"age": 31}, {"age": 54}, {"age": 17}])
    3
    """
    try:
        rows = getattr(columns, "num_rows", None)
        if isinstance(rows, int):
            return rows
        items = getattr(columns, "items", None)
        if not callable(items) and not is_scalar(columns):
            return len(columns)  # type: ignore[arg-type]
        features = [values for _, values in items()] if callable(items) else []
        lengths = [len(values) for values in (*features, *outputs) if not is_scalar(values)]
        return Counter(lengths).most_common(1)[0][0]
    except Exception:  # whatever it is, it is refused with a reason when it is encoded
        return 1
