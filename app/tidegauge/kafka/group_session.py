"""Sessions one after the other: whatever ends one, the next begins at the committed offsets.

Where one record ends session after session, :class:`Quarantine` finds it, so that it can be set
aside. It is a backstop: a known fault of a record leads to a dead letter or a counted skip.
This is for an exception that was not foreseen, which would otherwise end every session, or the
process at every start, at the same record.
"""

import gc
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_fixed,
    wait_random,
)
from tenacity.wait import wait_base

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
    """The session can't continue; its state in memory is dropped and the next one begins."""


#: What a session may raise, so that the next one begins.
ENDS_A_SESSION = (SessionError, KafkaException)


def run_sessions(
    begin: Callable[[], Session], stop: threading.Event, *, failed: Callable[[object], None]
) -> None:
    """Begin a session and run it, again and again, until ``stop`` is set.

    A :class:`SessionError` or a ``KafkaException`` ends a session and is reported to ``failed``;
    the next one begins half a second to two later. Any other exception is raised.
    """

    def run_one() -> None:
        # Threads of a producer end when it is collected, and the last session's is in a cycle.
        gc.collect()
        session = begin()
        try:
            session.run(stop)
        finally:
            _leave(session, stop)

    retry(run_one, stop, errors=ENDS_A_SESSION, failed=failed, wait=wait_random(0.5, 2))


def retry(
    work: Callable[[], None],
    stop: threading.Event,
    *,
    errors: tuple[type[Exception], ...],
    failed: Callable[[object], None],
    wait: wait_base | float,
) -> None:
    """Work until it succeeds or ``stop`` is set; each of ``errors`` is reported to ``failed``.

    ``wait`` is how long to wait before the next try, seconds. Any other exception is raised. Once
    ``stop`` is set nothing is begun: with brokers that don't answer it could take longer than a
    process has for its end.
    """
    if stop.is_set():
        return

    def report(state: RetryCallState) -> None:
        failed(state.outcome and state.outcome.exception())

    Retrying(
        retry=retry_if_exception_type(errors),
        wait=wait_fixed(wait) if isinstance(wait, int | float) else wait,
        stop=stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=report,
        retry_error_callback=report,
    )(work)


def _leave(session: Session, stop: threading.Event) -> None:
    if not stop.is_set():
        # To its end: a member that is left behind half-way could keep its partitions.
        session.close()
        return
    try:
        bounded(session.close, LEAVE_SECONDS)
    except TimeoutError:
        log.warning("no answer on leaving the group; the brokers notice by a timeout")


Callback = Callable[[Consumer, list[TopicPartition]], None]


class Membership:
    """The membership of a session in its consumer group: whatever fails in a callback ends it.

    confluent-kafka would raise what its own calls raise inside a callback as a ``KafkaError``,
    which is no exception: no ``except`` catches it, and the thread would end without a word. So one
    of ``errors`` is noted, and raised by :meth:`check` as a :class:`SessionError`. If the callback
    didn't assign, librdkafka does so by itself; what is read then is not used.
    """

    def __init__(
        self, consumer: Consumer, *, errors: tuple[type[Exception], ...] = ENDS_A_SESSION
    ) -> None:
        self.consumer = consumer
        self._errors = errors
        #: Why the session is over, if it is.
        self.over: str | None = None
        self._leaving = False

    def join(self, topic: str, *, assigned: Callback, revoked: Callback) -> None:
        """Join the group to read a topic; the callbacks are called when partitions move."""
        self.consumer.subscribe(
            [topic],
            on_assign=self.guarded(assigned),
            on_revoke=self.guarded(revoked),
            on_lost=self.lost,
        )

    def consume(self, most: int, seconds: float) -> list[Message]:
        """Return messages that have come; raises as :meth:`check` does."""
        messages: list[Message] = self.consumer.consume(most, seconds)
        self.check()
        return messages

    def check(self) -> None:
        """Raise :class:`SessionError` if the session is over."""
        if self.over:
            raise SessionError(self.over)

    def leave(self) -> None:
        """Leave the group; no callback is called by it."""
        self._leaving = True
        self.consumer.close()

    def guarded(self, callback: Callback) -> Callback:
        """Return a callback that does nothing once the session is over or leaves, and ends it."""

        def guarded(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            if self._leaving or self.over:
                return
            try:
                callback(consumer, partitions)
            except self._errors as error:
                if not isinstance(error, (*ENDS_A_SESSION, ValueError)):
                    log.exception("a change of the assignment failed")
                self.over = str(error) or type(error).__name__

        return guarded

    def lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Note that partitions went to another member without a chance to flush them."""
        self.over = f"partitions {sorted(at.partition for at in partitions)} were lost"


class Quarantine:
    """Narrows a batch down to the record at which sessions fail; outlives the sessions.

    A batch that fails twice at the same offsets is halved until one record is left, which is to be
    set aside. ``limit`` is how many records a session may take at once, None for as many as it
    likes. It ends once as many records have passed as were under suspicion.

    >>> quarantine, taken = Quarantine(), []
    >>> while not quarantine.failed({0: 7}, quarantine.limit or 8):
    ...     taken.append(quarantine.limit)
    >>> taken
    [None, 4, 2, 1]
    >>> quarantine.limit is None
    True
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self._begin: Mapping[Any, int] = {}
        #: What the batches that fail there have been halved to.
        self._narrowest: int | None = None
        self._suspects = 0

    def failed(self, begin: Mapping[Any, int], records: int) -> bool:
        """Note that a batch failed; True if its only record is the one to set aside.

        ``begin`` is the first offset of each partition of the batch, which had so many records.
        Call it for errors that :func:`is_of_a_record` alone.
        """
        # Between two failures records of other partitions may pass, so one offset is enough.
        again = bool(begin.items() & self._begin.items())
        self._begin = dict(begin)
        self._suspects = max(self._suspects, records)
        if not again:
            self._narrowest = None
            return False
        if records <= 1:
            self._forget()
            return True
        self.limit = self._narrowest = max(1, min(records, self._narrowest or records) // 2)
        return False

    def passed(self, records: int) -> None:
        """Note that a batch of so many records went through."""
        self._suspects -= records
        if self._suspects <= 0:
            self._suspects, self.limit = 0, None

    def _forget(self) -> None:
        self.limit, self._begin, self._narrowest, self._suspects = None, {}, None, 0
