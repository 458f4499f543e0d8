"""What fuzzing begins with: sound records of each topic, and those that once did harm."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from support.counting import NOW, as_json, event

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "schemas" / "examples"
HOSTILE = ROOT / "tests" / "counting" / "hostile"

#: What mutations put in whole: names and tokens that chance would not spell.
WORDS = (
    '"time":', '"model":"m"', '"version":"1"', '"variant":', '"features":{', '"segments":{',
    '"region":', '"amount":', '"country":"FR"', '"rooms":3', '"member":true', '"prediction":',
    '"label":', '"id":', '"latency_ms":', '"status":"ok"', '"NaN"', "NaN", "-Infinity", "1e999",
    "null", "9223372036854775808", "1750000010", '"2025-06-15T15:06:50Z"', "\\ud800", "\\udc00",
    "\\u0000", "[[[[[[[[[[[[", '{"a":{"a":{"a":', '"specversion":"1.0"', '"data":{',
    '"data_base64":"', '"ranges":{}', '"cells":[', '"signals":{', '"clocks":{', '"counts":[-1]',
    '"seq":', '"actual":1', '"receipt":"tg1.', '"revision":', '"retracted":true',
)  # fmt: skip


def events() -> Iterator[bytes]:
    """Yield JSON events."""
    for path in sorted(EXAMPLES.glob("prediction-event*.json")):
        yield path.read_bytes()
    for path in sorted(HOSTILE.glob("*.json")):
        yield path.read_bytes()
    full = event(
        features={"amount": 0.5, "size": -1, "country": "FR", "rooms": 3, "member": True},
        segments={"region": "EU"}, prediction=0.25, latency_ms=12.5, status="ok", variant="canary",
        id="order 1", label="yes",
    )  # fmt: skip
    yield as_json(full)
    yield as_json({**full, "features": {"amount": "NaN", "country": None}, "time": "2025-06-15"})
    yield as_json({"specversion": "1.0", "id": "1", "data": full})
    yield as_json({"specversion": "1.0", "id": "1", "data_base64": "e30="})
    yield b"\xef\xbb\xbf" + as_json(full)
    yield b"\0\0\0\0\7" + as_json(full)


def _streams() -> Iterator[bytes]:
    times = pa.array([NOW, NOW - 1.5, NOW - 70])
    ticks = pa.array([1_750_000_000_000] * 3, pa.timestamp("ms", "UTC"))
    text = pa.array(["FR", None, "DE"])
    numbers = pa.array([0.5, None, float("nan")])
    plain: Mapping[str, pa.Array] = {"amount": numbers, "size": pa.array([1, 2, 3])}
    of_text = {"country": text.dictionary_encode(), "city": text, "member": pa.nulls(3)}
    odd = {
        "amount": pa.array([True, None, False]),
        "country": text.cast(pa.string_view()),
        "city": pa.RunEndEncodedArray.from_arrays(pa.array([3], pa.int32()), pa.array(["x"])),
        "rooms": pa.array([[1], [], None]),
        "member": pa.array([1, 2, 3], pa.decimal128(10, 2)),
    }
    for features in (plain, of_text, odd, {}):
        for time in (times, ticks):
            columns = {"time": time, "prediction": numbers, "status": text}
            if features:
                columns["features"] = pa.StructArray.from_arrays(
                    list(features.values()), names=list(features)
                )
            columns["segments"] = pa.StructArray.from_arrays([text], names=["region"])
            for compression in (None, "zstd", "lz4"):
                yield _stream(columns, {"model": "m", "version": "1"}, compression)
    ids = pa.array(["order 1", None, ""])
    yield _stream({**columns, "id": ids, "label": text}, {"model": "m", "version": "1"}, None)
    named = {"time": times, "model": pa.array(["m", "m", None]), "version": pa.array(["1"] * 3)}
    yield _stream(named, {}, None)


def _stream(
    columns: Mapping[str, pa.Array], metadata: Mapping[str, str], compression: str | None
) -> bytes:
    table = pa.table(dict(columns)).replace_schema_metadata(dict(metadata))
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=True)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def streams() -> Iterator[bytes]:
    """Yield Arrow streams of all kinds of columns, and those that once did harm."""
    yield from _streams()
    for path in sorted(HOSTILE.glob("*.arrows")):
        yield path.read_bytes()


def records(*names: str) -> Iterator[bytes]:
    """Yield the examples of records of these names."""
    for name in names:
        for path in sorted(EXAMPLES.glob(f"{name}.*json")):
            yield path.read_bytes()
        yield b'{"note":' + b"[" * 3_000 + b"]" * 3_000 + b"}"
