"""What becomes of an acknowledgement in the audit trail."""

from tidegauge.audit.facts import fact_of
from tidegauge.contract.alert import Action, acknowledge

ACTION = Action(
    id="a1", kind="retrain", alert="b", rule="drift", model="credit", version="3", variant="",
    requested_at=60, reason="drift", data=None,
)  # fmt: skip


def test_it_says_who_did_what_and_what_came_out_of_it() -> None:
    said = acknowledge(
        ACTION, "taken", actor="trainer", time=70.9, note="by night", result={"version": "4"}
    )
    fact = fact_of(said)
    assert (fact.event, fact.subject, fact.actor, fact.time) == (
        "action.taken",
        "a1",
        "trainer",
        70,
    )
    assert (fact.model, fact.version, fact.reason) == ("credit", "3", "by night")
    assert fact.inputs == {"action": "retrain", "acknowledgement": said.id, "result version": "4"}


def test_the_same_outcome_said_again_is_the_same_fact_and_another_outcome_is_not() -> None:
    ids = [
        fact_of(acknowledge(ACTION, outcome, actor="trainer", time=at, note="")).id
        for outcome, at in (("failed", 1.0), ("failed", 2.0), ("taken", 3.0))
    ]
    assert ids[0] == ids[1] != ids[2]
