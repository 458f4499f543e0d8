"""What leaves DETECT as others read it: CloudEvents, the newest state of alerts, the manual."""

import json

import pytest

from support.consumed import Enough, documented_consumer, official
from support.kafka_broker import unique
from support.monitored import Monitored

pytestmark = pytest.mark.timeout(240)


def test_every_output_is_a_cloud_event_that_the_official_sdk_reads(run: Monitored) -> None:
    for kind in ("windows", "alerts", "alerts_history", "actions"):
        assert run.outputs[kind]
        for message in run.outputs[kind]:
            event, record = official(message), json.loads(message.value())
            assert event.get_id() == record["id"] and event.get_data() == record
            assert event.get_source() == f"/{run.installation.name}-detect"
            assert event.get_type().startswith(f"io.tidegauge.{kind.partition('s')[0]}")
            time = event.get_time()
            end = record["requested_at"] if kind == "actions" else record["window_end"]
            assert time is not None and time.timestamp() == end


def test_the_compacted_topic_has_what_the_history_has_by_fingerprint(run: Monitored) -> None:
    alerts, history = run.outputs["alerts"], run.outputs["alerts_history"]
    assert {(it.key(), it.value()) for it in alerts} == {(it.key(), it.value()) for it in history}
    assert all(json.loads(it.value())["fingerprint"] == it.key().decode() for it in alerts)
    newest = {it["fingerprint"]: it["id"] for it in run.records("alerts")}
    last = {it["fingerprint"]: it["id"] for it in run.records("alerts_history")}
    assert newest == last


def test_the_consumer_of_the_manual_acts_on_every_alert_that_fires(run: Monitored) -> None:
    fired = {
        it["id"]
        for it in run.records("alerts_history")
        if it["state"] == "firing" and not it["reminder"]
    }
    tickets: dict[str, str] = {}

    def open_ticket(id: str, summary: str) -> None:
        tickets.setdefault(id, summary)
        if tickets.keys() >= fired:
            raise Enough

    topic = run.installation.topic("alerts_history")
    documented_consumer(run.installation.bootstrap_servers, topic, unique("tickets"), open_ticket)
    assert tickets.keys() == fired != set()
