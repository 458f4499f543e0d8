"""Values that somebody may send to any topic, made of a sound record of it."""

import json
from collections.abc import Iterator

import pytest


def nested(levels: int) -> bytes:
    """Return JSON that is nested so deeply."""
    return b'{"x":' * levels + b"1" + b"}" * levels


def with_field(sound: bytes, value: bytes, name: bytes = b"unknown") -> bytes:
    """Return a sound record with one more field, which has ``value`` as it is."""
    return sound[:-1] + (b"," if len(sound) > 2 else b"") + b'"' + name + b'":' + value + b"}"


def _hostile(sound: bytes) -> Iterator[tuple[str, bytes | None]]:
    yield "tombstone", None
    yield "nothing", b""
    yield "spaces", b"  "
    yield "zero byte", b"\x00"
    yield "no text", bytes(range(128, 256))
    yield "byte order mark", b"\xef\xbb\xbf" + sound
    yield "schema registry", b"\x00\x00\x00\x00\x07" + sound
    yield "utf-16", sound.decode().encode("utf-16")
    yield "cut off", sound[:-1]
    yield "twice", sound + sound
    yield "array", b"[" + sound + b"]"
    yield "null", b"null"
    yield "number", b"17.5"
    yield "text", b'"hello"'
    yield "empty object", b"{}"
    yield "nested object", with_field(sound, nested(6_000))
    yield "nested array", with_field(sound, b"[" * 6_000 + b"]" * 6_000)
    yield "unclosed", b'{"x":' * 6_000
    yield "surrogate in a name", with_field(sound, b"1", b"\\ud800")
    yield "surrogate in a text", with_field(sound, b'"\\ud800"')
    yield "not a number", with_field(sound, b"NaN")
    yield "control character", with_field(sound, b'"\x01"')
    yield "envelope without data", b'{"specversion": "1.0"}'
    yield "envelope around depth", b'{"specversion": "1.0", "data": ' + nested(6_000) + b"}"
    yield "envelope of an envelope", b'{"specversion": "1.0", "data": {"specversion": "1.0"}}'
    for name, value in json.loads(sound).items():
        if name != "schema_version":
            wrong = {"x": 1} if not isinstance(value, dict) else [1]
            yield f"{name} of a wrong type", json.dumps(json.loads(sound) | {name: wrong}).encode()


def in_unknown_fields(sound: bytes) -> list[bytes]:
    """Return sound records with garbage where a reader of a Struct does not look."""
    return [
        with_field(sound, b"1", b"\xff"),
        with_field(sound, b'"\xff"'),
        with_field(sound, b"1e999"),
    ]


def hostile_values(sound: bytes) -> list[object]:
    """Return parameters of a test: a value of each kind, none of which is a record."""
    return [pytest.param(value, id=name) for name, value in _hostile(sound)]


def hostile_records(sound: bytes) -> list[bytes | None]:
    """Return the values themselves."""
    return [value for _, value in _hostile(sound)]
