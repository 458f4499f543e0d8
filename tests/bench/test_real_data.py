"""Real data replayed: small files as the packages have them, with a drift that is put in."""

import gzip
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import check_peers
from _markers import replace_part
from _real_replay import Replayed, replay
from _real_sets import CENSUS, FLIGHTS, RATINGS, SETS, RealSet, connection, shuffle
from real_data import BEGIN, DOCUMENT, END, OURS, Found, Phase, profile_of, report

DAYS, BEFORE, DRIFT, ROWS = 40, 25, 32, 300
FIRST = date(2015, 1, 1)


def day(number: int) -> str:
    return f"{FIRST + timedelta(days=number)}"


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write flights in two files, their rows in any order; one airline becomes another's."""
    rng, folder = np.random.default_rng(1), tmp_path_factory.mktemp("popmon")
    lines = []
    for number in range(DAYS):
        for row in range(ROWS):
            airline = rng.choice(["AA", "US", "WN"], p=[0.3, 0.3, 0.4])
            airline = "AA" if number >= DRIFT and airline == "US" else airline
            taxi = "" if rng.random() < 0.02 else f"{rng.gamma(8, 2):.0f}"
            cancelled = int(not taxi)
            lines.append(
                f"{ROWS * number + row},{cancelled},{airline},{rng.normal():.1f},{taxi},"
                f"{rng.gamma(9, 12):.0f},{rng.integers(1, 40) * 50},{day(number)}"
            )
    (folder / "test_data").mkdir()
    rng.shuffle(lines)
    head = ",CANCELLED,AIRLINE,DEPARTURE_DELAY,TAXI_OUT,AIR_TIME,DISTANCE,DATE"
    for part, some in (("_reference", lines[:7_000]), ("", lines[7_000:])):
        with gzip.open(folder / "test_data" / f"flight_delays{part}.csv.gz", "wt") as file:
            file.write("\n".join([head, *some, ""]))
    return folder


@pytest.fixture
def small(flights: Path) -> Iterator[tuple[RealSet, duckdb.DuckDBPyConnection]]:
    """Give the small flights, in a connection."""
    real = replace(FLIGHTS, since=day(BEFORE), until=day(DAYS), drift=day(DRIFT))
    with connection(real, {"popmon": flights}) as events:
        yield real, events


Small = tuple[RealSet, duckdb.DuckDBPyConnection]


def test_a_drift_of_one_signal_is_told_from_its_day_on_and_nothing_before(small: Small) -> None:
    found = replay(*small)
    assert [it.day for it in found.days] == [day(number) for number in range(BEFORE, DAYS)]
    assert [it.events for it in found.days] == [ROWS] * (DAYS - BEFORE)
    assert found.baseline.rows == ROWS * BEFORE
    assert set(found.baseline.signals) == {
        "airline", "cancelled", "departure_delay", "taxi_out", "air_time", "distance",
    }  # fmt: skip
    assert any("dates without a time" in it for it in found.warnings)
    quiet, drifting = found.days[: DRIFT - BEFORE], found.days[DRIFT - BEFORE :]
    assert [it.alarms for it in quiet] == [{}] * len(quiet)
    assert all("airline" in it.alarms for it in drifting)
    assert drifting[0].alarms["airline"].startswith("KL ")
    assert [it.sent for it in drifting[:2]] == [["drift-retrain (high)"], []]


def test_the_same_rows_in_random_order_tell_nothing(small: Small) -> None:
    real, events = small
    asked = "SELECT airline, count(*), sum(distance) FROM events GROUP BY 1 ORDER BY 1"
    times = "SELECT time FROM events ORDER BY 1"
    before = events.sql(asked).fetchall(), events.sql(times).fetchall()
    kinds = events.sql("DESCRIBE events").fetchall()
    shuffle(events, 1)
    shuffle(events, 2)
    assert (events.sql(asked).fetchall(), events.sql(times).fetchall()) == before
    assert events.sql("DESCRIBE events").fetchall() == kinds
    found = replay(real, events)
    assert [it.alarms for it in found.days] == [{}] * (DAYS - BEFORE)


def test_the_tables_say_who_alarms_when(small: Small) -> None:
    real, events = small
    profile = profile_of(real, events)
    assert "| 2015-02 | 2,700 |" in profile  # from the first to the ninth
    replayed = replay(real, events)
    ours = {it.day: list(it.alarms) for it in replayed.days}
    theirs = {it.day: ["distance"] for it in replayed.days[:3]}
    found = Found(replayed, {OURS: ours, "Evidently": theirs})
    phases = [
        found.phase("before", lambda it: it < day(DRIFT)),
        found.phase("after", lambda it: it >= day(DRIFT)),
    ]
    assert phases[0].shares == {OURS: 0.0, "Evidently": 3 / 7}
    assert phases[1] == Phase("after", 8, {OURS: 1.0, "Evidently": 0.0}, 1)
    assert phases[1].cells() == ["after", "8", "100%", "0%", "1 (3.75 a month)"]
    text = "\n\n".join(report(real, found, phases, profile))
    assert f"| {day(BEFORE)} | 300 |  |  | distance |" in text
    assert f"| {day(DRIFT)} | 300 | airline KL" in text
    assert f"| from {day(DRIFT)} on | airline | 100% | 0% |" in text
    assert "tidegauge baseline create --model flights" in text and "--time time" in text
    assert text.count("| Mon |") == 1


def test_ratings_are_joined_and_moved_by_whole_weeks_into_time_that_is_accepted(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "dataset_example" / "ml-100k"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(2)
    start = 874_800_000  # 1997-09-21
    rows = [
        f"{user}\t{rng.integers(1, 30)}\t{rng.integers(1, 6)}\t{start + 3_000 * row}"
        for row, user in enumerate(rng.integers(1, 60, size=600))
    ]
    users = [f"{user}\t{18 + user % 40}\t{'MF'[user % 2]}\tstudent\t{90_000 + user}" for user in
             range(1, 60)]  # fmt: skip
    films = [f'{film}\tA "film"\t199{film % 8}\tDrama' for film in range(1, 30)]
    heads = {
        "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float",
        "user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token",
        "item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq",
    }
    for name, lines in (("inter", rows), ("user", users), ("item", films)):
        (folder / f"ml-100k.{name}").write_text("\n".join([heads[name], *lines, ""]))
    real = replace(RATINGS, since="2017-10-03", until="2018-01-01")
    with connection(real, {"recbole": tmp_path}) as events:
        (first,) = events.sql("SELECT min(time) FROM events").fetchall()[0]
        assert first.timestamp() - start == 1_044 * 7 * 86_400
        assert events.sql("SELECT count(*) FROM events").fetchall() == [(600,)]
        found = replay(real, events)
    signals = found.baseline.signals
    assert "user_id" not in signals and "time" not in signals
    assert {"film", "genres", "zip_code", "rating"} <= set(signals)
    assert found.baseline.dependence and found.baseline.dependence.entity == "user_id"
    assert sum(it.events for it in found.days) + found.baseline.rows == 600


def test_the_census_goes_by_chunks_of_its_order(tmp_path: Path) -> None:
    folder = tmp_path / "datasets" / "data"
    folder.mkdir(parents=True)
    codes = ("SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY", "DEAR",
             "DEYE", "DREM", "SEX", "RAC1P")  # fmt: skip
    rng, ids = np.random.default_rng(3), np.arange(20_000)
    table = pa.table({
        "id": ids, "AGEP": rng.uniform(0, 90, size=20_000).round(),
        **{name: rng.integers(1, 4, size=20_000) for name in codes},
        "year": 2015 + ids // 15_000, "predicted_probability": rng.beta(2, 2, size=20_000),
    })  # fmt: skip
    parquet.write_table(table[:10_000], folder / "employment_MA_reference.pq")
    parquet.write_table(table[10_000:], folder / "employment_MA_analysis.pq")
    real = replace(CENSUS, since="2015-01-03", until="2015-01-06")
    with connection(real, {"nannyml": tmp_path}) as events:
        found: Replayed = replay(real, events)
    assert [(it.day, it.events) for it in found.days] == [
        ("2015-01-03", 5_000),
        ("2015-01-04", 5_000),
    ]
    assert found.baseline.rows == 10_000
    assert set(found.baseline.signals) == {"AGEP", *codes, "prediction"}


def test_what_is_refused_as_an_event_is_no_quiet_day(small: Small) -> None:
    real, events = small
    events.execute("UPDATE events SET time = time - INTERVAL 20 YEARS")
    shifted = replace(real, since="1995-01-26")
    with pytest.raises(ValueError, match="an event was refused"):
        replay(shifted, events)


def test_the_check_of_peers_finds_days_that_are_wrong() -> None:
    right = {
        check_peers.planted_day(20 + at): [] if at < 3 else ["amount", "region"] for at in range(6)
    }
    assert check_peers.wrong_days(right) == []
    assert check_peers.wrong_days(dict(list(right.items())[1:])) != []
    assert check_peers.wrong_days(right | {"2024-01-24": ["amount"]}) == [
        "2024-01-24 found ['amount'] and not region, WRONG"
    ]
    noisy = {day: [*names, "other"] for day, names in right.items()}
    assert [it for it in check_peers.wrong_days(noisy) if it.startswith("found other")]


def test_the_document_has_a_part_for_each_set() -> None:
    document = DOCUMENT.read_text()
    for name in SETS:
        marks = BEGIN.format(name=name), END.format(name=name)
        assert "new" in replace_part(document, *marks, "new")
