"""One prediction, encoded: a fast path for plain values, a patient one for everything else."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import NoneType
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tidegauge.contract import PredictionEvent
from tidegauge.producer.counters import Counters
from tidegauge.producer.values import (
    NAME_LIMIT,
    RESERVED_NAMES,
    UnencodableError,
    check_time,
    class_label,
    finite_or_name,
    number,
    required_name,
    scalar,
    text,
)

_encode = msgspec.json.Encoder().encode

#: Called with what is wrong with a value that is left out of an event.
LeaveOut = Callable[[str], None]

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
    leave_out: LeaveOut | None = None,
) -> bytes:
    """Return the JSON of a prediction event; raises :class:`UnencodableError` naming the field.

    What is not given is absent from the JSON; None is null; NaN and infinity are their names. With
    ``leave_out`` a feature, output or segment that has no form in an event is left out and said to
    it: the rest is worth sending.
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
            time=plain_time(time),
            model=required_name(model, "model"),
            version=required_name(version, "version"),
            id=_or_none(text, id, "id", leave_out),
            variant=text(variant, "variant") or "",
            prediction=_optional(number, prediction, "prediction", leave_out),
            label=_optional(class_label, label, "label", leave_out),
            features=_features(features, leave_out),
            segments=plain_segments(segments, leave_out),
            latency_ms=_optional(number, latency_ms, "latency_ms", leave_out),
            status=_optional(text, status, "status", leave_out),
            traceparent=_or_none(text, traceparent, "traceparent", leave_out),
        ),
        leave_out,
    )


def encode_prediction(event: dict[str, Any], counters: Counters) -> bytes:
    """Return the JSON of the arguments of :func:`encode_event`; counts what is left out of it.

    Raises :class:`UnencodableError`, or whatever a value of the caller's does.
    """
    payload = encode_event(
        **event, leave_out=lambda problem: counters.leave_out("bad_value", problem)
    )
    check_time(event["time"])
    features = event["features"]
    if not RESERVED_NAMES.isdisjoint(features):  # INGEST ignores them: they are signals
        for name in RESERVED_NAMES.intersection(features):
            problem = f"feature {name!r} is not counted: give it to log({name}=...)"
            counters.leave_out("reserved_name", problem)
    return payload


def _encode_patiently(event: PredictionEvent, leave_out: LeaveOut | None) -> bytes:
    try:
        return _encode(event)
    except (TypeError, ValueError) as error:
        sound = None if leave_out is None else _without_bad_text(event, leave_out)
        if sound is None or sound == event:
            raise UnencodableError(f"a string is not valid Unicode: {error}") from error
        return _encode_patiently(sound, None)


def _without_bad_text(event: PredictionEvent, leave_out: LeaveOut) -> PredictionEvent:
    """Return an event without the values that hold a lone surrogate."""
    sound: dict[str, Any] = {}
    for field, kind in (("features", "feature"), ("segments", "segment")):
        its = getattr(event, field)
        sound[field] = {name: it for name, it in its.items() if _is_unicode((name, it))}
        for name in its.keys() - sound[field].keys():
            leave_out(f"{kind} {name!r} is not valid Unicode")
    for field, absent in (("label", UNSET), ("status", UNSET), ("id", None), ("traceparent", None)):
        if not _is_unicode(getattr(event, field)):
            sound[field] = absent
            leave_out(f"{field} is not valid Unicode")
    return msgspec.structs.replace(event, **sound)


def _is_unicode(value: object) -> bool:
    try:
        _encode(value)
    except (TypeError, ValueError):
        return value is UNSET
    return True


def _optional(
    convert: Callable[[object, str], Any], value: object, field: str, leave_out: LeaveOut | None
) -> Any:
    """Return the value converted; ``UNSET`` where there is none, or if it is left out."""
    if value is UNSET:
        return UNSET
    try:
        return convert(value, field)
    except Exception as error:  # whatever a value does
        _left_out(field, error, leave_out)
        return UNSET


def _or_none(
    convert: Callable[[object, str], Any], value: object, field: str, leave_out: LeaveOut | None
) -> Any:
    found = _optional(convert, value, field, leave_out)
    return None if found is UNSET else found


def _left_out(field: str, error: Exception, leave_out: LeaveOut | None) -> None:
    if leave_out is None:
        raise error
    is_known = isinstance(error, UnencodableError)
    leave_out(str(error) if is_known else f"{field} raises {type(error).__name__}")


def plain_time(value: object) -> float | datetime:
    """Return an event time; raises :class:`UnencodableError` for what can't be one."""
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


def _features(features: object, leave_out: LeaveOut | None) -> dict[str, float | str | bool | None]:
    plain: dict[str, float | str | bool | None] = {}
    for name, value in _items(features, "features"):
        if isinstance(value, float):  # the commonest first, np.float64 among them
            plain[str(name)] = finite_or_name(float(value))
        elif type(value) in _FEATURE:
            plain[str(name)] = value  # type: ignore[assignment]
        else:
            field = f"feature {name!r}"
            try:
                plain[str(name)] = scalar(value, field)
            except Exception as error:  # whatever a value does
                _left_out(field, error, leave_out)
    return plain


def plain_segments(segments: object, leave_out: LeaveOut | None) -> dict[str, str]:
    """Return segments with their values as text, without those that have none."""
    texts = {
        str(name): _optional(text, value, f"segment {name!r}", leave_out)
        for name, value in _items(segments or {}, "segments")
    }
    # "NaN" is the text of what a frame has where a value is missing.
    return {name: value for name, value in texts.items() if value not in (None, UNSET, "NaN")}
