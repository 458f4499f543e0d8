"""Shared pieces of every record."""

import hashlib
from typing import Annotated

import msgspec

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
