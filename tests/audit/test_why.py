"""``tidegauge audit why``: the explanation of one action, from a trail of what led to it."""

from typing import Any

import pytest

from support.audit_trail import ACTION, PROMOTED, RULES, SEEN, TAKEN, trail
from tidegauge.audit.why import as_text, asked_for, explain
from tidegauge.contract.audit import AuditRecord


def told(records: list[AuditRecord]) -> list[str]:
    (asked,) = asked_for(records)
    return list(as_text(explain(asked, records)))


def test_it_reads_as_an_answer_from_the_action_to_what_became_of_it() -> None:
    assert told(trail()) == [
        "2026-03-01 12:01:00Z  retrain of credit 3 was requested by rule drift-retrain",
        "  action    aca7d3cf6699b4595b46833f9377f8ea",
        "  because   credit 3: income has drifted, KL 0.0744 nats over 0.07 in 3000 events; "
        "retrain",
        "  alert     0c2694154a1ccf54154ba72a6e0dd3ab",
        "  firing    since 2026-03-01 12:01:00Z, resolved 2026-03-01 12:11:00Z",
        "  figure    kl of income is 0.0744 nats, above 0.07, in 3,000 events (at least 1,000)",
        "  window    2026-03-01 12:00:00Z to 2026-03-01 12:01:00Z",
        "  report    ad9175627338bef1473d436d9d4bf422",
        "  baseline  f7e6c5ed82b8, promoted 2026-02-28 12:01:00Z by ana",
        "  rules     rules.yaml 3590ad1c6089, noticed 2026-02-28 18:00:00Z by worker:detect-0 "
        "(changed: drift-retrain)",
        "  data      2026-02-28 12:01:00Z to 2026-03-01 12:01:00Z",
        "  offsets   up to predictions/0@415300 predictions/1@411930",
        "  seen      by ann@ops-1 at 2026-03-01 12:05:00Z: looking into it",
        "  outcome   taken by trainer at 2026-03-01 13:00:00Z: by night (version 4)",
    ]


@pytest.mark.parametrize(
    ("without", "line"),
    [
        (TAKEN, "  outcome   not acknowledged"),
        (RULES, "  rules     file 3590ad1c6089; since when is not in the trail"),
        (PROMOTED, "  baseline  f7e6c5ed82b8; its promotion is not in the trail"),
    ],
)
def test_what_the_trail_does_not_have_is_said_to_be_unknown(without: str, line: str) -> None:
    assert line in told([one for one in trail() if one.event != without])


def test_of_an_incident_the_worst_signal_is_named_first() -> None:
    records = trail()
    for one in records:
        if one.event == ACTION:
            one.inputs |= {"signal": "", "signals": "income age region"}
    (figure,) = [line for line in told(records) if line.startswith("  figure")]
    assert figure.startswith("  figure    kl of income (and 2 more: age region) is 0.0744 nats")


def test_what_is_of_another_alert_or_model_is_left_out() -> None:
    others = [
        changed(SEEN, inputs={"episode": "another"}),
        changed(PROMOTED, model="shop", time=1_772_366_000),
        changed(RULES, subject="another file", time=1_772_366_000),
        changed(TAKEN, subject="another action"),
    ]
    assert told([*others, *trail(), *others]) == told(trail())


def changed(of: str, **changes: Any) -> AuditRecord:
    (one,) = (one for one in trail() if one.event == of)
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def test_of_two_promotions_the_last_before_the_action_counts() -> None:
    earlier = changed(PROMOTED, time=1_700_000_000, actor="user:old")
    later = changed(PROMOTED, time=1_800_000_000, actor="user:new")
    assert told([later, earlier, *trail()]) == told(trail())


def test_an_action_that_was_withheld_says_why() -> None:
    asked = changed(ACTION, event="action.withheld")
    asked.inputs["withheld"] = "it was asked for 5 h ago, and the cooldown is 24 h"
    lines = told([asked, *(one for one in trail() if one.event not in (ACTION, TAKEN))])
    assert "retrain of credit 3 was NOT requested by rule drift-retrain" in lines[0]
    assert "  withheld  it was asked for 5 h ago, and the cooldown is 24 h" in lines
    assert not any(line.startswith("  outcome") for line in lines)


def test_without_the_rest_of_the_trail_what_is_known_is_said() -> None:
    (asked,) = asked_for(trail())
    lines = list(as_text(explain(asked, [asked])))
    assert "  alert     0c2694154a1ccf54154ba72a6e0dd3ab" in lines
    assert "  firing    its beginning is not in the trail" in lines
