"""How long ``PredictionLogger.log`` keeps the serving thread, in microseconds.

    PYTHONPATH=app python bench/producer.py [--events N] [--json]

Each event has 12 features, about 300 bytes. "Steady" logs a burst of five every millisecond, as a
server between requests (so its caches are cold); "flat out" logs as fast as one thread can, up to
half the queue. The broker is librdkafka's mock cluster in a process of its own, or nobody at all.

"hand over" is the design that was not taken: the serving thread only appends to a bounded deque,
and a background thread encodes and produces. It is measured beside the real one because it looks
cheaper: its append is, but the encoding then competes for the interpreter lock from another thread,
which may hold it for 5 ms at a time.
"""

import argparse
import collections
import json
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


class HandOver:
    """The alternative: append here, encode and produce on a background thread."""

    def __init__(self, address: str) -> None:
        self._producer = Producer({"bootstrap.servers": address, "linger.ms": 50, "log_level": 0})
        self._queue: collections.deque[dict[str, object]] = collections.deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drain)
        self._thread.start()

    def log(self, **fields: object) -> None:
        if len(self._queue) < 100_000:
            # The caller may change its features once this returns: they have to be copied.
            features = dict(fields["features"])  # type: ignore[call-overload]
            self._queue.append({**fields, "features": features, "time": time.time()})

    def _drain(self) -> None:
        while not self._stop.is_set():
            while self._queue:
                fields = self._queue.popleft()
                payload = encode_event(model="credit", version="3", variant="", **fields)  # type: ignore[arg-type]
                self._producer.produce(
                    "predictions", payload, None, -1, lambda error, message: None
                )
                self._producer.poll(0)
            self._stop.wait(0.01)

    def close(self, timeout: float) -> None:
        self._stop.set()
        self._thread.join()
        self._producer.flush(timeout)
        self._producer.purge()


def measure(log: Callable[..., None], events: int, pause: float) -> list[float]:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    options = parser.parse_args()
    events: int = options.events

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    broker = context.Process(target=serve_mock, args=(theirs,), daemon=True)
    broker.start()
    theirs.close()
    up, down = ours.recv(), "127.0.0.1:1"

    if not options.json:
        print(f"{'':34}{'median':>9}{'p99':>9}{'p99.9':>9}{'max':>9}   µs, {events} events each")
    for load, pause in (("steady", 0.001), ("flat out", 0.0)):
        for state, address in (("up", up), ("down", down)):
            for design in ("log()", "hand over"):
                if design == "log()":
                    real = PredictionLogger(
                        address,
                        model="credit",
                        version="3",
                        max_queued=2 * events,
                        config={"log_level": 0},
                    )
                    taken = measure(real.log, events, pause)
                    real.close(30 if state == "up" else 0)
                    lost = real.stats.dropped_total
                    assert state == "down" or not lost, real.stats
                else:
                    other = HandOver(address)
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
    ours.close()
    broker.join(10)


if __name__ == "__main__":
    main()
