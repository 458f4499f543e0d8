"""Delivery on a real Kafka: to each receiver once, in order, whatever dies or hangs meanwhile."""

import itertools
import time

import msgspec
import pytest

from support.delivery import Delivery, ids, numbered, wait_committed, wait_ids, webhook
from support.http_sink import Answer
from support.processes import wait_until
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert
from tidegauge.roles.notify.delivery_worker import DeliveryWorker

pytestmark = pytest.mark.timeout(120)


def test_a_new_receiver_begins_with_the_next_alert_and_gets_each_once(delivery: Delivery) -> None:
    sink = delivery.sink()
    delivery.send(numbered(0), numbered(1))
    delivery.delivery_worker(webhook(sink))
    wait_committed(delivery, "hook", 2)
    delivery.send(numbered(2), numbered(3))
    wait_ids(sink, ["id-2", "id-3"])
    assert [one.headers["Idempotency-Key"] for one in sink.requests] == ["id-2", "id-3"]
    delivery.stop()
    assert delivery.committed("hook") == 4
    delivery.send(numbered(4))
    delivery.delivery_worker(webhook(sink))
    wait_ids(sink, ["id-2", "id-3", "id-4"])
    delivery.stop()
    assert delivery.metric("tidegauge_notify_delivered_total", receiver="hook") == 3
    assert delivery.metric("tidegauge_notify_delay_seconds_count", receiver="hook") == 3
    assert delivery.metric("tidegauge_notify_failed_total", receiver="hook") == 0


def test_what_a_receiver_does_not_want_is_passed_over_and_committed(delivery: Delivery) -> None:
    sink = delivery.sink()
    match = {"severities": ["high", "critical"], "models": ["cred*"], "rules": ["drift*"]}
    delivery.delivery_worker(webhook(sink, match=match, send_resolved=False))
    pending = encode(numbered(1, severity="high")).replace(b'"firing"', b'"pending"')
    assert pending != encode(numbered(1, severity="high"))
    delivery.send(
        numbered(0, severity="low"),
        pending,
        numbered(2, severity="high", model="fraud"),
        numbered(3, severity="high", rule="latency"),
        numbered(4, "resolved", severity="high"),
        numbered(5, severity="high"),
        numbered(6, severity="low"),
    )
    wait_ids(sink, ["id-5"])
    wait_committed(delivery, "hook", 7)
    delivery.stop()
    assert delivery.letters() == []


def test_a_receiver_that_hangs_delays_no_other_and_is_named(delivery: Delivery) -> None:
    mute, quick = delivery.sink(hanging=True), delivery.sink()
    delivery.delivery_worker(webhook(mute, "mute", timeout_seconds=0.5))
    delivery.delivery_worker(webhook(quick, "quick"))
    delivery.send(*map(numbered, range(5)))
    wait_ids(quick, [f"id-{n}" for n in range(5)])
    wait_until(
        lambda: delivery.condition("mute")["state"] == "degraded", seconds=20, what="degraded"
    )
    said = delivery.condition("mute")["detail"]
    assert f"127.0.0.1:{mute.port}" in said and "no answer within 0.5 s" in said
    assert delivery.condition("quick") == {"state": "ok", "detail": ""}
    assert delivery.health.ready()[0], "a receiver that is down makes the process no less ready"
    assert delivery.metric("tidegauge_notify_receiver_up", receiver="mute") == 0
    assert delivery.metric("tidegauge_notify_receiver_up", receiver="quick") == 1
    # A busy machine's sink may note a request only after the client has given it up.
    wait_until(lambda: ids(mute), seconds=20, what="a request at the mute receiver")
    assert set(ids(mute)) == {"id-0"}, "later alerts wait for their turn"
    mute.go_on()
    wait_until(
        lambda: delivery.metric("tidegauge_notify_delivered_total", receiver="mute") == 5,
        seconds=30,
        what="all delivered",
    )
    assert list(dict.fromkeys(ids(mute))) == [f"id-{n}" for n in range(5)]
    assert delivery.condition("mute")["state"] == "ok"
    delivery.stop()


def test_an_error_of_the_receivers_is_tried_again_and_no_sooner_than_it_asks(
    delivery: Delivery,
) -> None:
    sink = delivery.sink(Answer(503), Answer(429, {"Retry-After": "1"}), Answer(500))
    times: list[float] = []
    sink.on_request = lambda _: times.append(time.monotonic())
    delivery.delivery_worker(webhook(sink))
    delivery.send(numbered(0), numbered(1))
    wait_ids(sink, ["id-0"] * 4 + ["id-1"])
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps[1] >= 1.0 > gaps[0]
    delivery.stop()
    assert delivery.metric("tidegauge_notify_failed_total", receiver="hook") == 3
    assert delivery.letters() == []


def test_what_a_receiver_refuses_is_a_dead_letter_and_the_next_is_delivered(
    delivery: Delivery,
) -> None:
    sink = delivery.sink(Answer(400, body=b"no such field"))
    delivery.delivery_worker(webhook(sink))
    delivery.send(numbered(0), numbered(1), b"no json")
    wait_ids(sink, ["id-0", "id-1"])
    wait_committed(delivery, "hook", 3)
    assert delivery.condition("hook")["state"] == "degraded"
    delivery.stop()
    refused, garbage = delivery.letters()
    assert refused.reason == "delivery_refused"
    assert refused.receiver == garbage.receiver == "hook"
    assert refused.detail == f"http://127.0.0.1:{sink.port}: HTTP 400: no such field"
    assert (refused.topic, refused.partition, refused.offset) == (
        delivery.settings.topics.alerts_history, 0, 0,
    )  # fmt: skip
    assert msgspec.json.decode(refused.payload or "", type=Alert) == numbered(0)
    assert (garbage.reason, garbage.offset, garbage.payload) == ("invalid_record", 2, "no json")
    for reason in ("delivery_refused", "invalid_record"):
        labels = {"receiver": "hook", "reason": reason}
        assert delivery.metric("tidegauge_notify_dead_letters_total", **labels) == 1


def test_an_alert_that_is_too_old_to_matter_is_given_up(delivery: Delivery) -> None:
    sink = delivery.sink(*[Answer(502)] * 3)

    def now() -> float:
        """Jump by an hour with the third attempt."""
        return time.time() + (3600 if len(sink.requests) >= 3 else 0)

    delivery.delivery_worker(webhook(sink, give_up_hours=0.5), clock=now)
    delivery.send(numbered(0), numbered(1))
    wait_ids(sink, ["id-0"] * 3 + ["id-1"])
    delivery.stop()
    (letter,) = delivery.letters()
    assert letter.reason == "delivery_given_up"
    assert "HTTP 502" in letter.detail and "0.5 hours" in letter.detail


class Crash(BaseException):
    """Takes the place of SIGKILL: nothing after it is done."""


class CrashesBeforeCommit(DeliveryWorker):
    def _went_well(self) -> None:
        raise Crash


def test_a_crash_between_delivery_and_commit_delivers_again_by_the_same_id(
    delivery: Delivery,
) -> None:
    sink = delivery.sink()
    dying = delivery.delivery_worker(webhook(sink), make=CrashesBeforeCommit)
    delivery.send(numbered(0))
    dying.wait()
    assert [type(error) for error in delivery.stop(failing=True)] == [Crash]
    assert ids(sink) == ["id-0"] and delivery.committed("hook") == 0
    delivery.send(numbered(1))
    delivery.delivery_worker(webhook(sink))
    wait_ids(sink, ["id-0", "id-0", "id-1"])
    assert {one.headers["Idempotency-Key"] for one in sink.requests[:2]} == {"id-0"}
    wait_committed(delivery, "hook", 2)
    delivery.stop()


def test_one_that_stands_by_takes_over_where_the_other_left(delivery: Delivery) -> None:
    sink = delivery.sink()
    first = delivery.delivery_worker(webhook(sink))
    delivery.send(numbered(0))
    wait_ids(sink, ["id-0"])
    delivery.delivery_worker(webhook(sink), standby=True)
    first.stop.set()
    first.wait()
    delivery.send(numbered(1))
    wait_ids(sink, ["id-0", "id-1"])
    wait_committed(delivery, "hook", 2)
    delivery.stop()


def test_a_dead_letter_that_is_too_large_for_its_topic_goes_without_payload(
    delivery: Delivery,
) -> None:
    sink = delivery.sink()
    topic = delivery.settings.topics.dead_letters
    admin = delivery.broker.admin()
    for future in admin.delete_topics([topic]).values():
        future.result(20)
    wait_until(lambda: topic not in admin.list_topics(timeout=5).topics, seconds=20, what="gone")
    delivery.broker.create_topics({topic: 1}, {"max.message.bytes": "2000"})
    delivery.delivery_worker(webhook(sink))
    garbage = b"no json " * 4_000
    delivery.send(garbage, numbered(1))
    wait_ids(sink, ["id-1"])
    wait_committed(delivery, "hook", 2)
    delivery.stop()
    (letter,) = delivery.letters()
    assert (letter.offset, letter.reason, letter.receiver) == (0, "invalid_record", "hook")
    assert letter.payload is None and letter.payload_truncated
    assert letter.payload_bytes == len(garbage)


def test_a_dead_letter_that_is_not_taken_keeps_its_alert_until_it_is(delivery: Delivery) -> None:
    sink = delivery.sink(Answer(400))
    topic = delivery.settings.topics.dead_letters
    admin = delivery.broker.admin()
    for future in admin.delete_topics([topic]).values():
        future.result(20)
    delivery.delivery_worker(webhook(sink))
    delivery.send(numbered(0), numbered(1))
    wait_until(
        lambda: f"{topic} takes no dead letters" in delivery.condition("hook")["detail"],
        seconds=40,
        what=lambda: f"degraded, it is {delivery.condition('hook')}",
    )
    assert delivery.committed("hook") == 0
    delivery.broker.create_topics({topic: 1})
    wait_committed(delivery, "hook", 2)
    delivery.stop()
    assert ids(sink) == ["id-0", "id-1"]
    assert [letter.offset for letter in delivery.letters()] == [0]
