"""PredictionLogger: the serving thread hands over and goes on; the rest is done behind it."""

import atexit
import time as _clock
from collections.abc import Callable, Mapping
from copy import copy
from types import TracebackType
from typing import Any, Self

from msgspec import UNSET

from tidegauge.contract import ARROW_CONTENT_TYPE
from tidegauge.producer.counters import ProducerStats
from tidegauge.producer.librdkafka import producer_config, take_part_in_forks
from tidegauge.producer.sender import Sender, describe, reason_of
from tidegauge.producer.values import row_count

#: How long the interpreter's exit may wait for the brokers.
EXIT_TIMEOUT_SECONDS = 5.0

_ARROW_HEADERS = [("content-type", ARROW_CONTENT_TYPE.encode())]


class PredictionLogger:
    """Publishes predictions to Kafka; never blocks, never raises into the serving path.

    Whatever the brokers do, ``log`` puts the event into a bounded queue and returns; a background
    thread encodes and sends it. An event that can't be sent is dropped and counted, by reason, in
    :attr:`stats`; a line in the log ``tidegauge.producer`` says so at most once a minute for each
    reason.

    The connection is made by the first event, in the process that logs it: a logger made before a
    fork serves every child. Safe for any number of threads. Events still queued when the
    interpreter exits get five seconds to leave.

    ``model``, ``version`` and ``variant`` are defaults for every call. ``config`` overrides
    librdkafka properties (security, buffers). ``max_queued`` bounds the events that wait, before
    and in librdkafka's queue.
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
        self._max_queued = max_queued
        self._sender = self._new_sender()
        take_part_in_forks(self)
        atexit.register(self._at_exit)

    def _new_sender(self) -> Sender:
        return Sender(self._topic, self._config, self._max_queued, self._at_exit)

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
        A feature, output or segment that has no form in an event (a list, say) is not sent with it,
        is counted in ``stats.left_out``, and said once.
        """
        sender = self._sender
        sender.counters.logged.increment()
        try:
            sender.hand_over(
                {
                    "time": self._clock() if time is None else time,
                    "model": self._model if model is None else model,
                    "version": self._version if version is None else version,
                    "variant": self._variant if variant is None else variant,
                    # Copies, because the caller may change its own once this has returned.
                    "features": features.copy() if type(features) is dict else copy(features),
                    "prediction": prediction,
                    "label": label,
                    "latency_ms": latency_ms,
                    "status": status,
                    "segments": copy(segments) if segments else None,
                    "id": id,
                    "traceparent": traceparent,
                }
            )
        except Exception as error:  # the promise: whatever it is, the serving path goes on
            sender.counters.drop("unencodable", describe(error))

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
        segments: Mapping[str, object] | None = None,
        id: object = UNSET,
        time: object = None,
        variant: str | None = None,
    ) -> None:
        """Publish many predictions as Arrow record batches (extra ``arrow``).

        ``columns`` maps feature names to array-likes (NumPy, list, pyarrow, pandas), or is a frame
        of pandas or polars, a pyarrow Table or RecordBatch, or a list of records. The others, and
        what ``segments`` maps dimensions to, are array-likes of the same length or a scalar for
        all. A column that can't be sent is left out, counted in ``stats.left_out``, and said once.
        A batch that is encoded to more than 500 kB becomes several messages. Rows are counted.
        """
        sender = self._sender
        counters = sender.counters
        rows = row_count(columns, prediction, label, latency_ms, status, id, time)
        counters.logged.add(rows)
        try:
            from tidegauge.producer.arrow import check_times, messages, record_batch

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
                segments=segments,
                leave_out=lambda reason, detail: counters.leave_out(reason, detail, rows),
            )
            check_times(batch)
            encoded = list(messages(batch))
        except ImportError as error:
            detail = f"{error}: log_batch needs pyarrow, pip install 'tidegauge[arrow]'"
            counters.drop("arrow_missing", detail, rows)
            sender.start()  # whose thread puts that into the log
            return
        except Exception as error:  # the promise, as above
            counters.drop(reason_of(error), describe(error), rows)
            sender.start()
            return
        for payload, part in encoded:
            sender.send(payload, part, _ARROW_HEADERS)

    @property
    def stats(self) -> ProducerStats:
        """Exact counts of what became of every event logged by this process."""
        return self._sender.counters.snapshot()

    def flush(self, timeout: float = 10.0) -> int:
        """Wait up to ``timeout`` seconds until no event is in flight; return how many still are.

        They stay queued. If others go on logging meanwhile, that may take all the time there is.
        """
        return self._sender.flush(timeout)

    def close(self, timeout: float = 10.0) -> int:
        """Flush, then stop; return the events given up, counted as ``delivery_failed``.

        Events logged from now on are dropped as ``closed``. Closing twice does nothing.
        """
        atexit.unregister(self._at_exit)
        return self._sender.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _at_exit(self) -> None:
        self.close(EXIT_TIMEOUT_SECONDS)

    def before_fork(self) -> None:
        """Let a producer that was started a moment ago connect before the process forks."""
        self._sender.settle()

    def after_fork_in_child(self) -> None:
        """Begin again, with counters at 0; what the parent has queued the parent sends."""
        self._sender.abandon()
        self._sender = self._new_sender()
