"""Moments as people write and read them on a command line."""

import re
from datetime import UTC, datetime

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}


def moment(text: str, now: float) -> float:
    """Return epoch seconds of RFC 3339 text, or of text that says how long before ``now``.

    Raises ``ValueError`` for anything else, and for a time of which nobody knows the zone.

    >>> moment("-6h", 100_000.0), moment("6h", 100_000.0), moment("now", 100_000.0)
    (78400.0, 78400.0, 100000.0)
    >>> moment("1970-01-02T01:00:00+01:00", 0.0)
    86400.0
    """
    if text == "now":
        return now
    if relative := re.fullmatch(r"-?(\d+(?:\.\d+)?)([smhdw])", text):
        return now - float(relative[1]) * _UNITS[relative[2]]
    expected = "expected a time such as 2026-11-21T12:00:00Z, or -30d, -6h, -90m, now"
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"found {text!r}, {expected}") from None
    if found.tzinfo is None:
        raise ValueError(f"found {text!r}, a time without its zone; {expected}")
    return found.timestamp()


def duration(text: str) -> float:
    """Return seconds of a length of time; raises ``ValueError`` for anything else.

    >>> duration("2h"), duration("1.5d")
    (7200.0, 129600.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if found is None or float(found[1]) == 0:
        raise ValueError(f"found {text!r}, expected a length of time such as 30m, 2h, 1d, 2w")
    return float(found[1]) * _UNITS[found[2]]


#: A thousand years.
_LONGEST_SECONDS = 1000 * 366 * 24 * 3600


def duration_text(seconds: float) -> str:
    """Write a length of time by its two largest units, rounded to whole seconds.

    >>> duration_text(59), duration_text(1560), duration_text(3720), duration_text(90000)
    ('59 s', '26 min', '1 h 2 min', '1 d 1 h')
    """
    if not abs(seconds) < _LONGEST_SECONDS:
        return "over 1,000 years"  # nothing lasts so long, whatever a record says
    left = round(seconds)
    parts = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        n, left = divmod(left, size)
        if n:
            parts.append(f"{n} {name}")
        elif parts:
            break  # 1 d 3 s says more than anybody asks
    return " ".join(parts[:2]) or "0 s"


def utc_text(seconds: float | str, form: str = "%Y-%m-%d %H:%M:%SZ") -> str:
    """Write epoch seconds of a record; what is no time that anybody can write stays as it is.

    >>> utc_text(1772366460), utc_text("0", "%H:%M"), utc_text(1e300), utc_text("soon")
    ('2026-03-01 12:01:00Z', '00:00', '1e+300', 'soon')
    """
    try:
        return datetime.fromtimestamp(float(seconds), UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def clock(at: int, now: int) -> str:
    """Write a time in UTC, with its day if that is another one than that of ``now``.

    >>> clock(1_700_000_000, 1_700_000_060), clock(1_700_000_000, 1_700_100_000)
    ('22:13 UTC', '2023-11-14 22:13 UTC')
    """
    then, today = (datetime.fromtimestamp(it, UTC) for it in (at, now))
    return f"{then:%H:%M} UTC" if then.date() == today.date() else f"{then:%Y-%m-%d %H:%M} UTC"


def rfc3339(seconds: float) -> str:
    """Write a time: whole seconds without a fraction, others to the millisecond.

    >>> rfc3339(1772366400), rfc3339(1772366400.25)
    ('2026-03-01T12:00:00Z', '2026-03-01T12:00:00.250Z')
    """
    whole = float(seconds).is_integer()
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="seconds" if whole else "milliseconds").replace("+00:00", "Z")
