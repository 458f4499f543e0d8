"""Time zones of baselines, from their database to the document."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidegauge.baseline import Baseline, BaselineError, DailyCycle, DayCalendar, read_baseline
from tidegauge.baseline.io import build
from tidegauge.baseline.io.calendar import calendar_of, read_holidays, zone_changes
from tidegauge.cli.baseline_tables import hours_line
from tidegauge.windows.hours import calendar_of as profiles_of

DAY = 86_400
A_DAY = 480


@pytest.mark.parametrize(
    ("zone", "at", "ahead"),
    [
        ("Europe/Berlin", (2026, 3, 29, 0, 59), 3600),
        ("Europe/Berlin", (2026, 3, 29, 1, 0), 7200),
        ("Europe/Berlin", (2060, 7, 1, 0, 0), 7200),
        ("Asia/Kolkata", (2026, 7, 1, 0, 0), 19_800),
        ("Australia/Sydney", (2026, 1, 1, 0, 0), 39_600),  # summer
        ("Australia/Lord_Howe", (2026, 7, 1, 0, 0), 37_800),  # clocks change by half an hour
        ("Africa/Casablanca", (2026, 3, 1, 0, 0), 0),  # Ramadan
        ("Africa/Casablanca", (2026, 6, 1, 0, 0), 3600),
        ("UTC", (2026, 6, 1, 0, 0), 0),
    ],
)
def test_local_time_is_that_of_the_database(zone: str, at: tuple[int, ...], ahead: int) -> None:
    moment = datetime(*at, tzinfo=UTC)  # type: ignore[misc,arg-type]
    assert moment.astimezone(ZoneInfo(zone)).utcoffset() == timedelta(seconds=ahead)
    seconds = int(moment.timestamp())
    found = calendar_of(zone, (seconds // DAY, seconds // DAY))
    if zone == "UTC":
        assert found == DayCalendar(time_zone="UTC")
        return
    cycle = DailyCycle(days=14, spans_seconds=[60], signals={}, calendar=found)
    local = profiles_of(cycle).local(np.array(float(seconds)))
    assert float(local) - seconds == ahead
    assert found.until is not None and len(found.changes) < 60


def test_a_zone_has_every_change_of_its_clocks() -> None:
    changes = dict(zone_changes("Europe/Berlin"))
    for year in (2026, 2040, 2100):
        for month, ahead in ((3, 7200), (10, 3600)):
            last = datetime(year, month, 31, 1, tzinfo=UTC)
            sunday = last - timedelta(days=(last.weekday() + 1) % 7)
            assert changes[int(sunday.timestamp())] == ahead


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Europe/Berlim", "is it Europe/Berlin"),
        ("berlin", "is it Europe/Berlin"),
        ("/etc/passwd", "no such time zone"),
        ("Europe", "no such time zone"),
        ("localtime", "no such time zone"),
        ("Factory", "no such time zone"),
        ("", "no such time zone"),
        ("a\0b", "no such time zone"),
    ],
)
def test_a_zone_that_does_not_exist_is_named(zone: str, hint: str) -> None:
    with pytest.raises(BaselineError, match=hint):
        zone_changes(zone)


def _file(path: Path, begin: datetime, days: int) -> Path:
    """Write rows whose value is the local hour in Berlin."""
    at = [begin + timedelta(days=n / A_DAY) for n in range(days * A_DAY)]
    zone = ZoneInfo("Europe/Berlin")
    rows = {"at": at, "hour": [str(it.astimezone(zone).hour) for it in at]}
    pq.write_table(pa.table(rows), path)
    return path


def _built(path: Path, time_zone: str | None) -> Baseline:
    types = {"hour": "categorical"}
    return build(path, model="m", version="1", time="at", time_zone=time_zone, types=types).baseline  # type: ignore[arg-type]


def test_hours_are_local_on_both_sides_of_a_change_of_clocks(tmp_path: Path) -> None:
    path = _file(tmp_path / "rows.parquet", datetime(2026, 3, 20, 23, tzinfo=UTC), 16)
    baseline = _built(path, "Europe/Berlin")
    daily = baseline.daily
    assert daily and daily.calendar and daily.calendar.time_zone == "Europe/Berlin"
    categories = baseline.signals["hour"].categories  # type: ignore[union-attr]
    for hour, counts in enumerate(daily.signals["hour"].counts):
        place = categories.index(str(hour)) if str(hour) in categories else len(categories)
        assert counts[place] == sum(counts)
    assert sum(daily.signals["hour"].counts[2]) < sum(daily.signals["hour"].counts[1])
    assert read_baseline(baseline.to_json()) == baseline
    utc = _built(path, None)
    assert utc.daily and utc.daily.calendar is msgspec.UNSET
    mixed = [sum(it > 0 for it in counts) == 2 for counts in utc.daily.signals["hour"].counts]
    assert sum(mixed) > 18  # but for those in the bin "other"
    said = _built(path, "UTC")
    assert said.daily and said.daily.calendar == DayCalendar(time_zone="UTC")
    assert said.daily.signals == utc.daily.signals
    assert hours_line(said).startswith("by hour of the day (UTC) (no holidays named), of")
    assert hours_line(utc).startswith("by hour of the day (UTC, no time zone named) (no holidays")


def test_days_of_the_week_are_told_apart_where_they_differ(tmp_path: Path) -> None:
    begin, rng = datetime(2026, 6, 1, tzinfo=UTC), np.random.default_rng(1)
    at = [begin + timedelta(days=n / A_DAY) for n in range(28 * A_DAY)]
    free = np.array([it.weekday() >= 5 for it in at])
    rows = {
        "at": at,
        "weekly": np.where(free, "free", "work").tolist(),
        "alike": rng.choice(["a", "b"], len(at)).tolist(),
    }
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    baseline = build(tmp_path / "rows.parquet", model="m", version="1", time="at").baseline
    assert baseline.daily and baseline.daily.calendar
    assert baseline.daily.calendar.day_kinds == [4] * 7
    assert not baseline.daily.signals["alike"].kinds
    kinds = baseline.daily.signals["weekly"].kinds
    assert kinds and min(kinds.own) > 0.99
    place = baseline.signals["weekly"].categories.index("free")  # type: ignore[union-attr]
    of_free = np.array(kinds.counts)[:, :, place].sum(axis=1)
    assert of_free.tolist() == [0, 0, 0, 0, 0, 4 * A_DAY, 4 * A_DAY]
    assert "and by day of the week for 1 signal (no holidays named), of" in hours_line(baseline)
    assert read_baseline(baseline.to_json()) == baseline


def test_a_baseline_without_room_for_days_of_the_week_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegauge.baseline.io.daily._MOST_KINDS_BYTES", 1_000)
    path, warnings = _file(tmp_path / "rows.parquet", datetime(2026, 6, 1, tzinfo=UTC), 28), []
    baseline = build(
        path, model="m", version="1", time="at", types={"hour": "categorical"}, warn=warnings.append
    ).baseline
    assert baseline.daily and not baseline.daily.calendar
    assert "a baseline has room for 1,000: it is made by hour of the day alone" in warnings[0]


def test_a_zone_needs_times(tmp_path: Path) -> None:
    path = _file(tmp_path / "rows.parquet", datetime(2026, 3, 20, tzinfo=UTC), 1)
    with pytest.raises(BaselineError, match="--time-zone needs --time"):
        build(path, model="m", version="1", exclude=["at"], time_zone="Europe/Berlin")


def test_minutes_that_stand_out_each_day_get_slots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegauge.sequential.slots._LEAST_EVENTS", 2)
    seconds = datetime(2026, 6, 1, tzinfo=UTC).timestamp() + 20 * np.arange(15 * DAY // 20)
    minute = seconds % DAY // 60
    rows = {
        "at": seconds,
        "batch": np.where((minute >= 125) & (minute < 145), "nightly", "none").tolist(),
        "other": (np.arange(len(seconds)) % 7).astype(float),
    }
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    found = [
        build(
            tmp_path / "rows.parquet", model="m", version="1", time="at",
            time_zone="Europe/Berlin", memory_bytes=memory,
        ).baseline
        for memory in (1, 2**29)
    ]  # fmt: skip
    assert found[0].to_json() == found[1].to_json()
    daily = found[0].daily
    assert daily and daily.calendar
    slots = [(it.begin_seconds // 60, it.end_seconds // 60) for it in daily.calendar.slots]
    assert slots == [(245, 255), (255, 265)]  # of local time
    place = found[0].signals["batch"].categories.index("nightly")  # type: ignore[union-attr]
    counts = np.array(daily.signals["batch"].counts)
    assert (counts[24:, place] == counts[24:].sum(axis=1)).all()
    assert counts[:24, place].sum() == 0
    assert "by the minutes that stand out each day (04:05-04:15, 04:15-04:25)" in hours_line(
        found[0]
    )
    assert read_baseline(found[0].to_json()) == found[0]


# -- holidays --------------------------------------------------------------------------------------

FREE = [(12, 25), (12, 26), (1, 1), (1, 6)]


def _dates(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_holidays_are_read_from_a_file(tmp_path: Path) -> None:
    warnings: list[str] = []
    lines = ("date,name", "2026-12-25,Christmas", "", "# moved", "2028-02-29 # leap day")
    found = read_holidays(_dates(tmp_path / "free.csv", *lines), warnings.append)
    days = {date(2026, 12, 25), date(2028, 2, 29)}
    assert found.days == {(it - date(1970, 1, 1)).days for it in days}
    assert (found.source, found.rest_day) == ("free.csv", 6)
    assert found.until == (date(2028, 12, 31) - date(1970, 1, 1)).days
    assert "known up to 2028-12-31" in warnings[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["2026-12-25", "25.12.2027"], "line 2 has '25.12.2027', expected YYYY-MM-DD"),
        (["2026-02-29"], "line 1 has '2026-02-29'"),
        ([], "it has 0 dates"),
    ],
)
def test_a_file_of_anything_else_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(BaselineError, match=message):
        read_holidays(_dates(tmp_path / "free.txt", *lines), print)


def test_what_is_neither_a_country_nor_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="neither a country, such as DE or DE-BY, nor a file"):
        read_holidays(str(tmp_path / "nowhere.txt"), print)
    with pytest.raises(BaselineError, match="--holidays needs --time"):
        build(tmp_path / "rows.csv", model="m", version="1", holidays="DE")


@pytest.mark.parametrize(
    ("country", "day", "rest_day"),
    [("DE", date(2026, 10, 3), 6), ("DE-BY", date(2026, 1, 6), 6), ("SA", date(2026, 9, 23), 5)],
)
def test_holidays_of_a_country_are_those_of_the_package(
    country: str, day: date, rest_day: int
) -> None:
    found = read_holidays(country, print)
    assert (day - date(1970, 1, 1)).days in found.days
    assert (found.source, found.rest_day) == (country, rest_day)
    moving = {  # of Ramadan's end, which comes earlier each year
        "SA": date(2026, 3, 20)
    }
    if country in moving:
        assert (moving[country] - date(1970, 1, 1)).days in found.days


@pytest.mark.parametrize(("country", "message"), [("XX", "XX not available"), ("DE-ZZ", "ZZ")])
def test_a_country_that_the_package_does_not_have_is_named(country: str, message: str) -> None:
    with pytest.raises(BaselineError, match=f"--holidays {country}.*{message}"):
        read_holidays(country, print)


def _with_holidays(path: Path, free: list[tuple[int, int]], first: datetime, days: int) -> Path:
    at = [first + timedelta(days=n / A_DAY) for n in range(days * A_DAY)]
    rows = {
        "at": at,
        "day": ["free" if it.weekday() >= 5 or (it.month, it.day) in free else "work" for it in at],
    }
    pq.write_table(pa.table(rows), path)
    return path


@pytest.mark.parametrize(("first", "own"), [((2026, 12, 14), True), ((2027, 1, 4), False)])
def test_enough_holidays_are_a_kind_of_day_and_few_are_like_sundays(
    tmp_path: Path, first: tuple[int, int, int], own: bool
) -> None:
    path = _with_holidays(tmp_path / "rows.parquet", FREE, datetime(*first, tzinfo=UTC), 28)
    years = (2026, 2027, 2028)
    lines = [f"{year}-{month:02}-{day:02}" for year in years for month, day in FREE]
    baseline = build(
        path,
        model="m",
        version="1",
        time="at",
        holidays=_dates(tmp_path / "free.txt", *lines),
        warn=lambda message: None,
    ).baseline
    assert baseline.daily and baseline.daily.calendar
    calendar = baseline.daily.calendar
    assert calendar.day_kinds == ([4, 4, 3, 4, 2, 3, 4, 4] if own else [4, 4, 3, 4, 4, 4, 5])
    assert calendar.holiday_kind == (7 if own else 6)
    assert calendar.holidays_of == "free.txt" and "2028-12-26" in calendar.holidays
    kinds = baseline.daily.signals["day"].kinds
    place = baseline.signals["day"].categories.index("work")  # type: ignore[union-attr]
    assert kinds and np.array(kinds.counts)[calendar.holiday_kind, :, place].sum() == 0
    profiles = profiles_of(baseline.daily)
    christmas = (date(2028, 12, 25) - date(1970, 1, 1)).days  # a Monday
    assert profiles.kind_of(christmas) == calendar.holiday_kind
    assert calendar.until == (date(2029, 1, 1) - date(1970, 1, 1)).days * DAY
    shown = "a kind of their own" if own else "as days of rest"
    assert f"(holidays of free.txt are {shown})" in hours_line(baseline)
    assert read_baseline(baseline.to_json()) == baseline


def test_holidays_before_the_latest_days_are_used_too(tmp_path: Path) -> None:
    path = _with_holidays(tmp_path / "rows.parquet", FREE, datetime(2026, 12, 21, tzinfo=UTC), 56)
    lines = [f"{2026 if month == 12 else 2027}-{month:02}-{day:02}" for month, day in FREE]
    baseline = build(
        path, model="m", version="1", time="at",
        holidays=_dates(tmp_path / "free.txt", *lines), warn=lambda message: None,
    ).baseline  # fmt: skip
    assert baseline.daily and baseline.daily.calendar
    assert baseline.daily.days == 28 + 4
    assert baseline.daily.calendar.day_kinds == [4] * 7 + [4]


def test_holidays_of_days_that_are_alike_make_no_difference(tmp_path: Path) -> None:
    path, warnings = _file(tmp_path / "rows.parquet", datetime(2026, 6, 1, tzinfo=UTC), 28), []
    baseline = build(
        path, model="m", version="1", time="at", types={"hour": "categorical"},
        holidays=_dates(tmp_path / "free.txt", "2026-06-04"), warn=warnings.append,
    ).baseline  # fmt: skip
    assert baseline.daily and not baseline.daily.calendar
    assert "--holidays makes no difference" in warnings[-1]


def test_it_can_be_said_that_there_are_no_holidays(tmp_path: Path) -> None:
    path, warnings = _file(tmp_path / "rows.parquet", datetime(2026, 6, 1, tzinfo=UTC), 28), []
    baseline = build(
        path, model="m", version="1", time="at", types={"hour": "categorical"},
        holidays="none", warn=warnings.append,
    ).baseline  # fmt: skip
    assert baseline.daily and baseline.daily.calendar == DayCalendar(holidays_of="none")
    assert not any("holidays" in it for it in warnings)
    assert "no holidays" not in hours_line(baseline)
    assert read_baseline(baseline.to_json()) == baseline


def test_a_file_of_holidays_in_another_encoding_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_bytes("2026-01-06,Drei K\xf6nige\n".encode("latin-1"))
    with pytest.raises(BaselineError, match=r"days\.csv: it is no text in UTF-8: .* 0xf6"):
        read_holidays(str(path), print)
