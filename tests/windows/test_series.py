"""A source topic that is made again: what was counted stays, and the new one goes on by itself."""

import msgspec
import pytest

from tidegauge.config.sections import WindowSettings
from tidegauge.contract.histogram import PartitionClock, SourceRange
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.records import RawCell, RawRecord
from tidegauge.windows.report import counted_ranges
from tidegauge.windows.sources import PAST
from tidegauge.windows.values import PartitionProgress

NO_SIGNALS = msgspec.Raw(b"{}")


def a_state() -> PartitionState:
    return PartitionState(
        partition=0,
        window_of=lambda model: WindowSettings(seconds=60, grace_seconds=0),
        idle_seconds=10.0,
        ready=True,
    )


class Log:
    """One partition of the log of histograms; each call of :meth:`add` is a tenure's record."""

    def __init__(self) -> None:
        self.records: list[RawRecord] = []

    def add(
        self,
        topic_id: str,
        ranges: dict[int, tuple[int, int, int]],
        *,
        partitions: int,
        time: float = 100.0,
        events: int = 0,
        **more: object,
    ) -> RawRecord:
        """``ranges`` have start, to and series by source partition."""
        tenure = f"t{len(self.records)}"
        cell = RawCell(
            model="m", version="1", variant="", segment={}, window_start=0, window_seconds=60,
            baseline="", events=events, signals=NO_SIGNALS,
        )  # fmt: skip
        record = RawRecord(
            tenure=tenure, seq=1, time=time, source="predictions", source_partitions=partitions,
            ranges={
                p: SourceRange(origin=0, start=at, since=at, to=to, series=series)
                for p, (at, to, series) in ranges.items()
            },
            clocks={p: PartitionClock(latest=time, caught_up=True, idle=False) for p in ranges},
            cells=[cell] if events else [],
            topic_id=topic_id,
        )  # fmt: skip
        self.records.append(msgspec.structs.replace(record, **more))
        return self.records[-1]

    def joined(self) -> PartitionState:
        state = a_state()
        for offset, record in enumerate(self.records):
            assert state.gaps(record) == [], record
            state.join(record, offset)
        return state


def test_a_window_that_spans_two_topics_of_a_name_says_what_it_counted_of_each() -> None:
    log = Log()
    log.add("a", {0: (0, 200, 0), 1: (0, 30, 0)}, partitions=2, events=230)
    log.add("b", {0: (0, 50, 1)}, partitions=1, events=50)
    log.add("b", {0: (50, 350, 1)}, partitions=1, events=300)
    state = log.joined()
    assert state.twice == []
    [window] = state.windows
    counts = state.counts(window)
    tenures = [one for part in counts.parts.values() for one in part.values()]
    ranges = counted_ranges(tenures, counts.covered, counts.past)
    assert [(r.partition, r.start, r.to, r.topic_id) for r in ranges] == [
        (0, 0, 200, "a"), (0, 0, 350, "b"), (1, 0, 30, "a"),
    ]  # fmt: skip
    # The same after the state was saved and read back.
    saved = msgspec.json.decode(msgspec.json.encode(counts), type=type(counts))
    assert counted_ranges(tenures, saved.covered, saved.past) == ranges


def test_records_of_before_topics_had_ids_and_of_the_same_topic_after_are_one_range() -> None:
    log = Log()
    log.add("", {0: (0, 10, 0)}, partitions=1, events=10)
    log.add("a", {0: (10, 30, 0)}, partitions=1, events=20)
    log.add("", {0: (30, 40, 0)}, partitions=1, events=10)  # by a worker not replaced yet
    state = log.joined()
    [window] = state.windows
    counts = state.counts(window)
    tenures = [one for part in counts.parts.values() for one in part.values()]
    [only] = counted_ranges(tenures, counts.covered, counts.past)
    assert (only.start, only.to, only.topic_id) == (0, 40, "a")


def test_partitions_that_the_new_topic_lacks_hold_no_window_open() -> None:
    log = Log()
    log.add("a", {0: (0, 5, 0), 1: (0, 5, 0), 2: (0, 5, 0)}, partitions=3, time=100)
    log.add("b", {0: (0, 5, 1)}, partitions=2, time=500)
    # Its owner has not noticed yet, and flushes nothing; then it does, or another one.
    log.add("a", {1: (5, 5, 0), 2: (5, 5, 0)}, partitions=3, time=510)
    assert log.joined().progress.watermark == 100
    log.add("b", {1: (0, 0, 1)}, partitions=2, time=520)
    state = log.joined()
    assert state.progress.watermark == 500
    source = state.progress.sources["predictions"]
    assert source.partitions == 2 and source.topics == ["a", "b"]


def test_partitions_that_were_added_hold_windows_open_until_somebody_speaks_of_them() -> None:
    log = Log()
    log.add("a", {0: (0, 5, 0)}, partitions=1, time=100)
    log.add("a", {0: (5, 9, 0)}, partitions=2, time=500)
    assert log.joined().progress.watermark == 100
    log.add("a", {1: (0, 9, 0)}, partitions=2, time=400)
    assert log.joined().progress.watermark == 400


def test_a_gap_is_seen_in_every_series() -> None:
    log = Log()
    log.add("a", {0: (0, 50, 0)}, partitions=1)
    state = log.joined()
    beyond = log.add("a", {0: (60, 70, 0)}, partitions=1)
    assert [(gap.start, gap.to) for gap in state.gaps(beyond)] == [(50, 60)]
    beyond = log.add("b", {0: (20, 30, 1)}, partitions=1)
    assert [(gap.start, gap.to) for gap in state.gaps(beyond)] == [(0, 20)]


def test_what_is_counted_twice_all_the_same_is_seen_once() -> None:
    log = Log()
    log.add("a", {0: (0, 50, 0)}, partitions=1)
    log.add("a", {0: (20, 70, 0)}, partitions=1)
    log.add("a", {0: (20, 90, 0)}, partitions=1, tenure="t1", seq=2)
    assert log.joined().twice == [(0, 20, 50)]


def test_series_are_remembered_only_for_as_long_as_windows_need_them() -> None:
    log = Log()
    for number in range(5 * PAST):
        log.add(f"id{number}", {0: (0, 5, number)}, partitions=1)
    source = log.joined().progress.sources["predictions"]
    assert len(source.past[0]) == len(source.topics) == PAST
    assert source.topics[-1] == f"id{5 * PAST - 1}"


@pytest.mark.parametrize("series", [0, 3])
def test_the_progress_of_older_versions_goes_on(series: int) -> None:
    older = (
        b'{"next_offset":1,"now":9.0,"watermark":0.0,"sources":{"predictions":{"partitions":1,'
        b'"covered":{"0":50},"clocks":{}}},"heard":{"predictions":{"0":{"tenure":"t0","seq":1}}}}'
    )
    state = a_state()
    state.progress = msgspec.json.decode(older, type=PartitionProgress)
    log = Log()
    log.records.append(log.add("a", {0: (50, 60, 0)}, partitions=1))
    record = log.add("a", {0: (50, 60, 0) if not series else (0, 60, series)}, partitions=1)
    assert state.gaps(record) == []
    state.join(record, 1)
    assert state.progress.sources["predictions"].covered[0] == 60
