"""The scenarios: what their judges say of made-up runs, and their short forms."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaos.plan.course import Course, Left, Part, Report, Seen, Span, decode_report
from chaos.plan.faults import BASE_WORKERS, Plan
from chaos.run import run
from chaos.scenarios import (
    SCENARIOS,
    judge_broker_outage,
    judge_redis_outage,
    judge_rolling_restart,
)
from support.window_reports import part_of, window_report
from tidegauge.contract import encode

#: Delays are judged, on a machine that has other things to do as well.
SHORT_RATE = 5_000
START = 1_750_000_000
GRACE = 2.0
#: Delay of each first report, while nothing is amiss.
CALM = 1.0
SECONDS = 100
AT = START + 20.0

#: Redis stops within half a second, and starts within as much.
REDIS = Span("redis_stop", AT, AT + 0.5, AT + 40, AT + 40.5)
BROKER = Span("broker_kill", AT, AT, AT + 30, AT + 33)
RESTARTS = Span("rolling_restart", AT, AT, AT + 50, AT + 50)
WORKERS = [f"{role}-{n}" for role, number in BASE_WORKERS.items() for n in range(number)]


def reports(span: Span, late: dict[int, float] | None = None, *, ages: bool = True) -> list[Seen]:
    """Make reports of two models as they must be; ``late`` has delays by number of the window."""
    seen = []
    for number in range(SECONDS // 5):
        start = START + number * 5
        at = start + 5 + GRACE + (late or {}).get(number, CALM)
        age = 1.0
        if ages and span.began < start + 5 and start < span.back + 2:
            age = start + 5.5 - span.asked + 1.0
        for model, baseline in (("m0", "b0"), ("m7", "")):
            part = Part(baseline, age if baseline else None)
            seen.append(Seen(Report(model, "1", "", start, start + 5, 0, [part]), at))
    return seen


def course(span: Span, seen: Iterable[Seen], **fields: Any) -> Course:
    made = Course(
        began=START, ended=START + SECONDS, grace_seconds=GRACE, spans=[span], left=[],
        restarts={}, reports=list(seen),
    )  # fmt: skip
    return replace(made, **fields)


def aged(seen: list[Seen], number: int, age: float | None) -> list[Seen]:
    """Have window ``number`` say another age."""

    def changed(one: Seen) -> Seen:
        if one.report.window_start != START + number * 5 or not one.report.parts[0].baseline:
            return one
        part = Part(one.report.parts[0].baseline, age)
        report = Report("m0", "1", "", one.report.window_start, one.report.window_end, 0, [part])
        return one._replace(report=report)

    return [changed(one) for one in seen]


# -- what is read of a run -----------------------------------------------------------------------


def test_a_report_is_read_as_the_product_writes_it() -> None:
    written = window_report(0, part_of(10), model="m0", version="1")
    report, at = decode_report(encode(written), 17.5)
    assert at == 17.5
    assert (report.model, report.version, report.variant) == ("m0", "1", "")
    assert (report.window_start, report.window_end) == (written.window_start, written.window_end)
    assert [(p.baseline, p.baseline_age_seconds) for p in report.parts] == [("b1", 0.5)]


def test_the_delay_of_a_window_is_that_of_its_first_report() -> None:
    first, second = Part("b", 1.0), Part("b", 2.0)
    made = [
        Seen(Report("m0", "1", "", START, START + 5, 1, [second]), START + 30.0),
        Seen(Report("m0", "1", "", START, START + 5, 0, [first]), START + 9.5),
        Seen(Report("m0", "1", "", START, START + 5, 0, [first]), START + 11.0),
        Seen(Report("m0", "1", "canary", START, START + 5, 0, [first]), START + 8.0),
    ]
    found = {it.report.variant: it.seconds for it in course(REDIS, made).delays()}
    assert found == {"": 2.5, "canary": 1.0}


def test_windows_that_are_due_after_the_traffic_are_not_judged() -> None:
    found = course(REDIS, reports(REDIS)).delays()
    assert max(it.due for it in found) < START + SECONDS - 1
    assert max(it.due for it in found) > START + SECONDS - 7


def test_windows_due_just_before_a_fault_do_not_count_as_undisturbed() -> None:
    before, after = course(REDIS, reports(REDIS)).split_delays()
    assert max(it.due for it in before) <= REDIS.asked - 3 < min(it.due for it in after)


# -- Redis ---------------------------------------------------------------------------------------


def test_an_outage_of_redis_that_shows_in_the_ages_alone_is_well() -> None:
    judged = judge_redis_outage(course(REDIS, reports(REDIS)))
    assert judged.findings == []
    assert judged.measured["during_parts"] > 3
    assert judged.measured["during_largest_age_seconds"] > 30
    assert judged.measured["after_largest_age_seconds"] == 1.0


@pytest.mark.parametrize(
    ("number", "age", "said"),
    [
        (8, 1.0, "during the outage says that its baseline was read 1.0 s ago; expected 24.0"),
        (8, 60.0, "during the outage says that its baseline was read 60.0 s ago"),
        (8, None, "during the outage says no age"),
        (0, 30.0, "before the outage says that its baseline was read 30.0 s ago"),
        (17, 40.0, "after the outage says that its baseline was read 40.0 s ago"),
    ],
)
def test_a_wrong_age_is_found(number: int, age: float | None, said: str) -> None:
    judged = judge_redis_outage(course(REDIS, aged(reports(REDIS), number, age)))
    assert len(judged.findings) == 1
    assert said in judged.findings[0]


def test_an_age_that_does_not_grow_is_found_in_every_window_of_the_outage() -> None:
    judged = judge_redis_outage(course(REDIS, reports(REDIS, ages=False)))
    assert len(judged.findings) == judged.measured["during_parts"] > 3


def test_a_window_that_waited_for_redis_is_found() -> None:
    seen = reports(REDIS, {8: 20.0})
    judged = judge_redis_outage(course(REDIS, seen))
    assert [said for said in judged.findings if "waited 20.0 s for Redis" in said]


def test_counting_without_a_baseline_during_the_outage_is_found() -> None:
    seen = [
        one._replace(
            report=Report("m0", "1", "", r.window_start, r.window_end, 0, [Part("", None)])
        )
        if (r := one.report).model == "m0" and r.window_start == START + 40
        else one
        for one in reports(REDIS)
    ]
    judged = judge_redis_outage(course(REDIS, seen))
    assert len(judged.findings) == 1
    assert "without a baseline" in judged.findings[0]


def test_a_worker_that_ended_while_redis_was_down_is_found() -> None:
    judged = judge_redis_outage(course(REDIS, reports(REDIS), restarts={"detect": 1, "ingest": 0}))
    assert judged.findings == ["1 workers of detect ended by themselves or were found dead"]


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_run_that_says_nothing_of_a_time_is_not_taken_to_be_well(when: str) -> None:
    kept: dict[str, Callable[[float], bool]] = {
        "before": lambda at: at > REDIS.asked,
        "during": lambda at: not REDIS.asked < at < REDIS.back,
        "after": lambda at: at < REDIS.back,
    }
    seen = [one for one in reports(REDIS) if kept[when](one.at)]
    judged = judge_redis_outage(course(REDIS, seen))
    assert any(
        "before the disturbance" in it or f"no report {when}" in it for it in judged.findings
    )


# -- the broker ----------------------------------------------------------------------------------

#: Windows due during the outage: reported 4 s after the broker's return.
HELD_BACK = {n: BROKER.back + 4 - (START + n * 5 + 5 + GRACE) for n in range(3, 9)}


def test_reports_that_are_late_until_shortly_after_the_brokers_return_are_well() -> None:
    judged = judge_broker_outage(course(BROKER, reports(BROKER, HELD_BACK)))
    assert judged.findings == []
    assert judged.measured["in_time_again_after_seconds"] == 4.0
    assert judged.measured["outage_seconds"] == 33
    assert judged.measured["delay_seconds"]["max"] == HELD_BACK[3]


def test_reports_that_stay_late_are_found() -> None:
    late = dict.fromkeys(range(3, SECONDS // 5), 10.0)
    judged = judge_broker_outage(course(BROKER, reports(BROKER, late)))
    assert any("was in time" in said for said in judged.findings)
    assert any("still late: 10.0 s" in said for said in judged.findings)


def test_one_slice_that_stays_late_is_found() -> None:
    seen = [
        one._replace(at=one.at + 10) if one.report.model == "m7" and one.at > BROKER.back else one
        for one in reports(BROKER, HELD_BACK)
    ]
    judged = judge_broker_outage(course(BROKER, seen))
    assert len(judged.findings) == 1
    assert judged.findings[0].startswith("m7/1")


def test_no_report_after_the_brokers_return_is_found() -> None:
    seen = [one for one in reports(BROKER) if one.at < BROKER.back]
    assert judge_broker_outage(course(BROKER, seen)).findings


# -- restarts ------------------------------------------------------------------------------------

LEFT = [Left(name, "rolling restart", 0, 2.0) for name in WORKERS]


def test_restarts_that_delay_little_are_well() -> None:
    judged = judge_rolling_restart(course(RESTARTS, reports(RESTARTS, {6: 15.5}), left=LEFT))
    assert judged.findings == []
    assert judged.measured["added_delay_seconds"] == 14.5
    assert judged.measured["leave_seconds"] == dict.fromkeys(WORKERS, 2.0)


def test_a_report_that_is_late_is_found_with_its_delay() -> None:
    judged = judge_rolling_restart(course(RESTARTS, reports(RESTARTS, {6: 16.5}), left=LEFT))
    assert len(judged.findings) == 2  # two models
    assert "16.5 s after it was due, 53.5 s into the traffic" in judged.findings[0]


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (Left("detect-1", "rolling restart", -9, 25.1), "detect-1 ended with -9, 25.1 s after"),
        (Left("detect-1", "rolling restart", 1, 24.2), "detect-1 ended with 1, 24.2 s after"),
        (Left("detect-1", "rolling restart", 0, 25.5), "detect-1 took 25.5 s to leave"),
        (Left("detect-0", "rolling restart", 0, 2.0), "detect-0 was restarted 2 times"),
    ],
)
def test_a_worker_that_does_not_leave_in_good_order_is_found(last: Left, said: str) -> None:
    left = [*LEFT[:-1], last]
    judged = judge_rolling_restart(course(RESTARTS, reports(RESTARTS), left=left))
    assert any(said in it for it in judged.findings)


def test_a_worker_that_was_not_restarted_is_found() -> None:
    judged = judge_rolling_restart(course(RESTARTS, reports(RESTARTS), left=LEFT[1:]))
    assert judged.findings == ["ingest-0 was restarted 0 times, expected once"]


def test_restarts_that_outlast_the_traffic_are_no_proof() -> None:
    judged = judge_rolling_restart(
        course(RESTARTS, reports(RESTARTS), left=LEFT, ended=RESTARTS.back - 1)
    )
    assert any("lengthen the scenario" in said for said in judged.findings)


def test_restarts_in_a_run_that_was_late_already_are_no_proof() -> None:
    late = dict.fromkeys(range(SECONDS // 5), 20.0)
    judged = judge_rolling_restart(course(RESTARTS, reports(RESTARTS, late), left=LEFT))
    assert judged.findings == [
        "reports came 20.0 s after they were due before anything was disturbed, "
        "expected 5 s at most: there is nothing to compare with"
    ]


@pytest.mark.parametrize("judge", [judge_redis_outage, judge_broker_outage, judge_rolling_restart])
def test_a_run_in_which_nothing_happened_is_no_proof(judge: Any) -> None:
    judged = judge(course(REDIS, reports(REDIS), spans=[], left=LEFT))
    assert any("expected one" in said for said in judged.findings)


# -- the real thing ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_forms_of_a_scenario_bear_its_name_and_end_before_the_traffic(name: str) -> None:
    for plan in (SCENARIOS[name].long, SCENARIOS[name].short):
        assert plan.name == name
        assert (len(plan.faults) == 1) is (plan.brokers == 1)
        assert all(fault.at + fault.seconds < plan.seconds for fault in plan.faults)
        assert f"plan of {name}" in str(plan)


@pytest.mark.timeout(900)
# Brokers that die are among the faults of test_chaos.py.
@pytest.mark.parametrize("name", ["redis_outage", "rolling_restart", "three_brokers"])
def test_the_short_form_of_a_scenario_is_exact_and_passes_its_judge(
    name: str, tmp_path: Path
) -> None:
    plan: Plan = SCENARIOS[name].short
    result = run(plan, tmp_path / "run", rate=SHORT_RATE)
    assert result.exact, "\n".join([str(plan), *result.log, result.tails, str(result)])
    assert result.events > 0
    assert result.measured
