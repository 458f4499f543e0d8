"""OutcomeLogger: what it sends is a label, and what is none is dropped with the reason."""

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Message

from tidegauge import OutcomeLogger
from tidegauge.contract import Label, LabelledPrediction, read_label, receipt_writer

NOBODY = "127.0.0.1:1"
RECEIPT = receipt_writer(None)("credit", "3", "", 1772366413.75, 0.25, None, None, "r")
OWN: dict[str, Any] = {"model": "credit", "version": "3", "time": 1772366413.75, "prediction": 0.25}


def test_labels_arrive_as_they_are_meant(
    mock_cluster: str, topic: str, read: Callable[[int], list[Message]]
) -> None:
    with OutcomeLogger(mock_cluster, topic=topic, source="core-banking") as logger:
        logger.log(id="a", actual=1)
        logger.log(id=np.int64(17), actual=np.bool_(True), model="credit")
        logger.log(receipt=RECEIPT, actual=np.float32(0.5), revision=2)
        logger.log(
            **OWN, label=1.0, segments={"age": 41}, actual="yes",
            observed_at=dt.datetime(2026, 3, 19, tzinfo=dt.UTC),
        )  # fmt: skip
        logger.log(id="b", retracted=True, revision=1, actual=None)
        assert logger.flush() == 0
        stats = logger.stats
    assert (stats.logged, stats.delivered, stats.dropped_total) == (5, 5, 0)
    payloads = [message.value() or b"" for message in read(5)]
    assert all(b'"source":"core-banking"' in payload for payload in payloads)
    found = {label.id: label for label in map(read_label, payloads)}
    assert found["a"] == Label(
        actual=1.0, id="a", model=None, prediction=None, revision=0, retracted=False
    )
    assert (found["17"].actual, found["17"].model) == ("true", "credit")
    assert (found["r"].actual, found["r"].revision) == (0.5, 2)
    assert found[None].prediction == LabelledPrediction(
        model="credit", version="3", variant="", time=1772366413.75, prediction=0.25, label="1",
        segments={"age": "41"},
    )  # fmt: skip
    assert found["b"].retracted and found["b"].actual is None


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"actual": 1}, "names no prediction"),
    ({"id": "a"}, "actual is missing"),
    ({"id": "a", "actual": None}, "actual is None"),
    ({"id": "a", "actual": float("nan")}, "actual is NaN"),
    ({"id": "a", "actual": float("inf")}, "actual is Infinity"),
    ({"id": "a", "actual": [1]}, "actual is of type list"),
    ({"id": "a", "actual": ""}, "0 characters"),
    ({"id": "", "actual": 1}, "length >= 1"),
    ({"id": [1], "actual": 1}, "id is of type list"),
    ({"receipt": "", "actual": 1}, "length >= 1"),
    ({"receipt": "9d0f", "actual": 1}, "expected tg1."),
    ({"receipt": RECEIPT, "id": "a", "actual": 1}, "id stands beside a receipt"),
    ({**OWN, "prediction": float("nan"), "actual": 1}, "prediction is NaN"),
    ({**OWN, "time": dt.datetime(2026, 3, 1), "actual": 1}, "without a zone"),  # noqa: DTZ001
    ({"id": "a", "actual": 1, "revision": 1.5}, "revision"),
    ({"id": "a", "actual": 1, "retracted": "yes"}, "retracted"),
    ({"id": "a", "actual": "\udc00"}, "surrogate"),
]


@pytest.mark.parametrize(("call", "why"), WRONG)
def test_what_is_no_label_is_dropped_and_said(
    call: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with OutcomeLogger(NOBODY, config={"log_level": 0}) as logger:
        logger.log(**call)
        assert logger.flush(5) == 0
    assert logger.stats.dropped["unencodable"] == 1
    [line] = [it for it in caplog.messages if it.startswith("dropped 1 label event(s)")]
    assert why in line


def test_a_time_in_milliseconds_and_a_wrong_observed_at_are_told_apart(
    mock_cluster: str, topic: str
) -> None:
    with OutcomeLogger(mock_cluster, topic=topic) as logger:
        logger.log(**{**OWN, "time": 1_772_366_413_750}, actual=1)
        logger.log(id="a", actual=1, observed_at="last week")
        assert logger.flush() == 0
    assert (logger.stats.dropped["bad_time"], logger.stats.delivered) == (1, 1)
    assert logger.stats.left_out["bad_value"] == 1


def test_counters_are_exact_from_several_threads_with_the_brokers_away() -> None:
    logger = OutcomeLogger(NOBODY, config={"log_level": 0}, max_queued=100)

    def send() -> None:
        for i in range(500):
            logger.log(id=str(i), actual=1)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logger.close(0)
    logger.log(id="late", actual=1)
    stats = logger.stats
    assert (stats.logged, stats.delivered, stats.in_flight) == (2_001, 0, 0)
    assert stats.dropped["closed"] == 1


def test_a_wrong_configuration_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="topic is empty"):
        OutcomeLogger(NOBODY, topic="")
    with pytest.raises(ValueError, match=r"no\.such"):
        OutcomeLogger(NOBODY, config={"no.such": 1})
