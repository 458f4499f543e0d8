"""The oracle of the chaos suite: right outputs are EXACT, and every kind of wrong one is found."""

import copy
import json

import pytest

from chaos.judge.findings import MOST_FINDINGS, Findings
from chaos.judge.made_outputs import BAD, FEW, FIRST, MANY, SECONDS, START, World
from chaos.judge.oracle import OutputRecord, Verdict, judge_run
from chaos.judge.wrong_outputs import WRONG_OUTPUTS, Spoil, lose_an_event

_MADE = World()


@pytest.fixture
def world() -> World:
    """Return a world whose outputs can be spoilt."""
    made = copy.copy(_MADE)
    made.outputs = copy.deepcopy(_MADE.outputs)
    return made


def spoilt(world: World, spoil: Spoil) -> Verdict:
    spoil(world)
    return world.judge()


def test_right_outputs_are_exact(world: World) -> None:
    verdict = world.judge()
    assert verdict.exact and verdict.findings == []
    assert verdict.events == 4 * (MANY + FEW) + 14 + 1 + 1 + FEW
    assert verdict.windows == 4 * 2 + 2
    assert str(verdict).startswith(f"EXACT: 10 windows, {verdict.events:,} events, 6 dead letters")
    assert verdict.summary == {
        "dead_letters": len(BAD), "reports": 11, "binned_windows": 4, "mixed_reports": 1,
        "windows_judged_late": 1, "figures_too_close": 0, "alerts": 12, "actions": 2,
        "sent_again": 0, "lost": 0, "duplicated": 0, "wrong": 0,
    }  # fmt: skip


def test_what_is_sent_again_byte_for_byte_is_no_finding(world: World) -> None:
    for kind in ("windows", "alerts_history", "actions", "audit_facts"):
        world.outputs[kind] += world.outputs[kind]
    verdict = world.judge()
    assert verdict.exact
    assert verdict.summary["sent_again"] == 11 + 12 + 2 + 15


def test_a_dead_letter_may_leave_its_payload_out_or_cut_it_off(world: World) -> None:
    first, second = world.outputs["dead_letters"][:2]
    first["payload"] = first["payload"][:4]
    second["payload"] = second["payload_encoding"] = None
    assert world.judge().exact


# -- every kind of wrong output --------------------------------------------------------------------


@pytest.mark.parametrize(("spoil", "kind", "what"), WRONG_OUTPUTS)
def test_a_wrong_output_is_found(world: World, spoil: Spoil, kind: str, what: str) -> None:
    verdict = spoilt(world, spoil)
    assert not verdict.exact
    assert verdict.summary[kind.lower()] > 0
    found = [line for line in verdict.findings if line.startswith(f"{kind}: ") and what in line]
    assert found, f"expected {kind}: … {what}, found\n{verdict}"


def test_one_lost_record_of_a_topic_leads_to_few_findings(world: World) -> None:
    """A finding is about one thing: what is spoilt in one report is not said of others."""
    assert len(spoilt(world, lose_an_event).findings) == 1


def test_in_live_traffic_no_window_may_be_reported_before_its_end(world: World) -> None:
    assert world.judge().exact
    verdict = world.judge(is_live=True)
    [*_, said] = verdict.findings
    assert said.startswith("WRONG: m2/1/canary 1750000015 revision 0: was reported 5.0 s before")


def test_windows_that_lie_too_far_ahead_need_not_be_reported(world: World) -> None:
    for report in world.outputs["windows"][:]:
        if report["window_start"] == START + 3 * SECONDS:
            world.outputs["windows"].remove(report)
    assert world.judge(due=START + 3 * SECONDS).exact
    assert world.judge().summary["lost"] == 2


# -- judging by rules ------------------------------------------------------------------------------


def test_a_figure_at_its_threshold_may_have_been_judged_either_way() -> None:
    """Exactly 200 ms on average: whether an alert was raised or not, nobody can say otherwise."""
    made = World()
    rows = [
        {"time": START + 0.5, "model": "m1", "version": "1", "latency_ms": 200.0}
        for _ in range(100)
    ]
    made.source = [(0, i, START * 1000, json.dumps(row).encode()) for i, row in enumerate(rows)]
    made.events = [(0, i, row | {"variant": ""}) for i, row in enumerate(rows)]
    made.outputs = {kind: [] for kind in made.outputs}
    made.add_report("m1", 0, [(FIRST, {}, {0: 100})])
    verdict = made.judge()
    assert verdict.exact and verdict.summary["figures_too_close"] == 2
    made.add_alert("latency-rollback", made.report("m1", 0), "firing", None, 200.0, 100)
    made.outputs["alerts_history"][0]["starts_at"] = START
    assert made.judge().exact


# -- faults and how much is said -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "fault"),
    [(0, "after kill ingest-0 at 15:06:41, 8.0 s before"), (3, "after restart of the broker at")],
)
def test_a_finding_names_the_last_fault_before_the_first_report_of_its_window(
    world: World, number: int, fault: str
) -> None:
    world.report("m2", number)["errors"] += 1
    verdict = world.judge()
    assert len(verdict.findings) == 1 and fault in verdict.findings[0]


def test_a_window_that_was_never_reported_is_dated_by_its_end(world: World) -> None:
    world.outputs["windows"].remove(world.report("m3", 1))
    # It ended at START + 10, before the restart; its neighbours were reported after that.
    assert "after kill ingest-0" in world.judge().findings[0]


def test_without_a_fault_before_it_a_finding_says_so() -> None:
    findings = Findings([(200.0, "kill")])
    findings.add("LOST", "something", at=199.9)
    assert findings.lines() == ["LOST: something (before any fault)"]


def test_more_findings_than_anyone_reads_are_counted() -> None:
    findings = Findings([])
    for i in range(MOST_FINDINGS + 7):
        findings.add("LOST" if i % 2 else "WRONG", f"number {i}", at=float(i))
    lines = findings.lines()
    assert len(lines) == MOST_FINDINGS + 1
    assert lines[-1] == "and 7 more: 3 LOST, 4 WRONG"
    assert findings.by_kind() == {"LOST": 23, "DUPLICATED": 0, "WRONG": 24}


def test_a_run_without_events_is_not_exact() -> None:
    kinds = ("windows", "alerts_history", "actions", "audit_facts", "dead_letters")
    empty: dict[str, list[OutputRecord]] = {kind: [] for kind in kinds}
    verdict = judge_run([], empty, {}, [], SECONDS)
    assert not verdict.exact
    assert verdict.findings[0].startswith("WRONG: there is no sound event in the source")
