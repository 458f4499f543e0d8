"""What a channel is: it reads records of one topic and delivers those that its receiver wants.

For those that deliver over HTTP: one request with a deadline for all of it, and what its answer
means.
"""

import asyncio
import datetime
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Generic, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from tidegauge.config import TopicSettings
from tidegauge.contract import Alert, decode
from tidegauge.notify.config import (
    AlertmanagerReceiver,
    AlertReceiver,
    Receiver,
    SlackReceiver,
    WebhookReceiver,
)
from tidegauge.notify.withholding import Digest, Limit

Clock = Callable[[], float]
T = TypeVar("T")


class Channel(ABC, Generic[T]):
    """A channel to one receiver, for records of type ``T``; ``clock``: epoch seconds."""

    #: Seconds after which what fires is sent again; None: sent once.
    resend_seconds: float | None = None

    def __init__(self, receiver: Receiver, clock: Clock) -> None:
        self.receiver = receiver
        self._clock = clock

    @property
    @abstractmethod
    def target(self) -> str:
        """The address of the receiver, without secrets."""

    @abstractmethod
    def topic(self, topics: TopicSettings) -> str:
        """Return the topic whose records it delivers."""

    @abstractmethod
    def read(self, value: bytes) -> T | None:
        """Decode a record; None if it is of a kind that is never delivered.

        Raises :class:`DecodingError` if it is no record of this topic.
        """

    @abstractmethod
    def wants(self, record: T) -> bool:
        """Whether the receiver is to be notified of a record."""

    @abstractmethod
    def deliver(self, record: T, note: str = "") -> None:
        """Deliver once, with a ``note`` for people about the delivery.

        Raises :class:`RetryLater` or :class:`Refused`.
        """

    @property
    def limit(self) -> Limit | None:
        """How many messages the receiver takes in a period; None: as many as there are."""
        return None

    # Only what resends does any of the following.

    def restore(self, record: T) -> None:
        """Note a record that was delivered before this process began."""

    def forget(self) -> None:
        """Drop what was noted: another process may deliver from now on."""

    def resend(self) -> None:
        """Send what fires again; raises as :meth:`deliver` does."""


class _AlertState(msgspec.Struct):
    """The fields that decide whether a record is decoded: later versions may add states."""

    state: str
    was: str | None = None


class AlertChannel(Channel[Alert]):
    """A channel for alerts, from their topic."""

    receiver: AlertReceiver

    @property
    def limit(self) -> Limit | None:
        """The limit in the receiver file."""
        found = self.receiver.rate_limit
        return None if found is None else found.limit

    @abstractmethod
    def deliver(self, record: Alert | Digest, note: str = "") -> None:
        """Deliver an alert, or several as one message; raises as in :class:`Channel`."""

    def topic(self, topics: TopicSettings) -> str:
        """Return that of every transition."""
        return topics.alerts_history

    def read(self, value: bytes) -> Alert | None:
        """Decode an alert that fires, or did and lacks data now, or is over."""
        said = decode(value, _AlertState)
        lacks_data = (said.state, said.was) == ("no_data", "firing")
        if said.state not in ("firing", "resolved") and not lacks_data:
            return None
        return decode(value, Alert)

    def wants(self, alert: Alert) -> bool:
        """Whether the receiver is to be notified; a rule may name its receivers."""
        receiver = self.receiver
        if alert.receivers and receiver.name not in alert.receivers:
            return False
        # Alertmanager gets every end; its own configuration decides which of them it sends.
        told = isinstance(receiver, AlertmanagerReceiver) or receiver.send_resolved
        return receiver.match.takes(alert) and (alert.state != "resolved" or told)


class RetryLater(Exception):
    """Not delivered this time; ``retry_after`` is the wait that the receiver asks for, seconds."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class Refused(Exception):
    """The receiver will never accept this, so it is not sent again."""


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
