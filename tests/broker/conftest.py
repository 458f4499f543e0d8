"""One real broker for all of tests/broker; every test uses topics and groups of its own on it."""

from collections.abc import Iterator

import pytest

from support.delivery import Delivery
from support.kafka_broker import KafkaBroker
from support.scheduling import shared_broker


@pytest.fixture(scope="session")
def kafka_broker(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaBroker]:
    shared = shared_broker(pytestconfig)
    if shared is not None:
        shared.wait_ready()
        yield shared
        return
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def delivery(kafka_broker: KafkaBroker) -> Iterator[Delivery]:
    """Deliver the alerts of an installation by workers in this process."""
    one = Delivery(kafka_broker)
    yield one
    one.close()
