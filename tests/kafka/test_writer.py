"""Single records are answered, and a producer that gets no answer is not kept."""

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from tidegauge.config.sections import KafkaSettings
from tidegauge.kafka import clients, transaction as sender
from tidegauge.kafka.transaction import NotTaken, RecordWriter

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
    monkeypatch.setattr(sender, "_RECORD_SECONDS", 1.0)
    made: list[str] = []

    def make(config: dict[str, object], **more: object) -> Producer:
        made.append(NOBODY if not made else brokers)
        return Producer(config | {"bootstrap.servers": made[-1]}, **more)

    monkeypatch.setattr(clients, "Producer", make)
    letters = RecordWriter(KafkaSettings(bootstrap_servers=brokers), "letters", "dead letters")
    with pytest.raises(NotTaken, match="topic letters takes no dead letters"):
        letters.write(b"a")
    monkeypatch.setattr(sender, "_RECORD_SECONDS", 20.0)
    letters.write(b"a")
    letters.write(b"b")
    assert made == [NOBODY, brokers]


def test_a_producer_with_a_fatal_error_is_another_one_for_the_next_record(
    brokers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would refuse every record until the process ends."""
    made: list[str] = []

    class Spent:
        def __init__(self, config: dict[str, object], **more: object) -> None:
            made.append("spent")

        def produce(self, *_: object, **__: object) -> None:
            raise KafkaException(KafkaError(KafkaError._FATAL, "out of order", fatal=True))

        def purge(self) -> None:
            pass

    def make(config: dict[str, object], **more: object) -> Producer | Spent:
        if not made:
            return Spent(config)
        made.append("sound")
        return Producer(config, **more)

    monkeypatch.setattr(clients, "Producer", make)
    letters = RecordWriter(KafkaSettings(bootstrap_servers=brokers), "letters", "dead letters")
    with pytest.raises(NotTaken, match="out of order"):
        letters.write(b"a")
    letters.write(b"a")
    assert made == ["spent", "sound"]
