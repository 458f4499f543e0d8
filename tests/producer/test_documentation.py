"""The examples of docs/producing.md, as they are printed there."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import msgspec
import pyarrow as pa
import pytest
from confluent_kafka import Message, Producer

from tidegauge import PredictionLogger
from tidegauge.contract import read_receipt
from tidegauge.contract.prediction import PredictionEvent
from tidegauge.producer.counters import DropReason, LeftOutReason

TEXT = (Path(__file__).parents[2] / "docs" / "producing.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_python_examples_do_what_they_say(
    mock_cluster: str, topic: str, read: Callable[[int], list[Message]]
) -> None:
    first, _, batch, receipts, arrow = blocks("python")
    names: dict[str, Any] = {
        "pa": pa,
        "model": SimpleNamespace(score=lambda request: (0.25, 12.5)),
        "incomes": [52_000.0, 61_200.0],
        "regions": ["EU", "US"],
        "scores": [0.25, 0.5],
        "times": [1772366400.5, 1772366401.5],
        "producer": Producer({"bootstrap.servers": mock_cluster}),
    }
    first = first.replace('"localhost:9092"', f'"{mock_cluster}", topic="{topic}"')
    exec(first, names)  # noqa: S102
    names["predict"](SimpleNamespace(income=52_000.0, region="EU", id="a"))
    exec(batch, names)  # noqa: S102
    exec(arrow.replace('"predictions"', f'"{topic}"'), names)  # noqa: S102
    assert names["producer"].flush(10) == 0
    before: PredictionLogger = names["logger"]
    exec(receipts.replace('"localhost:9092"', f'"{mock_cluster}", topic="{topic}-2"'), names)  # noqa: S102
    assert read_receipt(names["receipt"]).prediction == 0.25
    names["logger"].close()
    names["logger"] = before
    logger: PredictionLogger = names["logger"]
    assert logger.close() == 0
    assert (logger.stats.delivered, logger.stats.dropped_total) == (3, 0)

    payloads = sorted((m.value() or b"" for m in read(3)), key=len)
    event = msgspec.json.decode(payloads[0], type=PredictionEvent)
    assert event.features == {"income": 52_000.0, "region": "EU"}
    by_hand, by_logger = (pa.ipc.open_stream(payload).read_all() for payload in payloads[1:])
    assert by_hand["features"].to_pylist() == by_logger["features"].to_pylist()
    assert by_hand.schema.metadata == by_logger.schema.metadata


def test_the_json_example_is_an_event() -> None:
    (example,) = blocks("json")
    assert msgspec.json.decode(example, type=PredictionEvent).model == "credit"


@pytest.mark.parametrize("reason", [*get_args(DropReason), *get_args(LeftOutReason)])
def test_every_reason_for_a_drop_is_explained(reason: str) -> None:
    assert f"| `{reason}` |" in TEXT
