"""Dead letters of alerts that a receiver will not take, and of records that are no alerts. Pure."""

from typing import NamedTuple

from confluent_kafka import Message

from tidegauge.contract import PAYLOAD_LIMIT_BYTES, DeadLetter, NotifyReason

#: Of what was wrong, so much is said.
DETAIL_CHARACTERS = 1_000


class Place(NamedTuple):
    """Where a record of the alerts was read, and what it is."""

    topic: str
    partition: int
    offset: int
    value: bytes


def place_of(message: Message) -> Place:
    """Return the place of a record that was read."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None and partition is not None and offset is not None  # noqa: S101 - read
    return Place(topic, partition, offset, message.value() or b"")


def letter_of(
    place: Place, receiver: str, reason: NotifyReason, detail: str, *, now: float
) -> DeadLetter:
    """Describe an alert that was not delivered; ``now`` in epoch seconds."""
    kept = place.value[:PAYLOAD_LIMIT_BYTES]
    return DeadLetter(
        topic=place.topic,
        partition=place.partition,
        offset=place.offset,
        row=None,
        time=now,
        reason=reason,
        detail=detail[:DETAIL_CHARACTERS],
        # What is no alert may be no text either.
        payload=kept.decode(errors="replace"),
        payload_encoding="utf-8",
        payload_bytes=len(place.value),
        payload_truncated=len(place.value) > len(kept),
        receiver=receiver,
    )
