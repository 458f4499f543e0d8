"""What a worker watches beside its work: the brokers, its topics' replicas and their settings.

Clients of Kafka retry for minutes before they report an error, or for ever, and then they often
name no topic. So no role notices by itself that the brokers are away, or that a topic can't be
written; the brokers are asked for metadata, which shows it in seconds.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import TopicMetadata

from tidegauge.config import Settings
from tidegauge.kafka.admin import Admin
from tidegauge.kafka.clients import reader
from tidegauge.kafka.topics import MIN_INSYNC, Topics, changelog_topic
from tidegauge.telemetry import CommonMetrics, Health, State

log = logging.getLogger(__name__)

#: As often the brokers are asked: one small request for ten topics.
LOOK_SECONDS = 2.0

_ANSWER_SECONDS = 5.0

#: The process is not ready once no answer has come for so long. A broker that restarts is away for
#: less; anything longer reaches the load balancer and the person on call within half a minute.
AWAY_SECONDS = 10.0

#: How often it is asked which topics there are, and what ``min.insync.replicas`` they have; and how
#: often their settings are checked: a repair should show in ``/readyz`` soon.
_KNOWN_SECONDS = 60.0

#: Partitions that are named.
_NAMED = 10

#: Kafka's own: what consumer groups commit, and what transactions are open.
OFFSETS_TOPIC = "__consumer_offsets"
TRANSACTIONS_TOPIC = "__transaction_state"


class Replicas(NamedTuple):
    """A partition: whether it has a leader, and how many of its replicas are in sync."""

    partition: int
    has_leader: bool
    in_sync: int


class Written(NamedTuple):
    """Topics that a process writes: those it can't do its work without, and the others."""

    required: frozenset[str]
    others: frozenset[str]


def written_by(settings: Settings, roles: Sequence[str]) -> Written:
    """Return the topics that the roles write."""
    topics = settings.topics
    required: dict[str, set[str]] = {
        "ingest": {topics.histograms, OFFSETS_TOPIC, TRANSACTIONS_TOPIC},
        "detect": {
            topics.windows,
            topics.alerts,
            topics.alerts_history,
            topics.actions,
            topics.audit_facts,
            changelog_topic(settings),
            OFFSETS_TOPIC,
        },
        "notify": {OFFSETS_TOPIC},
        "ledger": {topics.audit_facts, topics.audit, OFFSETS_TOPIC, TRANSACTIONS_TOPIC},
    }
    others = {
        # Events are counted without their dead letters, if need be.
        "ingest": {topics.dead_letters},
        "detect": {topics.configuration},
        # Of these, only the alerts wait that need one.
        "notify": {topics.dead_letters, topics.withheld, topics.configuration},
        "ledger": set[str](),
    }
    needed = frozenset[str]().union(*(required[role] for role in roles))
    return Written(needed, frozenset[str]().union(*(others[role] for role in roles)) - needed)


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


class Reachability:
    """Reports for one process whether the brokers answer. ``clock`` is monotonic, in seconds."""

    def __init__(self, servers: str, *, health: Health, clock: Callable[[], float]) -> None:
        self._servers = servers
        self._health = health
        self._clock = clock
        self._answered_at = clock()
        self._away = False

    def answered(self) -> None:
        """Take note of an answer."""
        self._answered_at = self._clock()
        if self._away:
            self._away = False
            log.info("the brokers answer again")
            self._health.say("kafka", "ok")

    def no_answer(self, error: object) -> None:
        """Take note that none came."""
        seconds = self._clock() - self._answered_at
        if seconds < AWAY_SECONDS:
            return
        detail = (
            f"no answer from the brokers ({self._servers}) for {seconds:.0f} s: {error}; "
            "nothing is read or written until they answer, and nothing is lost"
        )
        if not self._away:
            self._away = True
            log.error("%s", detail)
        self._health.say("kafka", "failed", detail)

    @property
    def away(self) -> bool:
        """Whether the brokers are away."""
        return self._away


class WritableWatch:
    """Sets the conditions ``topics`` and ``kafka``; ``run`` looks again and again until ``stop``.

    While the brokers are away, or a topic that the process needs can't be written, it reports an
    outage to ``health``: a restart would not mend what stands still then.
    """

    def __init__(
        self,
        settings: Settings,
        roles: Sequence[str],
        *,
        health: Health,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._written = written_by(settings, roles)
        self._health = health
        self._stop = stop
        self._clock = clock
        servers = settings.kafka.bootstrap_servers
        self._reachability = Reachability(servers, health=health, clock=clock)
        self._client = self._new_client()
        self._admin = Admin(settings.kafka)
        #: ``min.insync.replicas`` by topic, of those that there are, and when that was known.
        self._min_insync: dict[str, int] = {}
        self._known_at = -math.inf
        self._said = ""

    def _new_client(self) -> Consumer:
        # A consumer that joins no group: any broker answers it, while an admin client asks the one
        # that it takes for the controller, which may be away.
        return reader(
            self._settings.kafka,
            "tidegauge-topics",
            # A broker that is there and doesn't answer is left for another one after this; by
            # default it is asked again and again for a minute.
            socket_timeout_ms=int(_ANSWER_SECONDS * 1000),
        )

    def run(self) -> None:
        """Look until stopped."""
        try:
            while not self._stop.is_set():
                self.look()
                self._stop.wait(LOOK_SECONDS)
        finally:
            self._client.close()

    def look(self) -> None:
        """Ask the brokers, and set the conditions."""
        try:
            found = self._ask()
        except KafkaException as error:
            self._reachability.no_answer(error.args[0].str())
            # Of the topics nothing is known then; their condition stays as it is.
            if self._reachability.away:
                self._health.outage(True)
                # The client may have lost its brokers for good (librdkafka issue 5301).
                self._client.close()
                self._client = self._new_client()
            return
        state, detail = self.condition(found)
        self._health.say("topics", state, detail)
        self._health.outage(state == "failed")
        if detail != self._said:
            log.log(
                logging.WARNING if detail else logging.INFO,
                "%s",
                detail or "all topics can be written",
            )
            self._said = detail

    def condition(self, found: Mapping[str, str]) -> tuple[State, str]:
        """Return the condition of a process, of whose topics ``found`` can't be written."""
        if not found:
            return "ok", ""
        needed = found.keys() & self._written.required
        return ("failed" if needed else "degraded"), "; ".join(found[one] for one in sorted(found))

    def _ask(self) -> dict[str, str]:
        if self._clock() - self._known_at >= _KNOWN_SECONDS:
            self._learn()
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
            name: said
            for name, partitions in replicas.items()
            if (said := describe_unwritable(name, partitions, self._min_insync[name]))
        }

    def _topics(self, *names: str) -> dict[str, TopicMetadata]:
        """Return what any broker knows of one topic, or of all."""
        found: dict[str, TopicMetadata] = self._client.list_topics(
            *names, timeout=_ANSWER_SECONDS
        ).topics
        self._reachability.answered()
        return found

    def _learn(self) -> None:
        """Learn which topics there are, and what each asks of its replicas."""
        there = self._topics()
        names = sorted((self._written.required | self._written.others) & there.keys())
        # What was known is probably still valid. Without the permission it is Kafka's default.
        known = {name: self._min_insync.get(name, 1) for name in names}
        try:
            answers = self._admin.topic_settings(names, _ANSWER_SECONDS)
        except KafkaException as error:
            answers = dict.fromkeys(names, error)
        for name, its in answers.items():
            if isinstance(its, KafkaException):
                log.debug("%s of %s is not known: %s", MIN_INSYNC, name, its)
            else:
                known[name] = int(its[MIN_INSYNC])
        self._min_insync, self._known_at = known, self._clock()


class TopicWatch:
    """Reports wrong settings of topics in the condition ``topic_settings`` and in the log."""

    def __init__(
        self,
        settings: Settings,
        *,
        metrics: CommonMetrics,
        health: Health,
        stop: threading.Event,
    ) -> None:
        self._topics = Topics(settings)
        self._metrics = metrics
        self._health = health
        self._stop = stop
        self._known: set[str] = set()

    def run(self) -> None:
        """Look now, and then every minute, until stopped."""
        while not self._stop.is_set():
            self.look()
            self._stop.wait(_KNOWN_SECONDS)

    def look(self) -> None:
        """Check once. A missing permission to read the settings is not a problem of the topics."""
        try:
            problems = list(self._topics.problems())
        except KafkaException as error:
            log.info("can't read the settings of the topics: %s", error)
            return
        for problem in problems:
            if problem not in self._known:
                log.warning("%s", problem)
        self._known = set(problems)
        self._metrics.topic_problems.set(len(problems))
        self._health.say("topic_settings", "degraded" if problems else "ok", "; ".join(problems))
