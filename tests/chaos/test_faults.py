"""Plans: drawn from the seed alone, and enough in them."""

from collections import Counter
from itertools import pairwise

import pytest

from chaos.plan.faults import BASE_WORKERS, KINDS, SESSION_SECONDS, draw_plan

SEEDS = range(1, 21)


def test_a_seed_gives_the_same_plan_every_time() -> None:
    assert draw_plan(7) == draw_plan(7)
    assert str(draw_plan(7)) == str(draw_plan(7))
    assert draw_plan(7) != draw_plan(8)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_plan_has_nine_faults_of_five_kinds(seed: int) -> None:
    plan = draw_plan(seed)
    assert len(plan.faults) >= 9
    assert len(plan.counts()) >= 5
    assert sum(plan.counts().values()) == len(plan.faults)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_short_plan_has_seven_faults(seed: int) -> None:
    plan = draw_plan(seed, 40)
    assert len(plan.faults) >= 7
    assert len(plan.counts()) >= 4


def test_twenty_seeds_have_every_kind() -> None:
    drawn: Counter[str] = Counter()
    for seed in SEEDS:
        drawn.update(draw_plan(seed).counts())
    assert drawn.keys() == set(KINDS)
    assert min(drawn.values()) >= 5


@pytest.mark.parametrize("seconds", [30, 40, 70, 120])
def test_faults_begin_one_after_the_other_while_there_is_traffic(seconds: float) -> None:
    for seed in range(200):
        times = [fault.at for fault in draw_plan(seed, seconds).faults]
        assert times[0] == 8
        assert times[-1] <= seconds - 2.9
        gaps = [b - a for a, b in pairwise(times)]
        assert all(2.5 < gap < 9 for gap in gaps), gaps


def test_what_is_drawn_makes_sense() -> None:
    for seed in range(200):
        for fault in draw_plan(seed).faults:
            if fault.kind == "pause":
                assert SESSION_SECONDS + 3 <= fault.seconds <= SESSION_SECONDS + 6
            if fault.kind in ("kill", "term", "pause"):
                assert fault.role is not None and fault.worker is not None
                assert fault.worker < BASE_WORKERS[fault.role]
            if fault.kind == "slow_network":
                assert fault.latency_ms >= 100 and 0 < fault.jitter_ms < fault.latency_ms
            if fault.kind == "clock_skew":
                assert -900 <= fault.shift <= 300 and fault.share < 1
            assert fault.kind in str(fault)


def test_too_short_a_run_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        draw_plan(1, 10)
