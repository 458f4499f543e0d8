"""What only a process of its own can show: its exit, its forks, and what it may import."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import tidegauge
from tidegauge.contract.prediction import PredictionEvent

ReadEvents = Callable[[int], list[PredictionEvent]]

APP = Path(tidegauge.__path__[0]).parent

PREAMBLE = """
import os, sys, threading
from tidegauge import PredictionLogger
address, topic = sys.argv[1:]
logger = PredictionLogger(address, topic=topic, model="credit", version="3")
"""


def run(script: str, address: str, topic: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, address, topic],
        env={**os.environ, "PYTHONPATH": str(APP)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


def ids(events: list[PredictionEvent]) -> list[str]:
    return sorted(event.id or "" for event in events)


def test_the_exit_of_the_interpreter_delivers_what_is_queued(
    mock_cluster: str, topic: str, read_events: ReadEvents
) -> None:
    script = PREAMBLE + "for i in range(5000): logger.log(features={'x': i}, id=str(i))"
    run(script, mock_cluster, topic)
    assert ids(read_events(5000)) == sorted(str(i) for i in range(5000))


def test_the_exit_of_the_interpreter_waits_only_so_long_for_a_broker_that_is_not_there() -> None:
    started = time.monotonic()
    done = run(PREAMBLE + "logger.log(features={})", "127.0.0.1:1", "predictions")
    assert time.monotonic() - started < 15
    assert "delivery_failed" in done.stderr


def test_an_unused_logger_costs_the_exit_nothing() -> None:
    script = PREAMBLE + "print(threading.active_count())"
    assert run(script, "127.0.0.1:1", "predictions").stdout == "1\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_workers_log_with_the_logger_of_their_parent(
    mock_cluster: str, topic: str, read_events: ReadEvents
) -> None:
    # As in a pre-fork web server: the logger is made first, the children come later and end by
    # sys.exit. The second half forks while the parent's producer is at work.
    script = (
        PREAMBLE
        + """
def fork(name):
    pid = os.fork()
    if pid == 0:
        assert logger.stats.logged == 0
        logger.log(features={}, id=name)
        assert logger.stats.logged == 1
        sys.exit(0)
    return pid

def end_well(pids):
    for pid in pids:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

end_well([fork("a"), fork("b")])
logger.log(features={}, id="parent-1")
end_well([fork("c"), fork("d")])
logger.log(features={}, id="parent-2")
assert logger.flush() == 0
assert (logger.stats.logged, logger.stats.delivered) == (2, 2)
"""
    )
    run(script, mock_cluster, topic)
    assert ids(read_events(6)) == ["a", "b", "c", "d", "parent-1", "parent-2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_right_after_the_first_event_waits_until_it_is_delivered(
    mock_cluster: str, topic: str
) -> None:
    # Until then librdkafka's threads resolve names. Without the wait the 50 ms of collecting are
    # not even over when the child begins.
    script = (
        PREAMBLE
        + """
logger.log(features={}, id="parent")
delivered = []
os.register_at_fork(after_in_parent=lambda: delivered.append(logger.stats.delivered))
pid = os.fork()
if pid == 0:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert delivered == [1], delivered
"""
    )
    run(script, mock_cluster, topic)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_waits_only_so_long_for_a_broker_that_is_not_there() -> None:
    script = (
        PREAMBLE
        + """
import time
logger.log(features={})
started = time.monotonic()
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
assert time.monotonic() - started < 5
os._exit(0)
"""
    )
    run(script, "127.0.0.1:1", "predictions")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_can_end_with_a_producer_that_it_inherited(mock_cluster: str, topic: str) -> None:
    # Without the leak the child's exit destroys the producer, whose threads it doesn't have.
    script = """
import os, sys
from confluent_kafka import Producer
from tidegauge.producer.librdkafka import leak
producer = Producer({"bootstrap.servers": sys.argv[1]})
producer.list_topics(timeout=10)
pid = os.fork()
if pid == 0:
    leak(producer)
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    run(script, mock_cluster, topic)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_workers_of_multiprocessing_deliver_before_they_end(
    mock_cluster: str, topic: str, read_events: ReadEvents
) -> None:
    script = (
        PREAMBLE
        + """
import multiprocessing
context = multiprocessing.get_context("fork")
def work(name): logger.log(features={}, id=name)
logger.log(features={}, id="parent")
workers = [context.Process(target=work, args=(name,)) for name in "abc"]
for worker in workers: worker.start()
for worker in workers: worker.join()
assert [worker.exitcode for worker in workers] == [0, 0, 0]
"""
    )
    run(script, mock_cluster, topic)
    assert ids(read_events(4)) == ["a", "b", "c", "parent"]


def test_the_base_install_is_enough(mock_cluster: str, topic: str, read_events: ReadEvents) -> None:
    script = (
        """
import sys

class OnlyTheBaseInstall:
    allowed = {*sys.stdlib_module_names, "tidegauge", "msgspec", "confluent_kafka"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.allowed:
            raise ImportError(f"{name} is not part of the base install")

sys.meta_path.insert(0, OnlyTheBaseInstall())
"""
        + PREAMBLE
        + """
logger.log(features={"x": 1.0, "none": None, "nan": float("nan")}, id="a")
logger.log_batch({"x": [1.0, 2.0]})
assert logger.flush() == 0
assert logger.stats.delivered == 1
assert logger.stats.dropped["arrow_missing"] == 2
import tidegauge
print(tidegauge.__version__)
"""
    )
    done = run(script, mock_cluster, topic)
    assert done.stdout.strip() == tidegauge.__version__
    assert "pip install 'tidegauge[arrow]'" in done.stderr
    assert ids(read_events(1)) == ["a"]


def test_the_pure_rooms_import_no_kafka() -> None:
    script = "import sys, tidegauge.contract; sys.exit('confluent_kafka' in sys.modules)"
    run(script, "", "")


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'PredictionLoger'"):
        _ = tidegauge.PredictionLoger
