"""Silenced alerts on a real Kafka: withheld, and told at the end, whatever dies meanwhile."""

import time

import msgspec
import pytest

from support.delivery import Delivery, ids, numbered, wait_committed, wait_ids, webhook
from support.kafka_broker import KafkaBroker
from support.processes import wait_until
from tidegauge.contract.alert import Alert
from tidegauge.contract.silence import Matchers, Silence
from tidegauge.roles.notify.delivery_worker import DeliveryWorker

pytestmark = pytest.mark.timeout(180)


def silence(alert: Alert) -> Silence:
    return Silence(
        id=f"silence-{alert.id}", who="ann", why="", since=0.0, until=None,
        matchers=Matchers(model=alert.model),
    )  # fmt: skip


def end_of(alert: Alert) -> Alert:
    return msgspec.structs.replace(
        alert, id=f"{alert.id}-end", state="resolved", ends_at=alert.window_end
    )


def ended(one: Silence) -> Silence:
    return msgspec.structs.replace(one, ended_at=time.time(), ended_by="ann")


class Crash(BaseException):
    """Takes the place of SIGKILL: nothing after it is done."""


class CrashesBeforeItStrikes(DeliveryWorker):
    def _remove_withheld(self, alert: Alert) -> None:
        if self._withheld_store.get(alert.fingerprint) is not None:
            raise Crash
        super()._remove_withheld(alert)


def test_what_is_silenced_is_told_once_it_is_not_if_it_fires_still_whoever_has_died_meanwhile(
    delivery: Delivery,
) -> None:
    sink = delivery.sink()
    over, still, loud = numbered(0, model="a"), numbered(1, model="b"), numbered(2, model="c")
    for one in (over, still):
        delivery.silence(silence(one), one)
    delivery.delivery_worker(webhook(sink))
    resolved = end_of(over)
    delivery.send(over, still, resolved, loud)
    wait_ids(sink, ["id-2"])
    wait_committed(delivery, "hook", 4)
    assert delivery.metric("tidegauge_notify_silenced_total", receiver="hook") == 3
    kept = delivery.withheld()
    assert kept["hook/f-0"] is None, "nobody is to be told of what is over"
    assert kept["hook/f-1"] is not None and kept["hook/f-1"].alert == still
    delivery.stop()

    # The silences end while nobody delivers; the next one tells, and dies before it has noted so.
    for one in (over, still):
        delivery.silence(ended(silence(one)), one, silenced=False)
    dying = delivery.delivery_worker(webhook(sink), make=CrashesBeforeItStrikes, standby=True)
    dying.wait()
    assert [type(error) for error in delivery.stop(failing=True)] == [Crash]
    assert ids(sink) == ["id-2", "id-1"]
    delivery.delivery_worker(webhook(sink))
    wait_ids(sink, ["id-2", "id-1", "id-1"])
    wait_until(
        lambda: not any(delivery.withheld().values()),
        seconds=20,
        what=lambda: f"nothing withheld, it is {delivery.withheld()}",
    )
    delivery.send(end_of(still))
    wait_ids(sink, ["id-2", "id-1", "id-1", "id-1-end"])
    delivery.stop()
    assert delivery.letters() == []


class CrashesBeforeItCommits(DeliveryWorker):
    def _keep(self, *args: object, **options: object) -> None:
        super()._keep(*args, **options)  # type: ignore[arg-type]
        raise Crash


def test_reminders_of_what_was_seen_are_not_told_and_a_crash_on_withholding_doubles_nothing(
    delivery: Delivery,
) -> None:
    sink = delivery.sink()
    quiet, shown = numbered(0, model="a"), numbered(1, model="b")
    seen = msgspec.structs.replace(
        silence(shown), matchers=Matchers(episode=shown.episode), reminders_only=True
    )
    reminder = numbered(2, model="b", reminder=1)
    delivery.silence(silence(quiet), quiet)
    delivery.silence(seen, reminder)
    dying = delivery.delivery_worker(webhook(sink), make=CrashesBeforeItCommits)
    delivery.send(quiet)
    dying.wait()
    assert [type(error) for error in delivery.stop(failing=True)] == [Crash]
    assert delivery.committed("hook") == 0
    delivery.delivery_worker(webhook(sink))
    delivery.send(shown, reminder)
    wait_ids(sink, ["id-1"])
    wait_committed(delivery, "hook", 3)
    assert delivery.metric("tidegauge_notify_withheld", receiver="hook") == 1
    delivery.silence(ended(silence(quiet)), quiet, silenced=False)
    wait_ids(sink, ["id-1", "id-0"])
    delivery.stop()


def test_nothing_is_delivered_before_the_silences_are_known_and_what_is_none_is_passed_over(
    kafka_broker: KafkaBroker,
) -> None:
    # The topic isn't there, as for whoever upgrades and has not made it yet.
    delivery = Delivery(kafka_broker, silences=False)
    try:
        sink, alert = delivery.sink(), numbered(0)
        delivery.delivery_worker(webhook(sink), standby=True)
        wait_until(
            lambda: delivery.conditions().get("silences", {}).get("state") == "degraded",
            seconds=30,
            what=lambda: f"degraded, it is {delivery.conditions()}",
        )
        assert "can't be read" in delivery.conditions()["silences"]["detail"]
        assert delivery.condition("hook")["detail"], "it has not even joined its group"
        topic = delivery.settings.topics.silences
        kafka_broker.create_topics({topic: 1})
        wait_until(
            lambda: delivery.condition("hook")["detail"] == "", seconds=30, what="it delivers"
        )
        assert delivery.conditions()["silences"] == {"state": "ok", "detail": ""}
        delivery.send(b"no silence", topic=topic)
        delivery.silence(silence(alert), alert)
        delivery.send(alert, numbered(1, model="b"))
        wait_ids(sink, ["id-1"])
    finally:
        delivery.close()
