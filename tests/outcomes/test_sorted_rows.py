"""Rows by id in memory, against a dictionary."""

from collections import defaultdict

import numpy as np

from tidegauge.outcomes import sorted_rows
from tidegauge.outcomes.sorted_rows import SortedRows

KIND = np.dtype([("base", "<i8"), ("n", "<u4")])


def test_what_is_found_is_what_was_added(monkeypatch):
    monkeypatch.setattr(sorted_rows, "LARGEST_RUN", 64)
    rng = np.random.default_rng(0)
    rows, expected, n = SortedRows(KIND, "base", lambda its: its["base"] + 100), defaultdict(set), 0
    for clock in range(1_000, 1_100):
        ids = np.sort(rng.integers(0, 300, int(rng.integers(0, 20)), np.uint64))
        new = np.zeros(len(ids), KIND)
        new["base"], new["n"] = clock, np.arange(n, n + len(ids))
        n += len(ids)
        rows.add(ids, new)
        for id, number in zip(ids.tolist(), new["n"].tolist(), strict=True):
            expected[id].add((clock, number))
        wanted = np.unique(rng.integers(0, 320, 40, np.uint64))
        found = rows.find(wanted)
        seen = defaultdict(set)
        for of, (base, number) in zip(found.of.tolist(), found.rows.tolist(), strict=True):
            if base:
                seen[int(wanted[of])].add((base, number))
        assert seen == {id: its for id in wanted.tolist() if (its := expected.get(id))}
        gone = found.only((rng.random(len(found.of)) < 0.1) & (found.rows["base"] > 0))
        rows.remove(gone)
        for of, row in zip(gone.of.tolist(), gone.rows.tolist(), strict=True):
            expected[int(wanted[of])].remove(row)
        rows.expire(clock)
        assert rows.oldest(clock) == min(base for its in expected.values() for base, _ in its)


def test_memory_of_what_is_of_no_use_is_freed():
    rows = SortedRows(KIND, "base", lambda its: its["base"] + 100)
    new = np.zeros(1_000, KIND)
    new["base"] = 1_000 + np.arange(1_000)
    rows.add(np.arange(1_000, dtype=np.uint64), new)
    assert rows.nbytes == 1_000 * 20
    rows.expire(1_500)
    assert len(rows) == 1_000, "less than half is over"
    rows.expire(1_700)
    assert len(rows) == 400
    rows.remove(rows.find(np.arange(600, 801, dtype=np.uint64)))
    rows.expire(1_700)
    assert len(rows) == 199
    rows.expire(3_000)
    assert (len(rows), rows.oldest(3_000)) == (0, None)


def test_nothing_is_found_where_there_is_nothing():
    rows = SortedRows(KIND, "base", lambda its: its["base"])
    assert len(rows.find(np.array([1], np.uint64)).of) == 0
    rows.add(np.zeros(0, np.uint64), np.zeros(0, KIND))
    assert len(rows.find(np.zeros(0, np.uint64)).of) == 0
