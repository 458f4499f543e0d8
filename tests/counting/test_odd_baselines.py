"""A baseline that is accepted, be it ever so odd, ends no counting: each event is counted once."""

from typing import Any

import pytest

from support.counting import (
    NOW,
    FakeMessage,
    a_baseline,
    a_counter,
    a_tenure,
    as_json,
    categorical,
    event,
    numeric,
    promote,
)
from tidegauge.baseline.validation import MAX_BINS, MAX_NAME_BYTES, read_baseline

SIGNALS: dict[str, Any] = {
    "integers beyond 64 bits": categorical("integer", ["1" * 400, "-5"], ["9" * 4_000]),
    "no categories": categorical("string", [], [], complete=False),
    "no truth": categorical("boolean", [], []),
    "odd categories": categorical("string", ["", "\x00", "\u2028", '"'], ["a" * 100_000]),
    "no edges": numeric([]),
    "most bins": numeric([float(i) for i in range(MAX_BINS - 1)], [0] * MAX_BINS),
    "extreme edges": numeric([-1.7e308, 5e-324, 1.7e308]),
}

NAMES = [
    *(
        'a"b',
        "a\\b",
        "a\nb",
        "a\x01",
        "a.b",
        " ",
        "f0",
        "__class__",
        "\u202e",
        "n" * MAX_NAME_BYTES,
    ),
    *("time", "model", "features", "segments", "id"),
]

VALUES = (1.0, "x", "", None, True, 5, -5, 10**400, 1e308, [1], {"a": 1})


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        *((name, signal) for name, signal in SIGNALS.items()),
        *((name, numeric([0.0])) for name in NAMES),
        *((name, categorical("string", ["x"])) for name in NAMES),
    ],
)
def test_events_are_counted_by_whatever_is_accepted(name: str, signal: Any) -> None:
    baseline = a_baseline(**{"other": numeric([0.0]), name: signal})
    baseline.rows = 1_000_000
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(read_baseline(baseline.to_json())), tenure)
    events = [event(features={name: value}) for value in VALUES] + [event(features={})]
    position = tenure.positions[0]
    for one in events:
        counter.count([FakeMessage(as_json(one), 0, position.to)], tenure)
        position.to += 1
    counter.settle(tenure)
    [cell] = tenure.cells.values()
    assert cell.events == len(events)
    counted = cell.to_record().signals[name]
    beside = counted.absent + counted.null + counted.nan + counted.invalid
    assert sum(counted.counts) + beside == len(events)
    records = tenure.records(
        now=NOW, monotonic=NOW, idle_seconds=1.0, source="p", sources=1, destinations=1
    )
    assert len(list(records)) == 1
