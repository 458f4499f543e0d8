"""The model of the demo, and nodes that serve it: predictions, and labels some seconds later."""

import csv
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.producer import OutcomeLogger, PredictionLogger

NAME = "tumour"
VERSION = "1"

#: What goes wrong in the demo: a scanner is replaced, and the new one measures this larger. So one
#: benign tumour in nine is taken for a malignant one.
DRIFTED = "worst texture"
DRIFT_FACTOR = 1.5

#: The label of each prediction comes so much later; in life, when the tissue has been examined.
LABEL_SECONDS = 3.0

#: The classes, malignant first, and the column that has them; a score is the probability of benign.
CLASSES = ("malignant", "benign")
LABEL = "diagnosis"

NODES = 3

#: Predictions a second of each node: enough for a window of some seconds to be judged.
RATE = 150

#: Requests served together.
_TOGETHER = 15

Rows = npt.NDArray[np.float64]


class Served(NamedTuple):
    """Requests served together: rows, scores, what is true of each, and milliseconds of each."""

    rows: Rows
    scores: npt.NDArray[np.float64]
    actual: list[str]
    latency_ms: float


@dataclass(frozen=True)
class TrainedModel:
    """A trained classifier with the data it was trained on."""

    pipeline: Any
    features: list[str]
    rows: Rows
    actual: npt.NDArray[np.int64]

    def scores(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Probability of a benign tumour, by row."""
        scores: npt.NDArray[np.float64] = self.pipeline.predict_proba(rows)[:, 1]
        return scores

    def write_reference(self, path: Path) -> None:
        """Write the training data with the model's scores: what a baseline is made from."""
        with path.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow([*self.features, "score", LABEL])
            scores = self.scores(self.rows).tolist()
            for row, score, its in zip(self.rows.tolist(), scores, self.actual, strict=True):
                out.writerow([*row, score, CLASSES[its]])


def train() -> TrainedModel:
    """Train the model; takes a fraction of a second."""
    # Only here: the services alone need none of it.
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer()
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    pipeline.fit(data.data, data.target)
    names = [str(name) for name in data.feature_names]
    return TrainedModel(pipeline, names, data.data, data.target)


class Requests:
    """Patients as a serving node sees them, drawn from the real rows; measured anew after drift."""

    def __init__(self, model: TrainedModel, seed: int) -> None:
        self._model = model
        self._random = np.random.default_rng(seed)
        self._drifted = model.features.index(DRIFTED)

    def serve(self, count: int, *, drifted: bool) -> Served:
        """Serve some requests."""
        chosen = self._random.integers(len(self._model.rows), size=count)
        rows = self._model.rows[chosen]
        if drifted:
            rows[:, self._drifted] *= DRIFT_FACTOR
        began = time.perf_counter()
        scores = self._model.scores(rows)
        actual = [CLASSES[its] for its in self._model.actual[chosen]]
        return Served(rows, scores, actual, (time.perf_counter() - began) * 1000)


class ServingNodes:
    """Nodes that serve until stopped; :attr:`drifting` decides what they see.

    A receipt stays with the patient's file, and comes back with the label.
    """

    def __init__(
        self, bootstrap_servers: str, topic: str, labels_topic: str, model: TrainedModel
    ) -> None:
        self.drifting = threading.Event()
        self._model = model
        self._stop = threading.Event()
        self._loggers = [
            PredictionLogger(
                bootstrap_servers, topic=topic, model=NAME, version=VERSION, receipts=True
            )
            for _ in range(NODES)
        ]
        self._labels = OutcomeLogger(bootstrap_servers, topic=labels_topic, source="pathology")
        self._threads = [
            threading.Thread(target=self._serve, args=(seed, logger), name=f"node-{seed}")
            for seed, logger in enumerate(self._loggers)
        ]

    def start(self) -> None:
        """Begin to serve."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> tuple[int, int]:
        """Stop serving and deliver everything; return how many events and labels there were."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for logger in (*self._loggers, self._labels):
            logger.close(timeout=10)
        events = sum(logger.stats.delivered for logger in self._loggers)
        return events, self._labels.stats.delivered

    def _serve(self, seed: int, logger: PredictionLogger) -> None:
        requests = Requests(self._model, seed)
        waiting: deque[tuple[float, str | None, str]] = deque()
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += _TOGETHER / RATE
            its = requests.serve(_TOGETHER, drifted=self.drifting.is_set())
            known = time.monotonic() + LABEL_SECONDS
            for row, score, actual in zip(
                its.rows.tolist(), its.scores.tolist(), its.actual, strict=True
            ):
                receipt = logger.log(
                    features=dict(zip(self._model.features, row, strict=True)),
                    prediction=score,
                    latency_ms=its.latency_ms,
                )
                waiting.append((known, receipt, actual))
            while waiting and waiting[0][0] <= time.monotonic():
                _, held, actual = waiting.popleft()
                self._labels.log(receipt=held, actual=actual)
