"""Rows of ``make bench-detection`` at the level of production's thresholds."""

import pytest

from _detection_tails import BINARY, NUMERIC, SPARSE, Case, tails

#: ... and two standard errors of what is drawn.
_BAR = 1.2


@pytest.mark.parametrize("case", [*BINARY[:4], *SPARSE, NUMERIC[1], NUMERIC[2]], ids=str)
def test_no_score_is_beyond_15_nats_more_often_than_promised(case: Case) -> None:
    for tail in tails([case], seed=14, samples=15_000):
        for score, ratio in tail.ratios.items():
            assert ratio < _BAR + 2 * tail.errors[score], (tail.span, score)


def test_levels_are_reached_where_there_are_enough_events() -> None:
    """A score that never exceeds anything would keep the promise too."""
    (tail,) = tails([NUMERIC[1]], seed=15, samples=15_000, spans=[0])
    assert all(ratio > 0.25 for ratio in tail.ratios.values())
