"""Fixtures for all tests."""

from collections.abc import Iterator

import pytest
import redis
from hypothesis import settings

from support import scheduling
from support.redis_server import RedisServer

# The same examples in every run, and no limit of time for one of them: on a busy machine it would
# fail for nothing, and pytest-timeout ends what really hangs.
settings.register_profile("tidegauge", derandomize=True, deadline=None)
settings.load_profile("tidegauge")
# For `make fast`.
settings.register_profile("fast", derandomize=True, deadline=None, max_examples=10)


def pytest_configure(config: pytest.Config) -> None:
    scheduling.register(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # of the processes of pytest-xdist: they run in this order
        items.sort(key=lambda item: scheduling.rank(item.nodeid))


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real Redis for the whole session: who uses it keeps to a key prefix of its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def empty_redis_url(redis_url: str) -> str:
    """Another database of the same Redis, emptied before each test."""
    url = redis_url.removesuffix("/0") + "/1"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url
