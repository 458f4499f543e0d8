"""Writes one frame as training files, and as the messages of each way of sending it.

``python frame_child.py pandas|polars FOLDER``; the library is where PYTHONPATH says.
"""

import datetime
import json
import random
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tidegauge.producer.arrow import messages, record_batch
from tidegauge.producer.events import encode_event
from tidegauge.producer.values import row_count

ROWS = 900
TIME = 1_750_000_010.0

Columns = dict[str, list[Any]]


def columns() -> Columns:
    """Return columns of every type, most of them with values missing; None where one is."""
    dice = random.Random(7)
    day = datetime.datetime(2026, 3, 1, 12)  # noqa: DTZ001 - as frames have it

    def some(value: Any, share: float = 0.2) -> Any:
        return None if dice.random() < share else value

    return {
        "amount": [some(round(dice.gauss(50, 9), 4)) for _ in range(ROWS)],
        "full": [round(dice.gauss(5, 2), 4) for _ in range(ROWS)],
        "whole": [some(dice.randrange(200)) for _ in range(ROWS)],
        "count": [dice.randrange(90) for _ in range(ROWS)],
        "flag": [some(dice.random() < 0.3) for _ in range(ROWS)],
        "sure": [dice.random() < 0.6 for _ in range(ROWS)],
        "region": [some(dice.choice(["eu", "us", "apac"])) for _ in range(ROWS)],
        "code": [f"{dice.randrange(1, 20):02}" for _ in range(ROWS)],
        "tier": [some(dice.choice(["gold", "tin"])) for _ in range(ROWS)],
        "at": [some(day + datetime.timedelta(hours=i)) for i in range(ROWS)],
        "day": [(day + datetime.timedelta(days=i % 90)).date() for i in range(ROWS)],
    }


def batch(frame: Any) -> list[bytes]:
    """Return what log_batch sends."""

    def refuse(reason: str, detail: str) -> None:
        raise AssertionError(f"{reason}: {detail}")

    found = record_batch(
        frame, rows=row_count(frame), model="m", version="1", variant="", time=TIME,
        leave_out=refuse,
    )  # fmt: skip
    return [payload for payload, _ in messages(found)]


def rows(records: Iterable[dict[str, Any]]) -> list[bytes]:
    """Return what log sends."""
    return [
        encode_event(time=TIME, model="m", version="1", variant="", features=dict(it))
        for it in records
    ]


def by_pandas(folder: Path) -> dict[str, list[bytes]]:
    import pandas as pd
    import pyarrow as pa

    data = columns()
    frame = pd.DataFrame(data).astype({"tier": "category"})
    assert str(frame["amount"].dtype) == str(frame["whole"].dtype) == "float64"
    frame.to_parquet(folder / "rows.parquet")
    frame.to_csv(folder / "rows.csv", index=False)
    frame.to_csv(folder / "rows.de.csv", index=False, sep=";", decimal=",")
    frame.to_json(folder / "rows.ndjson", orient="records", lines=True, date_format="iso")
    frame.to_json(folder / "rows.json", orient="records", date_format="iso")
    frame.to_feather(folder / "rows.feather")
    twice = pd.concat([frame.iloc[:400], frame.iloc[400:]])
    arrow_backed = frame.astype({"tier": "object"}).convert_dtypes(dtype_backend="pyarrow")
    return {
        "log_batch of the frame": batch(frame),
        "log_batch of a frame in chunks": batch(twice),
        "log_batch of convert_dtypes": batch(frame.convert_dtypes()),
        "log_batch of Arrow types": batch(arrow_backed),
        "log_batch of a dict of Series": batch({name: frame[name] for name in frame}),
        "log_batch of a table": batch(pa.Table.from_pandas(frame)),
        "log_batch of records": batch(frame.astype({"tier": "object"}).to_dict("records")),
        "log of records": rows(frame.to_dict("records")),
        "log of rows": rows(dict(row) for _, row in frame.iterrows()),
        "log of JSON": rows(json.loads(frame.to_json(orient="records", date_format="iso"))),
    }


def by_polars(folder: Path) -> dict[str, list[bytes]]:
    import polars as pl

    frame = pl.DataFrame(columns()).with_columns(pl.col("tier").cast(pl.Categorical))
    frame.write_parquet(folder / "rows.parquet")
    frame.write_csv(folder / "rows.csv")
    frame.write_ndjson(folder / "rows.ndjson")
    frame.write_ipc(folder / "rows.arrow")
    # As pandas would have it: NaN for missing numbers.
    with_nan = frame.with_columns(
        pl.col("amount", "whole").cast(pl.Float64).fill_null(float("nan"))
    )
    with_nan.write_parquet(folder / "rows.nan.parquet")
    return {
        "log_batch of the frame": batch(frame),
        "log_batch of a dict of Series": batch({it.name: it for it in frame.get_columns()}),
        "log_batch of lists": batch(frame.to_dict(as_series=False)),
        "log_batch of NumPy arrays": batch(
            {it.name: it.to_numpy() for it in frame.get_columns() if it.name not in ("at", "day")}
        ),
        "log_batch of NaN": batch(with_nan),
        "log of rows": rows(frame.iter_rows(named=True)),
        "log of NaN": rows(with_nan.iter_rows(named=True)),
    }


def main() -> None:
    library, folder = sys.argv[1], Path(sys.argv[2])
    ways = by_pandas(folder) if library == "pandas" else by_polars(folder)
    told = {way: [payload.hex() for payload in its] for way, its in ways.items()}
    (folder / "ways.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
