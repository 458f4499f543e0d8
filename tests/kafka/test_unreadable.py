"""The search for the end of an unreadable batch, over logs laid out at random."""

from hypothesis import example, given, strategies as st

from support.counting import FakeMessage
from support.unreadable_log import LaidOutBatch, PartitionLog, lay_out
from tidegauge.kafka.unreadable import UnreadableBatches, UnreadableRange, is_end, stopping


@st.composite
def _logs(draw: st.DrawFn) -> list[LaidOutBatch]:
    """Batches of any sizes, with holes before, after and in them, as compaction leaves them."""
    at, batches = 0, []
    for _ in range(draw(st.integers(1, 8))):
        at += draw(st.integers(0, 3))
        last = at + draw(st.one_of(st.integers(0, 4), st.integers(5, 300)))
        offsets = st.integers(at, last)
        records = draw(st.lists(offsets, min_size=1, max_size=6, unique=True).map(sorted))
        if draw(st.booleans()):
            records = list(range(at, last + 1))
        batches.append(LaidOutBatch(at, last, tuple(records), draw(st.booleans())))
        at = last + 1
    return batches


def _read_all(log: PartitionLog, most: int) -> tuple[list[int], list[UnreadableRange], int]:
    """Read a log as a session does; return what was counted, passed over, and how many rounds."""
    searches = UnreadableBatches()
    counted: list[int] = []
    passed: list[UnreadableRange] = []
    to = rounds = 0
    while True:
        rounds += 1
        messages, steps = searches.take(log.read(most))
        for message in messages:
            if message.error() is None:
                counted.append(message.offset())
                to = message.offset() + 1
        for error in stopping(messages):
            step = searches.begin(error, to, log.end)
            assert step is not None
            steps.append(step)
        for step in steps:
            if step.passed is not None:
                passed.append(step.passed)
                to = step.offset
            log.position = step.offset
        if any(is_end(message) for message in messages):
            return counted, passed, rounds


@given(_logs(), st.integers(1, 500))
@example(lay_out([(5, False), (1, True), (300, False), (1, True)]), 10)
@example(lay_out([(2, True), (1, False), (1, False), (3, False), (1, True)], gap=1), 10)
def test_every_readable_record_is_counted_once_and_every_unreadable_one_named_once(
    batches: list[LaidOutBatch], most: int
) -> None:
    log = PartitionLog(batches)
    counted, passed, _ = _read_all(log, most)
    assert counted == log.readable
    unreadable = [batch for batch in batches if not batch.readable]
    assert [it.first for it in passed] == [batch.first for batch in unreadable]
    named = [offset for it in passed for offset in range(it.first, it.end)]
    assert len(named) == len(set(named))
    assert set(named) >= {offset for batch in unreadable for offset in batch.records}
    # Not a hole after it, either: an answer from there is none of this batch.
    assert [it.end for it in passed] == [batch.last + 1 for batch in unreadable]


@given(st.integers(1, 100), st.integers(1, 3_000), st.integers(0, 100))
def test_it_is_found_though_errors_say_nothing_of_their_batch(
    before: int, size: int, after: int
) -> None:
    batches = lay_out([(before, True), (size, False), *[(1, True)] * after])
    log = PartitionLog(batches, names_batches=False)
    counted, [passed], _ = _read_all(log, 500)
    assert counted == log.readable
    assert passed[:2] == (before, before + size)


def test_few_offsets_of_a_batch_of_a_million_are_tried() -> None:
    log = PartitionLog(
        [
            LaidOutBatch(0, 999_999, (0,), readable=False),
            LaidOutBatch(1_000_000, 5_000_000, (1_000_000,), readable=True),
        ]
    )
    counted, [passed], rounds = _read_all(log, 500)
    assert (counted, passed[:2]) == ([1_000_000], (0, 1_000_000))
    assert rounds <= 45


def _search_of_four() -> tuple[UnreadableBatches, PartitionLog]:
    """Return a search that is at offset 1 of a batch of 4, and its log."""
    log = PartitionLog(lay_out([(4, False), (20, True)]))
    searches = UnreadableBatches()
    step = searches.begin(log.error(log.batches[0]), 0, log.end)
    assert step == (0, 1, None)
    return searches, log


def test_what_was_fetched_before_is_no_answer() -> None:
    searches, _ = _search_of_four()
    assert searches.take([FakeMessage(b"{}", 0, 0)]) == ([], [])
    assert 0 in searches


def test_one_round_has_one_answer() -> None:
    searches, log = _search_of_four()
    error = log.error(log.batches[0])
    others, [step] = searches.take([error, error, FakeMessage(b"{}", 0, 4)])
    assert (others, step) == ([], (0, 3, None))


def test_records_of_other_partitions_and_other_news_are_left_in() -> None:
    searches, _ = _search_of_four()
    other = FakeMessage(b"{}", 1, 0)
    away = FakeMessage(b"", 0, problem="the broker is away")
    assert searches.take([other, away, FakeMessage(b"{}", 0, 9)])[0] == [other, away]


def test_a_partition_that_ends_before_the_batch_is_not_searched() -> None:
    log = PartitionLog(lay_out([(4, False)]))
    searches = UnreadableBatches()
    assert searches.begin(log.error(log.batches[0]), 0, 0) is None
    assert 0 not in searches


def test_a_client_that_went_on_by_itself_is_not_stopped() -> None:
    log = PartitionLog(lay_out([(4, False)]))
    error = log.error(log.batches[0])
    assert stopping([error, FakeMessage(b"{}", 0, 4)]) == []
    assert stopping([error, FakeMessage(b"{}", 1, 4)]) == [error]
