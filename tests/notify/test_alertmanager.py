"""What Alertmanager is told of an episode: labels that stay, ends that end."""

import pytest

from support.alerts import example_alert
from tidegauge.contract.alert import Alert
from tidegauge.notify.alertmanager import FiringAlerts, Posting, body_of, labels

FIRING = example_alert(fingerprint="f")
RESOLVED = example_alert("resolved", fingerprint="f", ends_at=FIRING.starts_at + 600)


def body(posting: Posting, now: float = 2e9) -> dict[str, object]:
    return body_of(posting, now=now, resend_seconds=60)


def test_a_firing_alert_is_held_until_it_ends() -> None:
    held, sent = FiringAlerts().after(FIRING)
    assert sent == [Posting(FIRING, None)] == held.postings()
    again, sent = held.after(FIRING)
    assert again == held and sent == [Posting(FIRING, None)]
    after, sent = held.after(RESOLVED)
    assert after.postings() == [] and sent[-1] == Posting(RESOLVED, RESOLVED.ends_at)


def test_what_lacks_data_goes_on_firing_and_says_so() -> None:
    missing = example_alert("no-data", fingerprint="f")
    held, sent = FiringAlerts().after(FIRING)[0].after(missing)
    assert sent == [Posting(missing, None)] == held.postings()
    said = body(Posting(missing, None))
    assert isinstance(annotations := said["annotations"], dict)
    assert annotations["no_data"] == "true" and "no data for" in annotations["summary"]
    assert "no_data" not in body(Posting(FIRING, None))["annotations"]  # type: ignore[operator]
    assert labels(missing) == labels(FIRING)
    assert held.after(RESOLVED)[0].postings() == []


def test_an_end_without_a_beginning_is_sent_all_the_same() -> None:
    held, sent = FiringAlerts().after(RESOLVED)
    assert held.postings() == [] and sent == [Posting(RESOLVED, RESOLVED.ends_at)]


def test_an_alert_whose_labels_change_is_ended_by_its_old_ones() -> None:
    worse = example_alert(fingerprint="f", severity="critical")
    held, sent = FiringAlerts().after(FIRING)[0].after(worse)
    assert sent == [Posting(FIRING, worse.window_end), Posting(worse, None)]
    assert held.postings() == [Posting(worse, None)]


def test_what_fires_ends_four_rounds_ahead_and_what_ended_never_in_the_future() -> None:
    assert body(Posting(FIRING, None), now=1.8e9)["endsAt"] == "2027-01-15T08:04:00.000+00:00"
    ahead = body(Posting(RESOLVED, RESOLVED.ends_at), now=float(FIRING.starts_at - 30))
    assert ahead["endsAt"] == ahead["startsAt"] == "2026-03-01T11:59:30.000+00:00"


@pytest.mark.parametrize("change", [{"id": "x"}, {"value": 9.0}, {"window_end": 1_900_000_000}])
def test_labels_are_the_same_for_all_of_an_episode(change: dict[str, object]) -> None:
    assert labels(example_alert(**change)) == labels(example_alert())


def test_a_label_without_a_value_is_none() -> None:
    alert: Alert = example_alert(variant="", segment={}, signal=None, labels={})
    assert dict(labels(alert)).keys() == {"alertname", "severity", "model", "version"}


def test_what_a_rule_says_goes_along_and_gives_way_to_what_is_measured() -> None:
    alert = example_alert(
        labels={"team": "risk", "severity": "none"},
        annotations={"impact": "loans are refused", "alert_id": "mine"},
    )
    said = dict(labels(alert))
    assert (said["team"], said["severity"]) == ("risk", alert.severity)
    annotations = body(Posting(alert, None))["annotations"]
    assert isinstance(annotations, dict)
    assert annotations["impact"] == "loans are refused" and annotations["alert_id"] == alert.id
