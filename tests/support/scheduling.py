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

_SCENARIO = "test_the_short_form_of_a_scenario_is_exact_and_passes_its_judge"

#: What is run with the tests of another file. Tests with clusters of their own, some 100 s each,
#: go to two processes; so both take about as long.
ELSEWHERE = {
    f"tests/chaos/test_scenarios.py::{_SCENARIO}[redis_outage]": "tests/chaos/test_chaos.py",
    "tests/chaos/test_starts.py": "tests/chaos/test_scenarios.py",
}


#: What takes a minute or more, longest first: it is handed out before all other files, lest it be
#: begun when they are done.
LONGEST = (
    "tests/broker/test_ledger.py",
    "tests/broker/test_prometheus_alerts.py",
    "tests/broker/end_to_end/",
    "tests/broker/test_detect_stop.py",
    "tests/broker/test_detect_health.py",
    "tests/demo/test_tutorial.py",
    "tests/broker/test_commands.py",
    "tests/broker/test_ingest_source.py",
    "tests/broker/test_retrainer.py",
    "tests/broker/test_ingest_stop.py",
    "tests/broker/test_tutorial.py",
    "tests/broker/test_wrong_input.py",
    "tests/broker/test_ingest_health.py",
    "tests/broker/test_the_whole_way.py",
    "tests/broker/test_acls.py",
    "tests/broker/test_dead_letter_topic.py",
)


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Hands out files, folders of files that share a fixture, and clusters in two halves."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """Return the file or folder with whose tests it is run by one process."""
    for folder in TOGETHER:
        if nodeid.startswith(folder):
            return folder
    file = nodeid.partition("::")[0]
    return ELSEWHERE.get(nodeid) or ELSEWHERE.get(file, file)


def rank(nodeid: str) -> int:
    """Return when a test is handed out: what takes long first, then what waits for the broker."""
    scope = scope_of(nodeid)
    if scope in LONGEST:
        return LONGEST.index(scope)
    return len(LONGEST) + (not scope.startswith(_KAFKA))


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
