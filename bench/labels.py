"""Labels a second the whole way: from the topic ``labels`` to cells, on a real broker.

One process is INGEST, whose thread routes labels, another OUTCOMES, which joins them and commits
their cells; both share the machine with the broker. First so many predictions with ids are counted
and handed on. Then INGEST is stopped while as many labels by id are written, so that it finds a
backlog. The rate is that of ``tidegauge_labels_total`` between a tenth and nine tenths of them, and
with it come labels by the processor's seconds of each process, those of INGEST with its start. Then
the same with labels that bring their predictions. The last line is JSON.

    python bench/labels.py [--labels 400000]
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec
import numpy as np
import psutil
from confluent_kafka import Producer

from _harness import FEATURES, MODEL, PARTITIONS, VERSION, Setting, Worker, setting
from tidegauge.baseline import BaselineOutcomes
from tidegauge.baseline.io import BaselineStore
from tidegauge.contract import BinaryCounts, BinaryTarget

TARGET = BinaryTarget(positive="1", negative="0", threshold=0.5)

#: How long to wait for what a run takes.
_PATIENCE_SECONDS = 600.0


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--labels", type=int, default=400_000, help="of each kind")
    labels = parser.parse_args().labels
    with setting() as at:
        _promote(at)
        joiner = Worker(at, "outcomes")
        try:
            ingest = Worker(at, "ingest")
            _await(joiner.ready)
            _await(ingest.ready)
            now = time.time()
            _write(at, at.topic, (_event(number, now) for number in range(labels)))
            _await(lambda: (joiner.total("tidegauge_pending_predictions") or 0) >= labels)
            ingest.stop()
            by_id = ({"id": _id(n), "actual": n % 2} for n in range(labels))
            alone = (
                {**_prediction(n, now), "id": f"other-{n:026}", "actual": n % 2}
                for n in range(labels)
            )
            result: dict[str, object] = {"labels": labels}
            for name, values in (("by_id", by_id), ("with_prediction", alone)):
                result[name] = _rates(at, joiner, values, labels)
        finally:
            joiner.stop()
    print(json.dumps(result))


def _promote(at: Setting) -> None:
    """Have the model a baseline that says what its labels are."""
    with closing(BaselineStore(at.environment["TIDEGAUGE_REDIS__URL"])) as store:
        baseline = store.get(store.snapshot().promoted[MODEL, VERSION].id)
        baseline.outcomes = BaselineOutcomes(
            target=TARGET, predicted=0, labelled=0, performance=BinaryCounts()
        )
        store.promote(MODEL, VERSION, store.put(baseline), now=time.time())


def _id(number: int) -> str:
    return f"{number:032}"


def _prediction(number: int, now: float) -> dict[str, object]:
    score = number * 7919 % 10_007 / 10_007
    return {"model": MODEL, "version": VERSION, "time": now + 1e-6 * number, "prediction": score}


def _event(number: int, now: float) -> dict[str, object]:
    features = dict.fromkeys(FEATURES, 0.5)
    return {"id": _id(number), **_prediction(number, now), "features": features}


def _write(at: Setting, topic: str, values: Iterator[dict[str, object]]) -> None:
    producer = Producer(
        {
            "bootstrap.servers": at.servers,
            "linger.ms": 50,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for number, value in enumerate(values):
        producer.produce(topic, msgspec.json.encode(value), partition=number % PARTITIONS)
    assert producer.flush(120) == 0


def _rates(
    at: Setting, joiner: Worker, values: Iterator[dict[str, object]], labels: int
) -> dict[str, int]:
    """Write labels, let INGEST route them, and return how many a second were joined."""
    _write(at, "labels", values)
    before, cpu = joiner.total("tidegauge_labels_total") or 0, _cpu(joiner)
    ingest = Worker(at, "ingest")
    seen = [(time.monotonic(), 0)]
    try:

        def all_joined() -> bool:
            joined = (joiner.total("tidegauge_labels_total") or 0) - before
            if joined > seen[-1][1]:
                seen.append((time.monotonic(), joined))
            return joined >= labels

        _await(all_joined)
        spent = _cpu(ingest), _cpu(joiner) - cpu
    finally:
        ingest.stop()
    when, counts = zip(*seen, strict=True)
    first, last = np.interp([0.1 * labels, 0.9 * labels], counts, when).tolist()
    return {
        "per_s": round(0.8 * labels / (last - first)),
        "per_cpu_s_of_ingest": round(labels / spent[0]),
        "per_cpu_s_of_outcomes": round(labels / spent[1]),
    }


def _cpu(worker: Worker) -> float:
    """Return the processor's time of a process so far, seconds."""
    return float(sum(psutil.Process(worker.process.pid).cpu_times()[:2]))


def _await(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError("it took too long")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
