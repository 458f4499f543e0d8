"""From the counts of fifty features to what is told, by DETECT's own detector and rules."""

import msgspec

from support.wide_model import FEATURES, Drift, judged
from tidegauge.audit.verify import verify
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert


def told(windows: int, drift: Drift) -> list[Alert]:
    return [alert for verdict in judged(windows, drift) for alert in verdict.alerts]


def test_fifty_features_that_drift_at_once_are_one_incident_and_one_action() -> None:
    verdicts = list(judged(30, Drift(10, 30, 50, 0.9)))
    [alert] = [alert for one in verdicts for alert in one.alerts]
    assert alert.window_start == 1_700_000_040 + 10 * 60
    assert (alert.rule, alert.severity, alert.signal) == ("drift-retrain", "high", None)
    assert sorted(one.signal for one in alert.signals) == FEATURES
    assert {one.rule: len(one.signals) for one in alert.inhibited} == {
        "many-features-drift": 0, "feature-drift": 50, "drift": 50,
    }  # fmt: skip
    assert [action.id for one in verdicts for action in one.actions] == alert.actions
    facts = [fact.event for one in verdicts for fact in one.audit]
    assert sorted(facts) == ["action.requested", "alert.firing"] + ["alert.inhibited"] * 3


def test_a_drift_too_small_for_a_retraining_is_one_incident_of_many_features() -> None:
    [alert] = told(30, Drift(10, 30, 50, 0.2))
    assert alert.rule == "many-features-drift"
    [inhibited] = alert.inhibited
    assert inhibited.rule == "feature-drift" and len(inhibited.signals) == alert.value >= 3


def test_one_feature_is_one_incident_too_and_each_has_an_end() -> None:
    alerts = told(40, Drift(5, 20, 1, 0.9))
    firing = [
        (it.rule, [one.signal for one in it.signals]) for it in alerts if it.event == "firing"
    ]
    assert firing[0] == ("drift-retrain", ["f00"])
    assert all(names == ["f00"] for _, names in firing)
    ended = [it.fingerprint for it in alerts if it.event == "resolved"]
    assert len(ended) == len(set(ended)) <= len(firing)


def test_a_grouped_alert_is_confirmed_from_its_own_numbers() -> None:
    by_metric = {}
    for drift in (Drift(2, 9, 50, 0.9), Drift(2, 9, 2, 0.2)):
        for alert in told(9, drift):
            read = msgspec.json.decode(encode(alert), type=Alert)
            checks = verify(read)
            assert [check for check in checks if not check.holds] == []
            by_metric[alert.metric] = {check.what for check in checks}
    assert by_metric.keys() == {"kl_values", "surprise"}
    assert all("signals[0].value" in checked for checked in by_metric.values())
