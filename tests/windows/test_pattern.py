"""What signals in alarm say together, and rules on it."""

import pytest

from support.window_reports import part_of, window_report
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.measure import measure
from tidegauge.alerting.ruleset import parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.contract.report import DriftedSignal, DriftPattern, WindowReport
from tidegauge.windows.changes import pattern_of

FEATURES = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("outcomes", "in_alarm", "reading", "prediction_drifted"),
    [
        (["prediction"], set(), "no_drift", False),
        (["prediction"], {"a", "b"}, "inputs_only", False),
        (["prediction"], {"a", "prediction"}, "inputs_and_score", True),
        (["prediction"], {"prediction"}, "score_only", True),
        (["label"], {"label"}, "score_only", True),
        (["prediction", "label"], {"a", "label"}, "inputs_and_score", True),
        ([], set(), "no_drift", None),
        ([], {"a"}, None, None),
    ],
)
def test_the_reading_follows_from_what_is_in_alarm(
    outcomes: list[str],
    in_alarm: set[str],
    reading: str | None,
    prediction_drifted: bool | None,
) -> None:
    found = pattern_of([*FEATURES, *outcomes], dict.fromkeys(in_alarm, 0.2))
    drifted = len(in_alarm & set(FEATURES))
    assert found == DriftPattern(
        signals=4,
        drifted_signals=drifted,
        drifted_share=drifted / 4,
        prediction_drifted=prediction_drifted,
        reading=reading,  # type: ignore[arg-type]
        drifts=[
            DriftedSignal(signal=name, psi_corrected=0.2) for name in FEATURES if name in in_alarm
        ],
    )


@pytest.mark.parametrize(
    ("outcomes", "in_alarm", "reading"),
    [
        (["prediction"], {"sum"}, "inputs_only"),
        (["prediction"], {"sum", "prediction"}, "inputs_and_score"),
        ([], {"sum"}, None),
    ],
)
def test_features_that_drift_together_are_inputs_and_count_as_none(
    outcomes: list[str], in_alarm: set[str], reading: str | None
) -> None:
    found = pattern_of([*FEATURES, "sum", *outcomes], dict.fromkeys(in_alarm, 0.2), ["sum"])
    assert (found.signals, found.drifted_signals, found.drifts) == (4, 0, [])
    assert found.reading == reading
    assert found.together == [DriftedSignal(signal="sum", psi_corrected=0.2)]


def test_a_prediction_alone_has_no_share_of_features() -> None:
    found = pattern_of(["prediction"], {"prediction": 0.2})
    assert (found.signals, found.drifted_share, found.reading) == (0, 0.0, "score_only")


def _report(number: int, drifted: int | None) -> WindowReport:
    part = part_of(1000)
    if drifted is not None:
        part.pattern = pattern_of(FEATURES, dict.fromkeys(FEATURES[:drifted], 0.2))
    return window_report(number, part)


def test_a_rule_can_ask_for_several_drifts_at_once() -> None:
    rules = parse_rules(
        "rules: [{name: many, metric: drifted_signals, above: 2, severity: high}]", source="r"
    )
    state, story = AlertState(), []
    for number, drifted in enumerate([0, 2, 3, None, 4, 1]):
        verdict = evaluate(rules, _report(number, drifted), state, distribution=lambda *_: None)
        state = verdict.state
        story.append([(alert.state, alert.signal, alert.value) for alert in verdict.alerts])
    assert story == [[], [], [("firing", None, 3.0)], [], [], [("resolved", None, 1.0)]]


def test_the_share_is_measured_where_there_is_a_pattern() -> None:
    assert [one.value for one in measure("drifted_share", _report(0, 3))] == [0.75]
    assert list(measure("drifted_share", _report(0, None))) == []
