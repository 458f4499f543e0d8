"""Health: whether the process is alive, whether it does its work, and what is wrong.

``/healthz`` and ``/readyz`` show it; each condition is a metric too, for alerts of Prometheus.
"""

import logging
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tidegauge.contract import shortened
from tidegauge.telemetry.declaration import Declared
from tidegauge.telemetry.logs import ONE_BY_ONE
from tidegauge.telemetry.metrics import RecordMetrics

log = logging.getLogger(__name__)

State = Literal["ok", "degraded", "failed"]

#: A loop that has not come round for this long is stuck; ten session timeouts.
STALL_SECONDS = 100.0

#: Of a detail, so many characters of its beginning and its end are kept. It may contain names that
#: others have chosen, or thousands of partitions.
_DETAIL = (1_500, 200)


class Progress:
    """Whether a role moves on while there is work for it. Thread-safe; ``clock`` is monotonic.

    A stall is a time in which there was always lag and nothing moved. A role that doesn't know its
    lag, because the brokers are away, reports none: a restart would not help.

    >>> now = 0.0
    >>> progress = Progress("ingest", lambda: now, done="counted")
    >>> progress.lag(12, "partitions [0] have a lag of 12 events")
    >>> now = 61.0
    >>> progress.stalled(60)
    'partitions [0] have a lag of 12 events and nothing was counted for 61 s'
    >>> progress.moved()
    >>> progress.stalled(60) is None
    True
    """

    def __init__(self, name: str, clock: Callable[[], float], *, done: str = "done") -> None:
        self.name = name
        self._clock = clock
        self._done = done
        self._since: float | None = None
        self._detail = ""
        self._lock = threading.Lock()

    def moved(self) -> None:
        """Note that some of the work was done for good."""
        with self._lock:
            if self._since is not None:
                self._since = self._clock()

    def lag(self, n: int, detail: str = "") -> None:
        """Report how much work is waiting, and of what kind; 0 if there is none or if unknown."""
        with self._lock:
            if n <= 0:
                self._since = None
            elif self._since is None:
                self._since = self._clock()
            self._detail = shortened(detail, *_DETAIL)

    def stalled(self, seconds: float) -> str | None:
        """Return what stands still if it has stood still for ``seconds``."""
        with self._lock:
            if self._since is None:
                return None
            still = self._clock() - self._since
            if still < seconds:
                return None
            return f"{self._detail} and nothing was {self._done} for {still:.0f} s"


@dataclass
class Health:
    """Conditions by name, heartbeats of the loops that must keep turning, and their progress.

    A *failed* condition makes the process not ready; a *degraded* one is reported, and work goes
    on. During an outage of the brokers nothing counts as a stall: a restart would not mend it.
    Whatever doesn't move on after the outage is a stall, counted from its end. Thread-safe.
    """

    clock: Callable[[], float]
    stall_seconds: float = 60.0
    _conditions: dict[str, tuple[State, str]] = field(default_factory=dict)
    _beats: dict[str, float] = field(default_factory=dict)
    _progress: dict[str, Progress] = field(default_factory=dict)
    _stalled: set[str] = field(default_factory=set)
    _outage: bool = False
    _outage_ended: float = -math.inf
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def report(self, name: str, state: State, detail: str = "") -> None:
        """Set a condition; of a detail that is very long, its beginning and end are shown."""
        detail = shortened(detail, *_DETAIL)
        with self._lock:
            self._conditions[name] = (state, detail)

    def is_ok(self, name: str) -> bool:
        """Return whether a condition is ok, or was never set."""
        with self._lock:
            return self._conditions.get(name, ("ok", ""))[0] == "ok"

    def forget(self, name: str) -> None:
        """Drop a condition and its heartbeat: there is no such part any more."""
        with self._lock:
            self._conditions.pop(name, None)
            self._beats.pop(name, None)

    def beat(self, name: str) -> None:
        """Note that a loop came round."""
        with self._lock:
            self._beats[name] = self.clock()

    def progress(self, name: str, *, done: str) -> Progress:
        """Return the progress of a role, watched from here on; the same one for the same name."""
        with self._lock:
            if name not in self._progress:
                self._progress[name] = Progress(name, self.clock, done=done)
            return self._progress[name]

    def outage(self, present: bool) -> None:
        """Set whether the brokers are away, so that no work can be done whatever this does."""
        with self._lock:
            if self._outage and not present:
                self._outage_ended = self.clock()
                for progress in self._progress.values():
                    progress.moved()
            self._outage = present

    def conditions(self) -> dict[str, tuple[State, str]]:
        """Return the state and the detail of each condition."""
        with self._lock:
            return dict(self._conditions)

    def live(self) -> tuple[bool, dict[str, object]]:
        """Return whether all loops turn and move on; how long ago each came round, what stalls."""
        now = self.clock()
        with self._lock:
            ages = {name: round(now - beat, 3) for name, beat in self._beats.items()}
            watched = dict(self._progress)
            outage, answering = self._outage, now - self._outage_ended
        stalled: dict[str, str] = {}
        if not outage:
            stalled = {
                name: f"the loop has not come round for {age:.0f} s"
                for name, age in ages.items()
                if min(age, answering) >= STALL_SECONDS
            }
            for name, progress in watched.items():
                reason = progress.stalled(self.stall_seconds)
                if reason is not None:
                    stalled[name] = reason
        with self._lock:
            news, self._stalled = stalled.keys() - self._stalled, set(stalled)
        for name in sorted(news):
            # The answer to a failed probe is lost; the log outlives the restart.
            log.error("not alive: %s: %s", name, stalled[name])
        return not stalled, {"loop_age_seconds": ages, "stalled": stalled}

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Return whether nothing has failed, and every condition with its detail."""
        conditions = self.conditions()
        states = {state for state, _ in conditions.values()}
        status = next((s for s in ("failed", "degraded") if s in states), "ok")
        detail = {
            name: {"state": state, "detail": detail}
            for name, (state, detail) in sorted(conditions.items())
        }
        return status != "failed", {"status": status, "conditions": detail}


#: The states that are a series of their own; a condition in neither of them is ok.
STATES = ("degraded", "failed")


class ConditionCollector(Collector):
    """``tidegauge_condition``: 1 while a condition of this process is in a state, 0 otherwise.

    >>> health = Health(clock=lambda: 0.0)
    >>> registry = CollectorRegistry()
    >>> _ = ConditionCollector(registry, "ingest", health)
    >>> health.report("kafka", "failed", "no answer")
    >>> for family in registry.collect():
    ...     for one in family.samples:
    ...         print(one.labels["condition"], one.labels["state"], one.value)
    kafka degraded 0.0
    kafka failed 1.0
    """

    def __init__(self, registry: CollectorRegistry, role: str, health: Health) -> None:
        self._role = role
        self._health = health
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the family; the details change all the time, so only ``/readyz`` has them."""
        family = GaugeMetricFamily(CONDITION.name, CONDITION.help, labels=CONDITION.labels)
        for condition, (present, _) in sorted(self._health.conditions().items()):
            for state in STATES:
                family.add_metric((self._role, condition, state), float(present == state))
        yield family


CONDITION = Declared(
    "gauge",
    ConditionCollector,
    "tidegauge_condition",
    "1 while the [condition](docs/operations.md#conditions) of `/readyz` is in the state, "
    "`degraded` or `failed`; both are 0 while it is ok",
    ("role", "condition", "state"),
)


#: The condition that health has of records in quarantine.
QUARANTINE = "quarantine"


class RecordFaults:
    """Reports records of ``topics`` that a role could not use, and went on after."""

    def __init__(self, metrics: RecordMetrics, health: Health, topics: tuple[str, ...]) -> None:
        self._metrics = metrics
        self._health = health
        for topic in topics:
            # A counter that appears with its first event has no rate for it.
            metrics.skipped.labels(topic)
            metrics.quarantined.labels(topic)

    def skipped(self, place: str, why: str) -> None:
        """Report a record that is not what its topic holds, and why.

        ``place`` is ``TOPIC/PARTITION at offset OFFSET``, as of :meth:`quarantined`.
        """
        self._metrics.skipped.labels(_topic_of(place)).inc()
        log.error("%s is skipped: %s", place, why, extra=ONE_BY_ONE)

    def quarantined(self, place: str, error: BaseException) -> None:
        """Report a record that work failed on; degraded until the process is started again."""
        self._metrics.quarantined.labels(_topic_of(place)).inc()
        log.error("%s is set aside; continuing after it", place, exc_info=error, extra=ONE_BY_ONE)
        self._health.report(
            QUARANTINE,
            "degraded",
            f"{place} was set aside: {type(error).__name__}: {error}; the log has the traceback, "
            "and names all such records",
        )


def _topic_of(place: str) -> str:
    return place.partition(" at ")[0].rpartition("/")[0]
