"""How an attempt to deliver can fail."""

import datetime
from email.utils import parsedate_to_datetime

#: A receiver that asks for more patience than this is asked again all the same, seconds.
LONGEST_WAIT_SECONDS = 3600.0


class RetryLater(Exception):
    """Not delivered this time; ``retry_after`` is how long the receiver asks to wait, seconds."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class Refused(Exception):
    """The receiver will never take this; nothing is gained by sending it again."""


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """Read a ``Retry-After`` header: seconds or an HTTP date (RFC 9110, 10.2.3); None if neither.

    >>> retry_after_seconds("120", 0.0)
    120.0
    >>> retry_after_seconds("Thu, 01 Jan 1970 00:01:00 GMT", 15.0)
    45.0
    >>> retry_after_seconds("soon", 0.0) is None
    True
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        if at.tzinfo is None:
            at = at.replace(tzinfo=datetime.UTC)
        seconds = at.timestamp() - now
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
