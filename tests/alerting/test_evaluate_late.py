"""Judging a window again with its late events: what holds only with them is reported once."""

from collections.abc import Collection

import msgspec
from hypothesis import given, strategies as st

from support.alert_oracle import Judged, Told, WatchedRule, life
from support.window_reports import kl_report, window_report
from tidegauge.alerting.evaluate import Revised, evaluate, evaluate_late
from tidegauge.alerting.ruleset import RuleSet, parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert
from tidegauge.contract.report import WindowReport

TEXT = """\
rules:
  - {{name: drift, metric: kl, above: 0.05, severity: medium, minimum_events: 1000, action: retrain,
     group: {group}, flapping_after: 0{more}}}
"""


def rules_of(more: str = "", group: str = "none") -> RuleSet:
    return parse_rules(TEXT.format(group=group, more=more), source="rules.yaml")


class Story:
    """Windows of one slice, judged one after the other, some of them late."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.state = AlertState()
        self.reports: dict[int, WindowReport] = {}
        self.held: dict[int, Collection[str]] = {}
        self.actions: list[str] = []

    def first(self, window: int, value: float, **fields: object) -> list[Alert]:
        report = self.reports[window] = kl_report(window, value, **fields)  # type: ignore[arg-type]
        verdict = evaluate(self.rules, report, self.state, distribution=lambda *_: None)
        assert not verdict.stale
        self.state = verdict.state
        self.actions += [action.kind for action in verdict.actions]
        return verdict.alerts

    def late(self, window: int, value: float, **fields: object) -> list[Alert]:
        earlier = self.reports.get(window)
        revision = 0 if earlier is None else earlier.revision + 1
        report = kl_report(window, value, revision=revision, **fields)  # type: ignore[arg-type]
        judged = self.judge_late(report, earlier)
        assert msgspec.json.encode(judged) == msgspec.json.encode(self.judge_late(report, earlier))
        self.reports[window], self.held[window] = report, judged.held
        self.state = judged.verdict.state
        self.actions += [action.kind for action in judged.verdict.actions]
        return judged.verdict.alerts

    def judge_late(self, report: WindowReport, earlier: WindowReport | None) -> Revised:
        return evaluate_late(
            self.rules, report, earlier, self.state,
            held=self.held.get(_number(report), ()),
            distribution=lambda *_: None,
        )  # fmt: skip


def _number(report: WindowReport | Alert) -> int:
    return (report.window_start - window_report().window_start) // 60


def told(alerts: list[Alert]) -> list[tuple[str, bool, int]]:
    return [(it.event, it.revised, _number(it)) for it in alerts]


def test_a_rule_that_holds_with_late_events_only_fires_once_and_is_over_with_the_next() -> None:
    story = Story(rules_of())
    assert story.first(0, 0.01) == story.first(1, 0.01) == []
    [alert] = story.late(0, 0.4)
    assert told([alert]) == [("firing", True, 0)]
    assert alert.starts_at == alert.window_start
    assert alert.summary.endswith("; found when late events were counted")
    assert story.actions == ["retrain"]
    assert story.late(0, 0.5) == story.late(0, 0.6) == []
    [over] = story.first(2, 0.01)
    assert told([over]) == [("resolved", False, 2)]
    assert over.episode == alert.episode
    assert story.late(0, 0.7) == []
    assert story.state.episodes == []


def test_too_few_events_at_first_are_judged_when_there_are_enough() -> None:
    story = Story(rules_of())
    assert story.first(0, 0.4, events=100) == []
    assert told(story.late(0, 0.4, events=1000)) == [("firing", True, 0)]


def test_what_held_at_first_is_neither_told_again_nor_taken_back() -> None:
    story = Story(rules_of())
    assert told(story.first(0, 0.4)) == [("firing", False, 0)]
    state = story.state
    assert story.late(0, 0.01) == story.late(0, 0.4) == []
    assert story.state == state
    assert told(story.first(1, 0.01)) == [("resolved", False, 1)]
    assert story.late(0, 0.01) == story.late(0, 0.4) == []
    assert story.actions == ["retrain"]


def test_what_fires_already_goes_on_as_it_is() -> None:
    story = Story(rules_of())
    story.first(0, 0.01)
    assert told(story.first(1, 0.4)) == [("firing", False, 1)]
    state = story.state
    assert story.late(0, 0.9) == []
    assert story.state == state


def test_a_window_that_opened_after_a_later_one_had_closed_is_judged_too() -> None:
    story = Story(rules_of())
    story.first(1, 0.01)
    assert told(story.late(0, 0.4)) == [("firing", True, 0)]


def test_a_revision_is_one_more_window_for_a_rule_that_must_hold_in_several() -> None:
    story = Story(rules_of(", for: 2"))
    for window in range(4):
        story.first(window, 0.01)
    assert told(story.late(0, 0.4)) == [("pending", True, 0)]
    assert told(story.late(1, 0.4)) == [("firing", True, 1)]
    assert story.late(2, 0.4) == []
    assert told(story.first(4, 0.01)) == [("resolved", False, 4)]


def test_the_cooldown_is_that_of_the_last_window_judged() -> None:
    story = Story(rules_of(", cooldown: 3600"))
    story.first(0, 0.01)
    story.first(1, 0.4)
    story.first(2, 0.01)
    [alert] = story.late(0, 0.4)
    assert alert.event == "firing" and alert.actions == []
    assert story.actions == ["retrain"]


def test_ids_of_an_incident_of_late_events_are_its_own() -> None:
    # With one list for all signals: one began and ended in this window before another joined late.
    story = Story(rules_of(group="signals"))
    [began] = story.first(0, 0.4, signal="age")
    [over] = story.first(1, 0.01, signal="age")
    [again] = story.late(0, 0.4, signal="income")
    [over_again] = story.first(2, 0.01, signal="income")
    ids = [it.id for it in (began, over, again, over_again)]
    assert len(set(ids)) == 4
    assert began.fingerprint == again.fingerprint
    assert began.episode == over.episode != again.episode == over_again.episode


def test_no_data_is_counted_from_when_it_was_told() -> None:
    story = Story(rules_of())
    story.first(0, 0.01)
    for window in range(1, 10):
        story.first(window, 0.01)
    story.late(0, 0.4)
    [series] = story.state.series.values()
    [incident] = series.incidents.values()
    assert incident.judged_at == incident.reported_at == story.reports[9].window_end


def test_an_alert_without_late_events_says_so_by_default() -> None:
    [alert] = Story(rules_of()).first(0, 0.4)
    assert b'"revised":false' in encode(alert)


@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.booleans(), st.sampled_from([0.1, 0.0, None])), max_size=30
    ),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([0, 60, 150]),
)
def test_every_course_of_late_reports_is_told_as_the_oracle_tells_it(
    course: list[tuple[int, bool, float | None]], holds: int, clear: int, repeat: int
) -> None:
    """Each step is the next window, or as late a report: of one that there was, or that opens."""
    rule = WatchedRule(
        "drift", "kl", 0.05, 1000,
        pending_windows=holds, keep_firing_for=clear, repeat_interval=repeat,
    )  # fmt: skip
    more = f", for: {holds}, keep_firing_for: {clear}, repeat_interval: {repeat}"
    story, judged, alerts = Story(rules_of(more)), list[Judged](), list[Alert]()
    latest = -1
    for back, opens, value in course:
        # Every second window opens late, if ever.
        window = latest - back if back and latest - back >= 0 else latest + 1 + opens
        is_late = window <= latest
        report = (story.late if is_late else story.first)(window, value or 0.0, **_known(value))
        alerts += report
        latest = max(latest, window)
        at = story.reports[window]
        if value is not None:
            now = window_report(latest).window_end
            judged.append(Judged(at.window_start, at.window_end, value > 0.05, is_late, now))
    expected = list(life(rule, judged))
    said = [Told(a.state, a.starts_at, a.window_start, a.reminder, a.revised) for a in alerts]
    assert said == expected
    assert len({alert.id for alert in alerts}) == len(alerts)


def _known(value: float | None) -> dict[str, object]:
    """Return nothing special, or too few events to be judged by."""
    return {"events": 10} if value is None else {}


def test_what_drifts_with_late_events_only_is_not_told_of_a_signal_that_is_broken_there() -> None:
    rules = parse_rules(
        """
rules:
  - {name: gaps, metric: missing_share, above: 0.5, severity: low}
  - {name: drift, metric: kl, above: 0.05, severity: low, signal_inhibited_by: [gaps], action: page}
""",
        source="rules.yaml",
    )

    def of(window: int, kl: float, missing: float, revision: int = 0) -> WindowReport:
        report = kl_report(window, kl, revision=revision)
        report.parts[0].signals["age"].missing_share = missing
        return report

    # It was broken in window 0, as was told, and that is over by now.
    state = AlertState()
    for report in (of(0, 0.0, 0.9), of(1, 0.0, 0.0)):
        state = evaluate(rules, report, state, distribution=lambda *_: None).state
    late = evaluate_late(
        rules, of(0, 0.4, 0.9, 1), of(0, 0.0, 0.9), state, distribution=lambda *_: None
    )
    assert (late.verdict.alerts, late.verdict.actions) == ([], [])
    assert [it.event for it in late.verdict.audit] == ["alert.inhibited"]
    late = evaluate_late(
        rules, of(0, 0.4, 0.1, 1), of(0, 0.0, 0.1), state, distribution=lambda *_: None
    )
    assert [it.rule for it in late.verdict.alerts] == ["drift"] and late.verdict.actions
