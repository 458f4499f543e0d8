"""One prediction, encoded: a fast path for plain values, a patient one for everything else."""

from collections.abc import Mapping
from datetime import datetime
from types import NoneType

import msgspec
from msgspec import UNSET, UnsetType

from tidegauge.contract import PredictionEvent
from tidegauge.producer.values import (
    NAME_LIMIT,
    UnencodableError,
    class_label,
    finite_or_name,
    number,
    required_name,
    scalar,
    text,
)

_encode = msgspec.json.Encoder().encode

# Types that JSON has a form for. Only exactly these take the fast path: msgspec would also encode
# bytes, sets, Decimal and dataclasses, each as something the contract doesn't mean.
_FEATURE = frozenset({float, int, str, bool, NoneType})
_LABEL = frozenset({int, str, bool, UnsetType})
_NUMBER = frozenset({float, int, UnsetType})
_TEXT = frozenset({str, UnsetType})
_TIME = frozenset({float, int})
_STR = frozenset({str})


def encode_event(
    *,
    time: object,
    model: object,
    version: object,
    variant: object,
    features: object,
    prediction: object = UNSET,
    label: object = UNSET,
    latency_ms: object = UNSET,
    status: object = UNSET,
    segments: Mapping[str, object] | None = None,
    id: object = None,
    traceparent: str | None = None,
) -> bytes:
    """Return the JSON of a prediction event; raises :class:`UnencodableError` naming the field.

    What is not given is absent from the JSON; None is null; NaN and infinity are their names.
    """
    if (
        type(features) is dict
        and _FEATURE.issuperset(map(type, features.values()))
        and type(prediction) in _NUMBER
        and type(label) in _LABEL
        and type(latency_ms) in _NUMBER
        and type(status) in _TEXT
        and type(time) in _TIME
        and type(model) is str
        and type(version) is str
        and type(variant) is str
        and 0 < len(model) <= NAME_LIMIT
        and 0 < len(version) <= NAME_LIMIT
        and (id is None or type(id) is str)
        and (traceparent is None or type(traceparent) is str)
        and (
            not segments
            or (type(segments) is dict and _STR.issuperset(map(type, segments.values())))
        )
    ):
        try:
            payload = _encode(
                PredictionEvent(
                    time=time,  # type: ignore[arg-type]
                    model=model,
                    version=version,
                    id=id,
                    variant=variant,
                    prediction=prediction,  # type: ignore[arg-type]
                    label=label,  # type: ignore[arg-type]
                    features=features,
                    segments=segments or {},  # type: ignore[arg-type]
                    latency_ms=latency_ms,  # type: ignore[arg-type]
                    status=status,  # type: ignore[arg-type]
                    traceparent=traceparent,
                )
            )
        except (TypeError, ValueError):
            pass  # a key that isn't a string, a lone surrogate: the patient path says which
        else:
            # msgspec writes NaN and infinity as null, which means something else. Looking for the
            # word costs nothing; a null that was meant takes the patient path and is null again.
            if b"null" not in payload:
                return payload
    return _encode_patiently(
        PredictionEvent(
            time=_time(time),
            model=required_name(model, "model"),
            version=required_name(version, "version"),
            id=text(id, "id"),
            variant=text(variant, "variant") or "",
            prediction=UNSET if prediction is UNSET else number(prediction, "prediction"),
            label=UNSET if label is UNSET else class_label(label, "label"),
            features=_features(features),
            segments=_segments(segments),
            latency_ms=UNSET if latency_ms is UNSET else number(latency_ms, "latency_ms"),
            status=UNSET if status is UNSET else text(status, "status"),
            traceparent=text(traceparent, "traceparent"),
        )
    )


def _encode_patiently(event: PredictionEvent) -> bytes:
    try:
        return _encode(event)
    except (TypeError, ValueError) as error:
        raise UnencodableError(f"a string is not valid Unicode: {error}") from error


def _time(value: object) -> float | datetime:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise UnencodableError(
                "time is a datetime without a zone, expected epoch seconds or an aware datetime: "
                "use datetime.now(UTC)"
            )
        return value
    seconds = scalar(value, "time")
    if isinstance(seconds, bool) or not isinstance(seconds, float | int):
        raise UnencodableError(
            f"time is {type(value).__name__} {seconds!r:.40}, expected epoch seconds or an aware "
            "datetime"
        )
    return seconds


def _items(value: object, field: str) -> list[tuple[object, object]]:
    items = getattr(value, "items", None)
    if not callable(items):
        raise UnencodableError(
            f"{field} is a {type(value).__name__}, expected a mapping of names to values"
        )
    return list(items())


def _features(features: object) -> dict[str, float | str | bool | None]:
    plain: dict[str, float | str | bool | None] = {}
    for name, value in _items(features, "features"):
        if isinstance(value, float):  # the commonest first, np.float64 among them
            plain[str(name)] = finite_or_name(float(value))
        elif type(value) in _FEATURE:
            plain[str(name)] = value  # type: ignore[assignment]
        else:
            plain[str(name)] = scalar(value, f"feature {name!r}")
    return plain


def _segments(segments: object) -> dict[str, str]:
    texts = {
        str(name): text(value, f"segment {name!r}")
        for name, value in _items(segments or {}, "segments")
    }
    # "NaN" is the text of what a frame has where a value is missing.
    return {name: value for name, value in texts.items() if value is not None and value != "NaN"}
