"""One request with a deadline for all of it, and what its answer means."""

import asyncio
import datetime
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp

from tidegauge.notify.channel import AlertChannel, Refused, RetryLater
from tidegauge.notify.config import AlertmanagerReceiver, SlackReceiver, WebhookReceiver

IDEMPOTENCY_HEADER = "Idempotency-Key"

#: Of an answer that refuses, so much is shown.
_SHOWN_BYTES = 300

#: These 4xx get better by waiting: too slow, too early, too many.
_PASSING = {408, 425, 429}


#: No answer that is read is larger: a page of something else isn't taken into memory.
_READ_BYTES = 16 * 2**20


def request(
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    timeout_seconds: float,
    read: bool = True,
) -> bytes:
    """Send a request, with JSON if there is a ``body``, and return if the answer is 2xx.

    Returns what follows if ``read``. Raises :class:`RetryLater` if nobody answers in time or the
    answer is 5xx, 408, 425 or 429, and :class:`Refused` for every other answer. Neither shows the
    path of ``url``, which may be secret.
    """
    return asyncio.run(_request(method, url, body, headers, timeout_seconds, read=read))


async def _request(
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    timeout_seconds: float,
    *,
    read: bool,
) -> bytes:
    # aiohttp for its total timeout: a receiver that answers byte by byte is no excuse.
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    content = {} if body is None else {"Content-Type": "application/json"}
    sent = {"User-Agent": "tidegauge", **content, **headers}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.request(method, url, data=body, headers=sent, allow_redirects=False) as answer,
        ):
            if 200 <= answer.status < 300:
                return await _read(answer.content) if read else b""
            said = await answer.content.read(_SHOWN_BYTES)
            why = f"HTTP {answer.status}: {said.decode(errors='replace').strip()}"
            asked = retry_after_seconds(answer.headers.get("Retry-After"), time.time())
            status = answer.status
    except TimeoutError as error:
        raise RetryLater(f"no answer within {timeout_seconds:.3g} s") from error
    except aiohttp.ClientError as error:
        # aiohttp's texts name host and port, some the whole address.
        reason = str(error).replace(url, origin(url)) or type(error).__name__
        raise RetryLater(reason) from error
    if status >= 500 or status in _PASSING:
        raise RetryLater(why, asked)
    raise Refused(why)


async def _read(content: aiohttp.StreamReader) -> bytes:
    parts = bytearray()
    async for part in content.iter_any():
        parts += part
        if len(parts) > _READ_BYTES:
            raise Refused(f"the answer is larger than {_READ_BYTES} bytes")
    return bytes(parts)


def origin(url: str) -> str:
    """Return what of an address may be shown: scheme, host and port.

    >>> origin("https://hooks.slack.com/services/T0/B0/secret")
    'https://hooks.slack.com'
    """
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


#: A receiver that asks for more patience than this is asked again all the same, seconds.
LONGEST_WAIT_SECONDS = 3600.0


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
        except (ValueError, OverflowError):
            return None
        if at.tzinfo is None:
            at = at.replace(tzinfo=datetime.UTC)
        seconds = at.timestamp() - now
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


class HttpChannel(AlertChannel):
    """A channel that sends alerts by POST."""

    receiver: AlertmanagerReceiver | WebhookReceiver | SlackReceiver

    @property
    def target(self) -> str:
        """Scheme, host and port."""
        url = self.receiver.url
        return origin(url if isinstance(url, str) else url.reveal())

    def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send one request within the timeout of the receiver; raises as :func:`request`."""
        sent = dict(headers or {})
        authorization = getattr(self.receiver, "authorization", None)
        if authorization is not None:
            sent["Authorization"] = authorization.reveal()
        seconds = self.receiver.timeout_seconds
        request("POST", url, body, sent, timeout_seconds=seconds, read=False)
