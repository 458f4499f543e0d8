"""The receipt of a prediction: what a label needs to be counted without anything being remembered.

A receipt is ``tg1.`` and base64url (RFC 4648, no padding) of: one byte, which is 1, or 0x81 if it
is signed; a msgpack array of model, version, variant, event time (epoch seconds), prediction,
label, segments and id; and if it is signed, 16 bytes of BLAKE2b (RFC 7693), keyed, of all before
it. HMAC-SHA256 took four times as long on the serving thread (2 µs more), for the same 128 bits.

It is printable, of some 120 characters, and no secret: whoever has it can read it. A signature only
keeps others from making one.
"""

import hashlib
import math
from binascii import Error as NoBase64, a2b_base64, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hmac import compare_digest
from typing import Annotated

import msgspec

from tidegauge.contract.record import DecodingError

#: What every receipt begins with.
RECEIPT_PREFIX = "tg1."

#: Longest receipt; a prediction with more text in its segments gets none.
RECEIPT_CHARACTERS = 8_000

_PLAIN, _SIGNED = b"\x01", b"\x81"
_SIGNATURE_BYTES = 16

#: BLAKE2b takes no longer ones.
_MOST_KEY_BYTES = 64

#: No time is later: the year 2100, epoch seconds.
_LATEST = 4_102_444_800

#: Base64 as it is in addresses, and back: there "+" and "/" are no characters of it.
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/", b"+/!!")

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

ClassLabel = str | int | bool


class Receipt(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """A prediction as its receipt has it."""

    model: _Name
    version: _Name
    variant: Annotated[str, msgspec.Meta(max_length=200)]
    time: float
    prediction: float | None
    label: ClassLabel | None
    segments: dict[str, str] | None
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)] | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Receipt).decode


def receipt_writer(key: bytes | None) -> Callable[..., str]:
    """Return a function that makes receipts, signed if there is a ``key``.

    Its arguments are the fields of :class:`Receipt` in their order, of the types that they have
    there: nothing is checked. It returns "" where the receipt would be too long.
    """

    def write(
        model: str,
        version: str,
        variant: str,
        time: float,
        prediction: float | None,
        label: ClassLabel | None,
        segments: Mapping[str, str] | None,
        id: str | None,
    ) -> str:
        body = _encode((model, version, variant, time, prediction, label, segments, id))
        if key is None:
            whole = _PLAIN + body
        else:
            whole = _SIGNED + body
            whole += _signature(whole, key)
        text = RECEIPT_PREFIX + b2a_base64(whole, newline=False).translate(_TO_URL, b"=").decode()
        return text if len(text) <= RECEIPT_CHARACTERS else ""

    return write


def read_receipt(receipt: str, keys: Sequence[bytes] = ()) -> Receipt:
    """Read a receipt; with ``keys``, only one that was signed by one of them.

    Raises :class:`DecodingError` for any other text.

    >>> write = receipt_writer(None)
    >>> read_receipt(write("credit", "3", "", 1772366413.75, 0.25, None, {"region": "EU"}, "a")).id
    'a'
    """
    if not receipt.startswith(RECEIPT_PREFIX) or len(receipt) > RECEIPT_CHARACTERS:
        raise DecodingError(
            f"receipt is {receipt[:40]!r}, expected {RECEIPT_PREFIX}… as the logger returned it"
        )
    whole = _bytes(receipt)
    kind, body = whole[:1], whole[1:]
    if kind == _SIGNED:
        body, signature = body[:-_SIGNATURE_BYTES], body[-_SIGNATURE_BYTES:]
        signed = whole[:-_SIGNATURE_BYTES]
        if keys and not any(compare_digest(_signature(signed, key), signature) for key in keys):
            raise DecodingError("receipt was signed by another key, or was changed")
    elif kind != _PLAIN:
        raise DecodingError(f"receipt is of version {kind.hex() or 'none'}, expected 01 or 81")
    elif keys:
        raise DecodingError("receipt is not signed, and outcomes.receipt_key is set")
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodingError(f"receipt has no prediction in it: {error}") from error
    if not 0 <= found.time < _LATEST:
        raise DecodingError(f"receipt has the time {found.time}, expected epoch seconds")
    if isinstance(found.prediction, float) and not math.isfinite(found.prediction):
        return msgspec.structs.replace(found, prediction=None)
    return found


def _bytes(receipt: str) -> bytes:
    text = receipt[len(RECEIPT_PREFIX) :]
    try:
        padded = text.encode("ascii").translate(_FROM_URL) + b"=" * (-len(text) % 4)
        return a2b_base64(padded, strict_mode=True)
    except (NoBase64, ValueError) as error:
        raise DecodingError(f"receipt is cut off or changed: {error}") from error


@lru_cache(maxsize=16)
def _keyed(key: bytes) -> "hashlib.blake2b":
    """Return a state to copy, which takes half as long as a new one."""
    if len(key) > _MOST_KEY_BYTES:
        key = hashlib.blake2b(key).digest()
    return hashlib.blake2b(key=key, digest_size=_SIGNATURE_BYTES)


def _signature(whole: bytes, key: bytes) -> bytes:
    state = _keyed(key).copy()
    state.update(whole)
    return state.digest()
