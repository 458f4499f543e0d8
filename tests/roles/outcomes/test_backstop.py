"""A record on which the join fails is set aside, and every worker counts the same without it."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from support.counting import FakeMessage
from tidegauge.config.settings import Settings
from tidegauge.kafka import SessionError
from tidegauge.roles.outcomes import source
from tidegauge.roles.outcomes.backstop import JoinBackstop
from tidegauge.roles.outcomes.source import OutcomeLog
from tidegauge.telemetry.health import Health, RecordFaults
from tidegauge.telemetry.metrics import RecordMetrics


class OutcomesMessage(FakeMessage):
    def topic(self) -> str:
        return "outcomes"


LOG = [OutcomesMessage(b"%d" % at, 0, at) for at in range(12)]
ASIDE = "tidegauge_quarantined_records_total"


class Join:
    """Fails on some records, with half of their batch in it."""

    def __init__(self, bad: set[bytes], error: Callable[[], Exception]) -> None:
        self.bad, self.error = bad, error
        self.held: list[bytes] = []

    def take(self, records: Sequence[bytes]) -> Any:
        for record in records:
            if record in self.bad:
                raise self.error()
            self.held.append(record)
        return list(records)


class Worker:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(source, "SourceTopic", lambda *_, **__: self)
        monkeypatch.setattr(source, "read_input", lambda value, *_, **__: value)
        self.topic_id = "a"
        self.registry, self.health = CollectorRegistry(), Health(clock=lambda: 0.0)
        faults = RecordFaults(RecordMetrics(self.registry), self.health, ("outcomes",))
        consumer: Any = None
        self.log = OutcomeLog(Settings(), consumer, JoinBackstop(faults), monotonic=lambda: 0.0)

    def sessions(self, bad: set[bytes], error: Callable[[], Exception], size: int) -> list[bytes]:
        """Read everything from the beginning in each session, until one comes to the end."""
        for _ in range(2 * len(bad) + 1):
            join: Any = Join(bad, error)
            taken: list[Any] = []
            try:
                for at in range(0, len(LOG), size):
                    messages: Any = LOG[at : at + size]
                    for joined in self.log.join(messages, join):
                        taken += joined
            except SessionError:
                continue
            assert taken == join.held
            return taken
        raise AssertionError("no session came to the end")


@pytest.mark.parametrize("size", [1, 5, 12])
def test_records_on_which_the_join_fails_are_left_out_alone_whatever_the_batches(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    worker, bad = Worker(monkeypatch), {b"4", b"9"}
    found = worker.sessions(bad, lambda: IndexError("a bug"), size)
    assert found == [it.payload for it in LOG if it.payload not in bad]
    [(value, labels)] = [
        (it.value, it.labels)
        for metric in worker.registry.collect()
        for it in metric.samples
        if it.name == ASIDE
    ]
    assert (value, labels["topic"]) == (2, "outcomes")


def test_a_topic_made_anew_has_other_records_at_these_offsets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker(monkeypatch)
    worker.sessions({b"4"}, lambda: IndexError("a bug"), 5)
    worker.topic_id = "b"
    assert len(worker.sessions(set(), MemoryError, 5)) == len(LOG)


def test_a_lack_of_memory_is_of_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MemoryError):
        Worker(monkeypatch).sessions({b"4"}, MemoryError, 5)
