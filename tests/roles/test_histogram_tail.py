"""What the end of the log of histograms says, whatever else somebody has written there."""

import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tidegauge.config.settings import Settings
from tidegauge.counting.beginning import Counted
from tidegauge.roles.histogram_tail import HistogramTail

NOW = time.time()


def record(
    partition: int, *, at: float = NOW, tenure: str = "one", topic_id: str = "a", **more: int
) -> dict[str, Any]:
    counted = {"origin": 0, "start": 0, "since": 0, "to": 70, "series": 1, "end": 80} | more
    return {
        "tenure": tenure,
        "seq": 1,
        "time": at,
        "source": "predictions",
        "source_partitions": 8,
        "ranges": {partition: counted},
        "clocks": {},
        "cells": [],
        "topic_id": topic_id,
    }


def others(at: float) -> dict[str, Any]:
    return record(0, at=at) | {"source": "outcomes"}


def counted(monkeypatch: pytest.MonkeyPatch, log: list[dict[str, Any]]) -> dict[int, Counted]:
    """Return what the log says of the source partitions 0 and 1."""
    values = [json.dumps(one).encode() for one in log]
    admin: Any = SimpleNamespace(begin=lambda *_: 0, end=lambda *_: len(log))
    tail = HistogramTail(Settings(), admin, "histograms", "predictions")

    def read(consumer: object, begin: int, end: int) -> Iterator[bytes]:
        yield from values[begin:end]

    monkeypatch.setattr(tail, "_read", read)
    monkeypatch.setattr("tidegauge.roles.histogram_tail._BLOCK", 2)
    return tail.counted({0, 1}, "a")


SOUND = [record(1), *(record(0) for _ in range(6))]


@pytest.mark.parametrize(
    "hostile",
    [
        record(0, at=1e300),
        record(7, at=NOW + 2 * 86_400),
        record(0, to=2**62),
        record(0, to=10**400),
        record(0, series=10**400),
        record(0, end=-1),
        record(0, series=2**62),
        record(7, at=NOW + 3_600, tenure="of a clock that is ahead"),
        record(0, to=75, start=76, since=76),
        record(0, to=75) | {"tenure": ""},
        record(0, to=75) | {"seq": -1},
        record(0, to=75) | {"source_partitions": 0},
        record(0, to=75) | {"cells": "none"},
        record(0, to=75) | {"cells": [{"model": "m"}]},
        record(0, topic_id="b"),
        record(0, topic_id="b" * 201),
    ],
)
def test_what_no_worker_writes_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, hostile: dict[str, Any]
) -> None:
    known = Counted(origin=0, to=70, topic_id="a", series=1, end=80)
    assert counted(monkeypatch, [*SOUND, hostile]) == {0: known, 1: known}


def test_what_others_have_written_since_is_no_sign_that_nothing_was_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = Counted(origin=0, to=70, topic_id="a", series=1, end=80)
    log = [record(0, at=NOW - 3_600), *(others(NOW - 3_600 + 60 * n) for n in range(60))]
    assert counted(monkeypatch, log) == {0: known}


def test_a_log_that_tells_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tidegauge.roles.histogram_tail._MOST_SECONDS", -1.0)
    assert counted(monkeypatch, [record(0), *(others(NOW) for _ in range(60))]) == {}
    assert "tells nothing of predictions from offset 59 on" in caplog.text


def test_a_worker_whose_clock_is_behind_is_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Counted(origin=0, to=70, topic_id="a", series=1, end=80)
    behind = [record(1, at=NOW - 600, tenure="two")]
    ahead = [record(0, at=NOW - 10 + n) for n in range(10)]
    assert counted(monkeypatch, [*behind, *ahead]) == {0: known, 1: known}


def test_what_was_counted_of_a_topic_of_before_is_told_where_nothing_is_of_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Counted(origin=0, to=70, topic_id="b", series=1, end=80)
    assert counted(monkeypatch, [record(0, topic_id="b")]) == {0: before}


def test_the_search_ends_where_one_worker_has_written_for_two_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who left before that has a successor by then."""
    log = [record(1, tenure="two"), *(record(0, at=NOW - 600 + 10 * n) for n in range(60))]
    known = Counted(origin=0, to=70, topic_id="a", series=1, end=80)
    assert counted(monkeypatch, log) == {0: known}
