"""Real data that ship in packages, in the order of time: what each is, and its rows.

The packages are read as files; nothing of them is run. Rows become the table ``events`` of a DuckDB
connection: ``time``, the signals, and what is named to be no signal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from _environments import PEERS, python_environment

#: Rows of a chunk of the census, which has no days: so many as the documentation of NannyML has.
CHUNK = 5_000

#: Ratings are of 1997 and 1998, and events before 2000 are refused: they are moved by 20 years, a
#: whole number of weeks.
_WEEKS_LATER = 1_044

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class RealSet:
    """A set: days in [``since``, ``until``) are replayed, those before are the baseline's.

    ``load`` makes the table ``events`` of the folders in which the ``packages`` are. From the day
    ``drift`` on there is a documented drift. ``entity`` and ``prediction`` are as for
    ``tidegauge baseline create``, and so are ``time`` and ``exclude``. ``profile`` are the figures
    by which a reader can check what has changed, as SQL, by ``period`` of time, of which
    ``periods`` is the word; ``chunks`` says what the days are, and ``weekly`` whether days of the
    week are told apart.
    """

    name: str
    packages: tuple[str, ...]
    load: Callable[[duckdb.DuckDBPyConnection, Mapping[str, Path]], None]
    since: str
    until: str
    period: str
    periods: str
    chunks: str
    profile: Mapping[str, str]
    drift: str | None = None
    weekly: bool = False
    prediction: str | None = None
    entity: str | None = None
    time: str | None = "time"
    exclude: tuple[str, ...] = ()

    @property
    def no_signals(self) -> set[str]:
        """Columns that are neither sent nor compared."""
        return {"time", *self.exclude, *([self.entity] if self.entity else [])}

    def options(self) -> dict[str, Any]:
        """Return the options of ``tidegauge baseline create``, as it calls them."""
        given = {"prediction": self.prediction, "time": self.time, "entity": self.entity}
        return {name: value for name, value in given.items() if value is not None}

    def command(self) -> str:
        """Return the command that the options are of."""
        words = [f"tidegauge baseline create --model {self.name} --version 1"]
        words += [f"--from {self.name}.parquet"]
        words += [f"--{name} {value}" for name, value in self.options().items()]
        return " ".join([*words, *(f"--exclude {name}" for name in self.exclude)])


def folders() -> dict[str, Path]:
    """Return where each package is, after its environment was built if need be.

    Raises ``UnavailableError`` if it can't be.
    """
    found = {}
    for requirements in ("real_data", "detection_nannyml"):
        path = PEERS / f"{requirements}.requirements.txt"
        python = python_environment(path, dependencies=False)
        (site,) = python.parents[1].glob("lib/python*/site-packages")
        for package in ("popmon", "recbole", "nannyml"):
            if (site / package).is_dir():
                found[package] = site / package
    return found


def connection(real: RealSet, packages: Mapping[str, Path]) -> duckdb.DuckDBPyConnection:
    """Return a connection with the set's events in the table ``events``."""
    found = duckdb.connect()
    found.execute("SET timezone = 'UTC'")
    real.load(found, packages)
    found.execute("DELETE FROM events WHERE time >= CAST(? AS TIMESTAMP)", [real.until])
    return found


def shuffle(connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Give the events their times in random order, so that nothing of them can drift."""
    count = connection.sql("SELECT * FROM events").shape[0]
    places = np.random.default_rng(seed).permutation(count)
    connection.execute(
        "CREATE OR REPLACE TABLE places AS SELECT unnest(?) AS place", [places.tolist()]
    )
    connection.execute(
        "CREATE OR REPLACE TABLE events AS WITH "
        "timed AS (SELECT time, rowid AS place FROM events), "
        "others AS (SELECT * EXCLUDE (time) FROM events "
        "POSITIONAL JOIN places) "
        "SELECT timed.time, others.* EXCLUDE (place) FROM timed JOIN others USING (place) "
        "ORDER BY timed.time, place"
    )


def _flights(connection: duckdb.DuckDBPyConnection, packages: Mapping[str, Path]) -> None:
    data = packages["popmon"] / "test_data"
    files = [str(data / f"flight_delays{part}.csv.gz") for part in ("_reference", "")]
    connection.execute(
        "CREATE TABLE events AS SELECT CAST(DATE AS TIMESTAMP) AS time, AIRLINE AS airline, "
        "CAST(CANCELLED AS VARCHAR) AS cancelled, DEPARTURE_DELAY AS departure_delay, "
        "TAXI_OUT AS taxi_out, AIR_TIME AS air_time, DISTANCE AS distance "
        "FROM read_csv(?) ORDER BY time, column0",
        [files],
    )


def _ratings(connection: duckdb.DuckDBPyConnection, packages: Mapping[str, Path]) -> None:
    data = packages["recbole"] / "dataset_example" / "ml-100k"
    for part in ("inter", "user", "item"):
        file = str(data / f"ml-100k.{part}").replace("'", "''")
        connection.execute(
            f'CREATE VIEW "{part}" AS SELECT * FROM '  # noqa: S608 - a path of our own
            f"read_csv('{file}', delim = '\t', quote = '', header = true, all_varchar = true)"
        )
    connection.execute(
        'CREATE TABLE events AS SELECT make_timestamp((CAST("timestamp:float" AS BIGINT) + '  # noqa: S608 - numbers
        f"{_WEEKS_LATER * 7 * DAY_SECONDS}) * 1000000) AS time, "
        '"user_id:token" AS user_id, "item_id:token" AS film, "class:token_seq" AS genres, '
        '"release_year:token" AS released, CAST("age:token" AS INTEGER) AS age, '
        '"gender:token" AS gender, "occupation:token" AS occupation, '
        '"zip_code:token" AS zip_code, CAST("rating:float" AS DOUBLE) AS rating '
        'FROM inter JOIN "user" USING ("user_id:token") JOIN item USING ("item_id:token") '
        "ORDER BY ALL"
    )


#: Of the census, those that are codes.
_CODES = ("SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY", "DEAR",
          "DEYE", "DREM", "SEX", "RAC1P")  # fmt: skip


def _census(connection: duckdb.DuckDBPyConnection, packages: Mapping[str, Path]) -> None:
    data = packages["nannyml"] / "datasets" / "data"
    files = [str(data / f"employment_MA_{part}.pq") for part in ("reference", "analysis")]
    codes = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in _CODES)
    connection.execute(
        f"CREATE TABLE events AS SELECT make_timestamp("  # noqa: S608 - names of our own
        f"(1420070400 + (id // {CHUNK}) * {DAY_SECONDS}) * 1000000) AS time, year, AGEP, {codes}, "
        "predicted_probability FROM read_parquet(?, union_by_name = true) ORDER BY id",
        [files],
    )


FLIGHTS = RealSet(
    name="flights",
    weekly=True,
    packages=("popmon",),
    load=_flights,
    since="2015-04-01",
    until="2015-08-01",
    drift="2015-07-01",
    period="strftime(time, '%Y-%m')",
    periods="month",
    chunks="Day by day",
    profile={
        "rows": "count(*)",
        "cancelled": "avg(CAST(cancelled = '1' AS INTEGER))",
        "mean departure_delay": "avg(departure_delay)",
        "mean taxi_out": "avg(taxi_out)",
        "mean distance": "avg(distance)",
        **{
            f"airline {code}": f"avg(CAST(airline = '{code}' AS INTEGER))"
            for code in ("AA", "US", "MQ", "UA")
        },
    },
)

RATINGS = RealSet(
    name="ratings",
    packages=("recbole",),
    load=_ratings,
    since="2017-12-04",
    until="2018-04-27",
    entity="user_id",
    time=None,
    exclude=("time",),
    period="strftime(time, '%Y-%m')",
    periods="month",
    chunks="Day by day",
    profile={
        "rows": "count(*)",
        "users": "count(DISTINCT user_id)",
        "films": "count(DISTINCT film)",
        "mean rating": "avg(rating)",
        "mean age": "avg(age)",
        "women": "avg(CAST(gender = 'F' AS INTEGER))",
        "students": "avg(CAST(occupation = 'student' AS INTEGER))",
        "films of 1997 and 1998": "avg(CAST(released IN ('1997', '1998') AS INTEGER))",
    },
)

CENSUS = RealSet(
    name="census",
    packages=("nannyml",),
    load=_census,
    since="2015-01-14",
    until="2015-02-26",
    drift="2015-01-28",
    prediction="predicted_probability",
    time=None,
    exclude=("time", "year"),
    period="CAST(year AS VARCHAR)",
    periods="year",
    chunks="Chunk by chunk of 5,000 rows, each as a day",
    profile={
        "rows": "count(*)",
        "mean AGEP": "avg(AGEP)",
        "mean predicted_probability": "avg(predicted_probability)",
        "RELP 16 or 17": "avg(CAST(RELP IN ('16', '17') AS INTEGER))",
        "ANC 1": "avg(CAST(ANC = '1' AS INTEGER))",
        "MAR 5": "avg(CAST(MAR = '5' AS INTEGER))",
        "SCHL 21": "avg(CAST(SCHL = '21' AS INTEGER))",
    },
)

SETS = {real.name: real for real in (FLIGHTS, RATINGS, CENSUS)}
