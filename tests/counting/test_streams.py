"""A batch is read the same whether its stream begins like one before or not."""

import io
from collections.abc import Sequence

import pyarrow as pa
import pytest

from support.counting import LIMITS
from tidegauge.counting.decode import arrow_stream
from tidegauge.counting.decode.arrow import Batch
from tidegauge.counting.decode.arrow_stream import Streams
from tidegauge.counting.decode.reference import RefusedError

COUNTRIES = pa.array(["FR", None, "DE"]).dictionary_encode()
PLAIN = pa.table({"time": [1.0, 2.0, 3.0], "prediction": [0.5, None, 0.25]})
ENCODED = PLAIN.append_column("country", COUNTRIES)
END = b"\xff\xff\xff\xff\0\0\0\0"


NAMED = {"model": "m", "version": "1", "variant": "v"}


def _stream(
    table: pa.Table,
    *,
    batches: int = 1,
    compression: str | None = None,
    metadata: dict[str, str] | None = None,
) -> bytes:
    table = table.replace_schema_metadata(NAMED if metadata is None else metadata)
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        for _ in range(batches):
            writer.write_table(table)
    return sink.getvalue()


STREAM = _stream(PLAIN)


def _warm(streams: Sequence[bytes]) -> Streams:
    warm = Streams(LIMITS)
    for one in streams:
        warm.read(one)
    return warm


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(STREAM, id="one batch"),
        pytest.param(STREAM.removesuffix(END), id="no end"),
        pytest.param(_stream(PLAIN, batches=3), id="three batches"),
        pytest.param(_stream(PLAIN, batches=0), id="no batch"),
        pytest.param(_stream(PLAIN, compression="lz4"), id="compressed"),
        pytest.param(_stream(ENCODED), id="dictionary"),
        pytest.param(_stream(ENCODED, batches=2), id="two batches with a dictionary"),
    ],
)
def test_a_stream_that_begins_as_one_before_is_read_as_the_first(stream: bytes) -> None:
    fresh = Streams(LIMITS).read(stream)
    again = _warm([STREAM, _stream(ENCODED), stream]).read(stream)
    assert again.table.to_pylist() == fresh.table.to_pylist()
    assert again.table.schema == fresh.table.schema
    assert again.identity == fresh.identity == ("m", "1", "v")
    joined = Batch.joined([fresh, again, again]).table
    assert joined.num_rows == 3 * fresh.table.num_rows


@pytest.mark.parametrize("damage", ["cut", "garbage at the end", "garbage in the middle"])
def test_a_damaged_stream_is_refused_however_it_begins(damage: str) -> None:
    middle = len(STREAM) - len(END) - 150
    damaged = {
        "cut": STREAM[:-40],
        "garbage at the end": STREAM.removesuffix(END) + b"garbage",
        "garbage in the middle": STREAM[:middle] + b"\xff" * 60 + STREAM[middle + 60 :],
    }[damage]
    for streams in (Streams(LIMITS), _warm([STREAM])):
        with pytest.raises(RefusedError):
            streams.read(damaged)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_stream, "HEAD_BYTES", 4_000)
    streams = Streams(LIMITS)
    for number in range(100):
        table = PLAIN.append_column(f"column {number}", pa.array([1, 2, 3]))
        assert streams.read(_stream(table)).table.num_rows == 3
    kept = sum(map(len, streams._known))
    assert 1_000 < kept <= 4_000


def _nameless(columns: int) -> bytes:
    table = pa.table({f"column {number}": [1.0] for number in range(columns)})
    return _stream(table, metadata={})


@pytest.mark.parametrize(
    ("stream", "reason"),
    [(_nameless(20), "invalid_arrow"), (_stream(pa.table({"time": pa.nulls(10**9)})), "too_large")],
)
def test_what_is_refused_for_its_beginning_is_not_measured_again(
    stream: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> tuple[str, str]:
        with pytest.raises(RefusedError) as caught:
            streams.read(stream)
        return caught.value.reason, caught.value.detail

    def fail(*_: object) -> None:
        raise AssertionError("measured again")

    streams = Streams(LIMITS)
    first = refused()
    monkeypatch.setattr(arrow_stream, "measure_schema", fail)
    monkeypatch.setattr(arrow_stream, "_read", fail)
    assert refused() == refused() == first
    assert first[0] == reason


def test_what_is_remembered_of_refused_streams_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_stream, "HEAD_BYTES", 4_000)
    monkeypatch.setattr(arrow_stream, "UNREAD_HEAD_BYTES", 2_000)
    streams = Streams(LIMITS)
    for columns in range(2, 60):
        with pytest.raises(RefusedError, match="neither in the schema"):
            streams.read(_nameless(columns))
        assert sum(map(len, streams._known)) <= 4_000
    assert max(map(len, streams._known)) <= 2_000
