"""What INGEST would write of many models: its own tenures and cells, filled by column of counts."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from confluent_kafka import Producer

from tidegauge.baseline import Baseline, NumericSignal
from tidegauge.config import IngestSettings, Settings
from tidegauge.contract import OUTPUT_SIGNALS
from tidegauge.counting import Position, Tenure
from tidegauge.counting.cells import CountingCell
from tidegauge.counting.plan import SPECIALS, Plan, make_plan
from tidegauge.counting.rows import OVERALL
from tidegauge.kafka import ingest_producer_config

BINS = 20
VERSION = "1"

#: Events of one model that one worker counts between two flushes.
EVENTS = 200

#: Signals that every model has beside its features: latency, status and the prediction itself.
_OUTPUTS = len(OUTPUT_SIGNALS) - 1


def baseline_of(model: str, signals: int) -> Baseline:
    """Make a baseline of ``signals`` signals in all, each numeric one in 20 bins."""
    edges = np.linspace(-2.0, 2.0, BINS - 1).round(6).tolist()
    names = [*(f"feature_{i}" for i in range(signals - _OUTPUTS)), "prediction"]
    signal = NumericSignal(
        edges=edges,
        counts=[500] * BINS,
        missing=0,
        nan=0,
        mean=0.0,
        std=1.0,
        minimum=-4.0,
        maximum=4.0,
    )
    return Baseline(
        model=model,
        version=VERSION,
        rows=500 * BINS,
        source="bench",
        signals=dict.fromkeys(names, signal),
    )


#: Different counts of a flush: a detector that remembers many windows must find few of them twice.
_DRAWS = 512


class _Filler:
    """Adds events to cells: spread over the bins as the baseline's, or otherwise and some missing.

    Nothing of the first kind is in alarm, every signal of the second.
    """

    def __init__(self, plan: Plan, *, drifted: bool) -> None:
        self._rng = np.random.default_rng(plan.size)
        counts = np.zeros((_DRAWS, plan.size), dtype=np.int64)
        for signal in (*plan.numeric, *plan.categorical):
            shares = np.full(signal.bins, 1 / signal.bins)
            if drifted:
                shares = self._rng.dirichlet(np.ones(signal.bins)) * 0.99
            width = signal.bins + SPECIALS
            counts[:, signal.offset : signal.offset + width] = self._rng.multinomial(
                EVENTS, [*shares, max(0.0, 1 - shares.sum()), 0, 0, 0], size=_DRAWS
            )
        self._counts = counts

    def add(self, cell: CountingCell) -> None:
        """Count ``EVENTS`` events more."""
        signals = len(cell.plan.numeric)
        cell.events += EVENTS
        cell.changed = True
        cell.counts += self._counts[self._rng.integers(len(self._counts))]
        cell.sums += self._rng.normal(scale=EVENTS**0.5, size=signals)
        cell.sumsqs += self._rng.chisquare(EVENTS, size=signals)
        extremes = self._rng.normal(3.0, 0.3, size=(2, signals))
        cell.minima = np.minimum(cell.minima, -extremes[0])
        cell.maxima = np.maximum(cell.maxima, extremes[1])


class Fleet:
    """INGEST workers over a source partition each, all of which count every model."""

    def __init__(
        self,
        settings: Settings,
        baselines: list[Baseline],
        workers: int,
        *,
        transactions: bool = True,
        drifted: int | None = None,
    ) -> None:
        """Make the workers; ``transactions``: commit each flush, which takes 10 ms and more.

        The first ``drifted`` models have drifted in every signal, or all of them.
        """
        self._settings = settings
        self._transactions = transactions
        self._plans = [make_plan(it.model, it.version, it.id, it) for it in baselines]
        self._drifted = len(baselines) if drifted is None else drifted
        self._fillers = [_Filler(self._plans[0], drifted=it) for it in (False, True)]
        self._tenures = [
            Tenure(
                began=0.0,
                positions={w: Position(origin=0, start=0, since=0, to=0, arrived=0.0)},
            )
            for w in range(workers)
        ]
        self._producers = [Producer(self._config(w)) for w in range(workers)]
        if transactions:
            for producer in self._producers:
                producer.init_transactions(30)
        #: By partition of the histogram topic, the offset of the last record written.
        self.written: dict[int, int] = {}
        self.records = 0
        self.bytes = 0
        self.events = 0

    def flush(self, clock: float, windows: list[int]) -> None:
        """Count more in each of ``windows`` (starts), and commit it as of event time ``clock``."""
        seconds = self._settings.windows.seconds
        for number, (tenure, producer) in enumerate(
            zip(self._tenures, self._producers, strict=True)
        ):
            position = tenure.positions[number]
            for model, plan in enumerate(self._plans):
                for start in windows:
                    filler = self._fillers[model < self._drifted]
                    filler.add(tenure.cell(plan, "", OVERALL, start, seconds))
            news = EVENTS * len(self._plans) * len(windows)
            self.events += news
            position.to += max(1, news)
            position.event_clock.note(np.array([clock]))
            position.event_clock.read(clock)
            if self._transactions:
                producer.begin_transaction()
            for partition, record in self._records(tenure, clock):
                producer.produce(
                    self._settings.topics.histograms,
                    record,
                    partition=partition,
                    on_delivery=self._delivered,
                )
                self.records += 1
                self.bytes += len(record)
            if self._transactions:
                producer.commit_transaction(30)
            producer.poll(0)
            tenure.flushed()

    def settle(self) -> None:
        """Wait until the brokers have everything, so that ``written`` is complete."""
        for producer in self._producers:
            left = producer.flush(60)
            assert not left, f"{left} records were not taken within a minute"

    def renew(self) -> None:
        """End every tenure and begin the next."""
        self._tenures = [tenure.successor(0.0) for tenure in self._tenures]

    def _records(self, tenure: Tenure, clock: float) -> Iterator[tuple[int, bytes]]:
        return tenure.records(
            now=clock,
            monotonic=0.0,
            idle_seconds=self._settings.ingest.idle_seconds,
            source=self._settings.topics.predictions,
            sources=len(self._tenures),
            destinations=self._settings.topics.detect_partitions,
            baselines_age_seconds=0.5,
        )

    def _delivered(self, error: object, message: Any) -> None:
        assert error is None, error
        self.written[message.partition()] = message.offset()

    def _config(self, worker: int) -> dict[str, Any]:
        ingest = IngestSettings(transactional_id=f"bench-{worker}-{time.time_ns():x}")
        config = ingest_producer_config(self._settings.model_copy(update={"ingest": ingest}))
        if not self._transactions:
            del config["transactional.id"], config["transaction.timeout.ms"]
            config["enable.idempotence"] = True
        # The broker goes away before the producers do, and that's no news.
        return {**config, "log_level": 0}
