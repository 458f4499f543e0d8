"""The oracle against cases worked out by hand, and the traffic against what it promises."""

import json
import random
from collections import Counter
from typing import Any

import pytest

from support import oracle
from support.bad_records import bad_records, huge_record
from support.oracle import ABSENT, Histogram, count_categories, count_numbers, judge, kl_nats
from support.traffic import WINDOW_SECONDS, WINDOWS, Traffic

NOW = 1_750_000_000.0


def event(**fields: Any) -> bytes:
    return json.dumps({"time": NOW, "model": "m", "version": "1"} | fields).encode()


def verdict_of(*values: bytes | None, **baselines: Any) -> oracle.Verdict:
    return judge(
        [(0, i, value) for i, value in enumerate(values)],
        {("m", "1"): baselines} if baselines else {},
        window_seconds=10,
        latest_time=NOW + 300,
    )


def test_an_edge_belongs_to_the_bin_above_it() -> None:
    histogram = count_numbers([0.9, 1, 1.0, 1.9, 2, 5], [1.0, 2.0])
    assert histogram.counts == [1, 3, 2]


def test_numbers_that_are_not_there_or_not_numbers_have_a_count_of_their_own() -> None:
    values = [ABSENT, None, None, "NaN", "-Infinity", float("inf"), "12", "", [1], {}, True, False]
    found = count_numbers(values, [0.5])
    assert found == Histogram(
        [1, 1], absent=1, null=2, nan=3, invalid=4, sum=1.0, sum_of_magnitudes=1.0, sumsq=1.0,
        minimum=0.0, maximum=1.0,
    )  # fmt: skip
    assert found.events == len(values)


def test_categories_are_followed_by_other_and_never_seen() -> None:
    signal = {"categories": ["a", "true", "7"], "known": ["b"], "known_complete": True}
    values = ["a", True, 7, 7.0, "b", "c", 7.25, None, ABSENT, float("nan"), []]
    found = count_categories(values, signal)
    assert found == Histogram([1, 1, 2, 1, 2], absent=1, null=1, nan=1, invalid=1)
    open_ended = count_categories(["c"], signal | {"known_complete": False})
    assert open_ended.counts == [0, 0, 0, 1, 0]


def test_kl_is_that_of_the_worked_example() -> None:
    reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    # .037869 without smoothing; half a count in 500 changes the third figure.
    assert kl_nats(current, reference) == pytest.approx(0.037869, rel=0.02)
    assert kl_nats(reference, reference) == 0.0
    # ln(10.5/4.5) * 10.5/15 + ln(4.5/10.5) * 4.5/15 with the bin empty on both sides left out
    assert kl_nats([10, 4, 0], [4, 10, 0]) == pytest.approx(0.338919, rel=1e-5)


def test_times_in_every_form_fall_into_the_same_window() -> None:
    forms = [1_750_000_001, 1_750_000_001.5, "2025-06-15T15:06:41Z", "2025-06-15T20:36:41.25+05:30"]
    verdict = verdict_of(*[event(time=time) for time in forms])
    assert {key: cell.events for key, cell in verdict.cells.items()} == {
        ("m", "1", "", 1_750_000_000): 4
    }
    assert verdict.cells["m", "1", "", 1_750_000_000].offsets == {0: {0, 1, 2, 3}}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"{", "invalid_json"),
        (b"\xff", "invalid_utf8"),
        (b"[]", "invalid_record"),
        (event(model=""), "invalid_record"),
        (event(version=3), "invalid_record"),
        (event(features=[1]), "invalid_record"),
        (event(time=None), "invalid_record"),
        (event(time="2025-06-15T15:06:41"), "invalid_record"),
        (event(time=float("nan")), "invalid_time"),
        (event(time=0), "time_too_early"),
        (event(time=NOW * 1000), "time_too_late"),
        (event(time="2200-01-01T00:00:00Z"), "time_too_late"),
        (event(note="x" * 1024 * 1024), "too_large"),
        (b"\xff\xff\xff\xff", "invalid_arrow"),
    ],
)
def test_a_bad_record_has_one_reason(value: bytes | None, reason: str) -> None:
    verdict = verdict_of(value, event())
    assert verdict.dead == {(0, 0, None): reason}
    assert verdict.events == 1


def test_every_kind_of_bad_record_is_refused_whole_but_for_one_row() -> None:
    records = [huge_record(NOW), *bad_records(random.Random(3), NOW, NOW - 60)]
    verdict = verdict_of(*records)
    whole = {offset for _, offset, row in verdict.dead if row is None}
    assert len(whole) == len(records) - 1
    rows = {row: reason for (_, _, row), reason in verdict.dead.items() if row is not None}
    assert rows == {0: "time_too_early", 2: "time_too_late", 3: "time_too_late"}
    assert verdict.events == 1
    assert set(verdict.dead.values()) == {
        "empty", "invalid_json", "invalid_utf8", "invalid_record", "invalid_time", "invalid_arrow",
        "time_too_early", "time_too_late", "too_large",
    }  # fmt: skip


def test_traffic_is_the_same_for_the_same_seed_and_has_every_row_once() -> None:
    start = 1_749_999_700
    once, again = (
        list(Traffic(seed=5, start=start, now=NOW, scale=0.05).rounds()) for _ in range(2)
    )
    total = Traffic(seed=5, start=start, now=NOW, scale=0.05).events
    assert [one.texts for one in once] == [one.texts for one in again]
    assert [one.batches for one in once] == [one.batches for one in again]
    assert sum(one.rows for one in once) == total
    assert len(once) > WINDOWS and not once[-1].bad
    shares = Counter[str]()
    for one in once:
        shares["calls"] += len(one.calls)
        shares["texts"] += len(one.texts)
    assert all(abs(count / total - 1 / 3) < 0.03 for count in shares.values())
    late = [row for row in once[9].calls if row["time"] < start + 9 * WINDOW_SECONDS]
    assert late
