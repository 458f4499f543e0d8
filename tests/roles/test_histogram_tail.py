"""What the end of the log of histograms says, whatever else somebody has written there."""

import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tidegauge.config.sections import KafkaSettings
from tidegauge.contract.record import decode
from tidegauge.counting.beginning import Counted
from tidegauge.roles.histogram_tail import HistogramTail, _TailRecord

NOW = time.time()


def record(partition: int, *, at: float = NOW, **more: int) -> dict[str, Any]:
    counted = {"origin": 0, "start": 0, "since": 0, "to": 70, "series": 1, "end": 80} | more
    return {"time": at, "source": "predictions", "ranges": {partition: counted}, "topic_id": "a"}


def others(at: float) -> dict[str, Any]:
    return record(0, at=at) | {"source": "outcomes"}


def counted(monkeypatch: pytest.MonkeyPatch, log: list[dict[str, Any]]) -> dict[int, Counted]:
    """Return what the log says of the source partitions 0 and 1."""
    values = [json.dumps(one).encode() for one in log]
    admin: Any = SimpleNamespace(begin=lambda *_: 0, end=lambda *_: len(log))
    tail = HistogramTail(KafkaSettings(), admin, "histograms", "predictions")

    def read(consumer: object, begin: int, end: int) -> Iterator[_TailRecord]:
        yield from (decode(value, _TailRecord) for value in values[begin:end])

    monkeypatch.setattr(tail, "_read", read)
    monkeypatch.setattr("tidegauge.roles.histogram_tail._BLOCK", 2)
    return tail.counted({0, 1})


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
