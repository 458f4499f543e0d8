"""The demo's serving nodes: threads that predict and log, as three machines would."""

import threading
import time

from tidegauge.demo.model import NAME, VERSION, Requests, TrainedModel
from tidegauge.producer import PredictionLogger

NODES = 3

#: Predictions a second of each node: enough for a window of some seconds to be judged.
RATE = 150

#: Requests served together.
_TOGETHER = 15


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
