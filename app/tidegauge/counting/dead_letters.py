"""Dead letters for records that INGEST refuses."""

import base64
from typing import Literal

from tidegauge.contract import PAYLOAD_LIMIT_BYTES, DeadLetter
from tidegauge.counting.decode.reference import RefusedError

#: Error texts can quote the record; they must not make a letter too large for its topic.
_DETAIL_CHARACTERS = 1_000


def dead_letter(
    *,
    topic: str,
    partition: int,
    offset: int,
    row: int | None,
    rows: int | None,
    time: float,
    refused: RefusedError,
    payload: bytes,
    redact: bool,
) -> DeadLetter:
    """Describe a refused record; the payload as text if it is UTF-8, else in base64."""
    kept = payload[:PAYLOAD_LIMIT_BYTES]
    text: str | None = None
    encoding: Literal["utf-8", "base64"] | None = None
    if not redact:
        try:
            text, encoding = kept.decode(), "utf-8"
        except UnicodeDecodeError:
            text, encoding = base64.b64encode(kept).decode(), "base64"
    return DeadLetter(
        topic=topic,
        partition=partition,
        offset=offset,
        row=row,
        rows=rows,
        time=time,
        reason=refused.reason,
        detail=_writable(refused.detail[:_DETAIL_CHARACTERS]),
        payload=text,
        payload_encoding=encoding,
        payload_bytes=len(payload),
        payload_truncated=not redact and len(payload) > len(kept),
    )


def _writable(text: str) -> str:
    """Return text that can be encoded: half a surrogate pair, quoted from a record, can't."""
    return text.encode(errors="backslashreplace").decode()
