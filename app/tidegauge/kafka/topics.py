"""The topics: how each must be configured, creating them, and reporting wrong settings."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from tidegauge.config import MAX_AUDIT_BYTES, MAX_RECORD_BYTES, Settings
from tidegauge.kafka.admin import Admin, TopicConfig

#: How many replicas must have a record before it counts as written.
MIN_INSYNC = "min.insync.replicas"

_HOUR = 3600 * 1000
_DAY = 24 * _HOUR

#: Compaction leaves the last value of a key. Where that is a paused worker's old one, or one of a
#: checkpoint that a worker died in, the owner writes its own after it: at its next checkpoint but
#: one, or if it is lost too, at its successor's first. That is a session timeout, a recovery and
#: some checkpoints, here with an outage of a minute before them; nothing is compacted before. All
#: that is written in this time is read back by a recovery: with 2,000 s, as long as two lives of a
#: window, that was 20 times the state itself.
_MENDED_MS = 120 * 1000
_SEGMENT_MS = 60 * 1000
_TOMBSTONES_MS = 15 * 60 * 1000

_KEPT_A_YEAR = {"retention.ms": str(366 * _DAY)}

#: A segment that is still written to is not compacted.
_COMPACTED_DAILY = {"segment.ms": str(_DAY)}

#: LEDGER reads the others before only the last record of a key is left.
_COMPACTED_LATE = {"min.compaction.lag.ms": str(31 * _DAY), **_COMPACTED_DAILY}

#: Only the last record of a key is valid, and that not for ever.
_LAST_RECORDS = {"cleanup.policy": "compact,delete"}

#: The time of a record is when the brokers got it, whatever the clock of its writer shows.
_BROKERS_TIME = {"message.timestamp.type": "LogAppendTime"}

#: For models with thousands of signals; a record that is small stays small.
_LARGE = {"max.message.bytes": str(MAX_RECORD_BYTES)}

_TIMEOUT_SECONDS = 15.0

#: A broker that is there lists its topics in milliseconds; one that isn't is reported soon.
_LIST_SECONDS = 5.0


@dataclass(frozen=True)
class TopicSpec:
    """How a topic must be: made with all these settings, and checked for the ``required`` ones."""

    name: str
    partitions: int
    required: Mapping[str, str] = field(default_factory=dict)
    initial: Mapping[str, str] = field(default_factory=dict)
    #: The setting of the number of partitions, if records are routed by it: it must be just this.
    exact: str = ""
    #: Every record is read once and counts; where there are keys, compaction would delete most.
    each_counts: bool = False
    #: How long records must be kept at least, so that an outage of their reader costs none.
    least_kept_ms: int = 0

    @property
    def config(self) -> dict[str, str]:
        """All settings that the topic is made with."""
        return {**self.initial, **self.required}


def changelog_topic(settings: Settings) -> str:
    """Return the name that Faust gives the changelog of DETECT's table."""
    return f"{settings.detect.app_id}-windows-changelog"


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """Return every topic that tidegauge reads or writes."""
    wanted = settings.topics.insync_replicas
    insync = {} if wanted is None else {MIN_INSYNC: str(wanted)}
    return [replace(spec, required={**spec.required, **insync}) for spec in _own_specs(settings)]


def _own_specs(settings: Settings) -> list[TopicSpec]:
    topics = settings.topics
    return [
        TopicSpec(
            topics.predictions,
            topics.predictions_partitions,
            each_counts=True,
            least_kept_ms=_HOUR,
        ),
        TopicSpec(topics.labels, topics.labels_partitions, each_counts=True, least_kept_ms=_HOUR),
        # OUTCOMES reads all of it again when it starts: what is deleted can't be joined any more.
        # One day more than it remembers, since Kafka deletes a segment by its newest record. The
        # times of records show what is too old to be joined, so no writer's clock may set them.
        TopicSpec(
            topics.outcomes,
            topics.outcomes_partitions,
            _LARGE | _BROKERS_TIME,
            {"retention.ms": str(settings.longest_retention_seconds * 1000 + _DAY)},
            exact="outcomes_partitions",
            each_counts=True,
            least_kept_ms=settings.longest_retention_seconds * 1000,
        ),
        # Read within seconds; kept for an outage of DETECT over a long weekend.
        TopicSpec(
            topics.histograms,
            topics.detect_partitions,
            _LARGE,
            {"retention.ms": str(4 * _DAY)},
            exact="detect_partitions",
            each_counts=True,
            least_kept_ms=_DAY,
        ),
        # Kept for looking back over a quarter.
        TopicSpec(
            topics.windows,
            topics.detect_partitions,
            _LARGE,
            {"retention.ms": str(92 * _DAY)},
            each_counts=True,
        ),
        # The newest figures of each cohort, for looking back over a year.
        TopicSpec(
            topics.performance,
            topics.detect_partitions,
            _LARGE | _LAST_RECORDS,
            _KEPT_A_YEAR | _COMPACTED_DAILY,
        ),
        # The newest state of each fingerprint. What has not changed for a year is deleted, so that
        # it doesn't grow for ever with versions that are long gone.
        TopicSpec(topics.alerts, 1, _LARGE | _LAST_RECORDS, _KEPT_A_YEAR | _COMPACTED_DAILY),
        # Every step; compacted, it would lose those that were not delivered yet.
        TopicSpec(topics.alerts_history, 1, _LARGE | {"cleanup.policy": "delete"}, _KEPT_A_YEAR),
        TopicSpec(topics.actions, 1, initial=_KEPT_A_YEAR, each_counts=True),
        TopicSpec(topics.acknowledgements, 1, initial=_KEPT_A_YEAR, each_counts=True),
        # The last record of each is kept for a year, every record for an outage of LEDGER over a
        # month.
        TopicSpec(topics.silences, 1, _LAST_RECORDS, _KEPT_A_YEAR | _COMPACTED_LATE),
        TopicSpec(topics.configuration, 1, {"cleanup.policy": "compact"}, _COMPACTED_LATE),
        # Nothing needs an alert that is no longer withheld.
        TopicSpec(topics.withheld, 1, _LARGE | {"cleanup.policy": "compact"}, _COMPACTED_DAILY),
        # Read within seconds; kept for an outage of LEDGER over a month.
        TopicSpec(
            topics.audit_facts,
            1,
            initial={"retention.ms": str(31 * _DAY)},
            each_counts=True,
            least_kept_ms=_DAY,
        ),
        # An audit trail must keep everything. Compacted, or without its oldest segment, it is a
        # broken chain.
        TopicSpec(
            topics.audit,
            1,
            {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"},
            {"max.message.bytes": str(MAX_AUDIT_BYTES)},
        ),
        TopicSpec(
            topics.dead_letters, 1, initial={"retention.ms": str(14 * _DAY)}, each_counts=True
        ),
        TopicSpec(
            changelog_topic(settings),
            topics.detect_partitions,
            {
                "cleanup.policy": "compact",
                "min.compaction.lag.ms": str(_MENDED_MS),
                # Counted from when it was written, not from when a paused worker meant to.
                **_BROKERS_TIME,
                **_LARGE,
            },
            {
                # A tombstone must be there for longer than reading the whole changelog takes, since
                # a reader may not have reached it. Longer than that it only takes time to read.
                "delete.retention.ms": str(_TOMBSTONES_MS),
                # A segment that is still written to is not compacted.
                "segment.ms": str(_SEGMENT_MS),
                "min.cleanable.dirty.ratio": "0.1",
            },
            exact="detect_partitions",
        ),
    ]


class Topics:
    """The topics of one cluster. Methods raise ``KafkaException`` if it can't be reached."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = Admin(settings.kafka)

    def create(self) -> dict[str, bool]:
        """Make the topics that are missing, and wait until the brokers list them.

        Returns True by name for those made now.
        """
        specs = topic_specs(self._settings)
        there = self.partitions()
        missing = [
            NewTopic(
                spec.name,
                spec.partitions,
                self._settings.topics.replication_factor,
                config=dict(spec.config),
            )
            for spec in specs
            if spec.name not in there
        ]
        made = dict.fromkeys((spec.name for spec in specs), False)
        if missing:
            answers = self._admin.ask(
                lambda client: client.create_topics(missing, operation_timeout=_TIMEOUT_SECONDS)
            )
            for name, future in answers.items():
                try:
                    future.result()
                    made[name] = True
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        raise
            self._wait_until_known(made.keys())
        return made

    def _wait_until_known(self, names: Set[str]) -> None:
        """Wait until every broker knows topics that the controller has just created."""
        Retrying(
            retry=retry_if_result(lambda known: not names <= known.keys()),
            wait=wait_fixed(0.1),
            stop=stop_after_delay(_TIMEOUT_SECONDS),
            retry_error_callback=lambda _: None,
        )(self.partitions)

    def partitions(self) -> dict[str, int]:
        """Return the number of partitions of each topic in the cluster."""
        found = self._admin.ask(lambda client: client.list_topics(timeout=_LIST_SECONDS)).topics
        return {name: len(topic.partitions) for name, topic in found.items()}

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the topics, each with how to mend it."""
        there = self.partitions()
        specs = topic_specs(self._settings)
        names = [spec.name for spec in specs if spec.name in there]
        found = self._admin.topic_settings(names, _TIMEOUT_SECONDS)
        yield from topic_problems(specs, there, found)


def topic_problems(
    specs: Sequence[TopicSpec], there: Mapping[str, int], found: Mapping[str, TopicConfig]
) -> Iterator[str]:
    """Yield what is wrong with topics, each with how to mend it.

    ``there`` is the number of partitions of those that exist, ``found`` their settings. Raises the
    ``KafkaException`` that stands in place of the settings of one.
    """
    for spec in specs:
        if spec.name not in there:
            yield f"topic {spec.name} is missing; make it with: tidegauge topics create"
        elif spec.exact and there[spec.name] != spec.partitions:
            yield (
                f"topic {spec.name} has {there[spec.name]} partitions, expected "
                f"{spec.partitions}; set topics.{spec.exact} to what it has"
            )
    for spec in specs:
        its = found.get(spec.name, {})
        if isinstance(its, KafkaException):
            raise its
        if its:
            yield from config_problems(spec, its)


def config_problems(spec: TopicSpec, found: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with the settings that a topic has, each with how to mend it."""
    for name in sorted(spec.required):
        if not _satisfies(name, found[name], spec.config[name]):
            yield _problem(spec, name, found[name], spec.config[name])
    policy = found["cleanup.policy"]
    if spec.each_counts and "cleanup.policy" not in spec.required and policy != "delete":
        yield _problem(
            spec,
            "cleanup.policy",
            policy,
            "delete, since compaction deletes records that a later one has the key of",
            "delete",
        )
    kept = int(found["retention.ms"])
    if 0 <= kept < spec.least_kept_ms:
        yield _problem(
            spec,
            "retention.ms",
            str(kept),
            f"{spec.least_kept_ms} at least, since what is deleted before it is read is lost",
            spec.config.get("retention.ms", str(7 * _DAY)),
        )


def _problem(spec: TopicSpec, name: str, found: str, expected: str, to: str | None = None) -> str:
    to = to or expected
    if "," in to:  # a list is written so there
        to = f"[{to}]"
    return (
        f"topic {spec.name} has {name}={found}, expected {expected}; alter it with "
        f"kafka-configs.sh --alter --entity-type topics --entity-name {spec.name} "
        f"--add-config {name}={to}"
    )


def _satisfies(name: str, found: str, expected: str) -> bool:
    if name in ("min.compaction.lag.ms", MIN_INSYNC, *_LARGE):
        return int(found) >= int(expected)
    if name == "cleanup.policy":
        return set(found.split(",")) == set(expected.split(","))
    return found == expected
