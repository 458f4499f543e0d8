"""A crash at every step of the way: window closes, alert, action, delivered, acknowledged, audited.

Two that work in the wrong order go along (``support.whole_way``), and must be found out.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from support.delivery import ids
from support.dying_worker import SAVES_FIRST
from support.kafka_broker import KafkaBroker
from support.same_outputs import by_id, differences
from support.way_outcome import Way
from support.whole_way import COUNTED_WHEN_FIRING, DETECT_STEPS, KINDS, Site

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def way(
    kafka_broker: KafkaBroker, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Way]:
    site = Site(tmp_path_factory.mktemp("way"), kafka_broker, redis_url)
    try:
        yield site.run()
    finally:
        site.kill()


@pytest.mark.parametrize("step", DETECT_STEPS)
def test_a_detector_that_dies_publishes_the_same_ids_and_bytes(way: Way, step: str) -> None:
    model = way.models[step]
    for kind in KINDS:
        undisturbed = way.of(model, kind, calm=True)
        disturbed = [it for it in way.of(model, kind) if not _is_acknowledgement(it)]
        assert undisturbed and differences(undisturbed, disturbed) == []
    states = [json.loads(it)["state"] for it in way.of(model, "alerts", calm=True)]
    assert states == ["pending", "pending", "firing", "firing", "resolved", "resolved"]
    [action] = map(json.loads, way.of(model, "actions", calm=True))
    assert action["data"]["offsets"][0]["start"] < action["data"]["offsets"][0]["to"]


def test_a_detector_that_saves_before_it_publishes_is_found_out(way: Way) -> None:
    model = way.models[SAVES_FIRST]
    for kind in KINDS:
        said = differences(way.of(model, kind, calm=True), way.of(model, kind))
        assert said and all(one.endswith(": missing") for one in said)


def test_the_receiver_is_told_of_each_alert_in_order(way: Way) -> None:
    due = _told_of(way.found["alerts_history"])
    assert list(dict.fromkeys(ids(way.hook))) == due
    # Whoever dies between delivery and commit tells again, and says the same.
    assert len(way.hook.requests) > len(due)
    assert len({one.body for one in way.hook.requests}) == len(due)


def test_a_notifier_that_commits_before_it_delivers_is_found_out(way: Way) -> None:
    due = _told_of(way.of(way.models["judged"], "alerts_history"))
    assert len(due) == 4
    assert list(dict.fromkeys(ids(way.other_hook))) == due[1:]


def test_each_action_has_one_effect_and_one_answer(way: Way) -> None:
    wanted = {json.loads(it)["id"] for it in way.found["actions"]}
    undisturbed = {
        json.loads(it)["id"]
        for step in DETECT_STEPS
        for it in way.of(way.models[step], "actions", calm=True)
    }
    assert wanted == undisturbed and len(wanted) == len(DETECT_STEPS)
    assert way.results == dict.fromkeys(wanted, str(COUNTED_WHEN_FIRING))
    said = {(it["action"], it["outcome"]) for it in way.acknowledged}
    assert said == {(id, "taken") for id in wanted}
    assert len({it["id"] for it in way.acknowledged}) == len(wanted)


def test_the_audit_trail_has_each_fact_once(way: Way) -> None:
    chained = Counter(record["id"] for record in way.trail)
    assert set(chained.values()) == {1}
    assert chained.keys() == by_id(way.found["audit_facts"]).keys()
    assert way.verdict == "CONFIRMED"
    events = Counter(record["event"] for record in way.trail)
    assert events["action.requested"] == events["action.taken"] == len(DETECT_STEPS)


def _told_of(alerts: Sequence[bytes]) -> list[str]:
    """Return the ids of alerts that somebody is told of, in the order of first appearance."""
    states = {id: json.loads(copies[0])["state"] for id, copies in by_id(alerts).items()}
    return [id for id, state in states.items() if state in ("firing", "resolved")]


def _is_acknowledgement(value: bytes) -> bool:
    """Whether a fact comes from who carried an action out, and not from DETECT."""
    return json.loads(value).get("event") == "action.taken"
