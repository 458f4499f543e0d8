"""What the value of a source record holds: one event, or the stream of a column batch."""

from typing import TypeVar

from tidegauge.config import IngestSettings
from tidegauge.contract import ARROW_MAGIC, DecodingError, unwrap
from tidegauge.counting.decode import tolerant
from tidegauge.counting.decode.tolerant import LooseEvent, RefusedError
from tidegauge.counting.refusals import check_size

Event = TypeVar("Event", bound=LooseEvent)


def event_or_stream(
    value: bytes | None, settings: IngestSettings, latest: float, kind: type[Event]
) -> Event | bytes:
    """Return the event of a record as ``kind``, or the stream of its column batch.

    ``latest`` is the latest event time that can be true. Raises :class:`RefusedError`; of a value
    in an envelope that has none of both, for what is wrong with the value as it stands.
    """
    if not value:
        raise RefusedError("empty", "the record has no value")
    try:
        return _plain(value, settings, latest, kind)
    except RefusedError as refused:
        # Not before: no event has an envelope by chance, and it would cost all of them. Nor by
        # the headers, which a client can't be asked for safely: see unwrap.
        if refused.reason != "invalid_record":
            raise
        try:
            record = unwrap(value)
        except DecodingError:
            raise refused from None
        if record == value:
            raise
        return _plain(record, settings, latest, kind)


def _plain(
    value: bytes, settings: IngestSettings, latest: float, kind: type[Event]
) -> Event | bytes:
    if value.startswith(ARROW_MAGIC):
        check_size(value, settings.max_batch_bytes)
        return value
    check_size(value, settings.max_event_bytes)
    event = tolerant.decode_event(value, kind)
    tolerant.check_time(event.epoch, latest)
    return event
