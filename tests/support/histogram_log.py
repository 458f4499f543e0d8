"""A log of histograms made to measure by INGEST's own counter: models that drift, and drift back.

All of it is made before anything reads it, so that two readers can be given the same.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from support.counting import FakeMessage, as_json, event, numeric
from tidegauge.baseline.document import Baseline
from tidegauge.config.sections import IngestSettings, WindowSettings
from tidegauge.contract.histogram import cell_partition
from tidegauge.counting.counter import Counter
from tidegauge.counting.tenure import Position, Tenure

VERSION = "1"

#: Of each model in each window.
EVENTS = 100

#: Shares of events below 0, where the baseline has half: windows that are quiet, and that drift.
QUIET, DRIFTING = 50, 90


@dataclass(frozen=True)
class HistogramLog:
    """``events`` are the records of the source, and ``records`` those of each flush by partition.

    Each flush ends one window and with it the one before; the last window stays open.
    """

    events: list[bytes]
    records: list[dict[int, bytes]]


def one_model_for_each(partitions: int) -> list[str]:
    """Return names of models, of which the first has its cells in partition 0, and so on."""
    found: dict[int, str] = {}
    for number in itertools.count():
        model = f"m{number}"
        found.setdefault(cell_partition(model, VERSION, "", partitions), model)
        if len(found) == partitions:
            return [model for _, model in sorted(found.items())]
    raise AssertionError("there is no end to numbers")


def baseline_of(model: str) -> Baseline:
    """Return a reference half of which is below 0."""
    return Baseline(
        model=model,
        version=VERSION,
        rows=1000,
        source="rows.csv",
        signals={"amount": numeric([0.0], [500, 500])},
    )


def make_log(
    models: Sequence[str], windows: Sequence[int], *, source: str, start: int, seconds: int
) -> HistogramLog:
    """Count ``windows``, each the share of events below 0, for every model, with its baseline.

    As many partitions as models; ``source`` is the topic of the events, ``start`` when the first
    window begins, ``seconds`` how long each is.
    """
    ends = [start]
    counter = Counter(
        source=source,
        settings=IngestSettings(),
        window_of=lambda model: WindowSettings(seconds=seconds),
        clock=lambda: float(ends[-1]),
    )
    position = Position(origin=0, start=0, since=0, to=0, arrived=0.0)
    tenure = Tenure(began=0.0, positions={0: position})
    baselines = [baseline_of(model) for model in models]
    counter.use({(it.model, VERSION): (it.id, it) for it in baselines}, tenure)
    log = HistogramLog([], [])
    for number, below in enumerate(windows):
        begin = start + number * seconds
        ends.append(begin + seconds)
        for model, i in itertools.product(models, range(EVENTS)):
            amount = -1.0 if i * 100 < below * EVENTS else 1.0
            time = begin + i * seconds / EVENTS
            said = event(model=model, version=VERSION, time=time, features={"amount": amount})
            counter.count([FakeMessage(as_json(said), 0, position.to)], tenure)
            log.events.append(as_json(said))
            position.to += 1
        counter.settle(tenure)
        written = tenure.records(
            now=float(begin + seconds),
            monotonic=0.0,
            idle_seconds=10.0,
            source=source,
            sources=1,
            destinations=len(models),
            baselines_age_seconds=0.5,
        )
        log.records.append(dict(written))
        tenure.flushed()
    assert not counter.dead_letters, "every event is a sound one"
    return log
