"""One session after the other: whatever ends one, the next begins at what was committed."""

import gc
import logging
import threading
from collections.abc import Callable
from typing import Protocol

from confluent_kafka import KafkaException
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_when_event_set,
    wait_random,
)

from tidegauge.kafka.transaction import bounded

log = logging.getLogger(__name__)

#: Leaving the group takes milliseconds; if the brokers are away, they find out by themselves.
LEAVE_SECONDS = 5.0


class Session(Protocol):
    """A membership of a consumer group."""

    def run(self, stop: threading.Event) -> None:
        """Work until stopped; raises what ends the session."""

    def close(self) -> None:
        """Leave the group."""


class SessionError(Exception):
    """The session can't go on; what it holds in memory is dropped and the next one begins."""


def run_sessions(
    begin: Callable[[], Session], stop: threading.Event, *, failed: Callable[[object], None]
) -> None:
    """Begin a session and run it, again and again, until ``stop`` is set.

    A :class:`SessionError` or a ``KafkaException`` ends a session and is told to ``failed``; the
    next one begins half a second to two later. Any other exception is raised.
    """

    def run_one() -> None:
        # Threads of a producer end when it is collected, and the last session's is in a cycle.
        gc.collect()
        session = begin()
        try:
            session.run(stop)
        finally:
            _leave(session, stop)

    def sleep(seconds: float) -> None:
        stop.wait(seconds)

    def report(state: RetryCallState) -> None:
        failed(state.outcome and state.outcome.exception())

    Retrying(
        retry=retry_if_exception_type((SessionError, KafkaException)),
        wait=wait_random(0.5, 2),
        stop=stop_when_event_set(stop),
        sleep=sleep,
        before_sleep=report,
        retry_error_callback=report,
    )(run_one)


def _leave(session: Session, stop: threading.Event) -> None:
    if not stop.is_set():
        # To its end: a member that is left behind half-way could keep its partitions.
        session.close()
        return
    try:
        bounded(session.close, LEAVE_SECONDS)
    except TimeoutError:
        log.warning("the brokers did not answer on leaving: they will notice by themselves")
