"""How long ``PredictionLogger.log`` keeps the serving thread, in microseconds.

    PYTHONPATH=app python bench/producer.py [--events N] [--json]

Each event has 12 features, about 300 bytes. "Steady" logs a burst of five every millisecond, as a
server between requests (so its caches are cold); "flat out" logs as fast as one thread can, up to
half the queue. The broker is librdkafka's mock cluster in a process of its own, or nobody at all.

"direct" is the design that was not taken: encode and produce on the serving thread. It is measured
beside the real one because it is the simpler; but between requests its code and librdkafka's fall
out of the caches, and the serving thread pays for it.

"receipt" and "signed receipt" are log() with receipts. The last line says what they add to its
median: of calls in turn, so that what else runs on the machine slows them all alike.
"""

import argparse
import json
import logging
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from confluent_kafka import Producer

from tidegauge import PredictionLogger
from tidegauge.producer.events import encode_event

FEATURES = {
    **{f"amount_{i}": 1234.5678 * i for i in range(8)},
    "region": "EU",
    "channel": "mobile",
    "owner": True,
    "age": 41,
}
SEGMENTS = {"region": "EU"}
BURST = 5


def serve_mock(pipe: Connection) -> None:
    """Run a mock broker until the other end of ``pipe`` closes."""
    host = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 0})
    broker = next(iter(host.list_topics(timeout=10).brokers.values()))
    pipe.send(f"{broker.host}:{broker.port}")
    try:
        pipe.recv()
    except EOFError:
        return


class Direct:
    """The alternative: encode and produce on the serving thread, poll on another."""

    def __init__(self, address: str) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": address,
                "linger.ms": 50,
                "log_level": 0,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        self._delivered = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self._thread.start()

    def log(self, **fields: object) -> None:
        """Publish one event."""
        payload = encode_event(
            time=time.time(),
            model="credit",
            version="3",
            variant="",
            **fields,  # type: ignore[arg-type]
        )
        self._producer.produce("predictions", payload, None, -1, self._count)

    def _count(self, error: object, message: object) -> None:
        self._delivered += error is None

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(0.1)

    def close(self, timeout: float) -> None:
        """Flush and end."""
        self._producer.flush(timeout)
        self._stop.set()
        self._thread.join()
        self._producer.purge()


def measure(log: Callable[..., object], events: int, pause: float) -> list[float]:
    """Return the microseconds of each call."""
    log(features=FEATURES, prediction=0.25)  # connects
    time.sleep(0.5)
    taken = []
    for i in range(events):
        started = time.perf_counter_ns()
        log(features=FEATURES, prediction=0.25, latency_ms=12.5, status="ok")
        taken.append((time.perf_counter_ns() - started) / 1000)
        if pause and i % BURST == 0:
            time.sleep(pause)
    return taken


RECEIPTS: dict[str, dict[str, object]] = {
    "log()": {},
    "receipt": {"receipts": True},
    "signed receipt": {"receipts": True, "receipt_key": "0123456789abcdef0123456789abcdef"},
}


def logger_of(address: str, events: int, design: str) -> PredictionLogger:
    """Return a logger whose queue takes all events."""
    return PredictionLogger(
        address,
        model="credit",
        version="3",
        max_queued=2 * events,
        config={"log_level": 0},
        **RECEIPTS[design],  # type: ignore[arg-type]
    )


def measure_receipts(address: str, events: int) -> dict[str, float]:
    """Return the median microseconds of log() without and with receipts, called in turn."""
    loggers = {design: logger_of(address, events, design) for design in RECEIPTS}
    taken: dict[str, list[float]] = {design: [] for design in RECEIPTS}
    for logger in loggers.values():
        logger.log(features=FEATURES, prediction=0.25)
    time.sleep(0.5)
    for i in range(events):
        for design, logger in loggers.items():
            started = time.perf_counter_ns()
            logger.log(
                features=FEATURES, prediction=0.25, latency_ms=12.5, status="ok",
                segments=SEGMENTS, id=f"9d0f6a1e-54b7-4c0f-9a53-{i:012d}",
            )  # fmt: skip
            taken[design].append((time.perf_counter_ns() - started) / 1000)
        if i % BURST == 0:
            time.sleep(0.001)
    for logger in loggers.values():
        logger.close(30)
    return {design: statistics.median(its) for design, its in taken.items()}


def main() -> None:
    """Measure every combination and print a line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    options = parser.parse_args()
    events: int = options.events

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    broker = context.Process(target=serve_mock, args=(theirs,), daemon=True)
    broker.start()
    logging.disable(logging.WARNING)  # what the absent broker drops is known here
    theirs.close()
    up, down = ours.recv(), "127.0.0.1:1"

    if not options.json:
        print(f"{'':34}{'median':>9}{'p99':>9}{'p99.9':>9}{'max':>9}   µs, {events} events each")
    for load, pause in (("steady", 0.001), ("flat out", 0.0)):
        for state, address in (("up", up), ("down", down)):
            for design in ("log()", "direct"):
                if design == "log()":
                    real = logger_of(address, events, design)
                    taken = measure(real.log, events, pause)
                    real.close(30 if state == "up" else 0)
                    lost = real.stats.dropped_total
                    assert state == "down" or not lost, real.stats
                else:
                    other = Direct(address)
                    taken = measure(other.log, events, pause)
                    other.close(30 if state == "up" else 0)
                cuts = statistics.quantiles(taken, n=1000)
                row = {
                    "load": load,
                    "broker": state,
                    "design": design,
                    "median_us": round(statistics.median(taken), 1),
                    "p99_us": round(cuts[989], 1),
                    "p999_us": round(cuts[998], 1),
                    "max_us": round(max(taken), 1),
                }
                if options.json:
                    print(json.dumps(row))
                else:
                    figures = (row["median_us"], row["p99_us"], row["p999_us"], row["max_us"])
                    print(
                        f"{design:<10} {load:<9} broker {state:<6}".ljust(34)
                        + "".join(f"{figure:>9}" for figure in figures)
                    )
    medians = measure_receipts(up, min(events, 20_000))
    without = medians.pop("log()")
    added = {
        f"{design.replace(' ', '_')}_us": round(median - without, 2)
        for design, median in medians.items()
    }
    print(json.dumps({"log_us": round(without, 2), **added}))
    ours.close()
    broker.join(10)


if __name__ == "__main__":
    main()
