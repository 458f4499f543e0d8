"""Trying until it is done: how long to wait between attempts, and saying how they went."""

import logging
from collections.abc import Callable

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_never,
    wait_exponential_jitter,
)

from tidegauge.kafka import NotTaken
from tidegauge.notify import RetryLater
from tidegauge.telemetry import Health, ReceiverMetrics

log = logging.getLogger(__name__)

#: Between attempts: 1 s, 2 s, 4 s … up to this, and up to 1 s more so that couriers don't march in
#: step. Whoever is back is told within five minutes.
_LONGEST_SECONDS = 300.0
BACKOFF = wait_exponential_jitter(initial=1, max=_LONGEST_SECONDS, jitter=1)


class Attempts:
    """Attempts for the sake of one receiver, who is at ``target``.

    ``pause`` waits so many seconds; ``backoff`` is tenacity's wait.
    """

    def __init__(
        self,
        name: str,
        target: str,
        *,
        metrics: ReceiverMetrics,
        health: Health,
        pause: Callable[[float], None],
        backoff: Callable[[RetryCallState], float],
    ) -> None:
        self._name = name
        self._target = target
        self._metrics = metrics
        self._health = health
        self._pause = pause
        self._backoff = backoff

    def persist(
        self, work: Callable[[], None], *, stop: Callable[[RetryCallState], bool] = stop_never
    ) -> None:
        """Do it until it is done, or until ``stop``: then raises what it failed of."""
        Retrying(
            retry=retry_if_exception_type((RetryLater, NotTaken)),
            wait=self._wait,
            stop=stop,
            sleep=self._pause,
            before_sleep=self._say_failed,
            reraise=True,
        )(work)

    def went_well(self) -> None:
        """Say that the receiver takes alerts."""
        self._metrics.up.set(1)
        self._health.say(self._name, "ok")

    def failed(self, why: str, *, up: bool = False) -> None:
        """Say why an attempt failed; ``up``: the receiver did answer."""
        self._metrics.failed.inc()
        self._metrics.up.set(up)
        self._health.say(self._name, "degraded", why)
        log.warning("%s: %s", self._name, why)

    def _say_failed(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        after = state.next_action.sleep if state.next_action else 0.0
        self.failed(
            f"{self._target}: {error}; attempt {state.attempt_number}, the next in "
            f"{after:.0f} s; what comes after it waits"
        )

    def _wait(self, state: RetryCallState) -> float:
        """Exponential with jitter, and never sooner than the receiver asks."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, RetryLater) else None
        return max(self._backoff(state), asked or 0.0)
