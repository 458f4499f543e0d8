"""Changes of clocks of a time zone, from its database."""

import difflib
import zoneinfo
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache

from tidegauge.baseline import BaselineError, ClockChange, DayCalendar

_DAY_SECONDS = 86_400

#: From this year on clocks are known, and up to it they are looked up.
_FIRST_YEAR, _LAST_YEAR = 1970, 2120

#: Days before and after a baseline's that its document covers.
_BEFORE_DAYS, _AFTER_DAYS = 366, 3653


@cache
def zone_changes(name: str) -> tuple[tuple[int, int], ...]:
    """Return from which epoch seconds on local time is ahead of UTC by how many seconds.

    Raises ``BaselineError`` if there is no such time zone.
    """
    zone = _zone(name)

    def ahead(seconds: int) -> int:
        offset = datetime.fromtimestamp(seconds, UTC).astimezone(zone).utcoffset() or timedelta()
        return int(offset.total_seconds())

    first, last = (
        int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (_FIRST_YEAR, _LAST_YEAR)
    )
    found = [(first, ahead(first))]
    for day in range(first + _DAY_SECONDS, last, _DAY_SECONDS):
        if (now := ahead(day)) != found[-1][1]:
            low, high = day - _DAY_SECONDS, day
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if ahead(middle) == found[-1][1] else (low, middle)
            found.append((high, now))
    return tuple(found)


def calendar_of(name: str, days: tuple[int, int]) -> DayCalendar | None:
    """Return the calendar of a baseline between two days, counted from 1970; None if it is UTC's.

    It covers a year before and ten years after.
    """
    changes = zone_changes(name)
    if all(ahead == 0 for _, ahead in changes):
        return None
    first, until = (
        (day + more) * _DAY_SECONDS
        for day, more in zip(days, (-_BEFORE_DAYS, _AFTER_DAYS), strict=True)
    )
    from_ = max(bisect_right([since for since, _ in changes], first) - 1, 0)
    kept = [
        ClockChange(since=since, ahead_seconds=ahead)
        for since, ahead in changes[from_:]
        if since < until
    ]
    return DayCalendar(time_zone=name, changes=kept, until=until)


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        known = zoneinfo.available_timezones()
        if not known:
            raise BaselineError(
                f"--time-zone {name}: this machine has no database of time zones; "
                f"pip install tzdata"
            ) from error
        spelt = {it.casefold(): it for it in sorted(known)}
        spelt |= {it.split("/")[-1].casefold(): it for it in sorted(known)}
        near = difflib.get_close_matches(name.casefold(), spelt, 1, 0.6)
        hint = f"; is it {spelt[near[0]]}?" if near else ""
        raise BaselineError(
            f"--time-zone {name}: no such time zone, expected a name such as Europe/Berlin{hint}"
        ) from error
