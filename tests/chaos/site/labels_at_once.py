"""What the product makes of predictions and labels, in this process: no broker and no faults.

INGEST's counting and routing, and OUTCOMES' join, which is killed and reads its topic back halfway.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from unittest.mock import patch

from chaos.judge.findings import OutputRecord
from chaos.judge.labels import COHORT_SECONDS
from chaos.labels import EARLY_SECONDS, LABELLED, NEGATIVE, POSITIVE, RETENTION_SECONDS, THRESHOLD
from chaos.plan.faults import WINDOW_SECONDS
from chaos.source import SourceRecord
from support.awaited import awaiting
from support.counting import FakeMessage, a_tenure, numeric, promote
from tidegauge.baseline import Baseline
from tidegauge.config import Settings, WindowSettings
from tidegauge.contract import BinaryTarget, encode
from tidegauge.counting import Counter, LabelRouter, Position, Tenure
from tidegauge.counting.prediction_router import PredictionRouter
from tidegauge.outcomes import read_input
from tidegauge.roles.outcomes.state import JoinState

#: Of the topic of outcomes.
PARTITIONS = 2
TOPIC = "tidegauge.outcomes"

#: A record of that topic: when it was written, and its value.
_Logged = tuple[float, bytes]

_TARGET = BinaryTarget(positive=POSITIVE, negative=NEGATIVE, threshold=THRESHOLD)
_BASELINES = [
    Baseline(model=model, version="1", rows=1, source="", signals={"prediction": numeric([0.5])})
    for model in LABELLED
]
BASELINE_IDS = {one.id for one in _BASELINES}


class Product:
    """Takes the records of both source topics; has cells and dead letters of labels in the end."""

    def __init__(self) -> None:
        self.now = 0.0
        fields = {
            "TIDEGAUGE_OUTCOMES__COHORT_SECONDS": str(COHORT_SECONDS),
            "TIDEGAUGE_OUTCOMES__EARLY_SECONDS": str(EARLY_SECONDS),
            "TIDEGAUGE_OUTCOMES__RETENTION_SECONDS": str(RETENTION_SECONDS),
            "TIDEGAUGE_WINDOWS__SECONDS": str(WINDOW_SECONDS),
            "TIDEGAUGE_TOPICS__LABELS": "labels",
        }
        with patch.dict(os.environ, fields):
            self._settings = Settings()
        self._counter = Counter(
            source="predictions",
            settings=self._settings.ingest,
            window_of=lambda model: WindowSettings(),
            clock=lambda: self.now,
            predictions=PredictionRouter(settings_of=self._settings.outcomes_of),
        )
        self._router = LabelRouter(
            source="labels", settings=self._settings.ingest, clock=lambda: self.now
        )
        self._log: defaultdict[int, list[_Logged]] = defaultdict(list)
        #: Histograms that were committed, and dead letters.
        self.cells: list[bytes] = []
        self.letters: list[OutputRecord] = []
        self._begin({})

    def _begin(self, committed: dict[int, int]) -> None:
        """Start OUTCOMES: what is before its offsets is read back."""
        self._state = JoinState(self._settings, 0.0)
        for partition in range(PARTITIONS):
            to = committed.get(partition, 0)
            join = self._state.new_join()
            for at, value in self._log[partition][:to]:
                join.take([read_input(value, at)])
            join.settle()
            join.held.forget_counts()
            self._state.joins[partition] = join
            self._state.positions[partition] = Position(
                origin=0, start=to, since=to, to=to, arrived=0.0
            )
        self._state.renew(0.0)
        self._committed = dict(committed)

    def restart(self) -> None:
        """Kill OUTCOMES, and start it again."""
        self._begin(self._committed)

    def route(self, now: float, *, labels: Sequence[SourceRecord] = (),
              predictions: Sequence[SourceRecord] = ()) -> None:  # fmt: skip
        """Have INGEST take records, and commit what comes of them."""
        self.now = now
        tenure = a_tenure(0)
        with awaiting(_TARGET):
            for taker, records in ((self._router, labels), (self._counter, predictions)):
                taker.use(promote(*_BASELINES), tenure)
                taker.count([FakeMessage(v, p, o, at_ms=ms) for p, o, ms, v in records], tenure)
                taker.settle(tenure)
        for partition, value in self._routed(tenure):
            self._log[partition].append((now, value))
        self.letters += [OutputRecord(0, 0, 0, encode(it)) for it in self._router.dead_letters]
        self._router.dead_letters.clear()

    def _routed(self, tenure: Tenure) -> Iterator[tuple[int, bytes]]:
        yield from tenure.labels.records(PARTITIONS, self.now, "labels")
        yield from tenure.pending.records(PARTITIONS, self.now)

    def tick(self, now: float) -> None:
        """Let time pass on the topic of outcomes."""
        for partition in range(PARTITIONS):
            self._log[partition].append((now, b'{"kind": "predictions", "time": %d}' % now))

    def join(self, now: float, *, flush: bool = True) -> None:
        """Have OUTCOMES take what is there, and commit it, or not."""
        state = self._state
        for partition, log in self._log.items():
            at = state.positions[partition]
            records = [read_input(value, time) for time, value in log[at.to :]]
            state.cells.add(state.joins[partition].take(records))
            at.to = len(log)
        state.settle()
        if not flush:
            return
        self.letters += [OutputRecord(0, 0, 0, encode(it)) for it in state.letters(now)]
        records = state.records(
            now=now, monotonic=0.0, partitions=PARTITIONS, destinations=1, topic_id=""
        )
        self.cells += [value for _, value in records]
        state.flushed()
        self._committed = {p: at.to for p, at in state.positions.items()}
