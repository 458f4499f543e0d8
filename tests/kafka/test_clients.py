"""Clients are made in one module, and an admin client that has lost its brokers is replaced."""

import ast
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from tidegauge.config.sections import KafkaSettings
from tidegauge.kafka import clients
from tidegauge.kafka.admin import Admin

APP = Path(__file__).parents[2] / "app" / "tidegauge"

KINDS = {"Consumer", "SteadyConsumer", "Producer", "AdminClient"}

#: A serving node's producer imports nothing of a worker.
ELSEWHERE = {"producer/librdkafka.py", "producer/sender.py"}


def calls(source: str) -> set[str]:
    found = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return {getattr(one, "id", getattr(one, "attr", "")) for one in found}


def test_clients_are_made_and_the_kafka_settings_read_in_one_module() -> None:
    made, read = set(), set()
    for path in APP.rglob("*.py"):
        module, its = path.relative_to(APP).as_posix(), calls(path.read_text())
        made |= {module} if its & KINDS else set()
        read |= {module} if "librdkafka" in its else set()
    assert made == {"kafka/clients.py", *ELSEWHERE}
    assert read == {"kafka/clients.py"}


class LostAdmin:
    """The first one has lost its brokers for good; those made later reach them."""

    made = 0
    stays = False

    def __init__(self, *_: Any, **__: Any) -> None:
        LostAdmin.made += 1
        self._lost = LostAdmin.made == 1

    def list_offsets(self, wanted: dict[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        answer: Future[Any] = Future()
        if self._lost or LostAdmin.stays:
            answer.set_exception(KafkaException(KafkaError(KafkaError.FENCED_LEADER_EPOCH)))
        else:
            answer.set_result(SimpleNamespace(offset=7))
        return dict.fromkeys(wanted, answer)

    def list_topics(self, topic: str, timeout: float) -> Any:
        if self._lost:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions={0: None, 1: None})})

    def describe_topics(self, _: Any, **__: Any) -> dict[str, Future[Any]]:
        answer: Future[Any] = Future()
        if not self._lost:
            answer.set_result(SimpleNamespace(topic_id="an id", partitions=[0, 1]))
        return {"topic": answer}


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> Admin:
    monkeypatch.setattr(clients, "AdminClient", LostAdmin)
    LostAdmin.made = 0
    return Admin(KafkaSettings())


def test_an_admin_client_without_an_answer_is_replaced_before_the_next_question(
    admin: Admin,
) -> None:
    with pytest.raises(KafkaException, match="TRANSPORT"):
        admin.partitions("topic", 1.0)
    assert admin.partitions("topic", 1.0) == [0, 1]
    assert LostAdmin.made == 2


def test_one_that_knows_an_older_leader_is_replaced_at_once(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert admin.end("topic", 0, 1.0) == 7
    assert LostAdmin.made == 2
    monkeypatch.setattr(LostAdmin, "stays", True)
    with pytest.raises(KafkaException, match="FENCED_LEADER_EPOCH"):
        admin.end("topic", 0, 1.0)
    assert LostAdmin.made == 4


def test_one_that_never_answers_is_given_up_and_another_one_asked(admin: Admin) -> None:
    assert admin.describe("topic", 0.01, twice=True) == ("an id", 2)
    assert LostAdmin.made == 2
