"""One run of the product with a real broker, a real Redis and a real Prometheus for all tests here.

Half of the traffic is there before it starts, the other half arrives while it works. The tests read
what came of it, so they can't disturb each other; the one in test_telemetry.py that ends it is the
last to ask the running process anything. `support.scheduling` keeps them in one process.
"""

from collections.abc import Iterator

import pytest

from support.kafka_broker import KafkaBroker
from support.monitored import Monitored, monitored


@pytest.fixture(scope="session")
def run(
    kafka_broker: KafkaBroker, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Monitored]:
    with monitored(tmp_path_factory.mktemp("end_to_end"), kafka_broker, redis_url) as one:
        yield one
