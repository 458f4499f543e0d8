"""Windows against a baseline by hour of day, as DETECT takes them in."""

from collections.abc import Mapping

import msgspec
import pytest

from support.hourly import SIGNAL, baseline, reports
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.ruleset import parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.audit.verify import verify
from tidegauge.baseline.compare import distribution
from tidegauge.baseline.document import Baseline
from tidegauge.contract.alert import Alert
from tidegauge.contract.report import AlarmBudget, Evidence, WindowReport
from tidegauge.windows.drift_detector import DriftDetector, WindowInput
from tidegauge.windows.values import SliceMemory

RULES = parse_rules(
    "rules:\n  - {name: drift, metric: surprise, above: 1, severity: high}\n", source="rules.yaml"
)
HOURLY = baseline()
PLAIN = msgspec.structs.replace(HOURLY, daily=msgspec.UNSET)
KNOWN: Mapping[str, Baseline] = {HOURLY.id: HOURLY, PLAIN.id: PLAIN}
QUIET = [0.0] * 120
DRIFTED = [*[0.0] * 100, *[0.25] * 20]


def _watched(
    windows: list[WindowReport], memory: SliceMemory | None = None
) -> tuple[SliceMemory | None, list[WindowReport]]:
    watch, found = DriftDetector(lambda model: 1.0), []
    for report in windows:
        memory, seen = watch.take(memory, report, KNOWN)
        found.append(seen)
    return memory, found


def _said(report: WindowReport) -> tuple[Evidence, AlarmBudget]:
    part = report.parts[0]
    evidence = part.signals[SIGNAL].evidence
    assert evidence is not None and part.alarm_budget is not None
    return evidence, part.alarm_budget


def _in_alarm(found: list[WindowReport]) -> list[int]:
    said = [_said(report) for report in found]
    return [n for n, (its, budget) in enumerate(said) if its.surprise_nats > budget.threshold_nats]


def _alerts(found: list[WindowReport]) -> list[Alert]:
    state, alerts = AlertState(), []
    for report in found:
        counted = report.parts[0].signals[SIGNAL].histogram
        verdict = evaluate(
            RULES,
            report,
            state,
            distribution=lambda *_, its=counted: distribution(HOURLY.signals[SIGNAL], its),
        )
        state = verdict.state
        alerts += verdict.alerts
    return alerts


def test_an_evening_like_the_others_is_no_drift_though_the_pooled_baseline_says_so() -> None:
    assert _in_alarm(_watched(reports(QUIET, HOURLY.id))[1]) == []
    assert len(_in_alarm(_watched(reports(QUIET, PLAIN.id))[1])) > 60


def test_a_quarter_of_a_standard_deviation_more_than_the_hour_has_is_a_drift() -> None:
    _, found = _watched(reports(DRIFTED, HOURLY.id))
    assert _in_alarm(found)[0] in (100, 101, 102)
    evidence, _ = _said(found[-1])
    assert evidence.size == "minor"
    # Of 20 drifted windows, a span of 16 remembers 0.25 sd as 0.18; the size is that of 0.25 sd.
    assert evidence.span_windows == 16
    assert evidence.since_onset == pytest.approx(1 - (15 / 16) ** 20, rel=0.1)
    assert evidence.psi_corrected == pytest.approx(0.0625, rel=0.25)
    assert evidence.change is not None and evidence.change.median_delta is not None
    assert evidence.change.median_delta == pytest.approx(0.18, abs=0.05)


def test_a_report_says_whether_its_budget_is_guaranteed() -> None:
    for one, guaranteed, reason in ((HOURLY, True, None), (PLAIN, False, "baseline_without_hours")):
        _, [found] = _watched(reports([0.0], one.id))
        _, budget = _said(found)
        assert (budget.guaranteed, budget.reason) == (guaranteed, reason)


def test_of_a_budget_from_before_there_were_hours_nothing_is_guaranteed() -> None:
    before = b'{"threshold_nats":1,"looks":1,"alarms_per_month":1,"windows_per_month":1}'
    found = msgspec.json.decode(before, type=AlarmBudget)
    assert (found.guaranteed, found.reason) == (False, "baseline_without_hours")


def test_an_alert_carries_what_was_expected_and_can_be_computed_again() -> None:
    alerts = [
        it for it in _alerts(_watched(reports(DRIFTED, HOURLY.id))[1]) if it.state == "firing"
    ]
    assert alerts
    for alert in alerts:
        assert alert.evidence is not None and alert.evidence.expectation is not None
        read = msgspec.json.decode(msgspec.json.encode(alert), type=Alert)
        checks = verify(read)
        assert {"surprise_nats", "psi_corrected", "threshold_nats"} <= {it.what for it in checks}
        assert [it for it in checks if not it.holds] == []


@pytest.mark.parametrize("field", ["expected", "excess", "degrees"])
def test_an_expectation_that_was_changed_is_named(field: str) -> None:
    alert = next(a for a in _alerts(_watched(reports(DRIFTED, HOURLY.id))[1]) if a.evidence)
    its = alert.evidence and alert.evidence.expectation
    assert alert.evidence is not None and its is not None
    wrong = [value * 1.5 + 0.001 for value in getattr(its, field)]
    alert.evidence.expectation = msgspec.structs.replace(its, **{field: wrong})
    assert "surprise_nats" in {it.what for it in verify(alert) if not it.holds}
    alert.evidence.expectation = msgspec.structs.replace(its, **{field: wrong[:-1]})
    assert "surprise_nats" in {it.what for it in verify(alert) if not it.holds}


def test_what_is_remembered_comes_back_to_the_bit() -> None:
    windows = reports(DRIFTED, HOURLY.id)
    memory, found = _watched(windows)
    half, first = _watched(windows[:57])
    restored = msgspec.json.decode(msgspec.json.encode(half), type=SliceMemory)
    again, rest = _watched(windows[57:], restored)
    assert again == memory
    assert [*first, *rest] == found


def test_windows_taken_together_are_judged_to_the_bit_as_each_alone() -> None:
    watch, memory, firsts = DriftDetector(lambda model: 1.0), None, []
    for report in reports(DRIFTED[90:], HOURLY.id):
        firsts.append(WindowInput(memory, report, 1))
        memory, _ = watch.take(memory, report, KNOWN)
    alone = [watch.take_together([it], KNOWN)[0] for it in firsts]
    assert watch.take_together(firsts, KNOWN) == alone
    assert _in_alarm([it.report for it in alone])


def test_a_memory_from_before_there_were_hours_begins_anew() -> None:
    windows = reports(QUIET[:3], HOURLY.id)
    memory, _ = _watched(windows[:2])
    assert memory is not None
    old = msgspec.structs.replace(memory, hours=b"", pooled_hours=b"")
    begun, _ = _watched(windows[2:])
    assert _watched(windows[2:], old)[0] == begun


def test_without_hours_the_memory_has_the_bytes_it_had() -> None:
    memory, _ = _watched(reports([0.0], PLAIN.id))
    assert b"hours" not in msgspec.json.encode(memory)
