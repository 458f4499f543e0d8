"""What a record makes of the tags of a model version; also if it comes again, or late."""

from itertools import permutations
from typing import Any

import pytest

from support.audited import audited
from tidegauge.notify.mlflow_record import STATE, changed, state_of, tag_of

INCOME = "tidegauge.alert.drift.income"
AGE = "tidegauge.alert.drift.age"


def after(*records: Any) -> dict[str, str]:
    tags: dict[str, str] = {}
    for record in records:
        tags |= changed(tags, record)
    return tags


def test_a_tag_says_how_bad_it_is_since_when_and_by_what() -> None:
    key, value = tag_of(audited("alert.firing", seq=4, subject="a1", severity="high"))
    assert key == INCOME
    assert value == (
        "state=firing severity=high since=2026-03-01T12:00:00Z metric=kl value=0.0744 "
        "comparison=above threshold=0.05 at=2026-03-01T12:01:00Z seq=4 id=a1"
    )


def test_the_state_is_the_worst_of_what_fires() -> None:
    low = audited("alert.firing", seq=1, signal="age", severity="low")
    high = audited("alert.firing", seq=2, severity="high")
    over = audited("alert.resolved", seq=3, severity="high")
    assert after(low)[STATE] == "low"
    assert after(low, high)[STATE] == "high"
    assert after(low, high, over)[STATE] == "low"
    last = audited("alert.resolved", seq=4, signal="age", severity="low")
    tags = after(low, high, over, last)
    assert tags[STATE] == "ok"
    assert tags[INCOME].startswith("state=resolved ") and tags[AGE].startswith("state=resolved ")


def test_a_severity_that_rises_is_that_of_the_alert_that_fires() -> None:
    medium = audited("alert.firing", seq=1)
    high = audited("alert.raised", seq=2, severity="high", severities_before="medium")
    tags = after(medium, high)
    assert tags[STATE] == "high" and tags[INCOME].startswith("state=firing severity=high ")


def test_what_people_tagged_stays_and_says_nothing_of_the_state() -> None:
    tags = {"stage": "production", "tidegauge.alert.mine": "state=firing"}
    made = changed(tags, audited("alert.resolved", seq=1))
    assert set(made) == {INCOME, STATE} and made[STATE] == "ok"


def test_every_order_and_any_repetition_ends_in_the_same_tags() -> None:
    records = [
        audited("alert.firing", seq=1, time=60),
        audited("alert.resolved", seq=2, time=120),
        audited("action.requested", seq=3, time=120),
        audited("action.taken", seq=4, time=130),
    ]
    expected = after(*records)
    for order in permutations(records):
        assert after(*order, *order) == expected


def test_a_second_time_changes_nothing() -> None:
    record = audited("alert.firing", seq=1)
    assert changed(after(record), record) == {}


def test_a_crash_between_two_tags_is_made_good() -> None:
    record = audited("alert.firing", seq=1, severity="high")
    half = {INCOME: tag_of(record)[1]}
    assert changed(half, record) == {STATE: "high"}


def test_a_trail_that_was_begun_anew_is_followed() -> None:
    before = audited("alert.firing", seq=900, time=60)
    anew = audited("alert.resolved", seq=1, time=120)
    assert after(before, anew)[INCOME].startswith("state=resolved ")


def test_an_action_taken_by_a_slow_clock_is_taken() -> None:
    asked = audited("action.requested", seq=7, time=120)
    taken = audited("action.taken", seq=8, time=90)
    assert after(asked, taken)["tidegauge.action.retrain"].startswith("state=taken ")


@pytest.mark.parametrize(("dry_run", "said"), [("true", "dry_run=true "), ("false", "=false ")])
def test_an_action_says_whether_it_is_only_to_be_said(dry_run: str, said: str) -> None:
    key, value = tag_of(audited("action.requested", seq=1, dry_run=dry_run))
    assert key == "tidegauge.action.retrain" and said in value


def test_tags_of_different_alerts_never_meet() -> None:
    keys = {
        tag_of(audited("alert.firing", seq=1, **about))[0]
        for about in (
            {},
            {"signal": ""},
            {"variant": "canary"},
            {"segment": "canary"},
            {"signal": "income.canary"},
            {"signal": "income/canary"},
            {"signal": "income:canary"},
            {"actor": "rule:drift.income", "signal": ""},
            {"signal": "x" * 300},
            {"signal": "x" * 301},
        )
    }
    assert len(keys) == 10
    assert all(len(key) <= 250 and "/" not in key and ":" not in key for key in keys)


def test_a_record_of_before_severities_were_audited_counts_as_the_mildest() -> None:
    old = audited("alert.firing", seq=1)
    del old.inputs["severity"], old.inputs["starts_at"]
    assert after(old)[STATE] == "unknown"
    low = audited("alert.firing", seq=2, signal="age", severity="low")
    assert state_of(after(old, low)) == "low"
