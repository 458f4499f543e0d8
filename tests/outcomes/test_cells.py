"""Cells of tenures: whatever ends a tenure and wherever, their sum is what the oracle counts."""

import numpy as np
import pytest

from support.outcome_log import RETENTION, TARGETS, random_log, record_of
from support.outcome_oracle import Oracle
from tidegauge.contract import decode, encode
from tidegauge.contract.outcome_cell import OutcomeCell
from tidegauge.outcomes import (
    JoinLimits,
    OutcomeCells,
    OutcomeCounts,
    OutcomeJoin,
    Strata,
    read_input,
)

LIMITS = JoinLimits(early_seconds=20, early_labels=1_000, lag_seconds=100)
COHORT, WINDOW = 300, 60


def _worker():
    strata = Strata(RETENTION.__getitem__)
    return OutcomeJoin(strata, LIMITS), strata


def _counts_of_tenures(log, rng):
    """Return counts by model, kind, start and slice; each worker ends after a few records."""
    records = [read_input(record_of(events, time), time) for time, events in log]
    totals, done = {}, 0
    while done < len(records):
        join, strata = _worker()
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
        for key, cell in newest.items():
            for one in cell.strata:
                slice_key = (*key, one.version, one.variant, tuple(one.groups.items()))
                counts = OutcomeCounts.from_record(cell.targets[one.target], one)
                if slice_key in totals:
                    totals[slice_key].merge(counts)
                else:
                    totals[slice_key] = counts
    return {key: _record(counts) for key, counts in totals.items() if counts}


def _expected(log):
    oracle = Oracle(LIMITS.early_seconds, LIMITS.early_labels, LIMITS.lag_seconds, RETENTION)
    for time, events in log:
        oracle.take(time, events)
    totals = {}

    def counts(stratum, kind, start):
        (model, *rest), seconds = stratum, COHORT if kind == "cohort" else WINDOW
        key = (model, kind, int(start // seconds * seconds), *rest)
        return totals.setdefault(key, OutcomeCounts(TARGETS[model]))

    for (stratum, value, predicted, time, code, arrived), n in oracle.counted().items():
        for kind, start in (("cohort", time), ("arrival", arrived)):
            for _ in range(n):
                counts(stratum, kind, start).add(
                    np.array([value]),
                    np.array([predicted], np.uint16),
                    np.array([code]),
                    np.array([arrived - time]),
                )
    for (stratum, time), n in oracle.joinable.items():
        counts(stratum, "cohort", time).joinable += n
    return {key: _record(its) for key, its in totals.items() if its}


def _record(counts):
    return counts.to_record(version="", baseline="b", target=0)


@pytest.mark.parametrize("seed", range(4))
def test_the_sum_over_tenures_is_what_the_oracle_counts(seed):
    log, rng = random_log(seed), np.random.default_rng(seed)
    assert _counts_of_tenures(log, rng) == _expected(random_log(seed))
