"""The one way to decode JSON that somebody else has written."""

from functools import lru_cache
from typing import Any, Protocol, TypeVar, overload

import msgspec

from tidegauge.contract.printable import shortened

T = TypeVar("T")


#: What a message has at most of its beginning, and of its end, which says where in the record.
_BEGINNING, _END = 400, 100


class DecodingError(ValueError):
    """These bytes are not a record of the expected kind; the message says why.

    A message may quote the record, which may be a megabyte, and goes to logs, pages and terminals.
    """

    def __init__(self, why: str) -> None:
        super().__init__(shortened(why, _BEGINNING, _END))


@overload
def decode(value: bytes | str | msgspec.Raw | None, kind: type[T]) -> T: ...


@overload
def decode(value: bytes | str | msgspec.Raw | None, kind: Any) -> Any: ...


def decode(value: bytes | str | msgspec.Raw | None, kind: Any) -> Any:
    """Decode JSON from a topic, from Redis or from HTTP as ``kind``.

    Whatever is wrong with one value raises :class:`DecodingError` and nothing else, so that a
    caller who handles that error can't be ended by a record: msgspec raises ``RecursionError`` for
    deep nesting and what a ``__post_init__`` or a hook raises, beside its own errors.

    >>> decode(b'{"a": 1}', dict)
    {'a': 1}
    >>> decode(b'{"a":' * 6_000, dict)
    Traceback (most recent call last):
    tidegauge.contract.decoding.DecodingError: nested too deeply
    >>> decode(None, dict)
    Traceback (most recent call last):
    tidegauge.contract.decoding.DecodingError: there is no value
    """
    if not value:
        raise DecodingError("there is no value")
    try:
        return _decoder(kind).decode(value)
    except RecursionError as error:
        raise DecodingError("nested too deeply") from error
    except Exception as error:
        raise DecodingError(str(error) or type(error).__name__) from error


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(kind)


class RawMessage(Protocol):
    """What is used of a ``confluent_kafka.Message``, for code that needs no client."""

    def value(self) -> bytes | None: ...  # noqa: D102
    def partition(self) -> int: ...  # noqa: D102
    def offset(self) -> int: ...  # noqa: D102
    def error(self) -> object | None: ...  # noqa: D102
