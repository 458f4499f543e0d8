"""Progress: a worker that stands still while there is work is no longer alive, and says why."""

import logging

import pytest

from tidegauge.telemetry.health import Health, Progress


class Watched:
    def __init__(self, stall_seconds: float = 60.0) -> None:
        self.now = 500.0
        self.health = Health(clock=lambda: self.now, stall_seconds=stall_seconds)
        self.progress: Progress = self.health.progress("ingest", done="counted")

    @property
    def stalled(self) -> object:
        alive, said = self.health.live()
        assert alive == (not said["stalled"])
        return said["stalled"]


def test_work_that_waits_for_too_long_is_a_stall_and_says_so() -> None:
    one = Watched()
    one.progress.lag(12, "partitions [0, 2] have a lag of 12 events")
    one.now += 59.9
    assert one.stalled == {}
    one.now += 2.1
    assert one.stalled == {
        "ingest": "partitions [0, 2] have a lag of 12 events and nothing was counted for 62 s"
    }


def test_a_lag_that_is_said_again_is_not_a_new_one() -> None:
    one = Watched()
    for n in range(1, 8):
        one.progress.lag(n, f"lag {n}")
        one.now += 10
    assert one.stalled == {"ingest": "lag 7 and nothing was counted for 70 s"}


def test_progress_ends_a_stall_and_the_time_begins_anew() -> None:
    one = Watched()
    one.progress.lag(5, "lag")
    one.now += 100
    assert one.stalled
    one.progress.moved()
    assert one.stalled == {}
    one.now += 60
    assert one.stalled, "there is still lag, and again nothing moved"


def test_a_worker_with_nothing_to_do_never_stalls() -> None:
    one = Watched()
    one.progress.lag(5, "lag")
    one.now += 50
    one.progress.lag(0)
    one.progress.moved()
    one.now += 10_000
    assert one.stalled == {}
    one.progress.lag(1, "lag")
    one.now += 50
    assert one.stalled == {}, "what was before there was work does not count"


def test_the_time_allowed_is_a_setting_and_the_same_name_is_the_same_progress() -> None:
    one = Watched(stall_seconds=5)
    assert one.health.progress("ingest", done="counted") is one.progress
    one.health.progress("detect", done="joined").lag(1, "partitions [3] have a lag of 1 record")
    one.progress.lag(1, "lag")
    one.now += 4
    one.progress.moved()
    one.now += 1
    assert one.stalled == {
        "detect": "partitions [3] have a lag of 1 record and nothing was joined for 5 s"
    }


def test_a_stall_is_logged_once_since_a_failed_probe_tells_nobody_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = Watched()
    for _ in range(2):
        caplog.clear()
        one.progress.lag(5, "lag")
        one.now += 60
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                assert one.stalled
        [record] = caplog.records
        assert record.getMessage() == "not alive: ingest: lag and nothing was counted for 60 s"
        one.progress.lag(0)
        assert one.stalled == {}


def test_a_condition_is_ok_until_somebody_says_that_it_is_not() -> None:
    health = Health(clock=lambda: 0.0)
    assert health.is_ok("topics")
    health.report("topics", "degraded", "one can't be written")
    assert not health.is_ok("topics")
    health.report("topics", "ok")
    assert health.is_ok("topics")


def test_a_detail_is_bounded_whatever_it_quotes() -> None:
    one = Watched(stall_seconds=1.0)
    one.health.report("baselines", "degraded", "no baseline " + "x" * 10_000_000 + ": promote one")
    one.progress.lag(1, f"partitions {list(range(50_000))} have a lag")
    one.now += 5
    _, said = one.health.ready()
    assert len(str(said)) < 3_000
    assert "no baseline xxx" in str(said) and "xxx: promote one" in str(said)
    assert len(str(one.stalled)) < 3_000 and "was counted for 5 s" in str(one.stalled)


def test_nothing_stalls_while_the_brokers_are_away_and_it_counts_from_their_return() -> None:
    one = Watched()
    one.health.beat("detect")
    one.progress.lag(5, "lag")
    one.now += 50
    one.health.outage(True)
    one.now += 400
    assert one.stalled == {}
    one.health.outage(False)
    assert one.stalled == {}, "what stood still during the outage is excused"
    one.now += 59
    assert one.stalled == {}
    one.now += 1
    assert one.stalled == {"ingest": "lag and nothing was counted for 60 s"}
    one.now += 40
    assert one.health.live()[1]["stalled"] == {
        "detect": "the loop has not come round for 550 s",
        "ingest": "lag and nothing was counted for 100 s",
    }


def test_an_outage_that_is_reported_again_and_again_has_one_end() -> None:
    one = Watched()
    one.progress.lag(5, "lag")
    for _ in range(3):
        one.health.outage(False)
        one.now += 20
    assert one.stalled == {"ingest": "lag and nothing was counted for 60 s"}
