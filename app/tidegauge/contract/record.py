"""What all records have in common: their base class, ids, and the one way to JSON and back."""

import hashlib
from functools import lru_cache
from typing import Annotated, Any, Protocol, TypeVar, overload

import msgspec

from tidegauge.contract.printable import shortened

SCHEMA_VERSION = 1


def doc(text: str) -> msgspec.Meta:
    """Describe a field of a record; JSON Schema and AsyncAPI have the description."""
    return msgspec.Meta(description=text)


SchemaVersion = Annotated[int, doc("Version of this contract.")]


class Record(msgspec.Struct, kw_only=True):
    """A record on a topic: JSON-encoded; unknown fields are ignored on reading."""


def encode(record: object) -> bytes:
    """Encode a record as JSON with a field order that never changes.

    NaN and infinity have no JSON form; both become ``null``. Raises ``TypeError`` for a histogram
    record: its integer keys have no order that msgspec would keep, and INGEST writes it by itself.
    """
    return msgspec.json.encode(record, order="deterministic")


def deterministic_id(*parts: str | int | float) -> str:
    """Name a fact by what it is about, so that a re-run after a crash gives it the same name.

    >>> deterministic_id("alert", "credit", 3) == deterministic_id("alert", "credit", 3)
    True
    >>> deterministic_id("a", "bc") == deterministic_id("ab", "c")
    False
    """
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


T = TypeVar("T")


#: What a message has at most of its beginning, and of its end, which says where in the record.
_BEGINNING, _END = 400, 100


class DecodingError(ValueError):
    """These bytes are not a record of the expected kind; the message says why.

    A message may quote the record, which may be a megabyte. It goes to logs, pages and terminals.
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
    tidegauge.contract.record.DecodingError: nested too deeply
    >>> decode(None, dict)
    Traceback (most recent call last):
    tidegauge.contract.record.DecodingError: there is no value
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
