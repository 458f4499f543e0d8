"""Time zones of baselines, from their database to the document."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidegauge.baseline import Baseline, BaselineError, DailyCycle, read_baseline
from tidegauge.baseline.io import build
from tidegauge.baseline.io.calendar import calendar_of, zone_changes
from tidegauge.cli._baseline_tables import hours_line
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
    if found is None:
        assert zone == "UTC"
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
    assert _built(path, "UTC").to_json() == utc.to_json()


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
    assert "and by day of the week for 1 signal, of 28 days" in hours_line(baseline)
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
