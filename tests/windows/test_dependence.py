"""Windows of events that go together, judged by a baseline that knows it."""

from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from support import hourly
from support.counting import a_baseline, categorical, numeric
from support.window_reports import part_of, signal_report, window_report
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.ruleset import DEFAULT_RULES, parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.audit.verify import verify
from tidegauge.baseline.compare import distribution
from tidegauge.baseline.document import Baseline, Dependence
from tidegauge.contract.alert import Alert
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.contract.report import Evidence, WindowReport
from tidegauge.windows.drift_detector import DriftDetector
from tidegauge.windows.quality import quality_of
from tidegauge.windows.report import signal_reports

RULES = parse_rules(
    "rules:\n  - {name: drift, metric: surprise, above: 1, severity: high}\n", source="rules.yaml"
)
SHARES = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
EDGES = [-2.0, -1.0, 1.0, 2.0]


def _baseline(each: int, effect: float | None = None) -> Baseline:
    """Return one of 2,000 users with ``each`` rows; ``effect`` is what it knows of that."""
    rng = np.random.default_rng(0)
    counts = (each * rng.multinomial(2_000, SHARES)).tolist()
    found = a_baseline(amount=numeric(EDGES, counts), size=numeric(EDGES, counts))
    if effect is not None:
        effects = {"amount": effect, "size": effect}
        found.dependence = Dependence(found_by="entity", entity="user", design_effects=effects)
    return found


def _reports(each: int, baseline: str, windows: int, drift: float = 0.0) -> list[WindowReport]:
    """Return windows of 1,000 events, ``each`` of them of one user."""
    rng, found = np.random.default_rng(1), []
    shares = (1 - drift) * SHARES + drift * np.roll(SHARES, 1)
    for number in range(windows):
        counts = each * rng.multinomial(1_000 // each, shares)
        signals = {it: signal_report(counts=tuple(counts.tolist())) for it in ("amount", "size")}
        found.append(window_report(number, part_of(int(counts.sum()), baseline, **signals)))
    return found


def _watched(reports: list[WindowReport], baseline: Baseline) -> list[WindowReport]:
    watch, memory, found = DriftDetector(lambda model: 1.0), None, []
    known: Mapping[str, Baseline] = {baseline.id: baseline}
    for report in reports:
        memory, seen = watch.take(memory, report, known)
        found.append(seen)
    return found


def _evidence(report: WindowReport) -> Evidence | None:
    return report.parts[0].signals["amount"].evidence


def _in_alarm(found: list[WindowReport]) -> float:
    said = [(_evidence(it), it.parts[0].alarm_budget) for it in found]
    alarms = [its.surprise_nats > budget.threshold_nats for its, budget in said if its and budget]
    return sum(alarms) / len(found)


def _alerts(found: list[WindowReport], baseline: Baseline) -> list[Alert]:
    state, alerts = AlertState(), []
    for report in found:
        counted = report.parts[0].signals["amount"].histogram
        verdict = evaluate(
            RULES,
            report,
            state,
            distribution=lambda *_, its=counted: distribution(baseline.signals["amount"], its),
        )
        state = verdict.state
        alerts += verdict.alerts
    return alerts


@pytest.mark.parametrize(("each", "share"), [(5, 0.2), (50, 0.9)])
def test_users_who_send_several_events_alike_raise_no_alarm_by_themselves(
    each: int, share: float
) -> None:
    blind, told = _baseline(each), _baseline(each, float(each))
    assert _in_alarm(_watched(_reports(each, blind.id, 300), blind)) >= share
    assert _in_alarm(_watched(_reports(each, told.id, 300), told)) == 0


@pytest.mark.parametrize("each", [2, 5])
def test_what_is_said_is_what_one_event_of_each_user_would_say(each: int) -> None:
    told, one = _baseline(each, float(each)), _baseline(1)
    many = _watched(_reports(each, told.id, 20, drift=0.05), told)
    rng, windows = np.random.default_rng(1), []
    for number in range(20):
        counts = rng.multinomial(1_000 // each, 0.95 * SHARES + 0.05 * np.roll(SHARES, 1))
        signals = {it: signal_report(counts=tuple(counts.tolist())) for it in ("amount", "size")}
        windows.append(window_report(number, part_of(1_000 // each, one.id, **signals)))
    few = _watched(windows, one)
    for a, b in zip(map(_evidence, many), map(_evidence, few), strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert (a.surprise_nats, a.events, a.psi_corrected, a.change) == (
                b.surprise_nats, b.events, b.psi_corrected, b.change,
            )  # fmt: skip
            assert (a.design_effect, b.design_effect) == (each, msgspec.UNSET)


def test_a_drift_is_found_and_its_alert_can_be_computed_again() -> None:
    told = _baseline(5, 5.0)
    alerts = _alerts(_watched(_reports(5, told.id, 40, drift=0.2), told), told)
    firing = [it for it in alerts if it.state == "firing"]
    assert firing
    for alert in firing:
        read = msgspec.json.decode(msgspec.json.encode(alert), type=Alert)
        assert read.evidence is not None and read.evidence.design_effect == 5
        checks = verify(read)
        assert {"surprise_nats", "psi_corrected", "evidence.baseline_events"} <= {
            it.what for it in checks
        }
        assert [it for it in checks if not it.holds] == []
        read.evidence.design_effect = 4.0
        assert "surprise_nats" in {it.what for it in verify(read) if not it.holds}


def test_the_onset_of_windows_that_wait_for_events_is_counted_in_windows() -> None:
    told = _baseline(50, 50.0)  # ten windows of 1,000 events make 200
    quiet, moved = _reports(50, told.id, 100), _reports(50, told.id, 200, drift=0.4)[100:]
    alerts = _alerts(_watched([*quiet, *moved], told), told)
    change = next(it.evidence.change for it in alerts if it.evidence and it.evidence.change)
    began = moved[0].window_end
    assert abs(change.onset_window_end - began) <= 20 * 60


def test_by_hour_of_day_expectations_are_divided_too() -> None:
    plain = hourly.baseline()
    told = msgspec.structs.replace(
        plain,
        dependence=Dependence(
            found_by="entity", entity="user", design_effects={hourly.SIGNAL: 2.0}
        ),
    )
    windows = hourly.reports([*[0.0] * 30, *[0.4] * 3], told.id)
    watch, memory = DriftDetector(lambda model: 1.0), None
    for report in windows:
        memory, seen = watch.take(memory, report, {told.id: told})
    evidence = seen.parts[0].signals[hourly.SIGNAL].evidence
    assert evidence is not None and evidence.expectation is not None
    assert evidence.design_effect == 2
    assert evidence.events < 16 * hourly.EVENTS
    budget = seen.parts[0].alarm_budget
    assert budget is not None and evidence.surprise_nats > budget.threshold_nats


def _told(each: int, effect: float | None, drift: float = 0.0) -> list[Alert]:
    """Return what the default rules tell of 60 windows of 2,000 events, ``each`` of one user."""
    told = _baseline(each, effect)
    signal = told.signals["amount"]
    rng, state, alerts = np.random.default_rng(3), AlertState(), []
    shares = (1 - drift) * SHARES + drift * np.roll(SHARES, 2)
    for number in range(60):
        counts = (each * rng.multinomial(2_000 // each, shares)).tolist()
        counted = SignalHistogram(counts=counts, minimum=-3.0, maximum=3.0)
        part = part_of(2_000, told.id, **signal_reports({"amount": counted}, told))
        verdict = evaluate(
            DEFAULT_RULES,
            window_report(number, part),
            state,
            distribution=lambda *_, its=counted: msgspec.structs.replace(
                distribution(signal, its), design_effect=effect or msgspec.UNSET
            ),
        )
        state = verdict.state
        alerts += verdict.alerts
    return [it for it in alerts if it.state == "firing"]


def test_rules_on_kl_take_a_few_users_of_a_window_for_no_drift() -> None:
    assert "drift-retrain" in {it.rule for it in _told(50, None)}
    assert _told(50, 50.0) == []


def test_a_drift_of_users_is_told_by_kl_and_can_be_computed_again() -> None:
    alerts = _told(5, 5.0, drift=0.6)
    assert {it.rule for it in alerts} == {"drift-retrain"}
    for alert in alerts:
        assert [it for it in verify(alert) if not it.holds] == []
        assert alert.distribution is not None
        assert alert.minimum_events == 145  # 5 times 2 / (0.07 - 5 * 2 / 10_000)
        alert.distribution.design_effect = 4.0
        assert [it.what for it in verify(alert) if not it.holds] == ["kl_values"]


def test_the_values_of_one_user_are_neither_constant_nor_a_flood_of_new_ones() -> None:
    city = categorical("string", ["Paris", "Rome"], ["Oslo"])
    city.counts = [5_000, 4_000, 999, 0]
    one = SignalHistogram(counts=[200, 0, 0, 0])
    new = SignalHistogram(counts=[150, 0, 0, 50])
    for found, name in ((one, "constant"), (new, "unseen_excess")):
        blind = quality_of(found, city)
        assert blind is not None and getattr(blind, name) > 0.05
        assert quality_of(found, city, 50.0) is None
    # The same of as many independent events.
    for found in (one, new):
        many = SignalHistogram(counts=[50 * count for count in found.counts])
        city.counts = [50 * 5_000, 50 * 4_000, 50 * 999, 0]
        assert quality_of(many, city, 50.0) is not None


def test_what_the_baseline_never_misses_is_missed_at_once_in_any_company() -> None:
    amount = numeric(EDGES, [2_000] * 5)
    lost = SignalHistogram(counts=[60, 60, 60, 60, 60], null=100, minimum=-3.0, maximum=3.0)
    assert quality_of(lost, amount, 50.0) == quality_of(lost, amount) is not None
    amount.missing = 500  # users who never have it
    assert quality_of(lost, amount) is not None
    assert quality_of(lost, amount, 50.0) is None
