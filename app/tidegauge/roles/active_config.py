"""Which rules and receivers are active: following the rule file, and publishing changes.

A worker publishes its configuration when it starts and when its file has changed, if the last
record of the topic differs. Two workers that publish it at the same time give it the same id, and
the audit trail has it once.
"""

import hashlib
import logging
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

from tidegauge.alerting import DEFAULT_RULES, RuleSet, load_rules
from tidegauge.config import Settings, WatchedFile
from tidegauge.contract import (
    Configuration,
    ConfigurationKind,
    configuration_after,
    counted,
    encode,
)
from tidegauge.kafka import KafkaException, NotTaken, RecordWriter, read_topic, retry
from tidegauge.telemetry import RecordFaults

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25

#: Between two tries to publish it.
_AGAIN_SECONDS = 5.0


class ActiveConfig(NamedTuple):
    """What is active: the SHA-256 of each entry by its name, and of all."""

    kind: ConfigurationKind
    source: str
    sha256: str
    entries: dict[str, str]

    @classmethod
    def of(
        cls, kind: ConfigurationKind, source: str, entries: Iterable[Any], sha256: str = ""
    ) -> Self:
        """Return what is active; without a ``sha256`` of its own, with one over all entries.

        The SHA-256 of an entry is of what it means, however it is written, and without secrets.
        """
        digests = {
            one.name: hashlib.sha256(one.model_dump_json(by_alias=True).encode()).hexdigest()
            for one in entries
        }
        of_all = hashlib.sha256(msgspec.json.encode(digests, order="sorted")).hexdigest()
        return cls(kind, source, sha256 or of_all, digests)


@dataclass(eq=False)
class ConfigPublisher:
    """``run`` publishes what ``enqueue`` was given, until ``stop``; what fails is tried again.

    ``clock`` is the wall clock, epoch seconds.
    """

    settings: Settings
    _: KW_ONLY
    stop: threading.Event
    faults: RecordFaults
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._actor = f"worker:{socket.gethostname()}"
        self._queued: queue.SimpleQueue[ActiveConfig] = queue.SimpleQueue()
        self._sender = RecordWriter(
            self.settings.kafka, self.settings.topics.configuration, "records of configuration"
        )

    def enqueue(self, one: ActiveConfig) -> None:
        """Have it published by ``run``; returns at once."""
        self._queued.put(one)

    def run(self) -> None:
        """Publish what is queued, one after the other."""
        while not self.stop.is_set():
            try:
                one = self._queued.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            retry(
                partial(self.publish, one),
                self.stop,
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
        record = configuration_after(
            self._last(one.kind),
            kind=one.kind,
            sha256=one.sha256,
            entries=one.entries,
            source=one.source,
            actor=self._actor,
            time=self.clock(),
        )
        if record is not None:
            self._sender.write(encode(record), record.kind)

    def _last(self, kind: ConfigurationKind) -> Configuration | None:
        records = read_topic(
            self.settings.kafka,
            self.settings.topics.configuration,
            Configuration,
            self.faults.skipped,
            keep=lambda key: key == kind.encode(),
        )
        return next(iter(deque(records, maxlen=1)), None)


class ActiveRules:
    """Reads the rules at start, and again when the file has another content.

    ``clock`` is monotonic. With ``dry_run`` none of the rules asks for an action in earnest. Raises
    :class:`FileError` if the file is wrong at start.
    """

    def __init__(
        self, path: Path | None, clock: Callable[[], float], *, dry_run: bool = False
    ) -> None:
        self._dry_run = dry_run
        #: The rules as they were last read, and as they are active.
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
        """The active rules: the same object until others are."""
        read = DEFAULT_RULES if self._file is None else self._file.value
        if self._made is None or self._made[0] is not read:
            self._made = read, read.with_dry_run() if self._dry_run else read
        return self._made[1]

    @property
    def problems(self) -> list[str]:
        """What is wrong with the file now, empty if its rules are active."""
        return [] if self._file is None else self._file.problems

    def look(self) -> bool:
        """Check the file if it is time to; return True if other rules have become active."""
        if self._file is None or not self._file.look():
            return False
        rules = self.rules
        log.warning(
            "%s of %s active, sha256 %s",
            counted(len(rules), "rule"),
            rules.source,
            rules.sha256,
        )
        return True
