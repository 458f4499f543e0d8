"""A storm on a real Kafka and a real mail server: a few messages and a digest, whatever dies."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from support.delivery import Delivery, ids, numbered, wait_committed, webhook
from support.http_sink import Answer
from support.processes import wait_until
from support.smtp_sink import SmtpSink
from tidegauge.contract.silence import Matchers, Silence, Withheld
from tidegauge.roles.notify.delivery_worker import DeliveryWorker

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def mails() -> Iterator[SmtpSink]:
    one = SmtpSink()
    yield one
    one.stop()


def mail(sink: SmtpSink, **options: Any) -> dict[str, Any]:
    return {
        "name": "mail", "type": "email", "host": "127.0.0.1", "port": sink.port,
        "security": "none", "from": "tide@example.com", "to": ["ann@example.com"],
        "rate_limit": {"messages": 5, "per": "1h"}, **options,
    }  # fmt: skip


class Clock:
    """The wall clock, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Crash(BaseException):
    """Takes the place of SIGKILL: nothing after it is done."""


class CrashesAtTheFortieth(DeliveryWorker):
    """Dies between writing down what waits and committing its offset."""

    def _collect(self, *arguments: Any) -> None:
        super()._collect(*arguments)
        if len(self._withheld_store.collected()) == 40:
            raise Crash


class CrashesBeforeItStrikesTheDigest(DeliveryWorker):
    def _went_well(self) -> None:
        if self._limiter.due():
            raise Crash
        super()._went_well()


def waiting(delivery: Delivery) -> list[Withheld]:
    return [one for one in delivery.withheld().values() if one is not None and one.digest]


def subjects(sink: SmtpSink) -> list[str]:
    return [one["Subject"] for one in sink.messages]


def wait_mails(sink: SmtpSink, number: int) -> None:
    wait_until(
        lambda: len(sink.raw) == number,
        seconds=30,
        what=lambda: f"{number} e-mails, it is {subjects(sink)}",
    )


def test_five_hundred_made_up_models_are_five_messages_and_a_digest_whatever_dies(
    delivery: Delivery, mails: SmtpSink
) -> None:
    clock = Clock()
    dying = delivery.delivery_worker(mail(mails), make=CrashesAtTheFortieth, clock=clock)
    delivery.send(*(numbered(n, model=f"req-{n}", severity="medium") for n in range(500)))
    dying.wait()
    assert [type(error) for error in delivery.stop(failing=True)] == [Crash]
    assert len(mails.raw) == 5 and delivery.committed("mail") == 44
    last = mails.messages[-1].get_body(("plain",))
    assert last is not None and "message 5 of at most 5 in 1 h" in last.get_content()

    # Another goes on with the same count and the same digest; a critical alert is sent at once.
    second = delivery.delivery_worker(mail(mails), clock=clock)
    wait_committed(delivery, "mail", 500)
    delivery.send(numbered(500, model="shop", severity="critical"), numbered(501, "resolved"))
    wait_mails(mails, 6)
    assert mails.messages[-1]["X-Tidegauge-Alert"] == "id-500"
    wait_committed(delivery, "mail", 502)
    kept = waiting(delivery)
    assert len(kept) == 496 and len({one.digest for one in kept}) == 1
    # The fortieth was collected twice, and is in it once.
    assert delivery.metric("tidegauge_notify_digested_total", receiver="mail") == 497
    assert delivery.metric("tidegauge_notify_digest_waiting", receiver="mail") == 496
    second.stop.set()
    second.wait()

    # The period ends while nobody delivers; the next one sends, and dies before it notes so.
    clock.ahead = 3601.0
    dying = delivery.delivery_worker(
        mail(mails), make=CrashesBeforeItStrikesTheDigest, standby=True, clock=clock
    )
    dying.wait()
    assert [type(error) for error in delivery.stop(failing=True)] == [Crash]
    delivery.delivery_worker(mail(mails), clock=clock)
    wait_mails(mails, 8)
    wait_until(lambda: not waiting(delivery), seconds=30, what="nothing waits")
    first, again = mails.messages[6:]
    assert first["Message-ID"] == again["Message-ID"]
    assert first["Subject"] == "[digest, medium] 496 alerts of 496 models"
    body = first.get_body(("plain",))
    assert body is not None and "495 firing, 1 resolved" in body.get_content()

    # And the next alert is a message of its own again.
    delivery.send(numbered(502, model="late"))
    wait_mails(mails, 9)
    assert mails.messages[-1]["X-Tidegauge-Alert"] == "id-502"
    delivery.stop()
    assert delivery.letters() == []


def test_a_digest_leaves_out_what_was_silenced_meanwhile_and_a_refused_one_is_dead_letters(
    delivery: Delivery,
) -> None:
    sink, clock = delivery.sink(), Clock()
    limited = webhook(sink, rate_limit={"messages": 1, "per": "10m"})
    delivery.delivery_worker(limited, clock=clock)
    quiet, loud = numbered(1, model="b"), numbered(2, model="c")
    risen = numbered(3, model="d", severity="high")
    delivery.send(numbered(0, model="a"), quiet, loud, risen)
    wait_committed(delivery, "hook", 4)
    assert ids(sink) == ["id-0"] and len(waiting(delivery)) == 3
    # It becomes critical: told at once, and no more in the digest.
    worse = msgspec.structs.replace(
        risen, id="id-3-raised", severity="critical", severities_before=["high"], raised=1
    )
    delivery.send(worse)
    wait_until(
        lambda: ids(sink) == ["id-0", "id-3-raised"], seconds=30, what=lambda: str(ids(sink))
    )
    silence = Silence(
        id="s", who="ann", why="", since=0.0, until=None, matchers=Matchers(model="b")
    )
    delivery.silence(silence, quiet)
    sink.answer_next(Answer(400, body=b"no"))
    clock.ahead = 601.0
    wait_until(lambda: not waiting(delivery), seconds=30, what="the digest was sent")
    assert len(sink.requests) == 3
    body = msgspec.json.decode(sink.requests[2].body)
    assert body["state"] == "digest" and [one["id"] for one in body["alerts"]] == ["id-2"]
    assert sink.requests[2].headers["Idempotency-Key"] == body["id"]
    kept = delivery.withheld()["hook/f-1"]
    assert kept is not None and kept.alert == quiet and not kept.told and not kept.digest
    wait_until(lambda: len(delivery.letters()) == 1, seconds=20, what="a dead letter")
    (letter,) = delivery.letters()
    assert (letter.reason, letter.offset) == ("delivery_refused", 2)
    delivery.stop()
