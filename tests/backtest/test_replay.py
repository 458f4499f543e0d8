"""Many windows at a time are judged as DETECT judges them: by the same code, one by one."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from support.counting import a_baseline, categorical, numeric
from support.hourly import SIGNAL, baseline as hourly_baseline, reports as hourly_reports
from support.window_reports import latency, part_of, signal_report, window_report
from tidegauge.alerting.evaluate import evaluate, evaluate_late
from tidegauge.alerting.measure import measure
from tidegauge.alerting.metrics import METRICS, OF_COHORTS
from tidegauge.alerting.ruleset import RuleSet, parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.backtest.records import slices_of
from tidegauge.backtest.replay import FULL_STEPS, OF_EVIDENCE, Replay
from tidegauge.backtest.result import PastEpisode
from tidegauge.baseline.document import Baseline, FeatureScale
from tidegauge.config.sections import WindowSettings
from tidegauge.contract.alert import Alert
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.contract.report import AlarmBudget, WindowReport
from tidegauge.windows.drift_detector import DriftDetector
from tidegauge.windows.report import signal_reports

EDGES = [-2.0, -1.0, 1.0, 2.0]
SHARES = np.array([0.1, 0.2, 0.4, 0.2, 0.1])


def _baseline(scale: int = 10_000) -> Baseline:
    counts = (SHARES * scale).astype(int).tolist()
    return a_baseline(
        amount=numeric(EDGES, counts),
        size=numeric(EDGES, counts),
        country=categorical("string", ["a", "b"]),
    )


A, B, UNKNOWN = _baseline(), _baseline(20_000), _baseline(30_000)
KNOWN = {A.id: A, B.id: B}

RULES = parse_rules(
    """
rules:
  - {name: alarm, metric: surprise, above: 1, severity: medium}
  - {name: strong, metric: surprise, above: 1.5, signal: "a*", severity: high}
  - {name: drift, metric: kl, above: 0.05, severity: low, minimum_events: 100}
  - {name: lasting, metric: surprise, above: 1, severity: low, for: 3, keep_firing_for: 2}
  - name: lasting-drift
    metric: kl
    above: 0.05
    severity: low
    minimum_events: 100
    for: 2
    keep_firing_for: 4
    repeat_interval: 60
  - {name: slow, metric: latency_mean_ms, above: 200, severity: critical}
  - name: sized
    metric: surprise
    above: 0.7
    minimum_psi: 0.05
    severity: {minor: low, moderate: medium, major: high}
  - {name: few, metric: events, below: 20, severity: low}
  - {name: some, metric: drifted_signals, above: 0, severity: low}
  - {name: share, metric: drifted_share, above: 0.3, severity: low}
""",
    source="test",
)


def _reports(
    number: int, *, drifts: Sequence[range] = (), seed: int = 1, events: int = 300
) -> list[WindowReport]:
    """Windows of two baselines, one after the other, with all that there can be in between."""
    rng = np.random.default_rng(seed)
    found = []
    for at in range(number):
        drift = 0.35 if any(at in one for one in drifts) else 0.0
        shares = (1 - drift) * SHARES + drift * np.roll(SHARES, 1)
        size = int(rng.choice([events, 5, 120], p=[0.9, 0.03, 0.07]))
        baselines = [A if at < 2 * number // 3 else B]
        if at == 2 * number // 3:
            baselines = [A, B]
        if at % 41 == 40:
            baselines = [UNKNOWN]
        parts = []
        for baseline in baselines:
            histograms = {
                "amount": signal_report(counts=tuple(rng.multinomial(size, shares))).histogram,
                "size": signal_report(counts=tuple(rng.multinomial(size, SHARES))).histogram,
                "country": signal_report(counts=(size // 3, size // 3, size // 3, 0)).histogram,
            }
            known = baseline if baseline.id in KNOWN else None
            part = part_of(size, baseline.id, **signal_reports(histograms, known))
            part.alarm_budget = AlarmBudget(
                threshold_nats=9.0,
                looks=9.0,
                alarms_per_month=9.0,
                windows_per_month=9.0,
                slices=1 + at * 5 // number,
            )
            parts.append(part)
        mean_ms = 300.0 if at % 29 == 28 else 50.0
        found.append(window_report(at, *parts, latency=latency(mean_ms)))
    return found


def _one_by_one(rules: RuleSet, reports: Sequence[WindowReport], alarms: float) -> list[Alert]:
    """Judge reports as detect/closing.py does."""
    watch, memory, state = DriftDetector(lambda model: alarms), None, AlertState()
    found = []
    known: dict[int, WindowReport] = {}
    held: dict[int, list[str]] = {}
    through = 0
    for report in reports:
        start = report.window_start
        if report.revision or report.window_end <= through:
            earlier = known.get(start)
            memory = watch.take_late(memory, report, earlier, KNOWN)
            verdict, held[start] = evaluate_late(
                rules, report, earlier, state,
                held=held.get(start, ()), distribution=lambda *_: None,
            )  # fmt: skip
        else:
            through = report.window_end
            memory, seen = watch.take(memory, report, KNOWN, slices=slices_of(report))
            verdict = evaluate(rules, seen, state, distribution=lambda *_: None)
        known[start] = report
        state = verdict.state
        found += verdict.alerts
    return found


def _part_of_the_events(report: WindowReport, share: float) -> WindowReport:
    """Return what a report would say with some of its events only, in a quick window."""
    parts = []
    for part in report.parts:
        histograms = {
            name: msgspec.structs.replace(
                it.histogram, counts=[int(n * share) for n in it.histogram.counts]
            )
            for name, it in part.signals.items()
        }
        known = KNOWN.get(part.baseline)
        some = part_of(int(part.events * share), part.baseline, **signal_reports(histograms, known))
        some.alarm_budget = part.alarm_budget
        parts.append(some)
    events = sum(part.events for part in parts)
    return msgspec.structs.replace(
        report, id=f"{report.id} {share}", parts=parts, latency=latency(50.0), events=events
    )


def _with_late_events(reports: Sequence[WindowReport], seed: int) -> list[WindowReport]:
    """Report some windows with a part of their events, and with the others windows later."""
    rng = np.random.default_rng(seed)
    due: dict[int, list[WindowReport]] = {}
    found = []
    for at, report in enumerate(reports):
        kind = rng.choice(["whole", "late", "opens late"], p=[0.7, 0.2, 0.1])
        if report.events < 100:
            kind = "whole"
        later = at + int(rng.integers(1, 12))
        if kind == "opens late" and at > 0:
            due.setdefault(later, []).append(report)
        elif kind == "late":
            found.append(_part_of_the_events(report, float(rng.choice([0.05, 0.5]))))
            for revision, when in enumerate(sorted({later, later + 2}), 1):
                late = report if revision == 2 else _part_of_the_events(report, 0.8)
                late = msgspec.structs.replace(
                    late, id=f"{report.id} {revision}", revision=revision
                )
                due.setdefault(when, []).append(late)
        else:
            found.append(report)
        found += due.pop(at, [])
    return found


def _replayed(
    rules: RuleSet, reports: Sequence[WindowReport], alarms: float, together: int
) -> Replay:
    replay = Replay(rules, lambda model: alarms, reports[0])
    for start in range(0, len(reports), together):
        replay.take(reports[start : start + together], KNOWN)
    return replay


def _facts(alerts: list[Alert]) -> list[tuple[Any, ...]]:
    ends = {(a.fingerprint, a.starts_at): a.ends_at for a in alerts if a.state == "resolved"}
    return [
        (
            a.rule,
            a.signal,
            a.severity,
            a.starts_at,
            a.window_end,
            ends.get((a.fingerprint, a.starts_at)),
        )
        for a in alerts
        if a.state == "firing" and not a.reminder and not a.raised
    ]


def _told(episodes: list[PastEpisode]) -> list[tuple[Any, ...]]:
    return [
        (it.rule, it.signal, it.severity, it.starts_at, it.window_end, it.ends_at)
        for it in episodes
    ]


@pytest.mark.parametrize("together", [1, 7, 400])
@pytest.mark.parametrize("alarms", [1.0, 3_000.0])
def test_the_same_alerts_fire_and_resolve_as_window_by_window(together: int, alarms: float) -> None:
    reports = _reports(240, drifts=[range(60, 90), range(200, 260)])
    alerts = _one_by_one(RULES, reports, alarms)
    assert {alert.rule for alert in alerts} == set(RULES.by_name)
    episodes = _replayed(RULES, reports, alarms, together).end()
    assert _told(episodes) == _facts(alerts)
    assert {"pending", "inactive"} < {alert.state for alert in alerts}
    assert any(alert.reminder for alert in alerts)
    fired = [it.value for it in alerts if it.state == "firing" and not it.reminder]
    assert [it.value for it in episodes] == pytest.approx(fired, rel=1e-12)


def test_a_rule_on_what_is_below_is_judged_in_every_window() -> None:
    rules = parse_rules(
        "rules: [{name: calm, metric: surprise, below: 0.2, severity: low, group: none, "
        "flapping_after: 0}]",
        source="test",
    )
    reports = _reports(80, drifts=[range(30, 50)])
    alerts = _one_by_one(rules, reports, 1.0)
    assert len(alerts) > 4
    episodes = _replayed(rules, reports, 1.0, 16).end()
    assert _told(episodes) == _facts(alerts)


def test_windows_in_which_nothing_can_change_are_not_taken_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[WindowReport] = []
    take = DriftDetector.take_together

    def noted(detector: DriftDetector, firsts: Any, baselines: Any) -> Any:
        taken.extend(first.report for first in firsts)
        return take(detector, firsts, baselines)

    monkeypatch.setattr(DriftDetector, "take_together", noted)
    rules = RuleSet([it for it in RULES.rules if it.name == "alarm"])
    reports = _reports(39)
    _replayed(rules, reports, 1.0, 400)
    # The one that two baselines counted is taken by itself.
    assert [it.window_start for it in taken] == [reports[26].window_start]


def test_an_episode_lasts_up_to_where_it_ends_or_the_windows_do() -> None:
    reports = _reports(120, drifts=[range(40, 60), range(110, 200)])
    [first, *_, last] = [
        it for it in _replayed(RULES, reports, 1.0, 50).end() if it.rule == "strong"
    ]
    assert first.ends_at is not None and first.seconds == first.ends_at - first.starts_at
    assert last.ends_at is None and last.seconds == reports[-1].window_end - last.starts_at


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("at_once", [7, 50])
def test_late_events_are_judged_as_they_were(seed: int, at_once: int) -> None:
    whole = _reports(150, drifts=[range(40, 60), range(110, 200)], seed=seed)
    reports = _with_late_events(whole, seed)
    expected = _one_by_one(RULES, reports, 1.0)
    assert any(alert.revised for alert in expected)
    assert _told(_replayed(RULES, reports, 1.0, at_once).end()) == _facts(expected)


def test_a_window_that_opened_after_a_later_one_closed_is_judged_as_late() -> None:
    reports = _reports(30)
    late = [*reports[:10], reports[12], reports[10], reports[11], *reports[13:]]
    replay = _replayed(RULES, late, 1.0, 8)
    assert (replay.span.windows, replay.span.passed_by) == (28, 2)
    assert _told(replay.end()) == _facts(_one_by_one(RULES, late, 1.0))


def test_the_memory_is_full_once_every_signal_has_been_counted_often_enough() -> None:
    rng = np.random.default_rng(2)
    reports = []
    for at in range(FULL_STEPS + 20):
        histograms = {"amount": signal_report(counts=tuple(rng.multinomial(300, SHARES))).histogram}
        reports.append(window_report(at, part_of(300, A.id, **signal_reports(histograms, A))))
    assert _replayed(RULES, reports[:FULL_STEPS], 1.0, 99).span.memory_full_at == (
        reports[FULL_STEPS - 1].window_end
    )
    assert _replayed(RULES, reports[: FULL_STEPS - 1], 1.0, 99).span.memory_full_at is None


def test_a_report_that_was_binned_otherwise_is_named() -> None:
    report = _reports(3)[0]
    part = report.parts[0]
    part.signals["amount"].histogram.counts.append(3)
    with pytest.raises(ValueError, match=r"9 bins of the signal 'amount'.*has 8"):
        _replayed(RULES, [report], 1.0, 1)


def test_every_metric_is_of_the_report_or_of_the_evidence() -> None:
    """A metric of evidence that is not known as such would be looked for where it never is."""
    signal = signal_report(mean=1.0, unseen_share=0.5)
    report = window_report(
        0, part_of(9, A.id, c=signal), latency=latency(1.0), prediction_mean_5m=0.5
    )
    measured = {metric for metric in METRICS if list(measure(metric, report))}
    assert measured == METRICS.keys() - OF_EVIDENCE - OF_COHORTS


SILENCE = parse_rules(
    """
rules:
  - {name: quiet, metric: seconds_without_events, above: 600, severity: low, repeat_interval: 60}
  - {name: slow, metric: latency_mean_ms, above: 200, severity: low, minimum_events: 0}
""",
    source="test",
)


def _slow(*minutes: int) -> list[WindowReport]:
    return [window_report(it, part_of(300, UNKNOWN.id), latency=latency(300.0)) for it in minutes]


@pytest.mark.parametrize("together", [1, 9])
def test_a_silence_is_seen_between_windows_and_what_fires_goes_on_after_it(together: int) -> None:
    reports = _slow(0, 1, 30, 31)
    quiet, slow = _replayed(SILENCE, reports, 1.0, together).end()
    if quiet.rule == "slow":
        quiet, slow = slow, quiet
    assert (quiet.starts_at, quiet.value) == (reports[1].window_end, 601.0)
    assert quiet.window_end == quiet.starts_at + 601
    assert quiet.ends_at == reports[2].window_start
    assert (slow.starts_at, slow.ends_at) == (reports[0].window_start, None)


def test_a_slice_that_sends_no_more_while_others_do_is_silent_to_the_end() -> None:
    reports = _slow(0, 1)
    episodes = _replayed(SILENCE, reports, 1.0, 9).end(reports[1].window_end + 4000)
    [quiet] = [it for it in episodes if it.rule == "quiet"]
    assert (quiet.ends_at, quiet.seconds) == (None, 4000)
    assert len(_replayed(SILENCE, reports, 1.0, 9).end()) == 1


def test_a_slice_that_is_forgotten_begins_anew() -> None:
    hour = WindowSettings(forget_seconds=3600)
    reports = [*_reports(60), *(_reports(120)[60:])]
    later = [
        msgspec.structs.replace(
            it, window_start=it.window_start + 9000, window_end=it.window_end + 9000
        )
        for it in reports[60:]
    ]
    replay = Replay(RULES, lambda model: 1.0, reports[0], windows=hour)
    replay.take([*reports[:60], *later], KNOWN)
    apart = [_replayed(RULES, some, 1.0, 400).end() for some in (reports[:60], later)]
    assert _begun(replay.end()) == _begun([*apart[0], *apart[1]])
    slow = Replay(SILENCE, lambda model: 1.0, reports[0], windows=hour)
    slow.take(_slow(0, 100), KNOWN)
    assert [(it.rule, it.ends_at) for it in slow.end()] == [
        ("slow", _slow(0)[0].window_end + 3600), ("quiet", _slow(0)[0].window_end + 3600),
        ("slow", None),
    ]  # fmt: skip


def _begun(episodes: list[PastEpisode]) -> list[tuple[Any, ...]]:
    return [(it.rule, it.signal, it.starts_at, it.window_end, it.value) for it in episodes]


def test_windows_by_hour_of_day_are_judged_as_detect_judges_them() -> None:
    hourly, drifts = hourly_baseline(), [*[0.0] * 40, *[0.3] * 20]
    reports = hourly_reports(drifts, hourly.id)
    rules = parse_rules(
        "rules:\n  - {name: alarm, metric: surprise, above: 1, severity: low}\n", source="test"
    )
    watch, memory, beyond = DriftDetector(lambda model: 1.0), None, []
    for report in reports:
        memory, seen = watch.take(memory, report, {hourly.id: hourly})
        part = seen.parts[0]
        evidence = part.signals[SIGNAL].evidence
        assert evidence is not None and part.alarm_budget is not None
        if evidence.surprise_nats > part.alarm_budget.threshold_nats:
            beyond.append(report.window_end)
    replay = Replay(rules, lambda model: 1.0, reports[0])
    for start in range(0, len(reports), 7):
        replay.take(reports[start : start + 7], {hourly.id: hourly})
    [episode] = replay.end()
    assert episode.window_end == beyond[0] >= reports[40].window_end


@pytest.mark.parametrize("together", [1, 50])
def test_joint_signals_are_judged_as_detect_judges_them(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline, name = _baseline(), "joint pair 1: +amount -size"
    weights = {"amount": 1.0, "size": -1.0}
    baseline.signals[name] = msgspec.structs.replace(
        numeric(EDGES, (SHARES * 10_000).astype(int).tolist()), sum_of=weights
    )
    baseline.scales = {it: FeatureScale(centre=0.0, scale=1.0) for it in weights}
    monkeypatch.setitem(KNOWN, baseline.id, baseline)
    rng, reports = np.random.default_rng(5), []
    for at in range(100):
        shares = {it: SHARES for it in ("amount", "size", name)}
        if 40 <= at < 80:
            shares[name] = 0.7 * SHARES + 0.3 * np.roll(SHARES, 1)
        histograms = {
            it: SignalHistogram(counts=rng.multinomial(250, its).tolist(), absent=50 * (it == name))
            for it, its in shares.items()
        }
        part = part_of(300, baseline.id, **signal_reports(histograms, baseline))
        reports.append(window_report(at, part, latency=latency(50.0)))
    alerts = _one_by_one(RULES, reports, 1.0)
    rules = {"alarm", "drift", "lasting", "lasting-drift", "sized"}  # none that counts features
    assert {it.rule for it in alerts} == rules
    assert {one.signal for it in alerts for one in it.signals} == {name}
    assert _told(_replayed(RULES, reports, 1.0, together).end()) == _facts(alerts)


def test_the_memory_of_a_baseline_by_hour_of_day_is_full_as_late() -> None:
    hourly = hourly_baseline()
    reports = hourly_reports([0.0] * (FULL_STEPS + 3), hourly.id)
    rules = parse_rules(
        "rules: [{name: alarm, metric: surprise, above: 1, severity: low}]", source="test"
    )
    replay = Replay(rules, lambda model: 1.0, reports[0])
    replay.take(reports, {hourly.id: hourly})
    assert replay.span.memory_full_at == reports[FULL_STEPS - 1].window_end
