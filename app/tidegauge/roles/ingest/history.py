"""The events of a range of data, as INGEST read them: JSON, CloudEvents and column batches."""

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from msgspec import UNSET

from tidegauge.config import IngestSettings, Settings
from tidegauge.contract import NON_FINITE, CountedRange
from tidegauge.counting import (
    COUNTED,
    Limits,
    LooseEvent,
    RefusedError,
    Streams,
    as_refused,
    check_time,
    event_or_stream,
    from_row,
)
from tidegauge.kafka import Message, Skipped, place_of, read_range, refuse, written_at

#: What isn't counted of an event, and its readers want.
_UNCOUNTED = ("traceparent",)

#: By the text that stands for them in JSON.
_NAMES = {float(name): name for name in NON_FINITE if name != "NaN"}


class RecordedEvent(LooseEvent, kw_only=True, omit_defaults=True):
    """An event as it was sent; :func:`tidegauge.contract.encode` writes the JSON that it had.

    What was not sent is ``msgspec.UNSET``, what was null is None, and a number that is not finite
    is its name: ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``. Anything else is as it came, but for
    values in column batches of types that JSON doesn't have: each is ``()``.
    """

    traceparent: Any = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        self.features = _named(self.features)
        self.prediction, self.latency_ms = _finite(self.prediction), _finite(self.latency_ms)


def read_events(
    settings: Settings, ranges: Iterable[CountedRange], *, skipped: Skipped = refuse
) -> Iterator[RecordedEvent]:
    """Yield the events of ranges of offsets, such as those of a retrain action's ``data``.

    They are those that INGEST counts, of every model; in the order of the log. ``skipped`` is
    called with the place of what gives no event and why: a record that INGEST makes a dead letter
    of, a row of a batch, offsets that Kafka has deleted. By default it raises ``ValueError``.
    Raises ``KafkaException`` if no answer comes, ``ValueError`` if a topic isn't there.
    """
    reader = EventReader(settings.ingest, skipped)
    for one in ranges:
        for message in read_range(settings.kafka, one, skipped=skipped):
            yield from reader.events(message)


class EventReader:
    """Reads the events of records of the source topic; what gives none goes to ``skipped``."""

    def __init__(self, settings: IngestSettings, skipped: Skipped) -> None:
        self._settings = settings
        self._skipped = skipped
        self._streams = Streams(Limits.of(settings))

    def events(self, message: Message) -> Iterator[RecordedEvent]:
        """Yield the event of a record, or those of its column batch."""
        place = place_of(message)
        for row, found in self._read(message):
            if isinstance(found, RefusedError):
                where = place if row is None else f"{place}, row {row}"
                self._skipped(where, f"no event: {found.detail}")
            else:
                yield found

    def _read(self, message: Message) -> Iterator[tuple[int | None, RecordedEvent | RefusedError]]:
        """Yield events, or why there is none, each with its row in a batch; raises nothing."""
        value, latest = message.value() or b"", self._latest(message)
        try:
            found = event_or_stream(value, self._settings, latest, RecordedEvent)
            if not isinstance(found, bytes):
                yield None, found
                return
            chunks = self._streams.read(found).rows(None, None, (*COUNTED, *_UNCOUNTED))
            for row, fields in enumerate(chain.from_iterable(chunks)):
                yield row, _event(fields, latest)
        except Exception as error:  # corrupt streams raise all kinds
            yield None, as_refused(error, value)

    def _latest(self, message: Message) -> float:
        """Return the latest event time that could be true when the record was written."""
        written = written_at(message)
        return math.inf if written is None else written + self._settings.max_ahead_seconds


def _event(row: dict[str, Any], latest: float) -> RecordedEvent | RefusedError:
    try:
        event = from_row(row, RecordedEvent)
        check_time(event.epoch, latest)
    except RefusedError as refused:
        return refused
    return event


def _named(features: dict[str, Any] | None) -> dict[str, Any] | None:
    return features and {name: _finite(value) for name, value in features.items()}


def _finite(value: Any) -> Any:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else _NAMES[value]
