"""PredictionLogger: the serving thread hands over and goes on; the rest is done behind it."""

import atexit
import logging
import math
import os
import sys
import threading
import time as _clock
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Producer
from msgspec import UNSET

from tidegauge.contract import ARROW_CONTENT_TYPE
from tidegauge.producer.counters import Counters, DropReason, DropReport, ProducerStats
from tidegauge.producer.events import encode_event
from tidegauge.producer.librdkafka import producer_config
from tidegauge.producer.values import UnencodableError, row_count

_log = logging.getLogger("tidegauge.producer")

#: How long the interpreter's exit may wait for the brokers.
EXIT_TIMEOUT_SECONDS = 5.0
#: Pause before another attempt if no librdkafka producer can be started, or one failed fatally.
RESTART_SECONDS = 10.0

_ARROW_HEADERS = [("content-type", ARROW_CONTENT_TYPE.encode())]


class PredictionLogger:
    """Publishes predictions to Kafka; never blocks, never raises into the serving path.

    Whatever the brokers do, ``log`` encodes the event (microseconds), puts it into a bounded queue
    and returns. An event that can't be sent is dropped and counted, by reason, in :attr:`stats`;
    a line in the log ``tidegauge.producer`` says so at most once a minute for each reason.

    The connection is made by the first event, in the process that logs it: a logger made before a
    fork serves every child. Safe for any number of threads. Events still queued when the
    interpreter exits get five seconds to leave.

    ``model``, ``version`` and ``variant`` are defaults for every call. ``config`` overrides
    librdkafka properties (security, buffers). ``max_queued`` is the bound of the queue in messages.
    ``clock`` gives the event time, in epoch seconds, of events that name none.

    Raises ``ValueError`` from the constructor, and only there, if the configuration is wrong.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        topic: str = "predictions",
        model: str | None = None,
        version: str | None = None,
        variant: str = "",
        config: Mapping[str, object] | None = None,
        max_queued: int = 100_000,
        clock: Callable[[], float] = _clock.time,
    ) -> None:
        if not topic:
            raise ValueError("topic is empty, expected the name of a Kafka topic")
        self._config = producer_config(bootstrap_servers, max_queued, config or {})
        self._topic = topic
        self._model = model
        self._version = version
        self._variant = variant
        self._clock = clock
        self._closed = False
        self._reset()
        _loggers.add(self)
        atexit.register(self._at_exit)

    def _reset(self) -> None:
        """Begin as a process that has logged nothing yet."""
        self._counters = Counters()
        self._producer: Any = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._starting = threading.Lock()
        self._restart_at = 0.0
        self._fatal = ""  # librdkafka's error that the present producer can't get over
        self._why = ""  # why there is no producer
        self._told_closed = False
        self._report = DropReport(self._counters)

    def log(
        self,
        *,
        features: Mapping[str, object],
        model: str | None = None,
        version: str | None = None,
        prediction: object = UNSET,
        label: object = UNSET,
        latency_ms: object = UNSET,
        status: object = UNSET,
        segments: Mapping[str, object] | None = None,
        id: object = None,
        time: object = None,
        variant: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Publish one prediction.

        ``prediction`` is a score or regression value, ``label`` the predicted class, ``latency_ms``
        milliseconds, ``status`` "ok" or "error", ``time`` epoch seconds or an aware ``datetime``
        (default: now). What is left out is absent from the event, which is counted apart from None.
        """
        counters = self._counters
        counters.logged.increment()
        try:
            payload = encode_event(
                time=self._clock() if time is None else time,
                model=self._model if model is None else model,
                version=self._version if version is None else version,
                variant=self._variant if variant is None else variant,
                features=features,
                prediction=prediction,
                label=label,
                latency_ms=latency_ms,
                status=status,
                segments=segments,
                id=id,
                traceparent=traceparent,
            )
        except Exception as error:  # the promise: whatever it is, the serving path goes on
            counters.drop("unencodable", _describe(error))
            return
        self._send(counters, payload, 1, self._on_event, None)

    def log_batch(
        self,
        columns: Any,
        *,
        model: str | None = None,
        version: str | None = None,
        prediction: object = UNSET,
        label: object = UNSET,
        latency_ms: object = UNSET,
        status: object = UNSET,
        id: object = UNSET,
        time: object = None,
        variant: str | None = None,
    ) -> None:
        """Publish many predictions as Arrow record batches (extra ``arrow``).

        ``columns`` maps feature names to array-likes (NumPy, list, pyarrow, pandas) or is a pyarrow
        Table or RecordBatch. The others are array-likes of the same length or a scalar for all.
        A batch that is encoded to more than 500 kB becomes several messages. Rows are counted.
        """
        counters = self._counters
        rows = row_count(columns, prediction, label, latency_ms, status, id, time)
        counters.logged.add(rows)
        try:
            from tidegauge.producer.arrow import messages, record_batch

            batch = record_batch(
                columns,
                rows=rows,
                model=self._model if model is None else model,
                version=self._version if version is None else version,
                variant=self._variant if variant is None else variant,
                time=self._clock() if time is None else time,
                prediction=prediction,
                label=label,
                latency_ms=latency_ms,
                status=status,
                id=id,
            )
            encoded = list(messages(batch))
        except ImportError as error:
            detail = f"{error}: log_batch needs pyarrow, pip install 'tidegauge[arrow]'"
            counters.drop("arrow_missing", detail, rows)
            self._running_producer()  # whose thread puts that into the log
            return
        except Exception as error:  # the promise, as above
            counters.drop("unencodable", _describe(error), rows)
            return
        for payload, part in encoded:
            on_delivery = partial(self._on_delivery, counters, part)
            self._send(counters, payload, part, on_delivery, _ARROW_HEADERS)

    @property
    def stats(self) -> ProducerStats:
        """Exact counts of what became of every event logged by this process."""
        return self._counters.snapshot()

    def flush(self, timeout: float = 10.0) -> int:
        """Wait up to ``timeout`` seconds for the queue to empty; return the events left in it."""
        producer = self._producer
        if producer is not None:
            producer.flush(max(timeout, 0.0))
        return self.stats.in_flight

    def close(self, timeout: float = 10.0) -> int:
        """Flush, then stop; return the events given up, counted as ``delivery_failed``.

        Events logged from now on are dropped as ``closed``. Closing twice does nothing.
        """
        if self._closed:
            return 0
        self._closed = True
        atexit.unregister(self._at_exit)
        remaining = self.flush(timeout)
        with self._starting:
            producer, thread = self._producer, self._thread
            self._stop.set()
        if thread is not None:
            thread.join(1.0)
        if producer is not None:
            self._give_up(producer)
        self._producer = None
        self._tell(math.inf)
        return remaining

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _send(
        self,
        counters: Counters,
        payload: bytes,
        events: int,
        on_delivery: Callable[[Any, Any], None],
        headers: list[tuple[str, bytes]] | None,
    ) -> None:
        try:
            if self._closed:
                self._drop_closed(counters, events)
                return
            producer = self._producer or self._running_producer()
            if producer is None:
                counters.drop("unavailable", self._why, events)
                return
            # No key: nothing downstream depends on the order or place of an event, and without one
            # librdkafka fills one partition's batch at a time, which is the fewest requests.
            producer.produce(self._topic, payload, None, -1, on_delivery, None, 0, headers)
        except BufferError:
            counters.drop("queue_full", "events come faster than the brokers take them", events)
        except KafkaException as error:
            counters.drop(*_reason(error.args[0]), events)
        except Exception as error:  # the promise, as above
            counters.drop("unavailable", _describe(error), events)

    def _drop_closed(self, counters: Counters, events: int) -> None:
        counters.drop("closed", "logged after close()", events)
        if not self._told_closed:  # nobody is left to say it in the background
            self._told_closed = True
            _log.warning("a prediction was logged after close(): it and all later ones are dropped")

    def _on_event(self, error: Any, message: Any) -> None:
        self._on_delivery(self._counters, 1, error, message)

    @staticmethod
    def _on_delivery(counters: Counters, events: int, error: Any, message: Any) -> None:
        if error is not None:
            counters.drop(*_reason(error), events)
        elif events == 1:
            counters.delivered.increment()
        else:
            counters.delivered.add(events)

    def _running_producer(self) -> Any:
        """Return the producer of this process, started if need be; None if that is impossible."""
        with self._starting:
            if self._producer is not None or self._closed or _clock.monotonic() < self._restart_at:
                return self._producer
            try:
                producer = Producer({**self._config, "error_cb": self._on_error, "logger": _log})
                self._thread = threading.Thread(
                    target=self._serve,
                    args=(producer, self._stop),
                    name="tidegauge-producer",
                    daemon=True,  # the interpreter's exit waits in _at_exit, and only so long
                )
                self._thread.start()
            except Exception as error:  # the promise: no memory or no more threads, say
                self._why = f"no Kafka producer could be started: {_describe(error)}"
                self._restart_at = _clock.monotonic() + RESTART_SECONDS
                return None
            multiprocessing = sys.modules.get("multiprocessing.util")
            if multiprocessing is not None and sys.modules["multiprocessing"].parent_process():
                # A forked child of multiprocessing ends without running what atexit knows.
                multiprocessing.Finalize(None, self._at_exit, exitpriority=10)
            self._producer = producer
            return producer

    def _serve(self, producer: Any, stop: threading.Event) -> None:
        """Take delivery reports off the serving threads, and speak of drops."""
        tell_at = 0.0
        while not stop.is_set():
            try:
                producer.poll(0.1)
            except Exception:  # a callback in ``config`` (OAuth, say) failed; it is tried again
                _log.exception("a callback of the Kafka producer failed")
                stop.wait(1.0)
            now = _clock.monotonic()
            if now >= tell_at:
                self._tell(now)
                tell_at = now + 1.0
            if self._fatal:
                self._retire(producer)
                return

    def _tell(self, now: float) -> None:
        for line in self._report.lines(now):
            _log.warning("%s", line)

    def _on_error(self, error: Any) -> None:
        # Whatever isn't fatal librdkafka retries by itself, and logs.
        if error.fatal():
            self._fatal = error.str()

    def _retire(self, producer: Any) -> None:
        """Replace a producer that failed fatally: librdkafka would refuse every further event."""
        with self._starting:
            self._why = f"the Kafka producer failed, another is started soon: {self._fatal}"
            self._restart_at = _clock.monotonic() + RESTART_SECONDS
            self._fatal = ""
            self._producer = None
        _log.error("%s", self._why)
        self._give_up(producer)

    def _give_up(self, producer: Any) -> None:
        """Have every event left in the producer reported as failed.

        A thread may have taken the producer just before it was withdrawn, and produce just after;
        so this goes on until every event is accounted for.
        """
        deadline = _clock.monotonic() + 1.0
        while True:
            producer.purge()
            producer.poll(0.01)
            if not self.stats.in_flight or _clock.monotonic() > deadline:
                return

    def _at_exit(self) -> None:
        self.close(EXIT_TIMEOUT_SECONDS)

    def _after_fork_in_child(self) -> None:
        if self._producer is not None:
            _leak(self._producer)
        self._reset()


def _reason(error: Any) -> tuple[DropReason, str]:
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return "too_large", error.str()
    return "delivery_failed", error.str()


def _describe(error: Exception) -> str:
    if isinstance(error, UnencodableError):
        return str(error)
    try:
        return f"{type(error).__name__}: {error}"[:300]
    except Exception:  # an exception of the caller's own value, which can't even be printed
        return type(error).__name__


def _leak(producer: Any) -> None:
    # librdkafka's threads exist in the parent alone: destroying the producer in a child crashes, or
    # waits for them forever. One reference too many keeps even the interpreter's exit from trying.
    # https://github.com/confluentinc/librdkafka/issues/2374
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(producer))


_loggers: weakref.WeakSet[PredictionLogger] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for logger in list(_loggers):
        logger._after_fork_in_child()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)
