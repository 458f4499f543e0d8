"""What the processes of pytest-xdist share: one Kafka broker, and who runs which tests.

A broker costs more to start than most tests that use it, so the process that hands out the tests
starts one for all others, as soon as it hears that there are tests in tests/broker.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from support.kafka_broker import KafkaBroker, SharedBroker

_KAFKA = "tests/broker/"

#: Folders whose files share a fixture that is dear: one process runs them all.
TOGETHER = ("tests/broker/end_to_end/",)


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Hands out files, and folders of files that share a fixture."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """Return the file or folder whose tests are one process's."""
    for folder in TOGETHER:
        if nodeid.startswith(folder):
            return folder
    return nodeid.partition("::")[0]


class Controller:
    """Hooks of the process that hands out the tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._broker: KafkaBroker | None = None
        self._launched = False

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Scheduling:
        return Scheduling(config, log)

    def pytest_configure_node(self, node: Any) -> None:
        if self._broker is None:
            # Where xdist makes the directories of the other processes.
            self._broker = KafkaBroker(self._config._tmp_path_factory.mktemp("kafka"))
        node.workerinput["kafka_broker"] = (self._broker.port, str(self._broker.log))

    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        wanted = any(id.startswith(_KAFKA) for id in ids)
        if wanted and self._broker is not None and not self._launched:
            self._launched = True
            self._broker.launch()

    def pytest_unconfigure(self) -> None:
        if self._broker is not None:
            self._broker.stop()


def register(config: pytest.Config) -> None:
    """Have these hooks called, if this process hands out tests to others."""
    if config.getoption("tx", None) and config.getoption("dist", "no") != "no":
        config.pluginmanager.register(Controller(config))


def shared_broker(config: pytest.Config) -> SharedBroker | None:
    """Return the broker of all processes; None in one that runs its tests alone."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput is None:
        return None
    port, log = workerinput["kafka_broker"]
    return SharedBroker(port, Path(log))
