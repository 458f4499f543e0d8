"""One process's way to the brokers: the events handed over, a thread, and librdkafka behind it."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from tidegauge.producer.counters import Counters, DropReason, DropReport
from tidegauge.producer.librdkafka import Lifeline, at_exit_of_worker, leak
from tidegauge.producer.values import TimeError, UnencodableError

_log = logging.getLogger("tidegauge.producer")

#: Pause before another attempt if no librdkafka producer can be started, or one failed fatally.
RESTART_SECONDS = 10.0

#: How long the thread sleeps, if no delivery report wakes it, before it looks again for what was
#: handed over. Waking it for each event would cost the serving thread more than all the rest.
IDLE_SECONDS = 0.05

#: A fork waits at most so long, and only this soon after the start of a producer, for its first
#: delivery. Resolving a name holds a lock of glibc (in __check_pf) for a moment. A child that is
#: forked in that moment inherits the lock, held by a thread that it doesn't have, and can never
#: resolve a name itself: 1 in 60 children hung that were forked right after the first event.
SETTLE_SECONDS = 0.5

#: How long ``close`` waits for librdkafka to end its threads. One that resolves a name can't be
#: interrupted.
DESTROY_SECONDS = 1.0

_FULL = "events come faster than the brokers take them"

OnDelivery = Callable[[Any, Any], None]

#: Makes the payload of what was handed over; counts values that it leaves out.
Encode = Callable[[dict[str, Any], Counters], bytes]


class Sender:
    """Takes events from any thread without waiting, and accounts for every one of them.

    ``encode`` is called on a thread of its own. ``noun`` is what log lines call an event.
    ``at_exit`` is called at the end of a process that doesn't run what ``atexit`` knows.
    """

    def __init__(
        self,
        noun: str,
        encode: Encode,
        topic: str,
        config: Mapping[str, object],
        max_queued: int,
        at_exit: Callable[[], None],
    ) -> None:
        self.counters = Counters()
        self._noun = noun
        self._encode = encode
        self._topic = topic
        self._config = config
        self._max_queued = max_queued
        self._at_exit = at_exit
        self._handed_over: deque[dict[str, Any]] = deque()
        self._queued = 0  # what librdkafka holds, as of a moment ago
        self._starting = threading.Lock()
        self._producer: Any = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._restart_at = 0.0
        self._started_at = -math.inf
        self._why = ""  # why there is no producer
        self._fatal = ""  # the error that the present producer can't get over
        self._trouble = ""  # the last other error
        self._trouble_logged_at = -math.inf
        self._report = DropReport(self.counters, noun)
        self._closed = False
        self._logged_closed = False

    def hand_over(self, event: dict[str, Any]) -> None:
        """Queue what ``encode`` takes; drops and counts the event if it can't."""
        if self._closed:
            self._drop_closed(1)
        elif self._producer is None and self.start() is None:
            self.counters.drop("unavailable", self._why)
        elif len(self._handed_over) + self._queued >= self._max_queued:
            self.counters.drop("queue_full", _FULL)
        else:
            self._handed_over.append(event)

    def send(self, payload: bytes, events: int, headers: list[tuple[str, bytes]]) -> None:
        """Queue an encoded message; drops and counts its events if it can't."""
        if self._closed:
            self._drop_closed(events)
            return
        producer = self._producer or self.start()
        if producer is None:
            self.counters.drop("unavailable", self._why, events)
            return
        try:
            self._produce(producer, payload, events, partial(self._on_batch, events), headers)
        except BufferError:
            self.counters.drop("queue_full", _FULL, events)

    def flush(self, timeout: float) -> int:
        """Wait until every event is delivered or dropped; return how many are not."""
        deadline = time.monotonic() + timeout
        while True:
            left = self.counters.snapshot().in_flight
            seconds = deadline - time.monotonic()
            if not left or seconds <= 0:
                return left
            producer = self._producer or (self.start() if self._handed_over else None)
            if producer is None or producer.flush(min(seconds, 0.1)) == 0:
                time.sleep(0.002)  # the rest isn't encoded yet

    def close(self, timeout: float) -> int:
        """Flush and end; return the events given up. Closing twice does nothing."""
        if self._closed:
            return 0
        self._closed = True
        remaining = self.flush(timeout)
        with self._starting:
            held, thread = [self._producer], self._thread
            self._stop.set()
        if thread is not None:
            thread.join(1.0)
        if held[0] is not None:
            self._give_up(held[0])
            self._producer = None
            _destroy(held)
        self._log_drops(math.inf)
        return remaining

    def settle(self) -> None:
        """Wait for the first delivery of a producer that was started a moment ago."""
        deadline = self._started_at + SETTLE_SECONDS
        while (left := deadline - time.monotonic()) > 0 and not self.counters.delivered.value:
            if self.flush(min(left, 0.05)) == 0:
                return

    def abandon(self) -> None:
        """Forget the producer of the parent process; its events are the parent's to send."""
        if self._producer is not None:
            leak(self._producer)

    def start(self) -> Any:
        """Return the producer, started if need be; None if that is impossible now."""
        with self._starting:
            if self._producer is not None or self._closed or time.monotonic() < self._restart_at:
                return self._producer
            try:
                producer = Producer({**self._config, "error_cb": self._on_error, "logger": _log})
                self._thread = threading.Thread(
                    target=self._serve,
                    args=(producer,),
                    name="tidegauge-producer",
                    daemon=True,  # the interpreter's exit waits in close(), and only so long
                )
                self._thread.start()
                at_exit_of_worker(self._at_exit)
            except Exception as error:  # no memory or no more threads, say: serving goes on
                self._why = f"no Kafka producer could be started: {describe(error)}"
                self._restart_at = time.monotonic() + RESTART_SECONDS
                return None
            self._started_at = time.monotonic()
            self._producer = producer
            return producer

    def _serve(self, producer: Any) -> None:
        """Encode and send the queued events, count their deliveries, and log drops."""
        log_at = 0.0
        lifeline = Lifeline(self._topic, self._config)
        while not self._stop.is_set():
            try:
                self._forward(producer)
                self._queued = len(producer)
                # Polling lets go of the interpreter lock, so a long queue doesn't hold up serving.
                producer.poll(0 if self._handed_over else IDLE_SECONDS)
            except Exception:  # a callback in ``config`` (OAuth, say) failed; it is tried again
                _log.exception("a callback of the Kafka producer failed")
                self._stop.wait(1.0)
            now = time.monotonic()
            if now >= log_at:
                self._log_drops(now)
                log_at = now + 1.0
            if self._fatal:
                self._retire(producer, RESTART_SECONDS)
                return
            # A producer that has lost its brokers would never deliver its queue either.
            if lifeline.is_lost(
                producer, delivered=self.counters.delivered.value, waiting=len(producer)
            ):
                self._fatal = "it has lost every broker, and doesn't look for them any more"
                self._retire(producer, 0.0)
                return

    def _forward(self, producer: Any) -> None:
        waiting = len(self._handed_over)
        # Few at a time while there are few, so that the interpreter lock is free again after about
        # 0.1 ms; more if they pile up, or a busy process would never get through them.
        for _ in range(min(waiting, 16 + waiting // 8)):
            try:
                payload = self._encode(self._handed_over.popleft(), self.counters)
            except Exception as error:  # whatever a value does, this thread must not end
                self.counters.drop(reason_of(error), describe(error))
                continue
            while True:
                try:
                    self._produce(producer, payload, 1, self._on_event, None)
                    break
                except BufferError:
                    if self._stop.is_set() or self._fatal:
                        self.counters.drop("delivery_failed", _FULL)
                        break
                    # Full by bytes before it is by number. Wait here: what is handed over piles up
                    # until there is no room for more, and that is dropped.
                    self._queued = len(producer)
                    producer.poll(IDLE_SECONDS)

    def _produce(
        self,
        producer: Any,
        payload: bytes,
        events: int,
        on_delivery: OnDelivery,
        headers: list[tuple[str, bytes]] | None,
    ) -> None:
        """Give a message to librdkafka; raises ``BufferError`` if it is full, and nothing else."""
        try:
            # No key: nothing downstream depends on the order or place of an event, and without one
            # librdkafka fills one partition's batch at a time, which is the fewest requests.
            producer.produce(self._topic, payload, None, -1, on_delivery, None, 0, headers)
        except BufferError:
            raise
        except KafkaException as error:
            self.counters.drop(*_reason(error.args[0]), events)
        except Exception as error:  # no memory, say
            self.counters.drop("unavailable", describe(error), events)

    def _on_event(self, error: Any, message: Any) -> None:
        if error is None:
            self.counters.delivered.increment()
        else:
            self.counters.drop(*_reason(error))

    def _on_batch(self, events: int, error: Any, message: Any) -> None:
        if error is None:
            self.counters.delivered.add(events)
        else:
            self.counters.drop(*_reason(error), events)

    def _on_error(self, error: Any) -> None:
        # Whatever isn't fatal librdkafka tries again by itself.
        if error.fatal():
            self._fatal = error.str()
        else:
            self._trouble = error.str()

    def _retire(self, producer: Any, seconds: float) -> None:
        """Give up a producer that has failed, librdkafka's for good; start one after ``seconds``.

        What it holds is lost: it is unknown which part of it the brokers have.
        """
        with self._starting:
            self._why = f"the Kafka producer failed, another is started soon: {self._fatal}"
            self._restart_at = time.monotonic() + seconds
            self._fatal = ""
            self._producer = None
        _log.error("%s", self._why)
        self._give_up(producer)

    def _give_up(self, producer: Any) -> None:
        """Have every event left in the producer reported as failed.

        A thread may have taken the producer just before it was withdrawn, and produce just after;
        so this goes on until every event is accounted for.
        """
        deadline = time.monotonic() + 1.0
        while True:
            producer.purge()
            producer.poll(0.01)
            while self._closed and self._handed_over:
                self._handed_over.popleft()
                self.counters.drop("delivery_failed", "not sent before close()")
            waiting = self.counters.snapshot().in_flight - len(self._handed_over)
            if waiting <= 0 or time.monotonic() > deadline:
                return

    def _drop_closed(self, events: int) -> None:
        self.counters.drop("closed", "logged after close()", events)
        if not self._logged_closed:  # the background thread has ended
            self._logged_closed = True
            _log.warning(
                "a %s was logged after close(): it and all later ones are dropped", self._noun
            )

    def _log_drops(self, now: float) -> None:
        for line in self._report.lines(now):
            _log.warning("%s", line)
        for notice in self.counters.take_notices():
            _log.warning("left out of %ss: %s", self._noun, notice)
        if self._trouble and now >= self._trouble_logged_at + DropReport.INTERVAL_SECONDS:
            self._trouble_logged_at = now
            _log.warning("%ss wait for Kafka: %s", self._noun, self._trouble)
            self._trouble = ""


def _destroy(held: list[Any]) -> None:
    """Destroy the producer that only ``held`` refers to, on a thread: that may wait for ever."""
    thread = threading.Thread(target=held.clear, name="tidegauge-destroy", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads, or the interpreter is ending
        leak(held[0])
        return
    thread.join(DESTROY_SECONDS)


def reason_of(error: Exception) -> DropReason:
    """Return the reason that an event is dropped for which can't be encoded."""
    return "bad_time" if isinstance(error, TimeError) else "unencodable"


def describe(error: Exception) -> str:
    """Return what went wrong in at most 300 characters, whatever the error is."""
    if isinstance(error, UnencodableError):
        return str(error)[:300]
    try:
        return f"{type(error).__name__}: {error}"[:300]
    except Exception:  # an exception of the caller's own value, which can't even be printed
        return type(error).__name__


def _reason(error: Any) -> tuple[DropReason, str]:
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return "too_large", error.str()
    return "delivery_failed", error.str()
