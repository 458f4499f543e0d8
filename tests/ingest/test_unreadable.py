"""A batch that the client can't read is a dead letter, and counting goes on after it."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition

from support.counting import FakeMessage
from support.ingest_sessions import Committed, event_at
from tidegauge.ingest.session import Session

BAD = KafkaError(KafkaError._BAD_COMPRESSION, "Decompression (codec 0x4) of message at 5 failed")


class SeekingConsumer:
    """Notes where it is told to go on; every partition ends at 40."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.sought: list[tuple[int, int]] = []

    def get_watermark_offsets(self, at: TopicPartition, **_: Any) -> tuple[int, int]:
        return 0, 40

    def seek(self, to: TopicPartition) -> None:
        self.sought.append((to.partition, to.offset))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def consumer(
    session: Session, committed: Committed, monkeypatch: pytest.MonkeyPatch
) -> SeekingConsumer:
    made = SeekingConsumer(session._consumer)
    monkeypatch.setattr(session, "_consumer", made)
    return made


def _bad(partition: int = 0) -> FakeMessage:
    return FakeMessage(b"Decompression failed", partition, 5, problem=BAD)


def test_reading_goes_on_after_it_and_the_letter_names_the_offsets(
    session: Session, consumer: SeekingConsumer, committed: Committed
) -> None:
    session._take([event_at(0, 4), _bad(), event_at(1, 2)])
    assert consumer.sought == [(0, 6)]
    session._take([event_at(0, 6)])
    session._flush()
    [[letter]] = committed.letters
    assert (letter["partition"], letter["offset"], letter["rows"]) == (0, 5, 1)
    assert "offsets 5 to 5" in letter["detail"] and "codec 0x4" in letter["detail"]
    assert letter["payload"] is None
    assert session._tenure.positions[0].since == 7


def test_of_a_batch_of_many_records_few_are_tried(
    session: Session, consumer: SeekingConsumer
) -> None:
    session._take([event_at(0, 4)])
    for _ in range(6):
        session._take([_bad()])
    assert [offset for _, offset in consumer.sought] == [6, 8, 12, 20, 36, 40]
    assert [letter.rows for letter in session._counter.dead_letters] == [1, 2, 4, 8, 16, 4]
    session._take([event_at(0, 50), _bad()])
    assert consumer.sought[-1] == (0, 52)


def test_of_a_partition_that_was_taken_away_nothing_is_passed_over(
    session: Session, consumer: SeekingConsumer
) -> None:
    session._take([_bad(7)])
    assert consumer.sought == []
