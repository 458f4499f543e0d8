import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError, Message, Producer
from msgspec import UNSET

from tidegauge import PredictionLogger
from tidegauge.contract.prediction import PredictionEvent
from tidegauge.producer.librdkafka import Lifeline

NOBODY = "127.0.0.1:1"
FEATURES: dict[str, Any] = {"income": 52_000.0, "age": 41, "region": "EU", "owner": True}


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.01)
    return True


def test_times_in_milliseconds_and_reserved_names_are_counted_and_said(
    mock_cluster: str, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    with PredictionLogger(mock_cluster, topic=topic, model="credit", version="3") as logger:
        logger.log(features={"x": 1}, time=1_772_323_200_500)
        logger.log_batch({"x": [1, 2]}, time=1_772_323_200_500)
        for _ in range(3):
            logger.log(features={"x": 1, "status": "ok"})
        assert logger.flush() == 0
        stats = logger.stats
    assert (stats.logged, stats.delivered, stats.dropped["bad_time"]) == (6, 3, 3)
    assert stats.left_out["reserved_name"] == 3
    said = [it for it in caplog.messages if "status" in it]
    assert said == [
        "left out of predictions: feature 'status' is not counted: give it to log(status=...)"
    ]
    assert any("it looks like milliseconds" in it for it in caplog.messages)


def test_what_is_logged_arrives(
    mock_cluster: str, topic: str, read_events: Callable[[int], list[PredictionEvent]]
) -> None:
    with PredictionLogger(
        mock_cluster, topic=topic, model="credit", version="3", clock=lambda: 1772323200.5
    ) as logger:
        logger.log(features=FEATURES, prediction=0.25, latency_ms=12.5, status="ok", id="a")
        logger.log(
            features={"x": float("nan")}, model="fraud", version="1", variant="canary", id="b"
        )
        logger.log(
            features={}, prediction=None, label="yes", segments={"region": "EU"}, time=7, id="c"
        )
        assert logger.flush() == 0
    events = {event.id: event for event in read_events(3)}
    assert events["a"] == PredictionEvent(
        time=1772323200.5,
        model="credit",
        version="3",
        id="a",
        features=FEATURES,
        prediction=0.25,
        latency_ms=12.5,
        status="ok",
    )
    assert events["b"] == PredictionEvent(
        time=1772323200.5,
        model="fraud",
        version="1",
        variant="canary",
        id="b",
        features={"x": "NaN"},
    )
    assert events["c"] == PredictionEvent(
        time=7.0,
        model="credit",
        version="3",
        id="c",
        prediction=None,
        label="yes",
        segments={"region": "EU"},
    )


def test_a_json_event_has_no_key_and_no_header(
    mock_cluster: str, topic: str, read: Callable[[int], list[Message]]
) -> None:
    with PredictionLogger(mock_cluster, topic=topic, model="credit", version="3") as logger:
        logger.log(features=FEATURES)
    (message,) = read(1)
    assert message.key() is None
    assert message.headers() is None


def test_an_event_is_sent_without_the_values_that_have_no_form_in_it(
    mock_cluster: str,
    topic: str,
    read_events: Callable[[int], list[PredictionEvent]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with PredictionLogger(mock_cluster, topic=topic, model="credit", version="3") as logger:
        for _ in range(3):
            logger.log(
                features={
                    "age": 41, "embedding": [1.0, 2.0], "odd": Hostile(), "text": "\udc00",
                    "\udc01": 1, "null": None, "raw": b"x", "two": np.array([1, 2]),
                },
                prediction=0.5, label=[1], latency_ms="fast", status="\udc00",
                segments={"region": "EU", "groups": ["a", "b"]}, id=object(),
            )  # fmt: skip
        assert logger.flush() == 0
        stats = logger.stats
    for event in read_events(3):
        assert event.features == {"age": 41, "null": None}
        assert (event.prediction, event.segments, event.id) == (0.5, {"region": "EU"}, None)
        assert event.label is event.latency_ms is event.status is UNSET
    assert (stats.delivered, stats.dropped_total, stats.left_out["bad_value"]) == (3, 0, 33)
    said = [it for it in caplog.messages if it.startswith("left out of predictions: ")]
    assert len(said) == 11
    assert said[0] == (
        "left out of predictions: id is of type object, expected a number, string, bool or None"
    )


def test_counters_are_exact_from_eight_threads(
    mock_cluster: str, topic: str, read: Callable[[int], list[Message]]
) -> None:
    logger = PredictionLogger(mock_cluster, topic=topic, model="credit", version="3")

    def serve(thread: int) -> None:
        for i in range(1_000):
            logger.log(features=FEATURES if i % 10 else object(), id=f"{thread}-{i}")  # type: ignore[arg-type]

    threads = [threading.Thread(target=serve, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert logger.close() == 0
    stats = logger.stats
    assert (stats.logged, stats.delivered, stats.in_flight) == (8_000, 7_200, 0)
    assert stats.dropped["unencodable"] == stats.dropped_total == 800
    assert len({message.value() for message in read(7_200)}) == 7_200


def test_delivery_is_counted_without_anyone_polling(mock_cluster: str, topic: str) -> None:
    with PredictionLogger(mock_cluster, topic=topic, model="credit", version="3") as logger:
        logger.log(features=FEATURES)
        assert within(10, lambda: logger.stats.delivered == 1)


def test_logging_returns_at_once_when_the_broker_was_never_there() -> None:
    logger = PredictionLogger(NOBODY, model="credit", version="3")
    started = time.perf_counter()
    for _ in range(10_000):
        logger.log(features=FEATURES)
    assert time.perf_counter() - started < 5.0
    stats = logger.stats
    assert (stats.logged, stats.delivered, stats.in_flight) == (10_000, 0, 10_000)
    assert logger.flush(0.05) == 10_000

    started = time.perf_counter()
    assert logger.close(0.1) == 10_000
    assert time.perf_counter() - started < 5.0
    stats = logger.stats
    assert stats.dropped["delivery_failed"] == stats.dropped_total == 10_000
    assert stats.in_flight == 0


def test_a_full_queue_drops_the_newest_and_counts_them() -> None:
    logger = PredictionLogger(NOBODY, model="credit", version="3", max_queued=100)
    for _ in range(1_000):
        logger.log(features=FEATURES)
    stats = logger.stats
    # What librdkafka holds is known a moment later, so some more may wait before it; and it counts
    # the few messages that it has for us.
    assert 90 <= stats.in_flight <= 200
    assert stats.dropped["queue_full"] == stats.dropped_total == 1_000 - stats.in_flight
    assert logger.close(0) == stats.in_flight
    assert logger.stats.dropped["delivery_failed"] == stats.in_flight


def test_what_waits_before_librdkafka_and_in_it_is_bounded_together() -> None:
    logger = PredictionLogger(NOBODY, model="credit", version="3", max_queued=100)
    for _ in range(90):
        logger.log(features=FEATURES)
    assert within(5, lambda: logger._sender._queued >= 90)
    for _ in range(1_000):
        logger.log(features=FEATURES)
    assert 90 <= logger.stats.in_flight <= 110
    logger.close(0)


def test_a_queue_full_of_bytes_makes_events_wait_and_then_drops_them() -> None:
    config = {"queue.buffering.max.kbytes": 1}
    logger = PredictionLogger(NOBODY, model="credit", version="3", max_queued=50, config=config)
    for _ in range(1_000):
        logger.log(features=FEATURES)
    assert within(5, lambda: logger.stats.dropped["queue_full"] > 0)
    assert logger.stats.in_flight > 0
    logger.close(0)
    stats = logger.stats
    assert stats.in_flight == 0
    assert stats.dropped["queue_full"] + stats.dropped["delivery_failed"] == 1_000


def test_what_the_caller_changes_afterwards_is_not_sent(
    mock_cluster: str, topic: str, read_events: Callable[[int], list[PredictionEvent]]
) -> None:
    features, segments = {"x": 1.0}, {"region": "EU"}
    with PredictionLogger(mock_cluster, topic=topic, model="credit", version="3") as logger:
        logger.log(features=features, segments=segments)
        features["x"] = 2.0
        segments["region"] = "US"
    (event,) = read_events(1)
    assert (event.features, event.segments) == ({"x": 1.0}, {"region": "EU"})


def test_an_event_that_expires_in_the_queue_is_a_failed_delivery() -> None:
    config = {"message.timeout.ms": 200}
    with PredictionLogger(NOBODY, model="credit", version="3", config=config) as logger:
        logger.log(features=FEATURES)
        assert within(10, lambda: logger.stats.dropped["delivery_failed"] == 1)
        assert logger.stats.in_flight == 0


def test_ten_megabytes_are_too_large(mock_cluster: str, topic: str) -> None:
    with PredictionLogger(mock_cluster, topic=topic, model="credit", version="3") as logger:
        logger.log(features={"note": "x" * 10_000_000})
        logger.log(features=FEATURES)
        assert logger.flush() == 0
        assert logger.stats.dropped["too_large"] == logger.stats.dropped_total == 1
        assert logger.stats.delivered == 1


class Hostile:
    @property
    def item(self) -> None:
        raise ZeroDivisionError("hostile")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def _raise(error: Exception) -> float:
    raise error


@pytest.mark.parametrize(
    "arguments",
    [
        {"features": 5},
        {"features": {}, "variant": object()},
        {"features": {}, "model": ""},
        {"features": {}, "time": "yesterday"},
        {"features": {}, "segments": 5},
        {"features": {}, "version": "\udc00"},
    ],
)
def test_nothing_is_raised_into_the_serving_path(arguments: Any) -> None:
    with PredictionLogger(NOBODY, model="credit", version="3") as logger:
        logger.log(**arguments)
        assert within(5, lambda: logger.stats.dropped["unencodable"] == 1)


@pytest.mark.parametrize("error", [OSError("clock"), Unprintable()])
def test_a_failing_clock_drops_the_event(error: Exception) -> None:
    with PredictionLogger(
        NOBODY, model="credit", version="3", clock=lambda: _raise(error)
    ) as logger:
        logger.log(features={})
        logger.log_batch({"x": [1, 2]})
        assert logger.stats.dropped["unencodable"] == 3


@pytest.mark.parametrize("columns", [None, 5, {"x": Hostile()}, {"x": [object()]}, {}])
def test_nothing_is_raised_by_an_odd_batch(columns: Any) -> None:
    logger = PredictionLogger(NOBODY, version="3")
    logger.log_batch(columns)
    assert logger.stats.dropped["unencodable"] == logger.stats.logged == 1
    logger.close(0)


def test_a_missing_pyarrow_is_counted_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with caplog.at_level(logging.WARNING, "tidegauge.producer"):
        logger = PredictionLogger(NOBODY, model="credit", version="3")
        for _ in range(3):
            logger.log_batch({"x": [1, 2]})
        assert logger.stats.dropped["arrow_missing"] == logger.stats.logged == 6
        assert within(5, lambda: "pip install 'tidegauge[arrow]'" in caplog.text)
        logger.close(0)


def test_after_close_events_are_dropped_and_told_once(
    mock_cluster: str, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    logger = PredictionLogger(mock_cluster, topic=topic, model="credit", version="3")
    logger.log(features=FEATURES)
    assert logger.close() == 0
    logger.log(features=FEATURES)
    logger.log_batch({"x": [1, 2]})
    assert logger.close() == 0
    stats = logger.stats
    assert (stats.delivered, stats.dropped["closed"], stats.in_flight) == (1, 3, 0)
    assert caplog.text.count("logged after close()") == 1


def test_closing_while_others_log_loses_track_of_no_event(mock_cluster: str, topic: str) -> None:
    logger = PredictionLogger(
        mock_cluster, topic=topic, model="credit", version="3", max_queued=500
    )
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            logger.log(features=FEATURES)

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert within(10, lambda: logger.stats.delivered > 0)
    logger.close()
    assert within(10, lambda: logger.stats.dropped["closed"] > 0)
    done.set()
    for thread in threads:
        thread.join()
    assert logger.stats.in_flight == 0


def test_drops_and_an_absent_broker_are_told_in_the_background(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = PredictionLogger(NOBODY, model="credit", version="3")
    with caplog.at_level(logging.WARNING, "tidegauge.producer"):
        logger.log(features={}, time="now")
        assert within(5, lambda: "1 prediction event(s), 1 in all: unencodable" in caplog.text)
        assert within(5, lambda: "predictions wait for Kafka" in caplog.text)
        logger.log(features={}, time="now")
        logger.close(1)
    # What came within the minute is told at the end.
    assert "dropped 1 prediction event(s), 2 in all: unencodable" in caplog.text
    assert caplog.text.count("Connection refused") <= 2


def test_a_fatal_error_ends_one_producer_and_the_next_takes_over(
    mock_cluster: str,
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("tidegauge.producer.sender.RESTART_SECONDS", 0.2)
    logger = PredictionLogger(mock_cluster, topic=topic, model="credit", version="3")
    logger.log(features=FEATURES)
    assert logger.flush() == 0
    logger._sender._on_error(KafkaError(KafkaError._FATAL, "sequence numbers lost", fatal=True))
    assert within(5, lambda: logger._sender._producer is None)
    logger.log(features=FEATURES)
    assert within(5, lambda: bool(logger.log(features=FEATURES)) or logger.stats.delivered > 1)
    logger.close()
    stats = logger.stats
    assert stats.dropped["unavailable"] == stats.dropped_total >= 1
    assert stats.in_flight == 0
    assert "sequence numbers lost" in caplog.text


def test_a_producer_that_has_lost_its_brokers_for_good_is_replaced(
    mock_cluster: str,
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As librdkafka may after the only broker's restart; any other producer reaches it."""
    monkeypatch.setattr("tidegauge.producer.librdkafka.QUIET_SECONDS", 0.2)
    monkeypatch.setattr("tidegauge.producer.librdkafka.ANSWER_SECONDS", 1.0)
    made: list[object] = []

    def make(config: dict[str, Any]) -> Producer:
        made.append(config)
        return Producer(config | {"bootstrap.servers": NOBODY} if len(made) == 1 else config)

    monkeypatch.setattr("tidegauge.producer.sender.Producer", make)
    backoff = {"reconnect.backoff.max.ms": 200}
    logger = PredictionLogger(
        mock_cluster, topic=topic, model="credit", version="3", config=backoff
    )
    logger.log(features=FEATURES)
    assert within(20, lambda: bool(logger.log(features=FEATURES)) or logger.stats.delivered > 0)
    assert logger.flush() == 0
    logger.close()
    stats = logger.stats
    assert stats.dropped["delivery_failed"] == stats.dropped_total >= 1
    assert stats.delivered + stats.dropped_total == stats.logged
    assert "has lost every broker" in caplog.text


def test_events_wait_for_brokers_that_nobody_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegauge.producer.librdkafka.QUIET_SECONDS", 0.05)
    monkeypatch.setattr("tidegauge.producer.librdkafka.ANSWER_SECONDS", 0.05)
    logger = PredictionLogger(NOBODY, model="credit", version="3")
    logger.log(features=FEATURES)
    asked: list[bool] = []
    is_lost = Lifeline.is_lost

    def look(self: Lifeline, *one: Any, **more: Any) -> bool:
        asked.append(is_lost(self, *one, **more))
        return asked[-1]

    monkeypatch.setattr(Lifeline, "is_lost", look)
    assert within(10, lambda: len(asked) > 10)
    assert not any(asked) and logger.stats.in_flight == 1 and not logger.stats.dropped_total
    logger.close(0)


def test_events_are_dropped_while_no_producer_can_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logger = PredictionLogger(NOBODY, model="credit", version="3")

    def fail(config: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("tidegauge.producer.sender.Producer", fail)
    logger.log(features=FEATURES)
    logger.log(features=FEATURES)
    assert logger.flush(0) == 0
    assert logger.stats.dropped["unavailable"] == 2
    assert logger.close() == 0
    assert "can't start new thread" in caplog.text


def test_close_does_not_wait_for_a_producer_whose_threads_never_end(
    mock_cluster: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As librdkafka's do while a name is being resolved, which nothing can interrupt."""
    resolved = threading.Event()

    class Resolving:
        def __init__(self, config: dict[str, Any]) -> None:
            self._real = Producer(config)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def __len__(self) -> int:
            return len(self._real)

        def __del__(self) -> None:
            resolved.wait(30)

    monkeypatch.setattr("tidegauge.producer.sender.Producer", Resolving)
    logger = PredictionLogger(mock_cluster, topic=topic, model="credit", version="3")
    logger.log(features=FEATURES)
    started = time.monotonic()
    assert logger.close() == 0
    assert time.monotonic() - started < 15
    assert logger.stats.delivered == 1
    assert not resolved.is_set()
    resolved.set()
