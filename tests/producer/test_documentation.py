"""The examples of docs/producing.md and docs/outcomes.md, as they are printed there."""

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
from tidegauge.contract import LabelProblem, read_label, read_receipt
from tidegauge.contract.prediction import PredictionEvent
from tidegauge.producer.counters import DropReason, LeftOutReason

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "producing.md").read_text("utf-8")
LABELS = (DOCS / "outcomes.md").read_text("utf-8")


def blocks(language: str, text: str = TEXT) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


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


def test_the_python_examples_of_labels_do_what_they_say(
    mock_cluster: str, topic: str, read: Callable[[int], list[Message]]
) -> None:
    names: dict[str, Any] = {}
    for block in blocks("python", LABELS):
        block = block.replace(
            'OutcomeLogger("localhost:9092"', f'OutcomeLogger("{mock_cluster}", topic="{topic}"'
        )
        exec(block.replace("localhost:9092", mock_cluster), names)  # noqa: S102
    assert names["labels"].close() == 0
    names["predictions"].close()
    found = [read_label(message.value()) for message in read(4)]
    by_receipt = [one for one in found if one.prediction is not None]
    assert [one.actual for one in by_receipt] == ["defaulted"]
    assert sorted(one.revision for one in found if one.id == "9d0f6a1e") == [0, 1, 2]


@pytest.mark.parametrize("example", blocks("json", LABELS))
def test_each_json_example_of_a_label_is_one(example: str) -> None:
    assert read_label(example.encode()).actual in ("repaid", "defaulted")


@pytest.mark.parametrize("problem", get_args(LabelProblem))
def test_every_problem_of_a_label_is_explained(problem: str) -> None:
    table = LABELS.partition("| `label_problem` | cause |")[2]
    assert f"`{problem}`" in table
