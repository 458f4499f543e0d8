"""What is told while no window comes: every step to and from no data, by a simulated clock."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, strategies as st

from support.window_reports import kl_report, window_report
from tidegauge.alerting.evaluate import (
    InactiveSlice,
    due_at,
    end_forgotten,
    evaluate,
    judge_inactivity,
)
from tidegauge.alerting.records import EvaluationResult
from tidegauge.alerting.ruleset import RuleSet, parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.audit.verify import verify
from tidegauge.config.files import FileError
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert
from tidegauge.contract.report import WindowReport

UP, DOWN = 0.1, 0.0
START = kl_report(0, UP).window_start
GRACE = 10

#: A window that closes, or seconds since the start of the first up to which nothing else has come.
Step = WindowReport | int


def rules_of(more: str = "", silence: str = "") -> RuleSet:
    return parse_rules(
        "rules: [{name: drift, metric: kl, above: 0.05, severity: medium, action: retrain, "
        f"no_data_after: 3{more}}}, {{name: no-data, metric: seconds_without_events, above: 600, "
        f"severity: high{silence}}}]",
        source="rules.yaml",
    )


def quiet_since(end: int) -> InactiveSlice:
    return InactiveSlice("credit", "3", "", {}, since=end, window_seconds=60, grace_seconds=GRACE)


def fold(
    steps: Iterable[Step], rules: RuleSet, state: AlertState | None = None
) -> list[EvaluationResult]:
    """Judge windows and silence; after each the worker is killed, and its state is read back."""
    verdicts: list[EvaluationResult] = []
    state = state or AlertState()
    last_end = START + 60
    for step in steps:
        if isinstance(step, WindowReport):
            verdicts.append(evaluate(rules, step, state, distribution=lambda *_: None))
            last_end = max(last_end, step.window_end)
        else:
            quiet, now = quiet_since(last_end), START + step
            verdicts.append(judge_inactivity(rules, quiet, state, now=now))
            # Who only looks when something is due misses nothing, and does not look in vain.
            assert bool(verdicts[-1].alerts) == (due_at(rules, quiet, state) <= now)
            assert due_at(rules, quiet, verdicts[-1].state) > now
        state = msgspec.json.decode(encode(verdicts[-1].state), type=AlertState)
        assert state == verdicts[-1].state
    return verdicts


def story(verdicts: Iterable[EvaluationResult]) -> list[str]:
    """Say of each step what was told: rule, state, and what it was before there was no data."""
    return [
        " ".join(
            f"{it.rule}:{it.state}" + (f"({it.was})" if it.was else "") + "*" * it.reminder
            for it in one.alerts
        )
        for one in verdicts
    ]


def alerts_of(verdicts: Iterable[EvaluationResult]) -> list[Alert]:
    return [alert for verdict in verdicts for alert in verdict.alerts]


# -- alerts of other rules ------------------------------------------------------------------------


def test_what_fires_is_told_once_as_no_data_and_fires_again_with_the_next_window() -> None:
    verdicts = fold([kl_report(0, UP), 249, 250, 500, kl_report(8, UP)], rules_of())
    assert story(verdicts) == [
        "drift:firing",
        "",
        "drift:no_data(firing)",
        "",
        "drift:firing(firing)",
    ]
    fired, missing, again = alerts_of(verdicts)
    assert len({it.id for it in (fired, missing, again)}) == 3
    assert {it.episode for it in (fired, missing, again)} == {fired.episode}
    assert {it.starts_at for it in (fired, missing, again)} == {START}
    assert (missing.window_start, missing.window_end) == (START + 60, START + 250)
    assert (missing.report, missing.counted, missing.ends_at) == ("", [], None)
    assert missing.value == fired.value and missing.distribution is None
    assert missing.summary == (
        "credit 3: no data for 3 min 10 s; it is unknown whether kl of age is still above 0.05; "
        "the alert was firing"
    )
    assert again.summary.endswith("; data comes again")


def test_no_data_asks_for_nothing_and_what_fires_again_does_not_ask_twice() -> None:
    verdicts = fold([kl_report(0, UP), 250, kl_report(8, UP), kl_report(9, DOWN)], rules_of())
    assert [len(one.actions) for one in verdicts] == [1, 0, 0, 0]
    assert [[it.event for it in one.audit] for one in verdicts] == [
        ["alert.firing", "action.requested"], ["alert.nodata"], ["alert.resumed"],
        ["alert.resolved"],
    ]  # fmt: skip


def test_what_fires_can_be_over_with_the_next_window() -> None:
    verdicts = fold([kl_report(0, UP), 250, kl_report(8, DOWN), kl_report(9, UP)], rules_of())
    assert story(verdicts) == [
        "drift:firing", "drift:no_data(firing)", "drift:resolved(firing)", "drift:firing",
    ]  # fmt: skip
    assert alerts_of(verdicts)[2].ends_at == START + 480


def test_what_is_over_after_several_windows_stays_in_no_data_until_then() -> None:
    steps = [kl_report(0, UP), 250, kl_report(8, DOWN), 9 * 60 + 250, kl_report(13, DOWN)]
    rules = rules_of(", keep_firing_for: 2")
    assert story(fold(steps, rules)) == [
        "drift:firing", "drift:no_data(firing)", "", "", "drift:resolved(firing)",
    ]  # fmt: skip
    again = [*steps[:4], kl_report(13, UP)]
    assert story(fold(again, rules))[-1] == "drift:firing(firing)"


def test_what_is_pending_goes_on_where_it_was() -> None:
    rules = rules_of(", for: 3")
    steps: list[Step] = [kl_report(0, UP), 250, kl_report(8, UP), kl_report(9, UP)]
    verdicts = fold(steps, rules)
    assert story(verdicts) == [
        "drift:pending", "drift:no_data(pending)", "drift:pending(pending)", "drift:firing",
    ]  # fmt: skip
    assert len({it.id for it in alerts_of(verdicts)}) == 4
    assert [len(one.actions) for one in verdicts] == [0, 0, 0, 1]
    over = fold([*steps[:2], kl_report(8, DOWN)], rules)
    assert story(over)[-1] == "drift:inactive(pending)"
    rules = rules_of(", for: 2")
    straight = fold([kl_report(0, UP), 250, kl_report(8, UP)], rules)
    assert story(straight)[-1] == "drift:firing(pending)"
    assert len(straight[-1].actions) == 1


def test_every_time_without_data_is_told_with_an_id_of_its_own() -> None:
    steps = [kl_report(0, UP), 250, kl_report(8, UP), 9 * 60 + 190, kl_report(13, UP)]
    alerts = alerts_of(fold(steps, rules_of()))
    assert len({it.id for it in alerts}) == len(alerts) == 5
    assert len({it.episode for it in alerts}) == 1


def test_windows_that_cannot_be_judged_are_no_data_too() -> None:
    small = [kl_report(number, UP, events=9) for number in range(1, 5)]
    verdicts = fold([kl_report(0, UP), *small, 250], rules_of())
    assert story(verdicts) == ["drift:firing", "", "", "", "", "drift:no_data(firing)"]
    assert alerts_of(verdicts)[1].window_start == START + 60


def test_a_late_window_in_between_is_not_judged_and_ends_no_silence() -> None:
    late = kl_report(0, DOWN, revision=1)
    verdicts = fold([kl_report(0, UP), 250, late, 661], rules_of())
    assert story(verdicts) == ["drift:firing", "drift:no_data(firing)", "", "no-data:firing"]
    assert verdicts[2].stale


def test_a_rule_can_do_without() -> None:
    rules = parse_rules(
        "rules: [{name: drift, metric: kl, above: 0.05, severity: low, no_data_after: 0}]",
        source="rules.yaml",
    )
    assert story(fold([kl_report(0, UP), 10**7], rules)) == ["drift:firing", ""]
    assert "no_data" not in rules.rules[0].events


def test_reminders_count_from_when_it_was_told_again() -> None:
    steps = [kl_report(0, UP), 250, *(kl_report(number, UP) for number in (8, 9, 10))]
    verdicts = fold(steps, rules_of(", repeat_interval: 120"))
    assert story(verdicts)[2:] == ["drift:firing(firing)", "", "drift:firing*"]
    assert len({it.id for it in alerts_of(verdicts)}) == 4


def test_the_state_of_a_release_without_no_data_can_be_read() -> None:
    (fired,) = fold([kl_report(0, UP)], rules_of())
    old = msgspec.json.decode(encode(fired.state))
    for series in old["series"].values():
        for incident in series["incidents"].values():
            del incident["judged_at"]
    state = msgspec.convert(old, AlertState)
    assert story(fold([249, 250, kl_report(8, DOWN)], rules_of(), state)) == [
        "", "drift:no_data(firing)", "drift:resolved(firing)",
    ]  # fmt: skip


# -- rules on silence -----------------------------------------------------------------------------


def test_silence_fires_when_it_is_longer_than_the_threshold_and_ends_with_a_window() -> None:
    verdicts = fold([kl_report(0, DOWN), 660, 661, 4000, kl_report(70, DOWN)], rules_of())
    assert story(verdicts) == ["", "", "no-data:firing", "", "no-data:resolved"]
    fired, resolved = alerts_of(verdicts)
    assert (fired.value, fired.unit, fired.events) == (601.0, "s", 0)
    assert (fired.starts_at, fired.window_end) == (START + 60, START + 661)
    assert (resolved.value, resolved.ends_at) == (0.0, START + 4200)
    assert fired.summary == ("credit 3: no events for 10 min 1 s, longer than 10 min")
    assert resolved.summary == ("credit 3: events again, after 1 h 9 min without any")
    assert [it.event for one in verdicts for it in one.audit] == ["alert.firing", "alert.resolved"]


def test_each_silence_is_an_episode_of_its_own() -> None:
    alerts = alerts_of(
        fold([kl_report(0, DOWN), 700, kl_report(20, DOWN), 2000, kl_report(40, DOWN)], rules_of())
    )
    assert [it.state for it in alerts] == ["firing", "resolved", "firing", "resolved"]
    assert len({it.episode for it in alerts}) == 2 and len({it.id for it in alerts}) == 4


def test_a_silence_reminds_at_its_distance_and_not_of_what_is_over() -> None:
    rules = rules_of(silence=", repeat_interval: 300")
    assert story(fold([kl_report(0, DOWN), 700, 999, 1000, 1300, 9000], rules)) == [
        "", "no-data:firing", "", "no-data:firing*", "no-data:firing**", "no-data:firing***",
    ]  # fmt: skip
    (fired,) = fold([700], rules)
    # A window has opened since, and is to close: its slice is silent no more.
    assert due_at(rules, quiet_since(START + 1200), fired.state) == START + 1801


def test_a_rule_is_of_the_slices_that_it_matches() -> None:
    rules = rules_of(silence=", segment: {}, model: credit")
    assert due_at(rules, quiet_since(0), AlertState()) == 601
    assert due_at(rules, quiet_since(0)._replace(segment={"region": "EU"}), AlertState()) > 1e9
    assert due_at(rules, quiet_since(0)._replace(model="fraud"), AlertState()) > 1e9


def test_an_alert_whose_rule_is_gone_ends_without_waiting_for_a_window() -> None:
    (fired,) = fold([700], rules_of())
    others = parse_rules("rules: []", source="rules.yaml")
    (ended,) = fold([701], others, fired.state)
    assert story([ended]) == ["no-data:resolved"]
    assert "was removed" in ended.alerts[0].summary


def test_a_slice_that_is_forgotten_ends_its_alerts_with_the_reason() -> None:
    rules = rules_of(", for: 2")
    verdicts = fold([kl_report(0, UP), 700], rules)
    ended = end_forgotten(rules, quiet_since(START + 60), verdicts[-1].state, seconds=86_400)
    assert [(it.rule, it.state, it.ends_at) for it in ended.alerts] == [
        ("drift", "inactive", START + 60 + 86_400), ("no-data", "resolved", START + 60 + 86_400),
    ]  # fmt: skip
    assert ended.alerts[1].summary == (
        "credit 3: no events for 1 d, so it counts as retired; "
        "the alert of rule 'no-data' was firing"
    )
    assert [it.event for it in ended.audit] == ["alert.inactive", "alert.resolved"]
    assert ended.state == AlertState()


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 15), st.integers(1, 700)), max_size=12),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_whatever_comes_each_step_of_an_episode_is_told_once(
    course: list[tuple[bool, int, int]], holds: int, clear: int
) -> None:
    steps: list[Step] = []
    number = 0
    for up, skipped, later in course:
        number += 1 + skipped
        steps += [kl_report(number, UP if up else DOWN), 60 * (number + 1) + later]
        number += later // 60
    rules = rules_of(f", for: {holds}, keep_firing_for: {clear}")
    alerts = alerts_of(fold(steps, rules))
    assert len({it.id for it in alerts}) == len(alerts)
    for fingerprint in {it.fingerprint for it in alerts}:
        state, was = "none", None
        for alert in (it for it in alerts if it.fingerprint == fingerprint):
            assert alert.state in AFTER[state], f"{alert.state} after {state}"
            if state == "no_data":
                assert alert.was == was
            elif alert.state == "no_data":
                assert alert.was == state
            else:
                assert alert.was is None
            state, was = alert.state, alert.was


AFTER = {
    "none": {"pending", "firing"},
    "pending": {"firing", "inactive", "no_data"},
    "firing": {"resolved", "no_data"},
    "no_data": {"pending", "firing", "inactive", "resolved"},
    "inactive": {"pending", "firing"},
    "resolved": {"pending", "firing"},
}


# -- the rule file, and how much comes ------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("below: 60", "seconds_without_events is 0 while there are events; expected 'above'"),
        ("above: 60, for: 2", "counts judged windows"),
        ("above: 60, keep_firing_for: 2", "counts judged windows"),
        ("above: 60, minimum_events: 9", "counts judged windows"),
        ("above: 60, no_data_after: 9", "counts judged windows"),
        ("above: 60, action: rollback", "nothing was measured that an action could rest on"),
        ("above: 60, signal: age", "measured once for the whole window"),
    ],
)
def test_what_makes_no_sense_without_windows_is_refused(fields: str, said: str) -> None:
    text = f"rules: [{{name: r, metric: seconds_without_events, severity: low, {fields}}}]"
    with pytest.raises(FileError, match=said):
        parse_rules(text, source="rules.yaml")


def test_a_rule_on_few_events_is_judged_in_every_window_that_has_any() -> None:
    rules = parse_rules(
        "rules: [{name: volume, metric: events, below: 100, severity: low}]", source="rules.yaml"
    )
    reports = [
        window_report(number, *kl_report(number, DOWN, events=events).parts)
        for number, events in enumerate([100, 99, 1, 5000])
    ]
    assert story(fold(reports, rules)) == ["", "volume:firing", "", "volume:resolved"]
    # Of none at all there is no window: it is told as no data, and by a rule on silence.
    assert story(fold([*reports[:2], 720, 731], rules)) == [
        "", "volume:firing", "", "volume:no_data(firing)",
    ]  # fmt: skip


def test_a_silence_can_be_verified_and_a_lack_of_data_has_no_figure() -> None:
    _, silence = fold([kl_report(0, DOWN), 700], rules_of())
    (check,) = verify(silence.alerts[0])
    assert check.holds and check.found == 640
    silence.alerts[0].value = 700.0
    assert not verify(silence.alerts[0])[0].holds
    _, missing = fold([kl_report(0, UP), 250], rules_of())
    with pytest.raises(ValueError, match="says that there is no data"):
        verify(missing.alerts[0])
