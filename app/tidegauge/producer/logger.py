"""PredictionLogger: the serving thread hands over and goes on; the rest is done behind it."""

import time as _clock
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from msgspec import UNSET

from tidegauge.contract import ARROW_CONTENT_TYPE
from tidegauge.producer.event_logger import EventLogger
from tidegauge.producer.events import encode_prediction
from tidegauge.producer.receipts import ReceiptMaker
from tidegauge.producer.sender import describe, reason_of
from tidegauge.producer.values import row_count

#: Of the key of receipts, as of the setting ``outcomes.receipt_key``.
_LEAST_KEY_BYTES = 16

_ARROW_HEADERS = [("content-type", ARROW_CONTENT_TYPE.encode())]


class PredictionLogger(EventLogger):
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
    ``clock`` gives the event time, in epoch seconds, of events that name none. With ``receipts``
    :meth:`log` returns receipts, signed if there is a ``receipt_key``.

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
        receipts: bool = False,
        receipt_key: str | bytes | None = None,
    ) -> None:
        key = receipt_key.encode() if isinstance(receipt_key, str) else receipt_key
        if key is not None and not receipts:
            raise ValueError("receipt_key is given, and receipts is not True")
        if key is not None and len(key) < _LEAST_KEY_BYTES:
            raise ValueError(f"receipt_key has {len(key)} bytes, expected {_LEAST_KEY_BYTES}")
        self._receipt_key = key
        self._receipts = ReceiptMaker(key) if receipts else None
        self._model = model
        self._version = version
        self._variant = variant
        self._clock = clock
        super().__init__(
            bootstrap_servers,
            topic,
            config,
            max_queued,
            noun="prediction",
            encode=encode_prediction,
        )

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
    ) -> str:
        """Publish one prediction; return its receipt if the logger gives any, otherwise "".

        ``prediction`` is a score or regression value, ``label`` the predicted class, ``latency_ms``
        milliseconds, ``status`` "ok" or "error", ``time`` epoch seconds or an aware ``datetime``
        (default: now). What is left out is absent from the event, which is counted apart from None.
        A feature, output or segment that has no form in an event (a list, say) is not sent with it,
        is counted in ``stats.left_out``, and said once.

        The receipt is a short text that a label is sent with, however much later
        (docs/outcomes.md). It is "" where none can be made, which ``stats.left_out`` counts as
        ``no_receipt``.
        """
        sender = self._sender
        sender.counters.logged.increment()
        try:
            event = {
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
            sender.hand_over(event)
        except Exception as error:  # the promise: whatever it is, the serving path goes on
            sender.counters.drop("unencodable", describe(error))
            return ""
        if self._receipts is None:
            return ""
        try:
            return self._receipts.make(event)
        except Exception as error:  # the promise, as above
            sender.counters.leave_out("no_receipt", f"no receipt: {describe(error)}")
            return ""

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

    def after_fork_in_child(self) -> None:
        """Begin again, with counters at 0 and other ids in receipts."""
        super().after_fork_in_child()
        if self._receipts is not None:
            self._receipts = ReceiptMaker(self._receipt_key)
