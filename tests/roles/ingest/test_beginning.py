"""Where counting begins: nothing twice, nothing left out unsaid, whatever becomes of the topic."""

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings, strategies as st

from tidegauge.config.sections import WindowSettings
from tidegauge.contract.histogram import SourceRange
from tidegauge.counting.beginning import Beginning, Counted, begin_at, from_metadata, known_end
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.records import RawRecord

KNOWN = Counted(origin=10, to=200, topic_id="a", series=2, end=230)


def begun(
    counted: Counted | None, committed: int | None, low: int, high: int, id: str
) -> Beginning:
    return begin_at(counted, committed=committed, low=low, high=high, topic_id=id)


@pytest.mark.parametrize("metadata", ["", None, "x", "[]", "true", "-1", '{"to": 3}', "{" * 5_000])
def test_metadata_of_others_say_nothing(metadata: str | None) -> None:
    assert from_metadata(metadata, 200) is None


@pytest.mark.parametrize(
    "more",
    [
        {"series": 2**62},
        {"series": 10**400},
        {"to": 2**62},
        {"to": 10**400},
        {"end": 10**400},
        {"end": -1},
        {"topic_id": "a" * 201},
    ],
)
def test_metadata_beyond_what_detect_takes_say_nothing(more: dict[str, object]) -> None:
    metadata = json.dumps(json.loads(KNOWN.metadata()) | more)
    assert from_metadata(metadata, 200) is None


def test_metadata_are_read_back_and_so_are_those_of_older_versions() -> None:
    assert from_metadata(KNOWN.metadata(), 200) == KNOWN
    assert from_metadata("10", 200) == Counted(origin=10, to=200)
    assert from_metadata("201", 200) is None


def test_counting_goes_on_without_a_word_where_it_stopped() -> None:
    for id in ("a", ""):
        assert begun(KNOWN, 200, 0, 300, id) == Beginning(10, 200, 2, 0)
    older = Counted(origin=10, to=200)
    assert begun(older, 200, 0, 300, "a") == Beginning(10, 200, 0, 0)


@pytest.mark.parametrize(("committed", "begin"), [(None, 5), (40, 40), (400, 5)])
def test_what_was_never_counted_begins_at_the_groups_offset_or_the_beginning(
    committed: int | None, begin: int
) -> None:
    assert begun(None, committed, 5, 300, "a") == Beginning(begin, begin, 0, 5)


def test_another_topic_begins_at_its_beginning_and_what_was_left_of_the_old_one_is_lost() -> None:
    for committed in (None, 200, 7):
        its = begun(KNOWN, committed, 0, 300, "b")
        assert (its.origin, its.begin, its.series, its.lost) == (0, 0, 3, 30)
        assert its.happened == "recreated"
    its = begun(KNOWN, 200, 8, 300, "b")
    assert (its.begin, its.low, its.lost) == (0, 8, 38), "and what retention deleted of the new one"


def test_the_end_of_another_topic_or_one_that_was_lost_is_forgotten() -> None:
    for id, high in (("b", 40), ("a", 150)):
        assert known_end(KNOWN, begun(KNOWN, 200, 0, high, id), high) == high
    assert known_end(KNOWN, begun(KNOWN, 200, 0, 210, "a"), 210) == KNOWN.end
    assert known_end(None, begun(None, None, 0, 210, "a"), 210) == 210


def test_a_topic_without_an_id_that_ends_earlier_must_be_another() -> None:
    its = begun(Counted(origin=10, to=200), 200, 0, 150, "a")
    assert (its.origin, its.begin, its.series, its.happened) == (0, 0, 1, "recreated")


def test_an_end_that_was_lost_is_where_counting_goes_on_in_another_series() -> None:
    its = begun(KNOWN, 200, 0, 150, "a")
    assert its[:4] == (150, 150, 3, 0) and its.happened == "truncated"


def test_what_lies_between_the_offset_and_an_end_that_was_lost_is_said_to_be_left_out() -> None:
    """A record beyond the end may be forged: then nobody has counted that."""
    its = begun(KNOWN, 120, 0, 150, "a")
    assert (its.begin, its.lost, its.happened) == (150, 30, "truncated")
    assert its.detail.endswith("; 120 to 150 may never have been counted")
    for committed in (150, 200, None):
        assert begun(KNOWN, committed, 0, 150, "a").lost == 0


def test_an_offset_that_was_set_back_or_beyond_the_end_is_not_believed() -> None:
    its = begun(KNOWN, 120, 0, 300, "a")
    assert its[:4] == (10, 200, 2, 0) and (its.overlap, its.happened) == (80, "moved_back")
    assert begun(KNOWN, 120, 150, 300, "a").overlap == 50
    assert begun(KNOWN, None, 5, 300, "a").overlap == 195
    its = begun(KNOWN, 999, 0, 300, "a")
    assert its[:4] == (10, 200, 2, 0) and (its.lost, its.happened) == (0, "moved_beyond")


def test_an_offset_that_was_set_forward_leaves_out_what_somebody_wants_left_out() -> None:
    its = begun(KNOWN, 260, 0, 300, "a")
    assert its[:4] == (260, 260, 3, 0) and (its.lost, its.happened) == (60, "moved_on")


def test_what_retention_deleted_is_lost() -> None:
    its = begun(KNOWN, 200, 220, 300, "a")
    assert (its.begin, its.low, its.lost, its.happened) == (200, 220, 20, None)
    assert its.detail == "offsets 200 to 220 were deleted by retention before they were counted"


@dataclass
class Source:
    """A source partition, its consumer group, and what INGEST has done of it."""

    log: list[int] = field(default_factory=list)
    low: int = 0
    topic: int = 0
    written: int = 0
    offset: int | None = None
    metadata: str | None = None
    last: Counted | None = None
    counted: list[int] = field(default_factory=list)
    first: int = 0
    lost: int = 0
    records: int = 0

    def write(self, events: int) -> None:
        self.log += range(self.written, self.written + events)
        self.written += events

    def retain(self, events: int) -> None:
        self.low = min(self.low + events, len(self.log))

    def make_again(self, offsets: int) -> None:
        self.log, self.low = [], 0
        self.topic += 1
        if offsets % 2:
            self.offset = self.metadata = None

    def lose_end(self, events: int) -> None:
        del self.log[max(len(self.log) - events, self.low) :]

    def set_offset(self, at: int) -> None:
        self.offset, self.metadata = (at, "") if at % 5 else (None, None)

    def count(self, events: int, state: PartitionState) -> None:
        """Begin a tenure, and flush once or twice."""
        told = None if self.offset is None else from_metadata(self.metadata, self.offset)
        its = begin_at(
            told or self.last,
            committed=self.offset,
            topic_id=str(self.topic),
            low=self.low,
            high=len(self.log),
        )
        self.lost += its.lost
        if self.last is None:  # what lies before was the group's never
            self.first = its.begin
        begin = max(its.begin, its.low)
        to = min(begin + events, len(self.log))
        self.counted += self.log[begin:to]
        since = its.begin
        tenure = f"t{self.records}"
        for seq, reached in ((1, begin), (2, to)):
            at = SourceRange(
                origin=its.origin, start=its.begin, since=since, to=reached,
                series=its.series, end=len(self.log),
            )  # fmt: skip
            self.records += 1
            record = RawRecord(
                tenure=tenure, seq=seq, time=0.0, source="s",
                source_partitions=1, ranges={0: at}, clocks={}, cells=[],
                topic_id=str(self.topic),
            )  # fmt: skip
            assert state.gaps(record) == []
            state.join(record, self.records)
            since = reached
        self.last = Counted(
            origin=its.origin,
            to=to,
            topic_id=str(self.topic),
            series=its.series,
            end=len(self.log),
        )
        self.offset, self.metadata = to, self.last.metadata()


_steps = st.tuples(
    st.sampled_from(["write", "write", "count", "count", "retain", "again", "end", "offset"]),
    st.integers(0, 12),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_steps, max_size=30))
def test_every_record_is_counted_once_or_is_gone_and_detect_never_sees_a_gap(
    steps: list[tuple[str, int]],
) -> None:
    source = Source()
    state = PartitionState(
        partition=0, window_of=lambda model: WindowSettings(), idle_seconds=1.0, ready=True
    )
    kinds = {kind for kind, _ in steps}
    for kind, number in steps:
        match kind:
            case "write":
                source.write(number)
            case "count":
                source.count(number, state)
            case "retain":
                source.retain(number)
            case "again":
                source.make_again(number)
            case "end":
                source.lose_end(number)
            case "offset":
                source.set_offset(number)
    source.count(1_000, state)
    assert len(set(source.counted)) == len(source.counted), "counted twice"
    assert state.twice == []
    missing = source.written - len(source.counted)
    if not kinds & {"again", "end"}:  # of what is gone with them nobody may know
        assert missing == source.first + source.lost
    [known] = state.progress.sources.values()
    assert known.covered[0] == len(source.log)
