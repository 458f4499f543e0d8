"""OutcomeLogger: sends what became of predictions, from wherever that is known."""

from collections.abc import Mapping
from copy import copy
from typing import Any

import msgspec
from msgspec import UNSET

from tidegauge.contract import LabelError, LabelEvent, read_label
from tidegauge.producer.counters import Counters
from tidegauge.producer.event_logger import EventLogger
from tidegauge.producer.events import plain_segments, plain_time
from tidegauge.producer.values import (
    TimeError,
    UnencodableError,
    class_label,
    number,
    scalar,
    text,
)


class OutcomeLogger(EventLogger):
    """Publishes labels to Kafka; never blocks, never raises.

    As with :class:`~tidegauge.PredictionLogger`, ``log`` puts the label into a bounded queue and
    returns; a background thread checks and sends it. One that can't be a label is dropped and
    counted as ``unencodable``, with a line in the log ``tidegauge.producer``.

    ``source`` is a default for every call. ``config`` and ``max_queued`` are those of
    ``PredictionLogger``.

    Raises ``ValueError`` from the constructor, and only there, if the configuration is wrong.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        topic: str = "labels",
        source: str | None = None,
        config: Mapping[str, object] | None = None,
        max_queued: int = 100_000,
    ) -> None:
        self._source = source
        super().__init__(
            bootstrap_servers, topic, config, max_queued, noun="label", encode=encode_label
        )

    def log(
        self,
        *,
        actual: object = UNSET,
        id: object = None,
        receipt: str | None = None,
        model: str | None = None,
        version: str | None = None,
        variant: str | None = None,
        time: object = None,
        prediction: object = UNSET,
        label: object = UNSET,
        segments: Mapping[str, object] | None = None,
        observed_at: object = None,
        source: str | None = None,
        revision: int = 0,
        retracted: bool = False,
    ) -> None:
        """Publish what became of one prediction.

        ``actual`` is what was true: a class, or the number of a regression. The prediction is named
        by its ``id`` (of one ``model`` only, if it is given), by its ``receipt``, or by what it was
        itself: ``model``, ``version``, ``time``, ``prediction`` or ``label``, and ``variant``,
        ``segments`` and ``id`` if it had any. A label replaces those with a smaller ``revision``;
        with ``retracted`` the prediction has no known outcome any more.
        """
        self._sender.counters.logged.increment()
        self._hand_over(
            {
                "actual": actual,
                "id": id,
                "receipt": receipt,
                "model": model,
                "version": version,
                "variant": variant,
                "time": time,
                "prediction": prediction,
                "label": label,
                "segments": copy(segments) if isinstance(segments, dict) else segments,
                "observed_at": observed_at,
                "source": self._source if source is None else source,
                "revision": revision,
                "retracted": retracted,
            }
        )


_encode = msgspec.json.Encoder().encode


def encode_label(event: dict[str, Any], counters: Counters) -> bytes:
    """Return the JSON of the arguments of :meth:`OutcomeLogger.log`.

    It is read back, so that what INGEST would refuse is refused here. Raises
    :class:`UnencodableError`, or whatever a value of the caller's does.
    """
    payload = _encode(
        LabelEvent(
            actual=_actual(event["actual"], retracted=event["retracted"] is True),
            id=text(event["id"], "id"),
            receipt=event["receipt"],
            model=text(event["model"], "model"),
            version=text(event["version"], "version"),
            variant=text(event["variant"], "variant"),
            time=None if event["time"] is None else plain_time(event["time"]),
            prediction=_prediction(event["prediction"]),
            label=None if event["label"] is UNSET else class_label(event["label"], "label"),
            segments=plain_segments(event["segments"], None) if event["segments"] else None,
            observed_at=_observed_at(event["observed_at"], counters),
            source=text(event["source"], "source"),
            revision=scalar(event["revision"], "revision"),  # type: ignore[arg-type]
            retracted=scalar(event["retracted"], "retracted"),  # type: ignore[arg-type]
        )
    )
    try:
        read_label(payload)
    except LabelError as error:
        kind = TimeError if error.reason == "invalid_time" else UnencodableError
        raise kind(str(error)) from error
    return payload


def _actual(value: object, *, retracted: bool) -> Any:
    if value is UNSET:
        return UNSET
    plain = scalar(value, "actual")
    if plain in (None, "NaN"):  # what a frame has where a value is missing
        if retracted:
            return UNSET
        raise UnencodableError(f"actual is {plain}: send a label once it is known")
    return plain


def _prediction(value: object) -> float | None:
    score = None if value is UNSET else number(value, "prediction")
    if isinstance(score, str):
        raise UnencodableError(f"prediction is {score}, expected a finite number")
    return score


def _observed_at(value: object, counters: Counters) -> Any:
    """Return when it was seen, which decides nothing: a label is sent without it."""
    if value is None:
        return None
    try:
        return plain_time(value)
    except UnencodableError as error:
        counters.leave_out("bad_value", str(error).replace("time", "observed_at", 1))
        return None
