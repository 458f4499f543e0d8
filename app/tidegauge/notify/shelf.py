"""Where one receiver's courier keeps what it withholds: in memory, and in the topic for it.

A record is written before the offset of its alert is committed, and struck out after the alert is
delivered. So a crash in between delivers one again, by the same id, and loses none.
"""

import logging
from collections.abc import Collection

import msgspec

from tidegauge.contract import Withheld, encode
from tidegauge.notify.withheld import is_waiting
from tidegauge.reading import read_span
from tidegauge.sender import Sender
from tidegauge.settings import Settings

log = logging.getLogger(__name__)


class Shelf:
    """What ``receiver`` is not told of for now, by fingerprint. Nothing before :meth:`restore`."""

    def __init__(self, settings: Settings, receiver: str) -> None:
        self._settings = settings
        self._receiver = receiver
        self._sender = Sender(settings.kafka, settings.topics.withheld, "withheld alerts")
        self._kept: dict[str, Withheld] = {}
        #: Whether what was withheld before is known.
        self.restored = False

    def __len__(self) -> int:
        return len(self.waiting())

    def forget(self) -> None:
        """Drop what is in memory: another process may deliver from here on."""
        self._kept = {}
        self.restored = False

    def restore(self, partitions: Collection[int]) -> None:
        """Read what was withheld of the alerts of ``partitions``.

        What is no such record is said in the log and passed over. Raises ``KafkaException``.
        """
        topic, last = self._settings.topics.withheld, dict[bytes, bytes]()
        for record in read_span(self._settings.kafka, topic, tombstones=True):
            if record.key is not None:
                last[record.key] = record.value
        found = [_decode(key, value) for key, value in last.items() if value]
        self._kept = {
            one.alert.fingerprint: one
            for one in found
            if one is not None and one.receiver == self._receiver and one.partition in partitions
        }
        self.restored = True

    def get(self, fingerprint: str) -> Withheld | None:
        """Return what is kept of a fingerprint."""
        return self._kept.get(fingerprint)

    def waiting(self) -> list[Withheld]:
        """Return what is to be told once nothing silences it, in the order of the alerts."""
        found = [one for one in self._kept.values() if is_waiting(one)]
        return sorted(found, key=lambda one: (one.partition, one.offset))

    def put(self, one: Withheld) -> None:
        """Keep an alert; raises :class:`NotTaken`."""
        self._sender.write(encode(one), self._key(one.alert.fingerprint))
        self._kept[one.alert.fingerprint] = one

    def strike(self, fingerprint: str) -> None:
        """Keep it no longer; raises :class:`NotTaken`."""
        if fingerprint in self._kept:
            self._sender.write(None, self._key(fingerprint))
            del self._kept[fingerprint]

    def _key(self, fingerprint: str) -> str:
        return f"{self._receiver}/{fingerprint}"


def _decode(key: bytes, value: bytes) -> Withheld | None:
    try:
        return msgspec.json.decode(value, type=Withheld)
    except msgspec.DecodeError as error:
        log.error("withheld alert %r can't be read, passed over: %s", key, error)
        return None
