"""Changes of clocks of a time zone, and holidays, from their databases or from a file."""

import difflib
import re
import zoneinfo
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tidegauge.baseline import BaselineError, ClockChange, DayCalendar

_DAY_SECONDS = 86_400

#: From this year on clocks are known, and up to it they are looked up.
_FIRST_YEAR, _LAST_YEAR = 1970, 2120

#: A country, and its part: DE, DE-BY. Years that are looked up.
_COUNTRY = re.compile(r"([A-Z]{2,3})(?:-([A-Za-z0-9]{1,10}))?")
_HOLIDAY_YEARS = range(1990, 2101)

#: Dates that a file may have.
_MOST_DATES = 10_000

_SUNDAY = 6

#: The option that says that no day is a holiday.
NO_HOLIDAYS = "none"
_EPOCH = date(1970, 1, 1)

#: Days before and after a baseline's that its document covers.
_BEFORE_DAYS, _AFTER_DAYS = 366, 3653


class Holidays(NamedTuple):
    """Days counted from 1970, of what they are, and up to which day others are known.

    Where there are too few of them, they are like the weekday ``rest_day``.
    """

    days: frozenset[int]
    source: str
    rest_day: int
    until: int


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


def calendar_of(
    zone: str | None, days: tuple[int, int], holidays: Holidays | None = None
) -> DayCalendar:
    """Return the calendar of a baseline between two days, counted from 1970.

    It covers a year before and ten years after, or as far as ``holidays`` are known.
    """
    first, last = days[0] - _BEFORE_DAYS, days[1] + _AFTER_DAYS
    found = DayCalendar(time_zone=zone or "")
    changes = zone_changes(zone) if zone else ()
    if any(ahead != 0 for _, ahead in changes):
        from_ = max(bisect_right([since for since, _ in changes], first * _DAY_SECONDS) - 1, 0)
        kept = [
            ClockChange(since=since, ahead_seconds=ahead)
            for since, ahead in changes[from_:]
            if since < last * _DAY_SECONDS
        ]
        found.changes, found.until = kept, last * _DAY_SECONDS
    if holidays is not None:
        found.holidays_of = holidays.source
    if holidays is not None and holidays.days:
        last = min(last, holidays.until + 1)
        found.holidays = [
            str(_EPOCH + timedelta(days=it)) for it in sorted(holidays.days) if first <= it < last
        ]
        # Midnight of a zone behind UTC comes later.
        found.until = last * _DAY_SECONDS
    return found


def read_holidays(option: str, warn: Callable[[str], None]) -> Holidays:
    """Return the holidays of a country, such as DE or DE-BY, or those in a file; of "none" none.

    A file has a date on each line, YYYY-MM-DD; what follows a comma or # is a name. Raises
    ``BaselineError`` that names what is wrong.
    """
    if option == NO_HOLIDAYS:
        return Holidays(frozenset(), option, _SUNDAY, 0)
    country = _COUNTRY.fullmatch(option)
    if country and not Path(option).exists():
        return _of_country(option, *country.groups())
    try:
        lines = Path(option).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BaselineError(f"--holidays {option}: it is no text in UTF-8: {error}") from error
    except (OSError, ValueError) as error:
        raise BaselineError(
            f"--holidays {option}: neither a country, such as DE or DE-BY, nor a file: {error}"
        ) from error
    found = set[date]()
    for number, line in enumerate(lines, start=1):
        text = re.split(r"[,;#\t]", line, maxsplit=1)[0].strip()
        if not text or (number == 1 and text.casefold() == "date"):
            continue
        try:
            found.add(date.fromisoformat(text))
        except ValueError as error:
            raise BaselineError(
                f"--holidays {option}: line {number} has {text[:40]!r}, expected YYYY-MM-DD"
            ) from error
    if not 1 <= len(found) <= _MOST_DATES:
        raise BaselineError(
            f"--holidays {option}: it has {len(found):,} dates, expected 1 to {_MOST_DATES:,}"
        )
    last = date(max(found).year, 12, 31)
    warn(f"holidays are known up to {last}, the end of the year of the last date in {option}")
    return Holidays(
        frozenset((it - _EPOCH).days for it in found),
        Path(option).name,
        _SUNDAY,
        (last - _EPOCH).days,
    )


def _of_country(option: str, country: str, part: str | None) -> Holidays:
    try:
        import holidays
    except ImportError as error:
        raise BaselineError(
            f"--holidays {option}: dates of countries need a package, pip install "
            f"'tidegauge[holidays]'; or give a file with a date on each line"
        ) from error
    try:
        found = holidays.country_holidays(country, subdiv=part, years=_HOLIDAY_YEARS)
    except NotImplementedError as error:
        raise BaselineError(f"--holidays {option}: {error}") from error
    return Holidays(
        frozenset((it - _EPOCH).days for it in found),
        option,
        max(found.weekend, default=_SUNDAY),
        (date(_HOLIDAY_YEARS[-1], 12, 31) - _EPOCH).days,
    )


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        # What these name depends on the machine.
        if name in ("localtime", "posixrules", "Factory"):
            raise zoneinfo.ZoneInfoNotFoundError(name)
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
