"""The ways in which senders write a prediction event: JSON by hand, and Arrow batches.

Every choice of form keeps the value; what is spoiled is spoiled on purpose.
"""

import io
import json
import math
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa

Row = dict[str, Any]

_OFFSETS = [timedelta(0), timedelta(hours=5, minutes=30), timedelta(hours=-8), timedelta(hours=14)]


def _time_text(time: float, dice: random.Random) -> str:
    """Write an event time in one of the forms that are allowed."""
    form = dice.randrange(4)
    if form == 0:
        return repr(time)
    if form == 1:
        return f"{time:.3f}"
    moment = datetime.fromtimestamp(time, UTC)
    if form == 2:
        return f'"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"'
    local = moment.astimezone(timezone(dice.choice(_OFFSETS)))
    return f'"{local.isoformat(timespec="milliseconds")}"'


def _number_text(value: float, dice: random.Random) -> str:
    form = dice.randrange(8)
    if form == 0 and not isinstance(value, bool):
        return f"{value:.17e}"
    return json.dumps(value)


#: What hand-written JSON puts in place of a value, now and then.
_ODD_VALUES = [
    "null",
    '"NaN"',
    "[1, 2]",
    '{"a": 1}',
    '"Infinity"',
    '"-Infinity"',
    "NaN",
    "-Infinity",
    "1e400",
    "true",
    "false",
    '"12"',
    '"abc"',
    '""',
    '"n\\u006frth"',
    "7",
    "7.0",
    "7.25",
    "-0.0",
    '"never seen"',
]
#: More than 64 bits; only where no mean is watched.
_HUGE = "123456789012345678901234567890"


def hand_written(row: Row, dice: random.Random) -> bytes:
    """Write an event as JSON without a JSON library deciding how."""
    features: list[str] = []
    odd = dice.random() < 0.08
    spoiled = dice.choice(list(row["features"])) if odd else None
    for name, value in row["features"].items():
        if name == spoiled:
            if dice.random() < 0.2:
                continue  # absent
            text = dice.choice([*_ODD_VALUES, _HUGE])
        else:
            text = _number_text(value, dice) if isinstance(value, float) else json.dumps(value)
        features.append(f'"{name}":{text}')
    if dice.random() < 0.02:
        features.append('"unknown_feature":{"deep":[[[1]]]}')
    fields = [
        f'"time":{_time_text(row["time"], dice)}',
        f'"model":"{row["model"]}"',
        f'"version": "{row["version"]}"',
        f'"features":{{{", ".join(features)}}}',
    ]
    for name in ("prediction", "latency_ms"):
        chance = dice.random()
        if chance < 0.99:
            fields.append(f'"{name}":{_number_text(row[name], dice)}')
        elif chance < 0.995:
            fields.append(f'"{name}":{dice.choice(_ODD_VALUES)}')
    if dice.random() < 0.99:
        unusual = dice.choice(['"timeout"', "null", '"OK"', "200", "true"])
        status = unusual if dice.random() < 0.01 else f'"{row["status"]}"'
        fields.append(f'"status":{status}')
    if "label" in row:
        fields.append(f'"label":"{row["label"]}"')
    if row["variant"]:
        fields.append(f'"variant":"{row["variant"]}"')
    elif dice.random() < 0.3:
        fields.append(f'"variant":{dice.choice(["null", chr(34) * 2])}')
    if dice.random() < 0.1:
        fields.append('"note":"größer 東京 \\ud83d\\ude00"')
        fields.append('"segments":{"country":"FR"}')
    dice.shuffle(fields)
    return ("{" + ",".join(fields) + "}").encode()


def arrow_batch(
    model: str, version: str, variant: str, rows: list[Row], dice: random.Random
) -> bytes:
    """Encode rows of one model as an Arrow IPC stream; times and types vary as senders' do."""
    n = len(rows)
    seconds = [row["time"] for row in rows]
    millis = [round(time * 1000) for time in seconds]
    times = dice.choice([
        pa.array(seconds, pa.float64()),
        pa.array(millis, pa.timestamp("ms", "UTC")),
        pa.array([m * 1000 for m in millis], pa.timestamp("us", "Europe/Paris")),
        pa.array([m * 1_000_000 for m in millis], pa.timestamp("ns", "UTC")),
    ])  # fmt: skip
    features = {name: [row["features"][name] for row in rows] for name in rows[0]["features"]}
    arrays: dict[str, pa.Array] = {}
    for name, values in features.items():
        array = pa.array(_with_nans(values, dice))
        if pa.types.is_string(array.type) and dice.random() < 0.5:
            array = array.dictionary_encode()
        arrays[name] = array
    # A column that a sender left out; where it can't make an alert that the test must foresee.
    if variant and dice.random() < 0.3:
        del arrays[dice.choice(list(arrays))]
    columns: dict[str, pa.Array] = {
        "time": times,
        "prediction": pa.array([row["prediction"] for row in rows]),
        "features": pa.StructArray.from_arrays(list(arrays.values()), names=list(arrays)),
    }
    if dice.random() < 0.9:
        columns["latency_ms"] = pa.array(
            [None if dice.random() < 0.01 else row["latency_ms"] for row in rows]
        )
    if dice.random() < 0.9:
        columns["status"] = pa.array([row["status"] for row in rows])
    if "label" in rows[0]:
        columns["label"] = pa.array([row["label"] for row in rows])
    columns["unknown"] = pa.array([0] * n)
    metadata = {"model": model, "version": version} | ({"variant": variant} if variant else {})
    table = pa.table(columns).replace_schema_metadata(metadata)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _with_nans(values: list[Any], dice: random.Random) -> list[Any]:
    """Put a NaN, an infinity and a null into one column of numbers in five."""
    if dice.random() > 0.2 or not isinstance(values[0], float):
        return values
    values = list(values)
    for odd in (math.nan, -math.inf, None):
        values[dice.randrange(len(values))] = odd
    return values
