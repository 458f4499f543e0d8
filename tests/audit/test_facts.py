"""Facts of silences, acknowledgements of alerts, and of what came into force."""

import msgspec

from support.deployment import ROOT
from tidegauge.audit.facts import facts_of
from tidegauge.contract.audit import Configuration
from tidegauge.contract.silence import Matchers, Silence

EXAMPLES = ROOT / "schemas" / "examples"
SILENCE = msgspec.json.decode((EXAMPLES / "silence.two-hours.json").read_bytes(), type=Silence)
SEEN = msgspec.json.decode((EXAMPLES / "silence.acknowledged.json").read_bytes(), type=Silence)
RULES = msgspec.json.decode(
    (EXAMPLES / "configuration.rules.json").read_bytes(), type=Configuration
)


def test_a_silence_says_who_silenced_what_until_when_and_why() -> None:
    [fact] = facts_of(SILENCE)
    assert (fact.event, fact.actor, fact.reason) == (
        "silence.created",
        "user:ann@ops-1",
        SILENCE.why,
    )
    assert (fact.model, fact.version, fact.subject) == ("credit", "", SILENCE.id)
    assert fact.inputs["covers"] == "rule=drift* model=credit signal=income"
    assert fact.inputs["until"] == "1772373720"
    assert "models" not in fact.inputs


def test_one_of_several_models_is_in_the_chain_of_none_and_says_which() -> None:
    wide = msgspec.structs.replace(SILENCE, matchers=Matchers(model="credit-*"))
    [fact] = facts_of(wide)
    assert (fact.model, fact.version, fact.inputs["models"]) == ("", "", "credit-*")


def test_one_that_was_ended_is_two_facts_whether_or_not_the_first_was_read() -> None:
    ended = msgspec.structs.replace(SILENCE, ended_at=1772370000.0, ended_by="bob@ops-2")
    created, end = facts_of(ended)
    assert [created] == facts_of(SILENCE)
    assert (end.event, end.actor, end.time) == ("silence.ended", "user:bob@ops-2", 1772370000)
    assert end.id != created.id


def test_an_alert_that_was_seen_names_the_alert_and_its_episode() -> None:
    [fact] = facts_of(SEEN)
    assert (fact.event, fact.actor) == ("alert.acknowledged", "user:ann@ops-1")
    assert (fact.model, fact.version, fact.subject) == ("credit", "3", SEEN.alert)
    assert fact.inputs["episode"] == SEEN.matchers.episode
    assert "until" not in fact.inputs


def test_rules_that_changed_say_which_and_what_was_before() -> None:
    [fact] = facts_of(RULES)
    assert (fact.event, fact.actor, fact.subject) == ("rules.changed", RULES.actor, RULES.sha256)
    assert fact.reason == "removed: slow; changed: drift"
    assert (fact.model, fact.inputs["models"]) == ("", "*")
    assert fact.inputs["previous_sha256"] == RULES.previous_sha256 != ""


def test_workers_that_find_the_same_after_the_same_report_one_fact() -> None:
    other = msgspec.structs.replace(RULES, actor="worker:other", time=RULES.time + 1)
    assert facts_of(other)[0].id == facts_of(RULES)[0].id


def test_what_differs_in_nothing_that_matters_says_so_and_the_first_says_that_it_is() -> None:
    same = msgspec.structs.replace(RULES, added=[], removed=[], changed=[])
    assert facts_of(same)[0].reason == "rewritten, without any other meaning"
    first = msgspec.structs.replace(RULES, previous_sha256="", kind="receivers")
    assert facts_of(first)[0].event == "receivers.changed"
    assert facts_of(first)[0].reason == "1 receiver, the first known"
