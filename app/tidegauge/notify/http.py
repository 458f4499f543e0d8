"""One POST with a deadline for all of it, and what its answer means."""

import asyncio
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from tidegauge.notify.outcome import Refused, RetryLater, retry_after_seconds

#: Of an answer that refuses, so much is shown.
_SHOWN_BYTES = 300

#: These 4xx get better by waiting: too slow, too early, too many.
_PASSING = {408, 425, 429}


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float) -> None:
    """POST JSON; returns if the answer is 2xx.

    Raises :class:`RetryLater` if nobody answers in time or the answer is 5xx, 408, 425 or 429, and
    :class:`Refused` for every other answer. Neither shows the path of ``url``, which may be secret.
    """
    asyncio.run(_post(url, body, headers, timeout_seconds))


async def _post(url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> None:
    # aiohttp for its total timeout: a receiver that answers byte by byte is no excuse.
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    sent = {"Content-Type": "application/json", "User-Agent": "tidegauge", **headers}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.post(url, data=body, headers=sent, allow_redirects=False) as answer,
        ):
            if 200 <= answer.status < 300:
                return
            said = await answer.content.read(_SHOWN_BYTES)
            why = f"HTTP {answer.status}: {said.decode(errors='replace').strip()}"
            asked = retry_after_seconds(answer.headers.get("Retry-After"), time.time())
            status = answer.status
    except TimeoutError as error:
        raise RetryLater(f"no answer within {timeout_seconds:g} s") from error
    except aiohttp.ClientError as error:
        # aiohttp's texts name host and port, some the whole address.
        reason = str(error).replace(url, origin(url)) or type(error).__name__
        raise RetryLater(reason) from error
    if status >= 500 or status in _PASSING:
        raise RetryLater(why, asked)
    raise Refused(why)


def origin(url: str) -> str:
    """Return what of an address may be shown: scheme, host and port.

    >>> origin("https://hooks.slack.com/services/T0/B0/secret")
    'https://hooks.slack.com'
    """
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"
