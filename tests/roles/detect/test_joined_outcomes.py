"""What OUTCOMES writes is what DETECT takes, and adds up to what an oracle counts."""

import numpy as np
import pytest

from support.outcome_log import (
    BEGIN,
    COHORT,
    RETENTION,
    WINDOW,
    counted_in,
    expected_counts,
    random_log,
    record_of,
)
from support.outcome_oracle import Oracle
from tidegauge.config.sections import WindowSettings
from tidegauge.config.settings import Settings
from tidegauge.counting import Position
from tidegauge.outcomes import read_input
from tidegauge.roles.outcomes.state import LAG_SECONDS, JoinState
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.performance import PerformanceClosing, ReferenceFigures
from tidegauge.windows.records import check_signals, read_record

EARLY = 20


def _joined(seed: int) -> tuple[list[bytes], Oracle]:
    """Join a random log, with a flush now and then and two changes of tenure."""
    settings = Settings(
        windows={"seconds": WINDOW},
        outcomes={"cohort_seconds": COHORT, "early_seconds": EARLY},
        model_outcomes={
            model: {"retention_seconds": seconds} for model, seconds in RETENTION.items()
        },
    )
    state = JoinState(settings, 0.0)
    position = Position(origin=0, start=0, since=0, to=0, arrived=0.0)
    state.positions[0] = position
    state.joins[0] = state.new_join()
    early_labels = settings.outcomes.early_labels
    oracle = Oracle(EARLY, early_labels, LAG_SECONDS, dict(RETENTION))
    rng, written = np.random.default_rng(seed), []
    log = random_log(seed)
    for number, (at, events) in enumerate(log):
        state.cells.add(state.joins[0].take([read_input(record_of(events, at), at)]))
        oracle.take(at, events)
        position.to += 1
        if rng.random() < 0.4 or number == len(log) - 1:
            state.settle()
            written += [
                value
                for _, value in state.records(
                    now=at, monotonic=0.0, partitions=1, destinations=1, topic_id=""
                )
            ]
            state.flushed()
        if number in (20, 40) and position.since == position.to:
            state.renew(0.0)
    return written, oracle


@pytest.mark.parametrize("seed", range(6))
def test_cells_of_the_join_add_up_to_what_the_oracle_counts(seed: int) -> None:
    written, oracle = _joined(seed)
    state = PartitionState(
        partition=0,
        window_of=lambda model: WindowSettings(seconds=WINDOW, late_seconds=10**8),
        idle_seconds=10.0,
        retention_of=lambda model: 1e8,  # so that everything can be compared at the end
    )
    for offset, value in enumerate(written):
        record = read_record(
            value, source="predictions", outcomes="tidegauge.outcomes", max_ahead_seconds=300.0
        )
        check_signals(record)
        assert record.of_outcomes and not state.gaps(record)
        state.join(record, offset)
        state.pass_outcomes()
        closing = PerformanceClosing(state, topic="", references=ReferenceFigures())
        for window in state.outcomes.due():
            closing.close(window)
    found = counted_in(
        one.cell(window)
        for window, tenures in state.outcomes.cells.items()
        for one in tenures.values()
    )
    assert found == expected_counts(oracle)
    assert state.take_outputs() and state.progress.outcomes.watermark > BEGIN
