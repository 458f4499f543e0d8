"""The life of an alert over a sequence of windows."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, strategies as st

from support.window_reports import kl_report, latency, part_of, signal_report, window_report
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.records import EvaluationResult
from tidegauge.alerting.ruleset import DEFAULT_RULES, RuleSet, parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert, Distribution
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.contract.report import WindowReport

DRIFT = """\
rules:
  - {name: drift, metric: kl, above: 0.05, severity: medium, minimum_events: 1000, action: retrain,
     group: none, flapping_after: 0}
"""


def rules_of(text: str) -> RuleSet:
    return parse_rules(text, source="rules.yaml")


RULES = rules_of(DRIFT)


def bins_of(baseline: str, signal: str, histogram: SignalHistogram) -> Distribution | None:
    bins = [f"{baseline}/{signal}/{i}" for i in range(len(histogram.counts))]
    return Distribution(
        bins=bins, reference=[500] * len(histogram.counts), current=histogram.counts
    )


def fold(
    reports: Iterable[WindowReport], rules: RuleSet = RULES, state: AlertState | None = None
) -> list[EvaluationResult]:
    verdicts: list[EvaluationResult] = []
    for report in reports:
        before = verdicts[-1].state if verdicts else state or AlertState()
        verdicts.append(evaluate(rules, report, before, distribution=bins_of))
    return verdicts


def alerts_of(verdicts: Iterable[EvaluationResult]) -> list[Alert]:
    return [alert for verdict in verdicts for alert in verdict.alerts]


def story(verdicts: Iterable[EvaluationResult]) -> list[list[str]]:
    return [[alert.state for alert in verdict.alerts] for verdict in verdicts]


def test_an_alert_fires_once_holds_in_silence_and_resolves_once() -> None:
    verdicts = fold(kl_report(i, kl) for i, kl in enumerate([0.01, 0.06, 0.09, 0.02, 0.01]))
    assert story(verdicts) == [[], ["firing"], [], ["resolved"], []]
    firing, resolved = alerts_of(verdicts)
    start = kl_report(1, 0.06).window_start
    assert (firing.starts_at, firing.ends_at) == (start, None)
    assert (resolved.starts_at, resolved.ends_at) == (start, start + 120)
    assert firing.fingerprint == resolved.fingerprint
    assert firing.id != resolved.id
    assert (firing.value, resolved.value) == (0.06, 0.02)
    assert verdicts[2].state.firing[0].signal == "age"
    assert verdicts[-1].state.firing == []


def test_a_second_episode_has_the_same_fingerprint_and_other_ids() -> None:
    alerts = alerts_of(fold(kl_report(i, kl) for i, kl in enumerate([0.1, 0.0, 0.1, 0.0])))
    assert [alert.state for alert in alerts] == ["firing", "resolved"] * 2
    assert len({alert.fingerprint for alert in alerts}) == 1
    assert len({alert.id for alert in alerts}) == 4


def test_a_value_that_equals_the_threshold_is_not_above_it() -> None:
    assert story(fold([kl_report(0, 0.05)])) == [[]]
    assert story(fold([kl_report(0, 0.05000001)])) == [["firing"]]
    assert story(fold([kl_report(0, 0.06), kl_report(1, 0.05)])) == [["firing"], ["resolved"]]


def test_a_value_that_equals_the_threshold_is_not_below_it() -> None:
    rules = rules_of("rules: [{name: low, metric: mean, below: 3.0, severity: low}]")
    means = [3.0, 2.9, 3.0]
    reports = [
        window_report(i, part_of(1000, age=signal_report(mean=mean)))
        for i, mean in enumerate(means)
    ]
    assert story(fold(reports, rules)) == [[], ["firing"], ["resolved"]]


@pytest.mark.parametrize(
    "unjudged", [kl_report(1, 0.0, events=999), kl_report(1, None), kl_report(1, 0.0, signal="x")]
)
def test_a_window_that_cannot_be_judged_changes_nothing(unjudged: WindowReport) -> None:
    verdicts = fold([kl_report(0, 0.1), unjudged, kl_report(2, 0.1), kl_report(3, 0.0)])
    assert story(verdicts) == [["firing"], [], [], ["resolved"]]


def test_a_window_with_too_few_events_fires_nothing() -> None:
    assert story(fold([kl_report(0, 9.0, events=999)])) == [[]]
    assert story(fold([kl_report(0, 9.0, events=1000)])) == [["firing"]]


def test_two_series_do_not_mix() -> None:
    series: list[dict[str, object]] = [
        {},
        {"model": "churn"},
        {"version": "4"},
        {"variant": "canary"},
        {"segment": {"region": "eu"}},
        {"segment": {"region": "us"}},
    ]
    verdicts = fold(kl_report(0, 0.1, **one) for one in series)
    assert story(verdicts) == [["firing"]] * len(series)
    assert len({alert.fingerprint for alert in alerts_of(verdicts)}) == len(series)
    after = fold([kl_report(1, 0.0, model="churn")], state=verdicts[-1].state)
    (resolved,) = alerts_of(after)
    assert resolved.model == "churn"
    assert len(after[-1].state.firing) == len(series) - 1


def test_a_replay_a_revision_and_a_window_out_of_order_are_not_judged_and_say_so() -> None:
    state = fold([kl_report(0, 0.0), kl_report(5, 0.1)])[-1].state
    for again in (
        kl_report(5, 0.1),
        kl_report(5, 0.0, revision=1),
        kl_report(3, 0.0),
    ):
        verdict = evaluate(RULES, again, state, distribution=bins_of)
        assert verdict.stale
        assert verdict.state == state
        assert (verdict.alerts, verdict.actions, verdict.audit) == ([], [], [])
    assert not evaluate(RULES, kl_report(6, 0.1), state, distribution=bins_of).stale


def test_many_signals_of_a_rule_are_an_alert_each_worst_first() -> None:
    kls = {"a": 0.06, "b": 0.2, "c": 0.01, "d": 0.09, "e": 0.09}
    signals = {name: signal_report(kl_current_reference_nats=kl) for name, kl in kls.items()}
    alerts = alerts_of(fold([window_report(0, part_of(1000, **signals))]))
    assert [alert.signal for alert in alerts] == ["b", "d", "e", "a"]
    assert len({alert.id for alert in alerts}) == 4


def test_below_the_worst_is_the_smallest() -> None:
    rules = rules_of("rules: [{name: low, metric: mean, below: 3.0, severity: low, group: none}]")
    signals = {name: signal_report(mean=mean) for name, mean in [("a", 2.0), ("b", 1.0)]}
    alerts = alerts_of(fold([window_report(0, part_of(1000, **signals))], rules))
    assert [alert.signal for alert in alerts] == ["b", "a"]


def test_globs_choose_signals_and_models_and_mind_their_case() -> None:
    rules = rules_of(
        "rules: [{name: r, metric: kl, signal: 'inc?me_*', model: cred*, above: 0.05, "
        "severity: low, group: none}]"
    )
    signals = {
        name: signal_report(kl_current_reference_nats=0.1)
        for name in ("income_net", "Income_net", "income", "age")
    }
    fired = alerts_of(fold([window_report(0, part_of(1000, **signals))], rules))
    assert [alert.signal for alert in fired] == ["income_net"]
    assert story(fold([window_report(0, part_of(1000, **signals), model="a-cred")], rules)) == [[]]


def test_the_alert_says_what_was_measured_where_and_against_what() -> None:
    report = kl_report(3, 0.0625, events=4000, variant="canary", segment={"region": "eu"})
    (alert,) = alerts_of(fold([report]))
    assert alert.report == report.id
    assert (alert.window_start, alert.window_end) == (report.window_start, report.window_end)
    assert (alert.rule, alert.severity, alert.metric, alert.unit) == (
        "drift",
        "medium",
        "kl",
        "nats",
    )
    assert (alert.comparison, alert.threshold, alert.events, alert.minimum_events) == (
        "above",
        0.05,
        4000,
        1000,
    )
    assert (alert.variant, alert.segment, alert.baseline) == ("canary", {"region": "eu"}, "b1")
    assert alert.counted == report.counted
    assert alert.distribution == Distribution(
        bins=["b1/age/0", "b1/age/1"], reference=[500, 500], current=[600, 400]
    )
    assert (
        alert.summary
        == "credit 3: kl of age is 0.0625 nats, above 0.05, in 4,000 events (region=eu)"
    )


def test_the_resolved_alert_says_how_long_it_lasted() -> None:
    _, resolved = alerts_of(fold([kl_report(0, 0.1), kl_report(4, 0.02)]))
    assert resolved.summary == (
        "credit 3: kl of age is back at 0.02 nats, no longer above 0.05, after 4 min"
    )


def test_a_template_of_the_rule_makes_the_summary() -> None:
    rules = rules_of(
        "rules: [{name: r, metric: events, below: 10, severity: low, summary: "
        "'{rule} {severity} {model}/{version}/{variant} [{segment}] {metric}{signal} "
        "{value:.1f} {unit} {comparison} {threshold} {events:d} {minimum_events} "
        "{window_start}-{window_end} {{}}'}]"
    )
    report = window_report(0, part_of(7), variant="blue", segment={"b": "2", "a": "1"})
    (alert,) = alerts_of(fold([report], rules))
    assert alert.summary == (
        "r low credit/3/blue [a=1, b=2] events 7.0 events below 10 7 0 1700000040-1700000100 {}"
    )


def test_a_summary_names_the_segment_where_its_template_does_not() -> None:
    windows = [kl_report(i, kl, segment={"region": "eu"}) for i, kl in enumerate((0.1, 0.0))]
    said = [alert.summary for one in fold(windows) for alert in one.alerts]
    assert len(said) == 2
    assert all(summary.endswith(" (region=eu)") for summary in said), said
    (alert,) = alerts_of(fold([kl_report(0, 0.1)]))
    assert not alert.summary.endswith(")")


def test_an_action_comes_with_a_firing_alert_alone() -> None:
    fired, held, resolved = fold([kl_report(0, 0.1), kl_report(1, 0.1), kl_report(2, 0.0)])
    (alert,), (action,) = fired.alerts, fired.actions
    assert alert.actions == [action.id]
    assert (action.kind, action.alert, action.data) == ("retrain", alert.id, None)
    assert (action.model, action.version, action.rule) == ("credit", "3", "drift")
    assert (action.requested_at, action.reason) == (alert.window_end, alert.summary)
    assert held.actions == resolved.actions == []
    assert resolved.alerts[0].actions == []


def test_signals_that_drift_together_ask_for_one_action_by_the_worst_of_them() -> None:
    signals = {
        name: signal_report(kl_current_reference_nats=kl)
        for name, kl in (("a", 0.1), ("b", 0.3), ("c", 0.2))
    }
    (verdict,) = fold([window_report(0, part_of(4000, **signals))])
    (action,) = verdict.actions
    assert [alert.signal for alert in verdict.alerts] == ["b", "c", "a"]
    assert action.alert == verdict.alerts[0].id
    assert all(alert.actions == [action.id] for alert in verdict.alerts)


def test_every_alert_and_every_action_has_one_audit_record() -> None:
    verdicts = fold([kl_report(0, 0.1), kl_report(1, 0.1), kl_report(2, 0.0)])
    fired, held, resolved = (verdict.audit for verdict in verdicts)
    assert [record.event for record in fired] == ["alert.firing", "action.requested"]
    assert [record.subject for record in fired] == [
        verdicts[0].alerts[0].id,
        verdicts[0].actions[0].id,
    ]
    assert held == []
    assert [record.event for record in resolved] == ["alert.resolved"]
    assert len({record.id for record in (*fired, *resolved)}) == 3
    assert fired[0].actor == "rule:drift"
    assert fired[0].time == verdicts[0].alerts[0].window_end
    assert fired[0].inputs["value"] == "0.1"
    assert fired[1].inputs["alert"] == verdicts[0].alerts[0].id


def test_the_default_rules_on_a_drifted_and_slow_model() -> None:
    drifted = signal_report(kl_current_reference_nats=0.08)
    report = window_report(1, part_of(1000, age=drifted), latency=latency(250.0))
    sound = window_report(0, part_of(1000, age=signal_report()), latency=latency(50.0))
    _, verdict = fold([sound, report], DEFAULT_RULES)
    assert [(alert.rule, alert.severity) for alert in verdict.alerts] == [
        ("drift-retrain", "high"),
        ("latency-rollback", "critical"),
    ]
    assert [action.kind for action in verdict.actions] == ["retrain", "rollback"]
    assert [it.rule for it in verdict.alerts[0].inhibited] == ["drift"]
    assert verdict.alerts[1].summary == (
        "credit 3 is slow, 250 ms on average over 200 in 1,000 events; asks for a rollback"
    )
    assert verdict.alerts[1].distribution is None


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ("rules: []", "Rule 'drift' was removed while its alert was firing"),
        (DRIFT.replace("kl", "psi"), "Rule 'drift' was changed and no longer watches this"),
        (DRIFT.replace("name:", "model: churn, name:"), "was changed and no longer watches"),
        (DRIFT.replace("name:", "signal: income, name:"), "was changed and no longer watches"),
        (DRIFT.replace("above: 0.05", "below: 0.01"), "was changed and no longer watches this"),
    ],
)
def test_an_alert_whose_rule_is_gone_is_resolved_with_the_reason(after: str, reason: str) -> None:
    fired = fold([kl_report(0, 0.1)])[-1]
    # Too few events to be judged: whether a rule is there doesn't depend on it.
    verdicts = fold([kl_report(1, 0.1, events=5)], rules_of(after), fired.state)
    (resolved,) = alerts_of(verdicts)
    assert resolved.state == "resolved"
    assert resolved.fingerprint == fired.alerts[0].fingerprint
    assert reason in resolved.summary
    assert (resolved.value, resolved.ends_at) == (0.1, resolved.window_start)
    assert [record.event for record in verdicts[0].audit] == ["alert.resolved"]
    assert verdicts[0].state.firing == []


def test_a_threshold_changed_while_firing_is_judged_anew() -> None:
    state = fold([kl_report(0, 0.1)])[-1].state
    raised = rules_of(DRIFT.replace("0.05", "0.2"))
    (resolved,) = alerts_of(fold([kl_report(1, 0.1)], raised, state))
    assert (resolved.state, resolved.threshold) == ("resolved", 0.2)


def two_parts(old: tuple[int, float], new: tuple[int, float], window: int = 0) -> WindowReport:
    return window_report(
        window,
        *(
            part_of(events, baseline, age=signal_report(kl_current_reference_nats=kl))
            for baseline, (events, kl) in (("old", old), ("new", new))
        ),
    )


def test_parts_are_judged_by_their_own_events_and_the_worst_is_shown() -> None:
    assert story(fold([two_parts((999, 0.9), (999, 0.9))])) == [[]]
    (alert,) = alerts_of(fold([two_parts((5000, 0.06), (1000, 0.08))]))
    assert (alert.baseline, alert.value, alert.events) == ("new", 0.08, 1000)
    (alert,) = alerts_of(fold([two_parts((5000, 0.06), (10, 9.0))]))
    assert (alert.baseline, alert.value) == ("old", 0.06)


def test_an_alert_holds_as_long_as_one_part_does() -> None:
    verdicts = fold(
        [
            kl_report(0, 0.1),
            two_parts((1000, 0.1), (1000, 0.01), 1),
            two_parts((1000, 0.02), (1000, 0.01), 2),
        ]
    )
    assert story(verdicts) == [["firing"], [], ["resolved"]]
    assert verdicts[2].alerts[0].value == 0.02


def test_a_report_without_a_baseline_can_still_alert_and_has_no_distribution() -> None:
    rules = rules_of("rules: [{name: m, metric: missing_share, above: 0.1, severity: low}]")
    part = part_of(1000, "", age=signal_report(missing_share=0.5, drifted=False))
    asked: list[str] = []
    verdict = evaluate(
        rules,
        window_report(0, part),
        AlertState(),
        distribution=lambda baseline, *_: asked.append(baseline),
    )
    assert [alert.distribution for alert in verdict.alerts] == [None]
    assert asked == []


reports = st.lists(
    st.builds(
        lambda kls, events, model, slow: (kls, events, model, slow),
        st.dictionaries(st.sampled_from("abc"), st.floats(0, 0.2), max_size=3),
        st.sampled_from([50, 999, 1000, 5000]),
        st.sampled_from(["credit", "churn"]),
        st.none() | st.floats(0, 400),
    ),
    max_size=12,
).map(
    lambda specs: [
        window_report(
            index,
            part_of(
                events,
                **{name: signal_report(kl_current_reference_nats=kl) for name, kl in kls.items()},
            ),
            model=model,
            latency=None if slow is None else latency(slow),
        )
        for index, (kls, events, model, slow) in enumerate(specs)
    ]
)


def bytes_of(verdicts: list[EvaluationResult]) -> list[bytes]:
    return [encode([one.state, one.alerts, one.actions, one.audit, one.stale]) for one in verdicts]


@given(reports)
def test_the_same_windows_from_the_same_state_give_the_same_bytes(
    windows: list[WindowReport],
) -> None:
    assert bytes_of(fold(windows, DEFAULT_RULES)) == bytes_of(fold(windows, DEFAULT_RULES))


@given(reports, st.integers(0, 12))
def test_the_state_survives_being_written_down_between_windows(
    windows: list[WindowReport], cut: int
) -> None:
    whole = fold(windows, DEFAULT_RULES)
    first = fold(windows[:cut], DEFAULT_RULES)
    kept = first[-1].state if first else AlertState()
    written = msgspec.json.decode(encode(kept), type=AlertState)
    assert written == kept
    second = fold(windows[cut:], DEFAULT_RULES, written)
    # Python's dicts remember the order of insertion, a sorted document doesn't: it must not matter.
    assert bytes_of([*first, *second]) == bytes_of(whole)


@given(reports)
def test_firing_and_resolved_take_turns_for_each_fingerprint(windows: list[WindowReport]) -> None:
    verdicts = fold(windows, DEFAULT_RULES)
    states: dict[str, list[str]] = {}
    ids = []
    for alert in alerts_of(verdicts):
        states.setdefault(alert.fingerprint, []).append(alert.state)
        ids.append(alert.id)
    for turns in states.values():
        assert turns == [("firing", "resolved")[i % 2] for i in range(len(turns))]
    still_firing = sum(len(turns) % 2 for turns in states.values())
    told = [
        incident
        for series in (verdicts[-1].state.series.values() if verdicts else ())
        for incident in series.incidents.values()
        if incident.reported == "firing"
    ]
    assert still_firing == len(told)
    assert len(set(ids)) == len(ids)


@given(reports)
def test_the_fold_leaves_its_inputs_as_they_were(windows: list[WindowReport]) -> None:
    state = AlertState()
    for report in windows:
        before = encode([report, state])
        after = evaluate(DEFAULT_RULES, report, state, distribution=bins_of).state
        assert encode([report, state]) == before
        state = after


def test_every_alert_is_the_same_whatever_else_is_in_the_state() -> None:
    alone = fold([kl_report(0, 0.1), kl_report(1, 0.0)])
    others = [[kl_report(i, 0.1, model=f"m{n}") for n in range(5)] for i in (0, 1)]
    among = fold([*others[0], kl_report(0, 0.1), *others[1], kl_report(1, 0.0)])
    assert [a for a in alerts_of(among) if a.model == "credit"] == alerts_of(alone)
