"""The demo's model and the nodes that serve it: threads that predict and log, as machines would.

The model is a classifier of tumours, trained on real measurements that scikit-learn has.
"""

import csv
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tidegauge.producer import PredictionLogger

NAME = "tumour"
VERSION = "1"

#: What goes wrong in the demo: a scanner is replaced, and the new one measures these larger.
DRIFTED = "mean texture"
DRIFT_FACTOR = 1.15

NODES = 3

#: Predictions a second of each node: enough for a window of some seconds to be judged.
RATE = 150

#: Requests served together.
_TOGETHER = 15

Rows = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrainedModel:
    """A trained classifier with the data it was trained on."""

    pipeline: Pipeline
    features: list[str]
    rows: Rows

    def scores(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Probability of a benign tumour, by row."""
        scores: npt.NDArray[np.float64] = self.pipeline.predict_proba(rows)[:, 1]
        return scores

    def write_reference(self, path: Path) -> None:
        """Write the training data with the model's scores: what a baseline is made from."""
        with path.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow([*self.features, "score"])
            for row, score in zip(self.rows.tolist(), self.scores(self.rows), strict=True):
                out.writerow([*row, float(score)])


def train() -> TrainedModel:
    """Train the model; takes a fraction of a second."""
    data = load_breast_cancer()
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    pipeline.fit(data.data, data.target)
    return TrainedModel(pipeline, [str(name) for name in data.feature_names], data.data)


class Requests:
    """Patients as a serving node sees them, drawn from the real rows; measured anew after drift."""

    def __init__(self, model: TrainedModel, seed: int) -> None:
        self._model = model
        self._random = np.random.default_rng(seed)
        self._drifted = model.features.index(DRIFTED)

    def serve(self, count: int, *, drifted: bool) -> tuple[Rows, npt.NDArray[np.float64], float]:
        """Return some requests, their scores, and the milliseconds each took."""
        rows = self._model.rows[self._random.integers(len(self._model.rows), size=count)]
        if drifted:
            rows[:, self._drifted] *= DRIFT_FACTOR
        began = time.perf_counter()
        scores = self._model.scores(rows)
        return rows, scores, (time.perf_counter() - began) * 1000


class ServingNodes:
    """Nodes that serve until stopped; :attr:`drifting` decides what they see."""

    def __init__(self, bootstrap_servers: str, topic: str, model: TrainedModel) -> None:
        self.drifting = threading.Event()
        self._model = model
        self._stop = threading.Event()
        self._loggers = [
            PredictionLogger(bootstrap_servers, topic=topic, model=NAME, version=VERSION)
            for _ in range(NODES)
        ]
        self._threads = [
            threading.Thread(target=self._serve, args=(seed, logger), name=f"node-{seed}")
            for seed, logger in enumerate(self._loggers)
        ]

    def start(self) -> None:
        """Begin to serve."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> int:
        """Stop serving and deliver everything; return how many events were delivered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for logger in self._loggers:
            logger.close(timeout=10)
        return sum(logger.stats.delivered for logger in self._loggers)

    def _serve(self, seed: int, logger: PredictionLogger) -> None:
        requests = Requests(self._model, seed)
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += _TOGETHER / RATE
            rows, scores, latency_ms = requests.serve(_TOGETHER, drifted=self.drifting.is_set())
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
                logger.log(
                    features=dict(zip(self._model.features, row, strict=True)),
                    prediction=score,
                    latency_ms=latency_ms,
                )
