"""What the suite says in the end of all of its runs."""

from chaos.judge.results import Result, totals
from chaos.plan.faults import draw_plan
from chaos.traffic import Sent


def test_totals_add_up_and_name_each_failure() -> None:
    plans = [draw_plan(1), draw_plan(2)]
    results = [
        Result(plans[0], events=990, sent=Sent(1_000, 10, 10.0, 100.0), restarts={"detect": 1}),
        Result(plans[1], ["LOST: a window"], events=500, sent=Sent(500, 0, 20.0, 25.0)),
    ]
    found = totals(results)
    assert found["runs"] == 2
    assert found["exact"] == 1
    assert sum(found["faults"].values()) == sum(len(plan.faults) for plan in plans)
    assert found["events"] == 1_490
    assert found["rate"] == 50
    assert found["restarts"] == {"detect": 1}
    assert found["failures"] == [{"seed": 2, "findings": ["LOST: a window"]}]


def test_a_run_that_failed_before_any_traffic_is_counted() -> None:
    found = totals([Result(draw_plan(1), ["the harness has failed: no broker"])], "no_such")
    assert (found["runs"], found["exact"], found["rate"]) == (1, 0, 0)
    assert found["mutation"] == "no_such"
