"""What people read of an alert on a figure of labels."""

from support.alerts import example_alert
from tidegauge.cli.alert_text import facts
from tidegauge.contract import CohortEvidence, Figure, Silences
from tidegauge.notify.message import message

EVIDENCE = CohortEvidence(
    time=1_772_400_000,
    predicted=500,
    labelled=412,
    maturity=0.97,
    figure=Figure(n=412, value=0.7, low=0.654, high=0.742, method="wilson"),
    baseline_figure=Figure(n=10_000, value=0.9, low=0.894, high=0.906, method="wilson"),
    drop_from_baseline=0.05,
    worsening=2 / 9,
    bound=0.12,
    chance=0.2 / 1440,
    alarms_per_month=0.2,
    judgements_per_month=1440.0,
)
ALERT = example_alert(
    rule="accuracy-drop", metric="accuracy", unit="share", signal=None, signals=[], value=0.7,
    threshold=0.855, comparison="below", events=412, minimum_events=30, evidence=None,
    distribution=None, cohort=EVIDENCE,
)  # fmt: skip
EXPECTED = {
    "interval": "65.4% to 74.2% (95%)",
    "of baseline": "90% in 10,000 rows; now 22.2% worse",
    "labels": "412 of 500 predictions",
    "found": "2026-03-01 21:20:00Z",
}


def test_a_message_names_the_labels_and_the_cohort() -> None:
    told = message(ALERT)
    named = dict(told.facts)
    assert {name: named[name.capitalize()] for name in EXPECTED} == EXPECTED
    assert "Window" not in named and named["Predictions"].endswith("412 labels")
    assert told.advice is not None and "performance show" in told.advice


def test_the_command_line_shows_the_same() -> None:
    found = dict(facts(ALERT, Silences(), 1_772_400_000.0))
    assert found.items() >= EXPECTED.items()
    assert found["figure"] == "accuracy: 70%, below 85.5%, in 412 labels (at least 30)"
