"""Receipts that a PredictionLogger returns: of the same prediction as its event, whatever it is."""

import datetime as dt
import os
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tidegauge import PredictionLogger
from tidegauge.contract import PredictionEvent, Receipt, class_text, epoch_seconds, read_receipt

NOBODY = "127.0.0.1:1"
KEY = "0123456789abcdef"


def logger_of(address: str = NOBODY, **more: Any) -> PredictionLogger:
    more = {"model": "credit", "version": "3", "config": {"log_level": 0}} | more
    return PredictionLogger(address, receipts=True, **more)


CALLS: list[dict[str, Any]] = [
    {"prediction": 0.25, "id": "a"},
    {"prediction": np.float64(0.25), "label": np.int64(1), "id": np.int64(17)},
    {"prediction": np.float32(0.25), "label": np.str_("yes"), "variant": "canary", "id": "c"},
    {"prediction": Decimal("0.25"), "label": 1.0, "segments": {"age": 41, "region": None}, "id": 4},
    {"prediction": 1, "label": True, "segments": {"region": "EU"}, "id": "e"},
    {"prediction": float("nan"), "label": "no", "id": "f"},
    {"label": "only", "time": dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "id": "g"},
    {"prediction": None, "model": "other", "version": "1", "time": 7, "id": "h"},
]


def test_a_receipt_has_what_the_event_has(
    mock_cluster: str, topic: str, read_events: Callable[[int], list[PredictionEvent]]
) -> None:
    with logger_of(mock_cluster, topic=topic, receipt_key=KEY) as logger:
        receipts = [logger.log(features={"x": 1}, **call) for call in CALLS]
        assert logger.flush() == 0
        assert logger.stats.left_out["no_receipt"] == 0
    events = {event.id: event for event in read_events(len(CALLS))}
    for receipt in receipts:
        found = read_receipt(receipt, (KEY.encode(),))
        event = events[found.id]
        assert (found.model, found.version, found.variant) == (
            event.model, event.version, event.variant,
        )  # fmt: skip
        assert found.time == epoch_seconds(event.time)
        assert found.prediction == (
            event.prediction if isinstance(event.prediction, float) else None
        )
        assert (found.segments or {}) == event.segments
        assert (None if found.label is None else class_text(found.label)) == (
            None if not isinstance(event.label, str | int | bool) else class_text(event.label)
        )


def test_a_prediction_without_an_id_has_one_of_its_own_in_its_receipt() -> None:
    one, other = logger_of(), logger_of()
    ids = {read(it.log(features={})).id for it in (one, other) for _ in range(50)}
    assert len(ids) == 100 and None not in ids
    for it in (one, other):
        it.close(0)


def read(receipt: str) -> Receipt:
    return read_receipt(receipt)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_children_of_a_fork_give_other_ids() -> None:
    logger = logger_of()
    end, start = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(start, logger.log(features={}).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(end, 10_000).decode()
    os.close(end)
    os.close(start)
    assert read(theirs).id != read(logger.log(features={})).id
    logger.close(0)


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")

    def item(self) -> object:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "call",
    [
        {"prediction": [0.5]},
        {"prediction": Hostile()},
        {"label": "\udc00"},
        {"segments": {"a": Hostile()}},
        {"segments": 7},
        {"time": "yesterday"},
        {"time": dt.datetime(2026, 3, 1)},  # noqa: DTZ001
        {"time": 1_772_323_200_500},
        {"model": ""},
        {"version": "v" * 201},
        {"label": 10**30},
        {"segments": {f"d{i}": "x" * 200 for i in range(50)}},
    ],
)
def test_where_no_receipt_can_be_made_there_is_an_empty_one_and_a_counter(
    call: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    logger = logger_of()
    assert logger.log(features={"x": 1}, **call) == ""
    assert logger.stats.left_out["no_receipt"] == 1
    logger.close(0)
    assert any("no receipt: " in it for it in caplog.messages)


def test_without_being_asked_for_there_is_none() -> None:
    logger = PredictionLogger(NOBODY, model="m", version="1", config={"log_level": 0})
    assert logger.log(features={}) == ""
    assert logger.stats.left_out["no_receipt"] == 0
    logger.close(0)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"receipts": True, "receipt_key": "short"}, "5 bytes, expected 16"),
        ({"receipt_key": KEY}, "receipts is not True"),
    ],
)
def test_a_wrong_key_is_refused_at_once(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        PredictionLogger(NOBODY, model="m", version="1", **options)


def test_a_receipt_is_given_while_the_brokers_are_away_and_after_close() -> None:
    logger = logger_of(max_queued=1)
    before = time.monotonic()
    assert all(logger.log(features={}) for _ in range(10))
    logger.close(0)
    assert logger.log(features={})
    assert time.monotonic() - before < 10
    assert logger.stats.dropped_total == 11
