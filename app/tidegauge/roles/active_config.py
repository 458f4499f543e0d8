"""Saying which rules and receivers came into force, once, however many workers see it.

A worker says it when it begins and when its file has changed, if the last record of the topic says
otherwise. Two that say it at a time give it the same id, and the audit trail has it once.
"""

import hashlib
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from tidegauge.config import Settings
from tidegauge.contract import (
    Configuration,
    ConfigurationKind,
    DecodingError,
    configuration_after,
    decode,
    encode,
)
from tidegauge.kafka import KafkaException, NotTaken, RecordWriter, read_span
from tidegauge.telemetry import RecordFaults

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25

#: Between two tries to say it.
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
            while not self._stop.is_set():
                try:
                    self.publish(one)
                    break
                except Exception as error:
                    said = "%s in force are not in the audit trail yet: %s"
                    foreseen = isinstance(error, KafkaException | NotTaken | ValueError)
                    log.warning(said, one.kind, error, exc_info=None if foreseen else error)
                    self._stop.wait(_AGAIN_SECONDS)

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
