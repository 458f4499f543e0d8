"""What a value that is no event looks like, by how it begins; said in its dead letter."""

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (
        b"\xef\xbb\xbf",
        "the value begins with a byte order mark (EF BB BF); send the JSON without it",
    ),
    (b"\xff\xfe", "the value looks like UTF-16; send UTF-8"),
    (b"\xfe\xff", "the value looks like UTF-16; send UTF-8"),
    (
        b"\x1f\x8b",
        "the value is compressed with gzip; leave that to the producer (compression.type)",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "the value is compressed with zstd; leave that to the producer (compression.type)",
    ),
)

#: A schema registry's serializer writes a zero, an id of four bytes, then the record.
_REGISTRY_BYTES = 5


def with_hint(detail: str, payload: bytes) -> str:
    r"""Return the detail of a refusal with what the value seems to be.

    >>> with_hint("not UTF-8", b"\x1f\x8b\x08")
    'not UTF-8; the value is compressed with gzip; leave that to the producer (compression.type)'
    """
    for beginning, hint in _BEGINNINGS:
        if payload.startswith(beginning):
            return f"{detail}; {hint}"
    if payload[:1] == b"\0" and len(payload) > _REGISTRY_BYTES:
        schema = int.from_bytes(payload[1:_REGISTRY_BYTES], "big")
        return (
            f"{detail}; the value begins with the prefix of a schema registry's serializer "
            f"(00 and the id {schema}): send plain JSON, by a serializer without a registry"
        )
    return detail
