"""What joining labels takes: memory of predictions, labels a second, and reading back.

Run: ``python -m bench.outcomes``, some three minutes, without a broker. A process has the records
of that many predictions of the last month read back, as OUTCOMES does when it starts. Then it joins
labels by id, of predictions of any age, and labels that bring their predictions, of the last day:
each cohort and group in a flush costs as much as some tens of labels. Records are decoded as they
come from Kafka, and cells are made and encoded for each flush. INGEST counts the same JSON events
with and without the routing of predictions, by turns. The last line is JSON; seconds are of the
processor.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt
from confluent_kafka import Message
from msgspec.structs import replace

from bench.decode import SIGNALS, TIME, _baseline, _event
from tidegauge.baseline import Baseline
from tidegauge.baseline.outcomes import BaselineOutcomes
from tidegauge.config import Settings
from tidegauge.contract import (
    BinaryCounts,
    BinaryTarget,
    LabelsRecord,
    PredictionsRecord,
    Stratum,
    encode,
)
from tidegauge.counting import Counter, Position, Tenure
from tidegauge.outcomes import (
    CARRIED,
    LABEL,
    NONE,
    PREDICTION,
    JoinLimits,
    OutcomeCells,
    OutcomeJoin,
    Strata,
    pack,
    read_input,
)

NOW = 1_800_000_000
MONTH = 30 * 24 * 3600

#: Entries of a record, as INGEST makes it, and records that are taken at once.
ENTRIES, RECORDS = 12_000, 16

TARGET = BinaryTarget(positive="1", negative="0", threshold=0.5)
STRATA = [
    Stratum(model="credit", version="1", baseline="b", target=0, groups={"region": region})
    for region in ("AF", "AS", "EU", "NA", "SA")
]

#: What one process sends to another.
Figures = dict[str, float]


def main() -> None:
    """Parse the command line, and measure."""
    parser = argparse.ArgumentParser(prog="outcomes", description=__doc__)
    parser.add_argument("--pending", type=int, default=10_000_000)
    parser.add_argument("--labels", type=int, default=1_000_000, help="of each kind")
    parser.add_argument("--hours", type=int, default=720, help="over which predictions were made")
    parser.add_argument("--rounds", type=int, default=5, help="of INGEST")
    given = parser.parse_args()
    # A process of its own: its memory is that of the join.
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.SimpleQueue[Figures] = context.SimpleQueue()
    arguments = (given.pending, given.labels, given.hours, answers)
    process = context.Process(target=_join, args=arguments)
    process.start()
    answer = answers.get()
    process.join()
    print(json.dumps(answer | {"ingest_ratio": _ingest_ratio(given.rounds)}))


def _join(
    pending: int, labels: int, hours: int, answers: "multiprocessing.SimpleQueue[Figures]"
) -> None:
    # What the role imports is in its memory.
    import tidegauge.roles.outcomes.session  # noqa: F401

    strata = Strata(lambda _: MONTH)
    join = OutcomeJoin(strata, JoinLimits())
    restart = 0.0
    for time_of_log, value in predictions(pending, hours):
        began = time.process_time()
        join.take([read_input(value, time_of_log)])
        join.settle()
        restart += time.process_time() - began
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    by_id = _labels_a_second(join, strata, _labels(pending, labels))
    by_receipt = _labels_a_second(join, strata, _receipts(labels, min(hours, 24)))
    assert join.held.results["joined"] == 2 * (labels // ENTRIES * ENTRIES), join.held.results
    answers.put(
        {
            "pending": len(join.held.pending),
            "rss_mb": round(rss),
            "labels_per_second_by_id": round(by_id),
            "labels_per_second_by_receipt": round(by_receipt),
            "restart_seconds": round(restart, 1),
        }
    )


def _labels_a_second(
    join: OutcomeJoin, strata: Strata, records: Iterator[tuple[float, bytes]]
) -> float:
    cells = OutcomeCells(strata, lambda _: 3600, lambda _: 60)
    seconds, labels = 0.0, 0
    for batch in iter(lambda: list(islice(records, RECORDS)), []):
        began = time.process_time()
        cells.add(join.take([read_input(value, at) for at, value in batch]))
        join.settle()
        for its in cells.changed(8).values():
            for cell in its:
                encode(cell)
        cells.flushed()
        labels += ENTRIES * len(batch)
        seconds += time.process_time() - began
    return labels / seconds


def _ids(begin: int, n: int) -> npt.NDArray[np.uint64]:
    """Return ids that are spread as by a hash: splitmix64, which gives none twice."""
    return _ids_of(np.arange(begin, begin + n))


def _ids_of(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    ids = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    ids = (ids ^ (ids >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    ids = (ids ^ (ids >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ids ^ (ids >> np.uint64(31))


def _rows(
    numbers: npt.NDArray[np.int64], total: int, hours: int, now: int = NOW
) -> npt.NDArray[np.void]:
    rows = np.zeros(len(numbers), PREDICTION)
    rows["value"] = (numbers * 7919 % 10_007) / 10_007
    rows["time"] = now - hours * 3600 + numbers * hours * 3600 // total
    rows["predicted"] = NONE
    rows["stratum"] = numbers % len(STRATA)
    return rows


def predictions(total: int, hours: int, now: int = NOW) -> Iterator[tuple[float, bytes]]:
    """Yield the time and value of each record of predictions, up to ``now``."""
    for begin in range(0, total, ENTRIES):
        numbers = np.arange(begin, min(begin + ENTRIES, total))
        rows = _rows(numbers, total, hours, now)
        rows["id"] = _ids(begin, len(numbers))
        at = float(rows["time"][-1])
        yield (
            at,
            encode(PredictionsRecord(time=at, strata=STRATA, targets=[TARGET], entries=pack(rows))),
        )


def _labels(total: int, labels: int) -> Iterator[tuple[float, bytes]]:
    """Yield labels of predictions of any age."""
    drawn = np.random.default_rng(1).permutation(total)
    for begin in range(0, labels // ENTRIES * ENTRIES, ENTRIES):
        numbers = drawn[begin : begin + ENTRIES]
        rows = np.zeros(ENTRIES, LABEL)
        rows["id"] = _ids_of(numbers)
        rows["actual"], rows["arrived"], rows["text"] = numbers % 2, NOW - 0.5, NONE
        yield float(NOW), encode(LabelsRecord(time=NOW, topic="labels", labels=pack(rows)))


def _receipts(labels: int, hours: int) -> Iterator[tuple[float, bytes]]:
    for begin in range(0, labels // ENTRIES * ENTRIES, ENTRIES):
        numbers = np.arange(begin, begin + ENTRIES)
        rows = np.zeros(ENTRIES, LABEL)
        rows["id"] = _ids(10**12 + begin, ENTRIES)
        rows["actual"], rows["arrived"], rows["text"] = numbers % 2, NOW - 0.5, NONE
        rows["flags"] = CARRIED
        carried = _rows(numbers * 31 % labels, labels, hours)
        yield (
            float(NOW),
            encode(
                LabelsRecord(
                    time=NOW,
                    topic="labels",
                    strata=STRATA,
                    targets=[TARGET],
                    labels=pack(rows),
                    predictions=pack(carried),
                )
            ),
        )


def _ingest_ratio(rounds: int) -> float:
    """Return INGEST's events a second with routing, divided by those without."""
    values = np.random.default_rng(1).random((20_000, SIGNALS)).round(4)
    messages = [
        Message(
            topic="p",
            partition=0,
            offset=offset,
            value=json.dumps({"id": f"request-{offset:012}", **_event(row)}).encode(),
        )
        for offset, row in enumerate(values.tolist())
    ]
    alone = _baseline()
    outcomes = BaselineOutcomes(target=TARGET, predicted=0, labelled=0, performance=BinaryCounts())
    ratios = []
    for _ in range(rounds + 1):  # the first one warms up
        without = _seconds(messages, alone)
        ratios.append(without / _seconds(messages, replace(alone, outcomes=outcomes)))
    return round(statistics.median(ratios[1:]), 2)


def _seconds(messages: list[Message], baseline: Baseline) -> float:
    settings = Settings()
    counter = Counter(
        source="p",
        settings=settings.ingest,
        window_of=settings.window_of,
        clock=lambda: TIME + 1.0,
    )
    position = Position(origin=0, start=0, since=0, to=0, arrived=TIME)
    tenure = Tenure(began=TIME, positions={0: position})
    counter.use({("m", "1"): ("b1", baseline)}, tenure)
    began = time.process_time()
    for start in range(0, len(messages), 4_000):
        counter.count(messages[start : start + 4_000], tenure)
    counter.settle(tenure)
    routed = [value for _, value in tenure.pending.records(8, TIME)] if tenure.pending else []
    seconds = time.process_time() - began
    assert bool(routed) == isinstance(baseline.outcomes, BaselineOutcomes)
    return seconds


if __name__ == "__main__":
    main()
