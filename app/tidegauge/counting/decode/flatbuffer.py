"""Reading tables of a flatbuffer by the number of a field: what Arrow's metadata is written in.

Only what is needed to learn sizes before a body is read. Whatever lies outside the buffer raises
``ValueError``, so a corrupt buffer can't be read for ever or out of bounds.

https://flatbuffers.dev/internals/
"""

import struct
from collections.abc import Iterator

_INT = {
    size: {
        signed: struct.Struct(f"<{code if signed else code.upper()}") for signed in (True, False)
    }
    for size, code in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))
}


class FlatbufferTable:
    """A table at a position of a buffer."""

    __slots__ = ("_at", "_data", "_vtable", "_width")

    def __init__(self, data: bytes | memoryview, at: int) -> None:
        self._data = data
        self._at = at
        self._vtable = at - read_int(data, at, 4)
        self._width = read_int(data, self._vtable, 2, signed=False)

    @classmethod
    def root(cls, data: bytes | memoryview, at: int = 0) -> "FlatbufferTable":
        """Return the table that a buffer begins with, at a position."""
        return cls(data, at + read_int(data, at, 4, signed=False))

    def _place(self, number: int) -> int:
        """Return where a field is; 0 if it isn't there."""
        entry = 4 + 2 * number
        if entry + 2 > self._width:
            return 0
        offset = read_int(self._data, self._vtable + entry, 2, signed=False)
        return self._at + offset if offset else 0

    def integer(self, number: int, size: int) -> int:
        """Return an integer of so many bytes; 0 if it isn't there."""
        place = self._place(number)
        return read_int(self._data, place, size) if place else 0

    def table(self, number: int) -> "FlatbufferTable | None":
        """Return a table that a field refers to."""
        place = self._place(number)
        return FlatbufferTable(self._data, self._follow(place)) if place else None

    def vector(self, number: int) -> tuple[int, int]:
        """Return where the items of a vector or string begin, and how many it has."""
        place = self._place(number)
        if not place:
            return 0, 0
        at = self._follow(place)
        return at + 4, read_int(self._data, at, 4, signed=False)

    def tables(self, number: int) -> Iterator["FlatbufferTable"]:
        """Yield the tables of a vector; the same one may be there any number of times."""
        first, length = self.vector(number)
        for at in range(first, first + 4 * length, 4):
            yield FlatbufferTable(self._data, self._follow(at))

    def _follow(self, place: int) -> int:
        return place + read_int(self._data, place, 4, signed=False)


def read_int(data: bytes | memoryview, at: int, size: int, *, signed: bool = True) -> int:
    """Return a little-endian integer; raises ``ValueError`` outside the buffer."""
    if not 0 <= at <= len(data) - size:
        raise ValueError(f"offset {at} is outside the metadata")
    value: int = _INT[size][signed].unpack_from(data, at)[0]
    return value
