"""Which of a flush's failures are the dead letters' fault; the deliveries say so. No broker."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from tidegauge.kafka import transaction
from tidegauge.kafka.transaction import DeadLettersError, RebalancingError, StuckError, commit

OK = None
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
TIMED_OUT = KafkaError(KafkaError._MSG_TIMED_OUT)
PURGED = KafkaError(KafkaError._PURGE_QUEUE)
FENCED = KafkaError(KafkaError._FENCED, "fenced", fatal=True)


class FakeProducer:
    """Delivers on flush with the outcome of each topic.

    ``refuses`` is raised by produce already, ``failed`` is the error of the transaction.
    """

    def __init__(
        self,
        refuses: KafkaError | None = None,
        failed: KafkaError | None = None,
        **outcomes: KafkaError | None,
    ) -> None:
        self.outcomes = outcomes
        self.failed = failed
        self.refuses = refuses
        self.waiting: list[tuple[str, Callable[[Any, Any], None]]] = []
        self.done: list[str] = []

    def begin_transaction(self) -> None:
        self.done.append("begin")

    def produce(
        self,
        topic: str,
        value: bytes,
        key: str | None = None,
        partition: int = -1,
        on_delivery: Any = None,
    ) -> None:
        if topic == "letters" and self.refuses:
            raise KafkaException(self.refuses)
        self.waiting.append((topic, on_delivery))

    def flush(self, seconds: float) -> int:
        for topic, on_delivery in self.waiting:
            self.done.append(topic)
            on_delivery(self.outcomes.get(topic), None)
        self.waiting.clear()
        return 0

    def send_offsets_to_transaction(self, *_: Any) -> None:
        self.done.append("offsets")
        if self.failed:
            raise KafkaException(self.failed)

    def abort_transaction(self, *_: Any) -> None:
        self.waiting.clear()
        self.done.append("abort")

    def commit_transaction(self, *_: Any) -> None:
        self.flush(0)
        self.done.append("commit")


def flush(producer: FakeProducer, letters: int = 2) -> None:
    commit(
        producer,
        topic="histograms",
        records=[(0, None, b"h")],
        letters=[b"l"] * letters,
        letter_topic="letters",
        offsets=[],
        group=None,
    )


def test_letters_go_after_the_histograms_and_before_the_offsets() -> None:
    producer = FakeProducer()
    flush(producer)
    assert producer.done == ["begin", "histograms", "letters", "letters", "offsets", "commit"]


def test_a_flush_without_letters_waits_once_for_all() -> None:
    producer = FakeProducer()
    flush(producer, letters=0)
    assert producer.done == ["begin", "offsets", "histograms", "commit"]


@pytest.mark.parametrize("producer", [FakeProducer(letters=TOO_LARGE), FakeProducer(TOO_LARGE)])
def test_a_refused_letter_is_told_apart_and_nothing_is_committed(producer: FakeProducer) -> None:
    with pytest.raises(DeadLettersError, match="MSG_SIZE_TOO_LARGE") as raised:
        flush(producer)
    assert raised.value.refused
    assert "offsets" not in producer.done and "commit" not in producer.done


@pytest.mark.parametrize("problem", [TIMED_OUT, PURGED])
def test_a_letter_that_did_not_arrive_though_histograms_did_may_arrive_next_time(
    problem: KafkaError,
) -> None:
    producer = FakeProducer(letters=problem)
    with pytest.raises(DeadLettersError) as raised:
        flush(producer)
    assert not raised.value.refused and "commit" not in producer.done


def test_purged_letters_are_refused_if_their_topic_could_not_join_the_transaction() -> None:
    forbidden = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    producer = FakeProducer(letters=PURGED, failed=forbidden)
    with pytest.raises(DeadLettersError, match="TOPIC_AUTHORIZATION_FAILED") as raised:
        flush(producer)
    assert raised.value.refused and "commit" not in producer.done


def test_letters_that_were_purged_since_another_producer_took_over_were_not_refused() -> None:
    with pytest.raises(KafkaException):
        flush(FakeProducer(letters=PURGED, failed=FENCED))


@pytest.mark.parametrize("problem", [TIMED_OUT, TOO_LARGE, FENCED])
def test_histograms_that_did_not_arrive_are_not_the_letters_fault(problem: KafkaError) -> None:
    producer = FakeProducer(histograms=problem, letters=TOO_LARGE)
    with pytest.raises(KafkaException):
        flush(producer)
    assert "letters" not in producer.done


def test_a_producer_that_was_replaced_says_nothing_of_the_letters() -> None:
    with pytest.raises(KafkaException):
        flush(FakeProducer(letters=FENCED))


@pytest.mark.parametrize("code", [KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS])
def test_a_transaction_that_meets_a_rebalance_is_aborted_and_the_producer_used_on(
    code: int,
) -> None:
    producer = FakeProducer(failed=KafkaError(code))
    with pytest.raises(RebalancingError):
        flush(producer)
    assert producer.done == ["begin", "histograms", "letters", "letters", "offsets", "abort"]
    producer.failed = None
    flush(producer, letters=0)
    assert producer.done[-1] == "commit"


def test_any_other_failure_of_the_offsets_leaves_the_transaction_to_the_next_producer() -> None:
    producer = FakeProducer(failed=FENCED)
    with pytest.raises(KafkaException):
        flush(producer)
    assert "abort" not in producer.done


def test_offsets_that_are_never_taken_are_given_up_and_committed_by_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As librdkafka does once the group's coordinator has left the cluster."""
    monkeypatch.setattr(transaction, "OFFSETS_SECONDS", 0.05)
    found, returned = threading.Event(), threading.Event()

    class Stuck(FakeProducer):
        def send_offsets_to_transaction(self, *_: Any) -> None:
            self.done.append("offsets")
            found.wait()
            returned.set()

    producer = Stuck()
    with pytest.raises(StuckError, match="coordinator took no offsets"):
        flush(producer, letters=0)
    found.set()
    returned.wait()
    # Whatever the thread that was left does later: it is not to commit.
    for left in [it for it in threading.enumerate() if it.name == "bounded"]:
        left.join(10)
    assert producer.done == ["begin", "offsets"]


def test_a_record_that_was_refused_is_named_instead_of_its_transaction() -> None:
    class Refusing(FakeProducer):
        def commit_transaction(self, *_: Any) -> None:
            self.flush(0)
            raise KafkaException(KafkaError(KafkaError._STATE, "the transaction is aborted"))

    for outcome, expected in ((TOO_LARGE, TOO_LARGE), (TIMED_OUT, KafkaError(KafkaError._STATE))):
        with pytest.raises(KafkaException) as raised:
            flush(Refusing(histograms=outcome), letters=0)
        assert raised.value.args[0].code() == expected.code()
