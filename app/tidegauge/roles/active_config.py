"""Which rules and receivers are active: the rule file as it changes, and publishing what is new.

A worker publishes what is active when it starts and when its file has changed, if the last record
of the topic differs. Two workers that publish it at the same time give it the same id, and the
audit trail has it once.
"""

import hashlib
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from tidegauge.alerting import DEFAULT_RULES, RuleSet, load_rules
from tidegauge.config import Settings, WatchedFile
from tidegauge.contract import (
    Configuration,
    ConfigurationKind,
    DecodingError,
    configuration_after,
    counted,
    decode,
    encode,
)
from tidegauge.kafka import KafkaException, NotTaken, RecordWriter, read_span, retry
from tidegauge.telemetry import RecordFaults

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25

#: Between two tries to publish it.
_AGAIN_SECONDS = 5.0


class ActiveConfig(NamedTuple):
    """What is in force: the SHA-256 of each entry by its name, and of all."""

    kind: ConfigurationKind
    source: str
    sha256: str
    entries: dict[str, str]


def digest_of(entries: dict[str, str]) -> str:
    """Return one SHA-256 over all entries, for what has none of its own."""
    return hashlib.sha256(msgspec.json.encode(entries, order="sorted")).hexdigest()


class ConfigPublisher:
    """``run`` publishes what ``enqueue`` was given, until ``stop``; what fails is tried again.

    ``clock`` is the wall clock, epoch seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        stop: threading.Event,
        faults: RecordFaults,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._faults = faults
        self._clock = clock
        self._actor = f"worker:{socket.gethostname()}"
        self._queued: queue.SimpleQueue[ActiveConfig] = queue.SimpleQueue()
        self._sender = RecordWriter(
            settings.kafka, settings.topics.configuration, "records of configuration"
        )

    def enqueue(self, one: ActiveConfig) -> None:
        """Have it published by ``run``; returns at once."""
        self._queued.put(one)

    def run(self) -> None:
        """Publish what is queued, one after the other."""
        while not self._stop.is_set():
            try:
                one = self._queued.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            retry(
                partial(self.publish, one),
                self._stop,
                errors=(Exception,),
                failed=partial(self._report, one),
                wait=_AGAIN_SECONDS,
            )

    def _report(self, one: ActiveConfig, error: object) -> None:
        foreseen = isinstance(error, KafkaException | NotTaken | ValueError)
        unforeseen = None if foreseen or not isinstance(error, BaseException) else error
        log.warning(
            "active %s not published yet, trying again: %s", one.kind, error, exc_info=unforeseen
        )

    def publish(self, one: ActiveConfig) -> None:
        """Publish a configuration, unless it is the active one already.

        Raises ``KafkaException`` and ``NotTaken`` if the brokers don't answer, ``ValueError`` if
        there is no such topic.
        """
        said = configuration_after(
            self._last(one.kind),
            kind=one.kind,
            sha256=one.sha256,
            entries=one.entries,
            source=one.source,
            actor=self._actor,
            time=self._clock(),
        )
        if said is not None:
            self._sender.write(encode(said), said.kind)

    def _last(self, kind: ConfigurationKind) -> Configuration | None:
        last, topic = None, self._settings.topics.configuration
        skipped = self._faults.skipped_of(topic)
        for record in read_span(
            self._settings.kafka, topic, keep=lambda key: key == kind.encode(), skipped=skipped
        ):
            try:
                last = decode(record.value, Configuration)
            except DecodingError as error:
                skipped(record.place, f"no record of configuration: {error}")
        return last


class ActiveRules:
    """Reads the rules at start, and again when the file has another content.

    ``clock`` is monotonic. With ``dry_run`` none of the rules asks for an action in earnest. Raises
    :class:`RuleError` if the file is wrong at start.
    """

    def __init__(
        self, path: Path | None, clock: Callable[[], float], *, dry_run: bool = False
    ) -> None:
        self._dry_run = dry_run
        #: The rules as they were read last, and as they are in force.
        self._made: tuple[RuleSet, RuleSet] | None = None
        self._file = (
            None
            if path is None
            else WatchedFile(
                lambda: load_rules(path), clock, what="rules", identity=lambda read: read.sha256
            )
        )

    @property
    def rules(self) -> RuleSet:
        """The rules in force: the same object until others are."""
        read = DEFAULT_RULES if self._file is None else self._file.value
        if self._made is None or self._made[0] is not read:
            self._made = read, read.with_dry_run() if self._dry_run else read
        return self._made[1]

    @property
    def problems(self) -> list[str]:
        """What is wrong with the file now, empty if its rules are in force."""
        return [] if self._file is None else self._file.problems

    def look(self) -> bool:
        """Look at the file if it is time to; True if other rules are in force since this look."""
        if self._file is None or not self._file.look():
            return False
        rules = self.rules
        log.warning(
            "%s of %s in force, sha256 %s",
            counted(len(rules), "rule"),
            rules.source,
            rules.sha256,
        )
        return True


def rule_entries(rules: RuleSet) -> dict[str, str]:
    """Return the SHA-256 of each rule by its name: of what it means, however it is written."""
    return {
        rule.name: hashlib.sha256(rule.model_dump_json(by_alias=True).encode()).hexdigest()
        for rule in rules.rules
    }
