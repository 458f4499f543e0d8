"""Watches, beside a worker's work, the brokers, the replicas of its topics and their settings.

Clients of Kafka retry for minutes before they report an error, or for ever, and then they often
name no topic. So no role notices by itself that the brokers are away, or that a topic can't be
written; the brokers are asked for metadata, which shows it in seconds.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import TopicMetadata

from tidegauge.config import Settings
from tidegauge.kafka.acls import AclRole, written_by
from tidegauge.kafka.admin import Admin, TopicConfig
from tidegauge.kafka.clients import reader
from tidegauge.kafka.topics import MIN_INSYNC, topic_problems, topic_specs
from tidegauge.telemetry import CommonMetrics, Health, State

log = logging.getLogger(__name__)

#: How often the brokers are asked: one small request for ten topics.
LOOK_SECONDS = 2.0

_ANSWER_SECONDS = 5.0

#: The process is not ready once no answer has come for so long. A broker that restarts is away for
#: less; anything longer reaches the load balancer and the person on call within half a minute.
AWAY_SECONDS = 10.0

#: How often the brokers are asked which topics there are, and their settings are checked: a repair
#: should show in ``/readyz`` soon.
_KNOWN_SECONDS = 60.0

#: Partitions that are named.
_NAMED = 10


class Replicas(NamedTuple):
    """A partition: whether it has a leader, and how many of its replicas are in sync."""

    partition: int
    has_leader: bool
    in_sync: int


def describe_unwritable(topic: str, partitions: Sequence[Replicas], min_insync: int) -> str | None:
    """Return why a topic can't be written, None if every partition can.

    >>> describe_unwritable("t", [Replicas(0, True, 3), Replicas(1, True, 1)], 2)
    "topic t can't be written: partitions [1] have fewer than min.insync.replicas=2 in sync"
    >>> describe_unwritable("t", [Replicas(0, False, 1)], 1)
    "topic t can't be written: partitions [0] have no leader"
    >>> describe_unwritable("t", [Replicas(0, True, 2)], 2) is None
    True
    """
    headless = sorted(one.partition for one in partitions if not one.has_leader)
    lacking = sorted(
        one.partition for one in partitions if one.has_leader and one.in_sync < min_insync
    )
    reasons = []
    if headless:
        reasons.append(f"partitions {_named(headless)} have no leader")
    if lacking:
        reasons.append(
            f"partitions {_named(lacking)} have fewer than {MIN_INSYNC}={min_insync} in sync"
        )
    return f"topic {topic} can't be written: {' and '.join(reasons)}" if reasons else None


def _named(partitions: list[int]) -> str:
    more = len(partitions) - _NAMED
    return f"{partitions[:_NAMED]}{f' and {more} more' if more > 0 else ''}"


@dataclass(eq=False)
class TopicWatch:
    """Sets the conditions ``kafka``, ``topics`` and ``topic_settings`` of a process.

    While the brokers are away, or a topic that the process needs can't be written, it reports an
    outage to ``health``: a restart would not mend what stands still then. ``clock`` is monotonic.
    """

    settings: Settings
    roles: Sequence[AclRole]
    _: KW_ONLY
    metrics: CommonMetrics
    health: Health
    stop: threading.Event
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._written = written_by(self.settings, self.roles)
        self._client = self._new_client()
        self._admin = Admin(self.settings.kafka)
        self._answered_at = self.clock()
        #: Whether no answer has come for ``AWAY_SECONDS``.
        self.away = False
        #: ``min.insync.replicas`` by topic, of those that there are, and when that was known.
        self._min_insync: dict[str, int] = {}
        self._known_at = -math.inf
        self._logged = ""
        self._logged_problems: set[str] = set()

    def _new_client(self) -> Consumer:
        # A consumer that joins no group: any broker answers it, while an admin client asks the one
        # that it takes for the controller, which may be away.
        return reader(
            self.settings.kafka,
            "tidegauge-topics",
            # A broker that is there and doesn't answer is left for another one after this; by
            # default it is asked again and again for a minute.
            socket_timeout_ms=int(_ANSWER_SECONDS * 1000),
        )

    def run(self) -> None:
        """Ask the brokers every ``LOOK_SECONDS``, until stopped."""
        try:
            while not self.stop.is_set():
                self.check()
                self.stop.wait(LOOK_SECONDS)
        finally:
            self._client.close()

    def check(self) -> None:
        """Ask the brokers, and set the conditions."""
        try:
            found = self._unwritable()
        except KafkaException as error:
            self.no_answer(error.args[0].str())
            # Of the topics nothing is known then; their condition stays as it is.
            if self.away:
                self.health.outage(True)
                # The client may have lost its brokers for good (librdkafka issue 5301).
                self._client.close()
                self._client = self._new_client()
            return
        state, detail = self.condition(found)
        self.health.report("topics", state, detail)
        self.health.outage(state == "failed")
        if detail != self._logged:
            log.log(
                logging.WARNING if detail else logging.INFO,
                "%s",
                detail or "all topics can be written",
            )
            self._logged = detail

    def answered(self) -> None:
        """Note that the brokers have answered."""
        self._answered_at = self.clock()
        if self.away:
            self.away = False
            log.info("the brokers answer again")
            self.health.report("kafka", "ok")

    def no_answer(self, error: object) -> None:
        """Note that the brokers have not answered."""
        seconds = self.clock() - self._answered_at
        if seconds < AWAY_SECONDS:
            return
        detail = (
            f"no answer from the brokers ({self.settings.kafka.bootstrap_servers}) for "
            f"{seconds:.0f} s: {error}; nothing is read or written until they answer, and nothing "
            "is lost"
        )
        if not self.away:
            self.away = True
            log.error("%s", detail)
        self.health.report("kafka", "failed", detail)

    def condition(self, found: Mapping[str, str]) -> tuple[State, str]:
        """Return the condition of a process, of whose topics ``found`` can't be written."""
        if not found:
            return "ok", ""
        needed = found.keys() & self._written.required
        return ("failed" if needed else "degraded"), "; ".join(found[one] for one in sorted(found))

    def _unwritable(self) -> dict[str, str]:
        if self.clock() - self._known_at >= _KNOWN_SECONDS:
            self._check_settings()
        replicas: dict[str, list[Replicas]] = {}
        for name in self._min_insync:
            found = self._topics(name)[name]
            # A missing or forbidden topic is reported by another condition.
            if found.error is None:
                replicas[name] = [
                    Replicas(number, one.leader >= 0, len(one.isrs))
                    for number, one in found.partitions.items()
                ]
        return {
            name: reason
            for name, partitions in replicas.items()
            if (reason := describe_unwritable(name, partitions, self._min_insync[name]))
        }

    def _topics(self, *names: str) -> dict[str, TopicMetadata]:
        """Return what any broker knows of one topic, or of all."""
        found: dict[str, TopicMetadata] = self._client.list_topics(
            *names, timeout=_ANSWER_SECONDS
        ).topics
        self.answered()
        return found

    def _check_settings(self) -> None:
        """Learn which topics there are, what each asks of its replicas, and what is wrong."""
        there = {name: len(one.partitions) for name, one in self._topics().items()}
        specs = topic_specs(self.settings)
        names = sorted(({spec.name for spec in specs} | self._written.required) & there.keys())
        answers: Mapping[str, TopicConfig]
        try:
            answers = self._admin.topic_settings(names, _ANSWER_SECONDS)
        except KafkaException as error:
            answers = dict.fromkeys(names, error)
        known = {}
        for name in (self._written.required | self._written.others) & there.keys():
            its = answers[name]
            if isinstance(its, KafkaException):
                log.debug("%s of %s is not known: %s", MIN_INSYNC, name, its)
                # What was known is probably still valid. Otherwise it is Kafka's default.
                known[name] = self._min_insync.get(name, 1)
            else:
                known[name] = int(its[MIN_INSYNC])
        self._min_insync, self._known_at = known, self.clock()
        try:
            problems = list(topic_problems(specs, there, answers))
        except KafkaException as error:
            # A missing permission to read the settings is not a problem of the topics.
            log.info("can't read the settings of the topics: %s", error)
            return
        for problem in problems:
            if problem not in self._logged_problems:
                log.warning("%s", problem)
        self._logged_problems = set(problems)
        self.metrics.topic_problems.set(len(problems))
        self.health.report("topic_settings", "degraded" if problems else "ok", "; ".join(problems))
