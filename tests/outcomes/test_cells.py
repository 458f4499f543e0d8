"""Cells of tenures: whatever ends a tenure and wherever, their sum is what the oracle counts."""

import numpy as np
import pytest

from support.outcome_log import (
    COHORT,
    RETENTION,
    WINDOW,
    counted_in,
    expected_counts,
    random_log,
    record_of,
)
from support.outcome_oracle import Oracle
from tidegauge.contract import OutcomeCell, decode, encode
from tidegauge.outcomes import JoinLimits, OutcomeCells, OutcomeJoin, Strata, read_input

LIMITS = JoinLimits(early_seconds=20, early_labels=1_000, lag_seconds=100)


def _cells_of_tenures(log, rng):
    """Yield the newest cells of tenures; each worker ends after a few records."""
    records = [read_input(record_of(events, time), time) for time, events in log]
    done = 0
    while done < len(records):
        strata = Strata(RETENTION.__getitem__)
        join = OutcomeJoin(strata, LIMITS)
        for at in range(0, done, 7):  # what was counted before is read, and not counted again
            join.take(records[at : min(at + 7, done)])
        cells = OutcomeCells(strata, lambda _: COHORT, lambda _: WINDOW)
        newest = {}
        for _ in range(int(rng.integers(1, 6))):
            n = int(rng.integers(1, 9))
            cells.add(join.take(records[done : done + n]))
            done = min(done + n, len(records))
            join.settle()
            for cell in (one for its in cells.changed(3).values() for one in its):
                read = decode(encode(cell), OutcomeCell)
                newest[read.model, read.kind, read.window_start] = read
            if rng.random() < 0.8:
                cells.flushed()
        yield from newest.values()


@pytest.mark.parametrize("seed", range(4))
def test_the_sum_over_tenures_is_what_the_oracle_counts(seed):
    cells = _cells_of_tenures(random_log(seed), np.random.default_rng(seed))
    oracle = Oracle(LIMITS.early_seconds, LIMITS.early_labels, LIMITS.lag_seconds, RETENTION)
    for time, events in random_log(seed):
        oracle.take(time, events)
    assert counted_in(cells) == expected_counts(oracle)
