"""A storm is a few messages and a digest: what is sent, what waits, and what a digest says."""

import json

import pytest
from hypothesis import given, strategies as st

from support.alerts import example_alert
from tidegauge.config.files import FileError
from tidegauge.contract.alert import Alert
from tidegauge.notify.alertmanager import FiringAlerts, body_of
from tidegauge.notify.config import ReceiverFile, parse_receivers
from tidegauge.notify.mail import mail
from tidegauge.notify.message import message
from tidegauge.notify.webhook import slack_body
from tidegauge.notify.withholding import (
    CRITICAL_WAIT_SECONDS,
    Digest,
    Limit,
    MessageBudget,
    collect_until,
    digest_body,
    digest_message,
    limit_note,
    read_budget,
)

LIMIT = Limit(3, 3600.0)


def alert(n: int, severity: str = "medium", state: str = "firing", **changes: object) -> Alert:
    given = {"model": f"req-{n}", "segment": {}, "variant": "", **changes}
    return example_alert(state, id=f"id-{n}-{state}", fingerprint=f"f{n}", severity=severity,
                         summary=f"req-{n} 3: income has drifted", **given)  # fmt: skip


class Receiver:
    """What a receiver gets, without Kafka."""

    def __init__(self, limit: Limit | None = LIMIT) -> None:
        self.limit, self.budget = limit, MessageBudget()
        self.sent: list[tuple[float, str]] = []
        self.waiting: list[tuple[float, str]] = []

    def take(self, one: Alert, now: float) -> None:
        self.release(now)
        due = collect_until(self.limit, self.budget, one, now, collecting=bool(self.waiting))
        if due is not None:
            self.waiting.append((due, one.id))
            return
        self.sent.append((now, one.id))
        self._spend(now, critical=one.severity == "critical")

    def release(self, now: float) -> None:
        if self.waiting and min(self.waiting)[0] <= now:
            self.sent.append((now, "digest:" + " ".join(id for _, id in self.waiting)))
            self.waiting.clear()
            self._spend(now, critical=False)

    def _spend(self, now: float, *, critical: bool) -> None:
        if self.limit is not None:
            self.budget = self.budget.after(self.limit, now, critical=critical)


def test_what_is_beyond_the_limit_comes_as_one_message_when_the_period_is_over() -> None:
    receiver = Receiver()
    for n in range(500):
        receiver.take(alert(n), now=1000.0 + n)
    assert [id for _, id in receiver.sent] == [f"id-{n}-firing" for n in range(3)]
    receiver.release(1000.0 + 3599)
    assert len(receiver.sent) == 3
    receiver.release(1000.0 + 3600)
    assert len(receiver.sent) == 4
    assert receiver.sent[-1][1].split() == [
        ("digest:" if n == 3 else "") + f"id-{n}-firing" for n in range(3, 500)
    ]


def test_a_digest_is_the_first_message_of_the_next_period() -> None:
    receiver = Receiver()
    for second in range(0, 4 * 3600, 60):
        receiver.take(alert(second), now=float(second))
    of_hour = [sum(at // 3600 == hour for at, _ in receiver.sent) for hour in range(4)]
    assert max(of_hour) <= 3


def test_a_critical_alert_is_sent_at_once_whatever_waits() -> None:
    receiver = Receiver()
    for n in range(50):
        receiver.take(alert(n), now=1000.0)
    receiver.take(alert(50, "critical"), now=1001.0)
    assert receiver.sent[-1] == (1001.0, "id-50-firing")


def test_a_storm_of_critical_alerts_is_collected_for_a_minute_at_most() -> None:
    receiver = Receiver()
    for n in range(50):
        receiver.take(alert(n, "critical"), now=1000.0)
    assert len(receiver.sent) == 3
    receiver.release(1000.0 + CRITICAL_WAIT_SECONDS)
    assert len(receiver.sent) == 4 and len(receiver.sent[-1][1].split()) == 47


def test_without_a_limit_every_alert_is_a_message() -> None:
    receiver = Receiver(limit=None)
    for n in range(50):
        receiver.take(alert(n), now=1000.0)
    assert len(receiver.sent) == 50


@given(
    st.lists(
        st.tuples(st.sampled_from(["low", "high", "critical"]), st.floats(0, 900)), max_size=60
    )
)
def test_none_is_lost_none_overtakes_and_no_period_has_more_than_the_limit(
    storm: list[tuple[str, float]],
) -> None:
    receiver, now = Receiver(), 0.0
    for n, (severity, pause) in enumerate(storm):
        now += pause
        receiver.take(alert(n, severity), now)
    receiver.release(now + 3600)
    told = [id for _, ids in receiver.sent for id in ids.removeprefix("digest:").split()]
    assert sorted(told) == sorted(f"id-{n}-firing" for n in range(len(storm)))
    others = [f"id-{n}-firing" for n, (severity, _) in enumerate(storm) if severity != "critical"]
    assert [id for id in told if id in others] == others
    single = [at for at, ids in receiver.sent if ids in others]
    assert all(sum(at <= other < at + 3600 for other in single) <= 2 * 3 for at in single)


def test_what_was_sent_is_read_back_from_a_committed_offset() -> None:
    budget = MessageBudget(12.5, 3, 1)
    assert read_budget(budget.text()) == budget
    for other in ("", None, "kept by another program", '{"began":1}', "[" * 10_000):
        assert read_budget(other) == MessageBudget()


def test_a_clock_that_was_set_back_begins_a_new_period() -> None:
    spent = MessageBudget(5000.0, 3, 0)
    assert collect_until(LIMIT, spent, alert(1), 4000.0, collecting=False) is None


# -- what it says ---------------------------------------------------------------------------------


STORM = Digest(
    "d1",
    [
        *(alert(n) for n in range(480)),
        alert(480, "high", variant="canary", segment={"region": "EU"}),
        alert(3, state="resolved"),
    ],
    Limit(20, 3600.0),
)


def test_a_digest_counts_by_severity_rule_and_model_and_lists_the_worst_first() -> None:
    said = digest_message(STORM)
    assert said.title == "[digest, high] 481 alerts of 481 models"
    assert said.summary == (
        "The limit of 20 messages in 1 h was reached; this message has the 481 alerts that "
        "followed: 480 firing, 1 resolved by now."
    )
    facts = dict(said.facts)
    assert facts["Severity"] == "high: 1\nmedium: 480"
    assert facts["Rule"] == "drift: 481"
    assert facts["Model"].splitlines()[0] == "req-0: 1"
    assert facts["Model"].splitlines()[-1] == "and 471 more"
    firing = facts["Firing"].splitlines()
    assert firing[0] == "high  req-480 3 canary region=EU: income has drifted  [id-480-firin]"
    assert len(firing) == 21 and firing[-1] == "and 460 more"
    assert facts["Resolved"] == "medium  req-3 3: income has drifted  [id-3-resolve]"
    assert facts["Changes"] == "482 changes of state; the list has the last of each"
    assert ("Silence", "tidegauge alerts silence --rule drift --for 2h --reason ...") in (
        said.commands
    )


def test_every_form_of_a_digest_has_the_counts_and_an_id_of_its_own() -> None:
    made = mail(STORM, sender="t@x.org", to=["a@x.org"], now=0.0)
    assert made["Message-ID"] == "<d1@x.org>" and "481 alerts" in made["Subject"]
    html = made.get_body(("html",))
    assert html is not None and "medium: 480" in html.get_content()
    slack = json.loads(slack_body(STORM))
    blocks = slack["attachments"][0]["blocks"]
    assert all(
        len(b["text"]["text"]) <= 3000 for b in blocks if b["type"] == "section" and "text" in b
    )
    assert "medium: 480" in json.dumps(blocks) and "tidegauge digest d1" in json.dumps(blocks)
    body = json.loads(digest_body(STORM))
    assert (body["id"], body["state"], body["severity"]) == ("d1", "digest", "high")
    assert len(body["alerts"]) == 482 and body["alerts"][0]["model"] == "req-0"


def test_names_in_a_digest_are_printable_and_can_not_break_out_of_a_command() -> None:
    hostile = alert(1, rule="x; rm -rf /", model="a\nb\x1b[31m")
    said = digest_message(Digest("d", [hostile], LIMIT))
    assert "\x1b" not in said.text() and "a b" in said.title
    assert "--rule 'x; rm -rf /'" in dict(said.commands)["Silence"]


def test_times_that_nobody_can_write_do_not_spoil_a_digest() -> None:
    odd = alert(1, starts_at=10**30, window_end=-(10**30), value=1e300)
    assert "2 alerts of 2 models" in digest_message(Digest("d", [odd, alert(2)], LIMIT)).title
    assert message(odd).text()


def test_the_last_message_of_a_period_says_what_becomes_of_those_that_follow() -> None:
    said = message(alert(1), limit_note(Limit(20, 3600.0)))
    assert dict(said.facts)["Delivery"] == (
        "this is message 20 of at most 20 in 1 h; what follows in this period comes as one "
        "digest at its end, critical alerts at once"
    )


# -- the file of receivers ------------------------------------------------------------------------

_MAIL = {"name": "m", "type": "email", "host": "h", "from": "a@x.org", "to": ["b@x.org"]}


def test_people_have_a_limit_by_default_and_programs_have_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHAT", "http://chat.example.com/x")
    given = [
        _MAIL,
        {"name": "s", "type": "slack", "url": {"env": "CHAT"}},
        {"name": "w", "type": "webhook", "url": "http://x.org"},
        {"name": "a", "type": "alertmanager", "url": "http://x.org"},
        {**_MAIL, "name": "n", "rate_limit": None},
        {"name": "h", "type": "webhook", "url": "http://x.org",
         "rate_limit": {"messages": 100, "per": "10m"}},
    ]  # fmt: skip
    found = {one.name: one for one in ReceiverFile.model_validate({"receivers": given}).receivers}
    limits = {name: one.rate_limit and one.rate_limit.limit for name, one in found.items()}  # type: ignore[union-attr]
    assert limits == {
        "m": Limit(20, 3600.0), "s": Limit(20, 3600.0), "w": None, "a": None, "n": None,
        "h": Limit(100, 600.0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("{message: 5}", "unknown key; did you mean 'messages'?"),
        ("{messages: 0}", "greater than or equal to 1"),
        ("{messages: 5, per: often}", "found 'often', expected a length of time such as 30m"),
        ("{messages: 5, per: 3d}", "found 3d, expected 1s to 24h"),
    ],
)
def test_a_wrong_limit_is_told_with_its_place(limit: str, said: str) -> None:
    text = (
        "receivers:\n  - name: m\n    type: email\n    host: h\n    from: a@x.org\n"
        f"    to: [b@x.org]\n    rate_limit: {limit}\n"
    )
    with pytest.raises(FileError) as caught:
        parse_receivers(text, source="r.yaml")
    assert any(said in one and one.startswith("r.yaml:7:") for one in caught.value.problems), (
        caught.value.problems
    )


@pytest.mark.parametrize("time", [10**18, 10**400, -(10**400)])
def test_a_time_that_nobody_can_write_keeps_no_alert_of_a_digest_from_being_told(time: int) -> None:
    odd = example_alert(
        id="odd", fingerprint="odd", starts_at=time, window_start=time, window_end=time
    )
    digest = Digest("d", [alert(1), odd, alert(2)], None)
    for text in (digest_message(digest).text(), digest_body(digest).decode()):
        assert all(it.id[:12] in text for it in digest.newest)
    ended = example_alert(starts_at=time, window_start=time, window_end=time, ends_at=time)
    for one in (odd, ended):
        assert message(one).text()
        _, postings = FiringAlerts().after(one)
        body = body_of(postings[0], now=1_772_366_460.0, resend_seconds=60)
        assert body["startsAt"] and body["endsAt"]
