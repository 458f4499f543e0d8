"""Small makings of INGEST's pure side: messages, a baseline with every kind of signal, counters."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from tidegauge.baseline.document import Baseline, CategoricalSignal, NumericSignal
from tidegauge.config.sections import IngestSettings, WindowSettings
from tidegauge.contract.histogram import Cell
from tidegauge.counting.counter import Counter, Promoted
from tidegauge.counting.decode.arrow_size import Limits
from tidegauge.counting.prediction_router import PredictionRouter
from tidegauge.counting.tenure import Position, Tenure

#: What the clock of these tests says; the start of a minute.
NOW = 1_750_000_020.0

#: What a batch may hold where nothing else is set.
LIMITS = Limits.of(IngestSettings())

#: Model, version, baseline, variant, segment, window start.
CellName = tuple[str, str, str, str, tuple[tuple[str, str], ...], int]


@dataclass
class FakeMessage:
    """What the counter uses of a Kafka message."""

    payload: bytes | None
    at_partition: int = 0
    at_offset: int = 0
    problem: object | None = None
    at_ms: int = round(1000 * (NOW - 5))

    def headers(self) -> None:
        raise AssertionError("a header whose name is not UTF-8 would end the process")

    def value(self) -> bytes | None:
        return self.payload

    def partition(self) -> int:
        return self.at_partition

    def offset(self) -> int:
        return self.at_offset

    def error(self) -> object | None:
        return self.problem

    def timestamp(self) -> tuple[int, int]:
        return 1, self.at_ms


def numeric(edges: list[float], counts: list[int] | None = None) -> NumericSignal:
    return NumericSignal(
        edges=edges, counts=counts or [10] * (len(edges) + 1), missing=0, nan=0,
        mean=0.0, std=1.0, minimum=-1.0, maximum=1.0,
    )  # fmt: skip


def categorical(
    dtype: str, categories: list[str], known: Iterable[str] = (), *, complete: bool = True
) -> CategoricalSignal:
    return CategoricalSignal(
        dtype=dtype,  # type: ignore[arg-type]
        categories=categories,
        known=list(known),
        known_complete=complete,
        counts=[10] * (len(categories) + 1) + [0],
        missing=0,
    )


def a_baseline(version: str = "1", **signals: Any) -> Baseline:
    """One signal of each kind that a baseline can have, or those given."""
    return Baseline(
        model="m",
        version=version,
        rows=100,
        source="test",
        signals=signals
        or {
            "amount": numeric([-1.0, 0.0, 0.5, 100.0]),
            "size": numeric([]),
            "prediction": numeric([0.25, 0.75]),
            "country": categorical("string", ["FR", "DE"], ["IT", "true"]),
            "city": categorical("string", ["Paris"], ["Rome"], complete=False),
            "rooms": categorical("integer", ["3", "-7"], ["12"]),
            "member": categorical("boolean", ["true", "false"]),
            "label": categorical("string", ["yes", "no"]),
        },
    )


def promote(*baselines: Baseline) -> dict[tuple[str, str], tuple[str, Baseline]]:
    return {(b.model, b.version): (b.id, b) for b in baselines}


def a_counter(*, predictions: PredictionRouter | None = None, **settings: Any) -> Counter:
    return Counter(
        source="predictions",
        settings=IngestSettings(**settings),
        window_of=lambda model: WindowSettings(),
        clock=lambda: NOW,
        predictions=predictions,
    )


def a_tenure(*partitions: int) -> Tenure:
    return Tenure(
        began=NOW,
        positions={
            p: Position(origin=0, start=0, since=0, to=0, arrived=NOW) for p in partitions or (0,)
        },
    )


def event(**fields: Any) -> dict[str, Any]:
    return {"time": NOW - 10, "model": "m", "version": "1", **fields}


def as_json(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields).encode()


def as_arrow(columns: Mapping[str, pa.Array], metadata: Mapping[str, str] | None = None) -> bytes:
    named = {"model": "m", "version": "1"} if metadata is None else dict(metadata)
    table = pa.table(dict(columns)).replace_schema_metadata(named)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def messages(values: Sequence[bytes | None]) -> list[FakeMessage]:
    return [FakeMessage(value, 0, offset) for offset, value in enumerate(values)]


def count(counter: Counter, tenure: Tenure, *batches: Sequence[bytes | None]) -> None:
    """Count batches one after the other, and settle."""
    for batch in batches:
        counter.count(messages(batch), tenure)
    counter.settle(tenure)


def cells_of(tenure: Tenure) -> dict[CellName, Cell]:
    cells = [cell.to_record() for cell in tenure.cells.values()]
    return {
        (c.model, c.version, c.baseline, c.variant, tuple(c.segment.items()), c.window_start): c
        for c in cells
    }


def counted(
    values: Sequence[bytes | None], promoted: Promoted, **settings: Any
) -> dict[CellName, Cell]:
    """Count values with a counter of their own; none may be refused."""
    counter, tenure = a_counter(**settings), a_tenure()
    counter.use(promoted, tenure)
    count(counter, tenure, values)
    assert counter.dead_letters == []
    return cells_of(tenure)


def assert_same_cells(found: Mapping[CellName, Cell], expected: Mapping[CellName, Cell]) -> None:
    """Every field equal; sums of floats up to the order of their addition."""
    assert found.keys() == expected.keys()
    for name, cell in expected.items():
        mine = msgspec.to_builtins(found[name])
        theirs = msgspec.to_builtins(cell)
        assert mine["signals"].keys() == theirs["signals"].keys()
        for signal, histogram in theirs["signals"].items():
            for total in ("sum", "sumsq"):
                assert mine["signals"][signal].pop(total, 0.0) == pytest.approx(
                    histogram.pop(total, 0.0), rel=1e-9, abs=1e-6
                ), (signal, total)
        assert mine == theirs
