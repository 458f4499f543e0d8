"""Records that nobody can count, one of each kind a producer has been seen to send."""

import io
import random

import pyarrow as pa

TEN_MEGABYTES = 10 * 1024 * 1024


def bad_records(dice: random.Random, now: float, time: float) -> list[bytes | None]:
    """Return one record of every kind, in random order.

    ``time`` is the event time of the one sound row that a batch of bad ones has.
    """
    model = f'"model":"{dice.choice(["credit", "fraud", "ranker"])}","version":"3"'
    good = f'{{"time":{now - 30:.3f},{model},"features":{{"amount":1.5}}}}'
    rest = f'{model},"features":{{"amount":{dice.random()}}}'
    records: list[bytes | None] = [
        None,
        b"",
        b" ",
        good[: dice.randrange(1, len(good) - 1)].encode(),  # cut off
        good.encode() + b"}",
        good.encode() + good.encode(),
        good.replace("amount", "am").encode()[:-2] + b'"\xff\xfe":1}}',
        f'{{"note":"\u00e9",{rest},"time":{now}}}'.encode("latin-1"),
        good.encode("utf-16"),
        b"[" + good.encode() + b"]",
        b"null",
        b"17.5",
        b'"hello"',
        f'{{"time":{now},"version":"3","features":{{}}}}'.encode(),
        f'{{"time":{now},"model":"credit","features":{{}}}}'.encode(),
        f'{{"time":{now},"model":"","version":"3"}}'.encode(),
        f'{{"time":{now},"model":"credit","version":3}}'.encode(),
        f'{{"time":{now},"model":["credit"],"version":"3"}}'.encode(),
        f'{{"time":{now},"model":"{"x" * 201}","version":"3"}}'.encode(),
        f'{{"time":{now},"model":"credit","version":"3","features":[1,2]}}'.encode(),
        f'{{"time":{now},"model":"credit","version":"3","features":"amount=1"}}'.encode(),
        f'{{"time":{now},"model":"credit","version":"3","variant":7}}'.encode(),
        f'{{"time":{now},"model":"\\ud800","version":"3"}}'.encode(),  # half a surrogate pair
        f'{{"time":{now},{model},"variant":"\\udfff"}}'.encode(),
        b'{"features":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,  # too deep for any reader
        f"{{{rest}}}".encode(),
        f'{{"time":null,{rest}}}'.encode(),
        f'{{"time":true,{rest}}}'.encode(),
        f'{{"time":"yesterday",{rest}}}'.encode(),
        f'{{"time":"2024-05-01T10:00:00",{rest}}}'.encode(),  # no offset
        f'{{"time":"{now}",{rest}}}'.encode(),
        f'{{"time":NaN,{rest}}}'.encode(),
        f'{{"time":0,{rest}}}'.encode(),
        f'{{"time":"1970-01-01T00:00:00Z",{rest}}}'.encode(),
        f'{{"time":-1e12,{rest}}}'.encode(),
        f'{{"time":20200,{rest}}}'.encode(),  # days
        f'{{"time":7258118400,{rest}}}'.encode(),  # the year 2200
        f'{{"time":"2200-01-01T00:00:00+02:00",{rest}}}'.encode(),
        f'{{"time":{int(now * 1000)},{rest}}}'.encode(),  # milliseconds
        f'{{"time":{int(now * 1e9)},{rest}}}'.encode(),  # nanoseconds
        b"\xff\xff\xff\xff\x00\x01 not an Arrow stream",
        _batch({"time": pa.array([now])}, {})[:-30],
        _batch({"time": pa.array([now])}, {"model": "credit"}),
        _batch_with_bad_rows(now, time),
    ]
    dice.shuffle(records)
    return records


def huge_record(now: float) -> bytes:
    """Return an otherwise sound event of 10 MB."""
    padding = "x" * TEN_MEGABYTES
    return f'{{"time":{now - 60},"model":"credit","version":"3","note":"{padding}"}}'.encode()


def _batch(columns: dict[str, pa.Array], metadata: dict[str, str]) -> bytes:
    table = pa.table(columns).replace_schema_metadata(metadata)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _batch_with_bad_rows(now: float, time: float) -> bytes:
    """Rows 0, 2 and 3 have times that can't be true; row 1 is sound."""
    return _batch(
        {
            "time": pa.array([0.0, time, 7258118400.0, now * 1000]),
            "prediction": pa.array([1.0, 2.0, 3.0, 4.0]),
        },
        {"model": "ranker", "version": "1"},
    )
