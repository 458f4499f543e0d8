"""Values of the changelog that are too large for one record: parted, and put together again. Pure.

A large value is written as its parts, each under a key of its own, and then its *head*, under the
value's own key: the SHA-256 of the whole and the number of parts. A part begins with the same
SHA-256. A value is there once a head and all parts of its digest have been read, in whatever order,
and then it is what was written to the last byte; of parts of two values nothing is made.

The next value's parts take the places of the last one's, and the places that it doesn't need become
tombstones. So compaction may leave parts without their head, or a head without all of its parts.
Neither is a value, and whoever reads one writes his own value after it (``Changelog``).
"""

import hashlib
from typing import Annotated, NamedTuple

import msgspec

from tidegauge.contract import DecodingError
from tidegauge.windows.values import Key

#: A topic that was made with Kafka's default of 1 MiB a message takes a part as well.
PART_BYTES = 900_000

#: Parts that are refused are halved down to this.
LEAST_PART_BYTES = 50_000

#: No JSON begins so.
_MARK = b"#"
_DIGITS = 64

#: Of the number of parts; enough for 900 GB.
_MOST_DIGITS = 6


#: More parts than a value has; each is a tombstone once it is no longer needed.
_MOST_PARTS = 10_000


class PartKey(msgspec.Struct, frozen=True, array_like=True, tag="part"):
    """Key of one part of the value of a key."""

    key: Key
    index: Annotated[int, msgspec.Meta(ge=0, lt=_MOST_PARTS)]


#: An encoded key with its encoded value, or with None for a tombstone.
Write = tuple[bytes, bytes | None]


class Whole(NamedTuple):
    """A value as if it had been one record, with the tags of its head."""

    key: Key
    raw_key: bytes
    raw_value: bytes | None
    at: int
    log: str


class _Head(NamedTuple):
    record: Whole
    digest: bytes
    parts: int


class Parts:
    """What has been read of values in parts, and which parts stand in the log."""

    def __init__(self) -> None:
        self._parts: dict[Key, dict[bytes, dict[int, bytes]]] = {}
        self._heads: dict[Key, _Head] = {}
        #: By key, one more than the largest index of a part that stands in the log.
        self._written: dict[Key, int] = {}
        self._part_bytes = PART_BYTES

    def halve(self) -> int:
        """Make parts half as large from here on; return how large they are at most."""
        self._part_bytes = max(LEAST_PART_BYTES, self._part_bytes // 2)
        return self._part_bytes

    def write(self, key: Key, value: bytes | None) -> list[Write]:
        """Return the records of a value, of which the parts that it no longer needs are deleted."""
        raw_key = msgspec.json.encode(key)
        before = self._written.pop(key, 0)
        chunks: list[bytes] = []
        if value is not None and len(value) > self._part_bytes:
            at_once = self._part_bytes
            chunks = [value[at : at + at_once] for at in range(0, len(value), at_once)]
            self._written[key] = len(chunks)
            digest = hashlib.sha256(value).hexdigest().encode()
            value = b"%b%b%d" % (_MARK, digest, len(chunks))
            chunks = [b"%b%b%b" % (_MARK, digest, chunk) for chunk in chunks]
        parts: list[Write] = [(_part(key, i), chunk) for i, chunk in enumerate(chunks)]
        surplus: list[Write] = [(_part(key, i), None) for i in reversed(range(len(chunks), before))]
        return [*parts, (raw_key, value), *surplus]

    def read(self, record: Whole) -> Whole | None:
        """Take in a record under a value's own key; return the value if all of it is there.

        Raises ``DecodingError`` if it is a head that nobody has written so.
        """
        self._heads.pop(record.key, None)  # it speaks for the key now
        value = record.raw_value
        if value is None or not value.startswith(_MARK):
            return record
        digest, count = value[1 : 1 + _DIGITS], value[1 + _DIGITS :]
        if not count.isdigit() or len(count) > _MOST_DIGITS:
            raise DecodingError(f"the head of a value in parts says it has {count[:20]!r} of them")
        self._heads[record.key] = _Head(record, digest, int(count))
        return self._joined(record.key)

    def read_part(self, at: PartKey, value: bytes | None) -> Whole | None:
        """Take in a part; return the value that it was the last to come of."""
        if value is None:
            if at.index + 1 == self._written.get(at.key):
                self._written[at.key] = at.index
            return None
        self._written[at.key] = max(at.index + 1, self._written.get(at.key, 0))
        digest, chunk = value[1 : 1 + _DIGITS], value[1 + _DIGITS :]
        self._parts.setdefault(at.key, {}).setdefault(digest, {})[at.index] = chunk
        return self._joined(at.key)

    def _joined(self, key: Key) -> Whole | None:
        head = self._heads.get(key)
        if head is None:
            return None
        parts = self._parts.get(key, {}).get(head.digest, {})
        if any(i not in parts for i in range(head.parts)):
            return None
        value = b"".join(parts[i] for i in range(head.parts))
        if hashlib.sha256(value).hexdigest().encode() != head.digest:
            return None
        del self._heads[key]
        self._parts[key].pop(head.digest, None)
        return head.record._replace(raw_value=value)

    def finish(self) -> set[Key]:
        """Forget what is torn, and return its keys: all has been read."""
        torn = {*self._heads, *(key for key, values in self._parts.items() if values)}
        self._heads.clear()
        self._parts.clear()
        return torn

    @property
    def written(self) -> set[Key]:
        """Keys of which parts stand in the log."""
        return {key for key, count in self._written.items() if count}


def _part(key: Key, index: int) -> bytes:
    return msgspec.json.encode(PartKey(key, index))
