"""Which alerts a silence covers, from when on and until when."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from support.alerts import example_alert
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert
from tidegauge.contract.record import DecodingError, decode
from tidegauge.contract.silence import (
    GLOB_CHARACTERS,
    Matchers,
    Silence,
    Silences,
    covers,
    in_force,
    matchers_text,
)

NOW = 1_000.0


def a_silence(id: str = "s", *, until: float | None = 2_000.0, **matchers: str) -> Silence:
    return Silence(
        id=id, who="ann", why="why", since=NOW, until=until, matchers=Matchers(**matchers)
    )


def seen(alert: Alert) -> Silence:
    return Silence(
        id="seen", who="bob", why="", since=NOW, until=None, reminders_only=True,
        matchers=Matchers(episode=alert.episode),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("matchers", "covered"),
    [
        ({}, True),
        ({"model": "cred*"}, True),
        ({"model": "credit", "signal": "inc*", "severity": "medium"}, True),
        ({"model": "credit", "signal": "age"}, False),
        ({"model": "Credit"}, False),
        ({"segment": ""}, False),
        ({"segment": "region=*"}, True),
        ({"segment": "region=US"}, False),
        ({"variant": "canary"}, True),
        ({"version": "4"}, False),
        ({"rule": "*"}, True),
    ],
)
def test_every_matcher_must_fit(matchers: dict[str, str], covered: bool) -> None:
    alert = example_alert(segment={"region": "EU"}, variant="canary")
    assert covers(a_silence(**matchers), alert) is covered


def test_an_alert_about_no_signal_is_covered_by_no_name_of_one() -> None:
    alert = example_alert(signal=None)
    assert not covers(a_silence(signal="income"), alert)
    assert covers(a_silence(signal=""), alert) and covers(a_silence(signal="*"), alert)


def test_an_incident_is_covered_by_what_covers_each_signal_that_is_not_over() -> None:
    alert = example_alert("incident")
    names = [one.signal for one in alert.signals]
    assert len(names) > 1
    assert not covers(a_silence(signal=names[0]), alert)
    assert covers(a_silence(signal="*"), alert)
    alert.signals = [alert.signals[0], *(replace(one, ends_at=1) for one in alert.signals[1:])]
    assert covers(a_silence(signal=names[0]), alert)
    alert.signals = [replace(one, ends_at=1) for one in alert.signals]
    assert not covers(a_silence(signal=names[0]), alert)


def test_an_episode_is_one_alert_alone() -> None:
    alert = example_alert()
    assert covers(a_silence(episode=alert.episode), alert)
    assert not covers(a_silence(episode="another"), alert)


@pytest.mark.parametrize(
    ("now", "changes", "holds"),
    [
        (NOW - 1, {}, False),
        (NOW, {}, True),
        (1_999.9, {}, True),
        (2_000.0, {}, False),
        (1_500.0, {"ended_at": 1_500.0}, False),
        (1_499.0, {"ended_at": 1_500.0}, True),
        (1e9, {"until": None}, True),
        (1e9, {"until": None, "ended_at": 1_500.0}, False),
    ],
)
def test_it_holds_from_its_start_until_its_end_or_when_it_is_ended(
    now: float, changes: dict[str, Any], holds: bool
) -> None:
    silence = a_silence()
    for name, value in changes.items():
        setattr(silence, name, value)
    assert in_force(silence, now) is holds


def test_who_has_seen_an_alert_silences_its_reminders_and_nothing_else() -> None:
    alert = example_alert()
    reminder = example_alert(reminder=1)
    known = Silences([seen(alert)])
    assert known.over(alert, NOW) is None
    assert known.over(reminder, NOW) == seen(alert)
    assert known.seen(alert, NOW) == seen(alert)
    assert known.seen(example_alert(episode="another"), NOW) is None


def test_a_silence_that_ends_stands_before_an_acknowledgement() -> None:
    reminder, silence = example_alert(reminder=1), a_silence()
    assert Silences([seen(reminder), silence]).over(reminder, NOW) == silence


def test_the_last_record_of_a_silence_holds() -> None:
    known, ended = Silences([a_silence()]), a_silence()
    ended.ended_at = NOW + 1
    assert known.over(example_alert(), NOW + 2) is not None
    known.take(ended)
    assert known.over(example_alert(), NOW + 2) is None
    assert list(known) == [ended]


def test_it_is_said_which_alerts_it_covers() -> None:
    assert matchers_text(a_silence(model="credit", signal="inc*")) == "model=credit signal=inc*"
    assert matchers_text(a_silence(episode="e")) == "episode=e"
    assert matchers_text(a_silence()) == "every alert"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("field", ["rule", "model", "signal", "episode"])
def test_a_glob_that_would_take_hours_is_no_silence(field: str) -> None:
    said = json.loads(encode(a_silence()))
    said["matchers"][field] = "[" * 900_000
    with pytest.raises(DecodingError, match=f"{field} has 900,000 characters, expected at most"):
        decode(json.dumps(said).encode(), Silence)


def test_the_longest_name_can_be_silenced_whatever_it_is_made_of() -> None:
    name = "[" * 200
    alert = example_alert(model=name)
    assert covers(a_silence(model="[[]" * 200), alert)
    assert covers(a_silence(model="?" * 200 + "*" * (GLOB_CHARACTERS - 200)), alert)
