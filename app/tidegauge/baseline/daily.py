"""A baseline's hours of the day, as its document has them: what to expect at which time."""

from datetime import date
from itertools import pairwise
from math import isfinite
from typing import Annotated

import msgspec

from tidegauge.contract import Record

#: Days with timestamps that it takes to tell how much one differs from the next.
LEAST_DAYS = 14

#: Days that are used, the latest: four weeks have each weekday as often.
MOST_DAYS = 28

_HOURS = 24
_WEEKDAYS = 7
_EPOCH = date(1970, 1, 1)
_DAY_SECONDS = 86_400

#: Of shape, mean and spread; then of each bin.
_OF_SIGNAL = 3


class KindsOfDays(Record):
    """One signal by kind of day and by hour, where days of one kind differ from others."""

    own: Annotated[
        list[float],
        msgspec.Meta(
            description="How much of what is expected on each kind of day is of its own days; the "
            "rest is of all."
        ),
    ]
    counts: Annotated[
        list[list[list[int]]],
        msgspec.Meta(description="The lists of counts of the signal, for each kind of day."),
    ]

    def __post_init__(self) -> None:
        if not all(0 <= it <= 1 for it in self.own):
            raise ValueError("own must be from 0 to 1")
        if len(self.counts) != len(self.own):
            raise ValueError("own and counts must have an entry for each kind of day")


class SignalHours(Record):
    """One signal by hour of day, and how much it varied from day to day.

    ``counts`` has 24 lists, and one for each slot of the calendar, of the signal's bins: those of
    its values, then missing, not finite and invalid. ``excess`` is by how much more than by
    sampling scores varied, as variance in units of one event's, a list for each of the baseline's
    ``spans_seconds``: of shape, mean, spread and each bin. ``degrees`` are the degrees of freedom
    that this is known with, or that the tails of the scores have if these are fewer; ``skewness``
    is that of mean and spread. ``by_hour`` is what the excess is multiplied by in each hour of the
    day.
    """

    counts: list[list[int]]
    excess: list[list[float]]
    degrees: list[list[float]]
    skewness: list[list[float]]
    by_hour: list[float]
    kinds: Annotated[
        KindsOfDays | msgspec.UnsetType,
        msgspec.Meta(description="The same by kind of day; absent if all are alike."),
    ] = msgspec.UNSET

    def __post_init__(self) -> None:
        if len(self.counts) < _HOURS or len(self.by_hour) != _HOURS:
            raise ValueError("counts and by_hour must have 24 entries, one for each hour")
        each = [self.counts, *(self.kinds.counts if self.kinds else ())]
        if any(len(its) != len(self.counts) for its in each):
            raise ValueError("kinds must have as many lists of counts as there are hours")
        if not all(its for some in each for its in some):
            raise ValueError("counts has an hour without bins")
        if min(min(its) for some in each for its in some) < 0:
            raise ValueError("counts holds a negative number")
        bins = len(self.counts[0])
        if any(len(its) != bins for some in each for its in some):
            raise ValueError("counts must have as many bins in each hour")
        for name, lists, expected in (
            ("excess", self.excess, _OF_SIGNAL + bins),
            ("degrees", self.degrees, _OF_SIGNAL + bins),
            ("skewness", self.skewness, 2),
        ):
            if any(len(its) != expected for its in lists):
                raise ValueError(f"{name} must have {expected} entries for each span")
            if not all(isfinite(it) for its in lists for it in its):
                raise ValueError(f"{name} must be finite")
        if any(it < 0 for its in self.excess for it in its) or min(self.by_hour) < 1:
            raise ValueError("excess must be 0 or more, and by_hour 1 or more")
        if any(it <= 0 for its in self.degrees for it in its):
            raise ValueError("degrees must be above 0")


class ClockChange(Record):
    """From when on local time is so far ahead of UTC."""

    since: Annotated[int, msgspec.Meta(description="Epoch seconds.")]
    ahead_seconds: Annotated[int, msgspec.Meta(description="Local time less UTC.")]


class DaySlot(Record):
    """Minutes of each local day at which something recurs, seconds of the day."""

    begin_seconds: Annotated[int, msgspec.Meta(description="Its first second.")]
    end_seconds: Annotated[int, msgspec.Meta(description="The first second after it.")]


class DayCalendar(Record, omit_defaults=True):
    """Whose days the hours are of, as far as a baseline knows."""

    time_zone: Annotated[
        str,
        msgspec.Meta(
            description="Name of the time zone of the hours, as in IANA's database. Empty if none "
            "was given: then they are of UTC, and clocks may change."
        ),
    ] = ""
    changes: Annotated[
        list[ClockChange],
        msgspec.Meta(
            description="In the order of time; the first also holds for what is before. Empty if "
            "the hours are of UTC."
        ),
    ] = msgspec.field(default_factory=list)
    slots: Annotated[
        list[DaySlot],
        msgspec.Meta(
            description="Minutes of the day that stand out on most days, in order; counts of "
            "hours are without them, and followed by theirs."
        ),
    ] = msgspec.field(default_factory=list)
    day_kinds: Annotated[
        list[int],
        msgspec.Meta(
            description="How many days of the baseline are of each kind: Monday to Sunday. Empty "
            "if all days are alike; then, if there are enough of them, holidays."
        ),
    ] = msgspec.field(default_factory=list)
    holidays: Annotated[
        list[str], msgspec.Meta(description="Dates of holidays, in order; empty if none are known.")
    ] = msgspec.field(default_factory=list)
    holidays_of: Annotated[
        str,
        msgspec.Meta(
            description="The country that they are of, or the name of a file; none if it was said "
            "that there are none. Empty if nothing is known of holidays."
        ),
    ] = ""
    holiday_kind: Annotated[
        int, msgspec.Meta(description="The kind of day that they are: 6 is like a Sunday.")
    ] = 6
    until: Annotated[
        int | None,
        msgspec.Meta(
            description="Epoch seconds up to which changes of clocks and holidays are known; null "
            "if there is no end."
        ),
    ] = None

    def __post_init__(self) -> None:
        if any(a.since >= b.since for a, b in pairwise(self.changes)):
            raise ValueError("changes must be in the order of time")
        if any(abs(it.ahead_seconds) > _DAY_SECONDS for it in self.changes):
            raise ValueError("changes has local time more than a day ahead of UTC, or behind it")
        if any(not 0 <= it.begin_seconds < it.end_seconds <= _DAY_SECONDS for it in self.slots):
            raise ValueError("slots must be of one day")
        if any(a.end_seconds > b.begin_seconds for a, b in pairwise(self.slots)):
            raise ValueError("slots must be in order and not overlap")
        if len(self.day_kinds) not in (0, _WEEKDAYS, _WEEKDAYS + 1):
            raise ValueError(f"day_kinds must have {_WEEKDAYS} or 8 entries, or none")
        if not 0 <= self.holiday_kind < max(len(self.day_kinds), _WEEKDAYS):
            raise ValueError("holiday_kind must be one of the kinds of days")
        if any(it < 0 for it in self.day_kinds):
            raise ValueError("day_kinds holds a negative number")

        for it in self.holidays:
            try:
                date.fromisoformat(it)
            except ValueError as error:
                raise ValueError(f"holidays has {it[:40]!r}, expected YYYY-MM-DD") from error

    @property
    def kinds(self) -> int:
        """How many kinds of days there are."""
        return len(self.day_kinds) or 1

    @property
    def holiday_days(self) -> frozenset[int]:
        """The days of the holidays, counted from 1970."""
        return frozenset((date.fromisoformat(it) - _EPOCH).days for it in self.holidays)


class DailyCycle(Record):
    """Every signal by hour of day, of the latest ``days`` of the timestamps.

    ``spans_seconds`` are the lengths of the spans that the signals' dispersion is known for.
    """

    days: int
    spans_seconds: list[int]
    signals: dict[str, SignalHours]
    calendar: Annotated[
        DayCalendar | msgspec.UnsetType,
        msgspec.Meta(description="Whose days these are; absent if nothing is known of that."),
    ] = msgspec.UNSET

    def __post_init__(self) -> None:
        spans = self.spans_seconds
        if not spans or spans[0] <= 0 or any(a >= b for a, b in pairwise(spans)):
            raise ValueError("spans_seconds must be above 0 and strictly increasing")
        for name, its in self.signals.items():
            if any(len(it) != len(spans) for it in (its.excess, its.degrees, its.skewness)):
                raise ValueError(f"{name} must have one list for each of spans_seconds")
            calendar = self.calendar or DayCalendar()
            if len(its.counts) != _HOURS + len(calendar.slots):
                raise ValueError(f"{name} must have counts of 24 hours and of each slot")
            if its.kinds and len(its.kinds.own) != calendar.kinds:
                raise ValueError(f"{name} must have as many kinds of days as the calendar")
