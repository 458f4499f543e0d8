"""Values in parts: whole or not there, whatever is lost, compacted, torn or written between."""

import hashlib
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from support.world import a_state
from tidegauge.contract.record import DecodingError
from tidegauge.windows import parts
from tidegauge.windows.changelog import Changelog
from tidegauge.windows.parts import PartKey, Parts, Whole, Write
from tidegauge.windows.values import BaselineKey, Key, LogKey, ProgressKey

KEY, OTHER = BaselineKey("a"), BaselineKey("b")
_keys = msgspec.json.Decoder(Key | PartKey)


@pytest.fixture(scope="module", autouse=True)
def _small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_BYTES", 4)
        yield


#: Short values are no heads; some are written more than once.
VALUES = st.sampled_from(
    [b"1", b"[12]", b"[1234]", b"[1235]", b'"123456789"', b'"abcdefghijk"', None]
)


def _read(log: Sequence[Write]) -> list[tuple[Key, bytes | None]]:
    """Return the values that come of a log, as they come."""
    reader, found = Parts(), []
    for raw_key, raw_value in log:
        key = _keys.decode(raw_key)
        if isinstance(key, PartKey):
            whole = reader.read_part(key, raw_value)
        else:
            whole = reader.read(Whole(key, raw_key, raw_value, 0, ""))
        if whole is not None:
            found.append((whole.key, whole.raw_value))
    return found


def _last(log: Sequence[Write], key: Key) -> bytes | None:
    return next((value for its, value in reversed(_read(log)) if its == key), None)


def _compacted(log: Sequence[Write], until: int) -> list[Write]:
    """Leave of the records before ``until`` the last one of each key."""
    last = {key: at for at, (key, _) in enumerate(log[:until])}
    return [one for at, one in enumerate(log) if at >= until or last[one[0]] == at]


@given(st.lists(st.tuples(st.sampled_from([KEY, OTHER]), VALUES), max_size=8), st.data())
def test_whatever_is_lost_and_in_whatever_order_only_whole_values_come_of_a_log(
    writes: list[tuple[Key, bytes | None]], data: st.DataObject
) -> None:
    writers = [Parts(), Parts()]
    log: list[Write] = []
    for key, value in writes:
        log += data.draw(st.sampled_from(writers)).write(key, value)
    kept = [one for one in log if data.draw(st.booleans())] if data.draw(st.booleans()) else log
    for found in _read(data.draw(st.permutations(kept))):
        assert found in writes


@given(st.lists(VALUES, min_size=1, max_size=8), st.data())
def test_a_prefix_of_a_log_gives_the_last_value_or_the_one_before_however_it_was_compacted(
    values: list[bytes | None], data: st.DataObject
) -> None:
    writer = Parts()
    ends, log = [], list[Write]()
    for value in values:
        log += writer.write(KEY, value)
        ends.append(len(log))
    torn = data.draw(st.integers(0, len(log)))
    whole = sum(end <= torn for end in ends)
    before = values[whole - 1] if whole else None
    after = values[min(whole, len(values) - 1)]
    assert _last(log[:torn], KEY) in (before, after)
    # What is compacted was written long ago, before the last value that is whole.
    until = data.draw(st.integers(0, ends[whole - 1] if whole else 0))
    assert _last(_compacted(log[:torn], until), KEY) in (before, after)


@given(st.lists(VALUES, max_size=4), VALUES, st.data())
def test_the_same_value_written_again_is_whole_whatever_compaction_leaves(
    earlier: list[bytes | None], value: bytes | None, data: st.DataObject
) -> None:
    writer = Parts()
    log = [write for it in earlier for write in writer.write(KEY, it)]
    log += writer.write(KEY, value)
    again = writer.write(KEY, value)
    log += again[: data.draw(st.integers(0, len(again)), label="written")]
    until = data.draw(st.integers(0, len(log)), label="compacted")
    assert _last(_compacted(log, until), KEY) == value


def test_the_parts_that_a_value_no_longer_needs_are_deleted_and_only_those() -> None:
    writer = Parts()
    assert [key for key, _ in writer.write(KEY, b"0123456789")] == [
        b'["part",["baseline","a"],0]',
        b'["part",["baseline","a"],1]',
        b'["part",["baseline","a"],2]',
        b'["baseline","a"]',
    ]
    shorter = writer.write(KEY, b"012345")
    assert [value is None for _, value in shorter] == [False, False, False, True]
    assert writer.write(KEY, b"0")[1:] == [
        (b'["part",["baseline","a"],1]', None),
        (b'["part",["baseline","a"],0]', None),
    ]
    assert writer.write(KEY, None) == [(b'["baseline","a"]', None)]
    assert writer.written == set()


def test_a_reader_knows_which_parts_stand_in_the_log() -> None:
    writer, reader = Parts(), Parts()
    log = [*writer.write(KEY, b"0123456789"), *writer.write(OTHER, b"01234")]
    log += writer.write(OTHER, b"0")
    for raw_key, raw_value in log:
        key = _keys.decode(raw_key)
        if isinstance(key, PartKey):
            reader.read_part(key, raw_value)
    assert reader.written == {KEY}
    assert len(reader.write(KEY, None)) == 4


def test_what_is_torn_is_written_anew_by_whoever_reads_it_and_orphans_are_deleted() -> None:
    changelog = Changelog(a_state())
    log = Parts().write(LogKey(), b"null") + Parts().write(BaselineKey("gone"), b"0123456789")[:2]
    torn = Parts().write(ProgressKey(0), b'{"next_offset":77}')
    for raw_key, raw_value in (*log, *torn[:-1]):
        changelog.restore(raw_key, raw_value, 0, "name")
    changelog.restored()
    assert changelog.state.progress.next_offset == 0
    checkpoint = changelog.checkpoint()
    assert {key for key, value in checkpoint.values if value is None} == {
        b'["baseline","gone"]',
        b'["part",["baseline","gone"],0]',
        b'["part",["baseline","gone"],1]',
    }
    assert checkpoint.progress


def test_a_head_that_nobody_has_written_is_refused_and_a_wrong_digest_is_no_value() -> None:
    reader = Parts()
    with pytest.raises(DecodingError, match="of them"):
        reader.read(Whole(KEY, b"", b"#" + b"0" * 64 + b"many", 0, ""))
    wrong = hashlib.sha256(b"other").hexdigest().encode()
    assert reader.read(Whole(KEY, b"", b"#%b1" % wrong, 0, "")) is None
    assert reader.read_part(PartKey(KEY, 0), b"#%bthis" % wrong) is None
    assert reader.finish() == {KEY} and reader.finish() == set()


@settings(max_examples=300)
@given(st.binary(max_size=80).map(lambda rest: b"#" + rest), st.integers(0, 3))
def test_garbage_in_the_place_of_a_head_or_a_part_makes_no_value(
    garbage: bytes, index: int
) -> None:
    reader = Parts()
    assert reader.read_part(PartKey(KEY, index), garbage) is None
    try:
        assert reader.read(Whole(KEY, b"", garbage, 0, "")) is None
    except DecodingError as error:
        assert str(error)
