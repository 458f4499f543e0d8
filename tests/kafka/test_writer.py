"""Single records are answered, and a producer that gets no answer is not kept."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from tidegauge.config.sections import KafkaSettings
from tidegauge.kafka import clients, writer as sender
from tidegauge.kafka.writer import NotTaken, RecordWriter

NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    host = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 0})
    broker = next(iter(host.list_topics(timeout=10).brokers.values()))
    yield f"{broker.host}:{broker.port}"
    del host


def test_a_producer_that_lost_its_brokers_is_another_one_for_the_next_record(
    brokers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As librdkafka may lose them for good, though any other client reaches them."""
    monkeypatch.setattr(sender, "_SECONDS", 1.0)
    made: list[str] = []

    def make(config: dict[str, object], **more: object) -> Producer:
        made.append(NOBODY if not made else brokers)
        return Producer(config | {"bootstrap.servers": made[-1]}, **more)

    monkeypatch.setattr(clients, "Producer", make)
    letters = RecordWriter(KafkaSettings(bootstrap_servers=brokers), "letters", "dead letters")
    with pytest.raises(NotTaken, match="topic letters takes no dead letters"):
        letters.write(b"a")
    monkeypatch.setattr(sender, "_SECONDS", 20.0)
    letters.write(b"a")
    letters.write(b"b")
    assert made == [NOBODY, brokers]
