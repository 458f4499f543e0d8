"""Plans for three brokers, and what their judge says of made-up runs."""

from dataclasses import replace
from itertools import pairwise

import pytest

from chaos.judge.brokers import judge_three_brokers
from chaos.plan.broker_faults import FULL_SECONDS, SHORT_SECONDS, draw_broker_plan
from chaos.plan.course import Course, Part, Report, Seen, Span
from chaos.plan.faults import PARTS

START = 1_750_000_000
GRACE = 2.0
CALM = 1.0
SECONDS = 120
ONE = Span("broker_loss", START + 20, START + 20, START + 26, START + 34)
DISK = Span("disk_full", START + 36, START + 36.5, START + 43, START + 49)
TWO = Span("brokers_away", START + 60, START + 60, START + 73, START + 80)

#: Windows that were due while two brokers were away are reported once these are back.
OUTAGE = {n: TWO.back + 1.0 - (START + 5 * n + 5 + GRACE) for n in range(11, 15)}


def course(late: dict[int, float] | None = None) -> Course:
    """Make a run; ``late`` has delays by number of the window."""
    delays = OUTAGE | (late or {})
    reports = []
    for number in range(SECONDS // 5):
        start = START + 5 * number
        report = Report("m0", "1", "", start, start + 5, 0, [Part("b", 1.0)])
        reports.append(Seen(report, start + 5 + GRACE + delays.get(number, CALM)))
    return Course(
        began=START, ended=START + SECONDS, grace_seconds=GRACE, spans=[ONE, DISK, TWO], left=[],
        restarts={}, reports=reports,
    )  # fmt: skip


def test_a_full_plan_loses_every_part_and_a_disk_and_then_two() -> None:
    for seed in range(1, 21):
        plan = draw_broker_plan(seed)
        assert plan == draw_broker_plan(seed)
        assert plan.brokers == 3
        assert [fault.kind for fault in plan.faults].count("broker_loss") == len(PARTS)
        assert {fault.part for fault in plan.faults if fault.part} == set(PARTS)
        assert plan.faults[-1].kind == "brokers_away"
        assert "disk_full" in plan.counts()
        assert all(b.at - a.at > a.seconds + 5 for a, b in pairwise(plan.faults))


def test_the_order_is_drawn() -> None:
    orders = [[(f.kind, f.part) for f in draw_broker_plan(seed).faults] for seed in range(1, 6)]
    assert all(orders.count(order) == 1 for order in orders)


def test_a_short_plan_loses_one_and_then_two() -> None:
    plan = draw_broker_plan(1, SHORT_SECONDS)
    assert [fault.kind for fault in plan.faults][1:] == ["brokers_away"]
    assert SHORT_SECONDS <= 66 < FULL_SECONDS
    with pytest.raises(ValueError, match="too short"):
        draw_broker_plan(1, SHORT_SECONDS - 1)


def test_runs_of_different_seeds_have_names_of_their_own() -> None:
    assert draw_broker_plan(1).label != draw_broker_plan(2).label


def test_a_run_whose_reports_wait_for_two_brokers_alone_is_well() -> None:
    judged = judge_three_brokers(course())
    assert judged.findings == []
    assert judged.measured["one_loss_added_seconds"] == {
        "broker_loss at 20 s": 0.0,
        "disk_full at 36 s": 0.0,
    }
    assert judged.measured["in_time_again_after_seconds"] == 1.0


def test_a_report_that_one_loss_delays_for_too_long_is_found() -> None:
    assert judge_three_brokers(course({4: 10.9})).findings == []
    judged = judge_three_brokers(course({4: 11.5}))
    [said] = judged.findings
    assert "m0/1 1750000020 revision 0 came 11.5 s after it was due" in said
    assert "the loss of one broker may add 10 s" in said
    assert judged.measured["one_loss_added_seconds"]["broker_loss at 20 s"] == 10.5


def test_reports_that_stay_late_after_the_return_are_found() -> None:
    stays = dict.fromkeys(range(15, SECONDS // 5), 6.0)
    found = judge_three_brokers(course(stays)).findings
    assert found[0] == "no window that was due after the brokers' return was in time"
    assert "the last, was still late: 6.0 s" in found[1]


def test_a_worker_that_ends_by_itself_is_found() -> None:
    found = judge_three_brokers(replace(course(), restarts={"detect": 1})).findings
    assert found == ["1 workers of detect ended by themselves or were found dead"]


def test_a_run_without_the_losses_is_no_proof() -> None:
    found = judge_three_brokers(replace(course(), spans=[ONE])).findings
    assert found == ["expected losses of one and of two, found ['broker_loss']"]
