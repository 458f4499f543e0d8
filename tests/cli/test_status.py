"""``tidegauge status``: a row for each version, what fires worst first, and nothing cut at 80."""

import io
import json
from typing import Any

import msgspec
import pytest
from rich.console import Console

from support.alerts import example_alert
from tidegauge.baseline.io.pointers import Key, Pointer
from tidegauge.cli.printing import PlainConsole
from tidegauge.cli.recent import (
    RecentEvidence,
    RecentPart,
    RecentReport,
    RecentSignal,
    counted_without,
    newest_reports,
)
from tidegauge.cli.status import Row, drift_alarms, heading, shown_rows, status_rows, status_table
from tidegauge.contract.alert import Alert
from tidegauge.contract.record import DecodingError, decode

NOW = 1_796_040_000.0
EXAMPLE = example_alert()
POINTERS: dict[Key, Pointer] = {
    ("credit", "3"): Pointer(id="f7e6c5ed82b8aa", promoted_at=NOW - 21 * 86400, previous=None),
    ("credit", "2"): Pointer(id="aaaa", promoted_at=NOW - 90 * 86400, previous=None),
    ("churn", "1"): Pointer(id="bbbb", promoted_at=NOW - 86400, previous=None),
}


def a_report(model: str, version: str, **other: Any) -> RecentReport:
    end = int(NOW) - 40
    values: dict[str, Any] = {
        "variant": "",
        "segment": {},
        "window_start": end - 60,
        "window_end": end,
        "revision": 0,
        "events": 12_000,
        "parts": [RecentPart("f7e6", 12_000, {})],
    }
    return RecentReport(model=model, version=version, **(values | other))


def an_alert(model: str, version: str, **other: Any) -> Alert:
    values: dict[str, Any] = {
        "model": model,
        "version": version,
        "variant": "",
        "segment": {},
        "signal": "income",
        "signals": [],
        "metric": "kl",
        "value": 0.07436,
        "severity": "high",
        "state": "firing",
        "starts_at": int(NOW) - 1380,
        "evidence": None,
    }
    return msgspec.structs.replace(EXAMPLE, **(values | other))


def rows_of(reports: list[RecentReport], alerts: list[Alert], **alarms: int) -> list[Row]:
    return status_rows(
        newest_reports(reports), alerts, POINTERS, alarms=alarms, allowed=lambda model: 1.0
    )


def test_what_fires_comes_first_then_what_has_a_baseline_then_the_rest_by_traffic() -> None:
    rows = rows_of(
        [
            a_report("a", "1", parts=[], events=1),
            a_report("credit", "4", parts=[]),
            a_report("churn", "1"),
            a_report("credit", "3"),
        ],
        [an_alert("credit", "3")],
        credit=2,
    )
    assert [(row.model, row.version) for row in rows] == [
        ("credit", "3"),
        ("churn", "1"),
        ("credit", "4"),
        ("a", "1"),
    ]
    first, _, second, _ = rows
    assert (first.events_per_second, first.window_end, first.alarms) == (200.0, int(NOW) - 40, 2)
    assert (first.baseline, first.nearest_baseline) == ("f7e6c5ed82b8aa", "")
    [firing] = first.firing
    assert (firing.signal, firing.metric, firing.value) == ("income", "kl", 0.07436)
    assert (second.baseline, second.nearest_baseline) == ("", "credit 3")


def test_a_model_of_which_nothing_comes_is_shown_by_its_last_baseline() -> None:
    rows = rows_of([], [])
    assert [(row.model, row.version, row.window_end) for row in rows] == [
        ("churn", "1", None),
        ("credit", "3", None),
    ]


def test_of_a_drift_the_size_is_shown_by_the_last_window_and_not_how_certain_it_is() -> None:
    evidence = RecentSignal(RecentEvidence(psi_corrected=0.31))
    report = a_report("credit", "3", parts=[RecentPart("f7e6", 9, {"income": evidence})])
    [row, *_] = rows_of([report], [an_alert("credit", "3", metric="surprise", value=4.0)])
    assert (row.firing[0].metric, row.firing[0].value) == ("psi", 0.31)
    [row, *_] = rows_of(
        [a_report("credit", "3")], [an_alert("credit", "3", metric="surprise", value=4.0)]
    )
    assert (row.firing[0].metric, row.firing[0].value) == ("surprise", 4.0)


def test_the_last_revision_of_the_last_window_is_the_one_that_counts() -> None:
    older = a_report("credit", "3", window_end=int(NOW) - 100, revision=4)
    first, second = (a_report("credit", "3", revision=n, events=n) for n in (0, 1))
    segment = a_report("credit", "3", segment={"region": "EU"}, window_end=int(NOW))
    for order in ([older, first, second, segment], [segment, second, first, older]):
        assert newest_reports(order) == {("credit", "3", ""): second}


def test_versions_without_a_baseline_are_those_that_have_none_promoted_either() -> None:
    bare = [RecentPart("", 5, {})]
    reports = [
        a_report("credit", "4", parts=bare, events=5),
        a_report("credit", "9", parts=bare, events=50),
        a_report("credit", "3", parts=bare),
        a_report("churn", "1"),
        a_report("credit", "1", parts=bare, window_end=int(NOW) - 4000),
    ]
    assert counted_without(reports, POINTERS, NOW) == [("credit", "9"), ("credit", "4")]


def test_alarms_of_the_budget_are_counted_once_for_an_episode_and_by_model() -> None:
    alarm = an_alert("credit", "3", threshold_by="alarm_budget", episode="e1", window_end=100)
    alerts = [
        alarm,
        msgspec.structs.replace(alarm, id="again"),
        msgspec.structs.replace(alarm, reminder=1, episode="e2"),
        msgspec.structs.replace(alarm, state="resolved", episode="e3"),
        msgspec.structs.replace(alarm, episode="e4", version="2"),
        msgspec.structs.replace(alarm, episode="e5", window_end=99),
        msgspec.structs.replace(alarm, episode="e6", threshold_by="rule"),
        msgspec.structs.replace(alarm, episode="e7", model="churn"),
    ]
    assert drift_alarms(alerts, 100) == {"credit": 2, "churn": 1}


def printed(rows: list[Row], columns: int) -> str:
    sink = io.StringIO()
    console: Console = PlainConsole(file=sink, width=columns)
    console.print(heading(rows, "live", NOW))
    console.print(status_table(rows, NOW, columns))
    return sink.getvalue()


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_that_matters_is_cut(columns: int) -> None:
    name = "credit-default-risk-of-small-businesses"
    rows = rows_of(
        [a_report("credit", "3"), a_report("credit", "4", variant="canary", parts=[])],
        [
            an_alert("credit", "3"),
            an_alert("credit", "3", signal=None, metric="latency_mean_ms", value=251.4, unit="ms"),
            an_alert(
                "credit", "3", signal="age", metric="missing_excess", value=0.593, unit="share"
            ),
            an_alert(name, "2026-11-30", signal="loan_to_value_ratio"),
        ],
        credit=12,
    )
    text = printed(rows, columns)
    assert max(map(len, text.splitlines())) <= columns
    assert "…" not in text
    together = "".join(text.split())
    for part in (
        "actionslive",
        *("credit", "canary", "200", "40sago", "21d", "12of1", "f7e6c5ed"),
        *("KL0.0744nats", "23min", "meanlatency251ms", "missingvalues59.3%", "nearest"),
    ):
        assert part in together, f"{part} in\n{text}"


def test_a_flood_of_made_up_names_is_a_count() -> None:
    made_up = [a_report(f"request-{n}", "1", parts=[]) for n in range(500)]
    rows = rows_of([*made_up, a_report("credit", "3")], [])
    shown = shown_rows(rows)
    assert len(rows) == 502
    assert len(shown) == 7
    assert {row.model for row in shown} >= {"credit", "churn"}


@pytest.mark.parametrize("time", [10**18, 10**400, -(10**400)])
def test_an_alert_of_a_time_that_is_none_is_shown_beside_the_others(time: int) -> None:
    rows = rows_of(
        [a_report("credit", "3")], [an_alert("churn", "1", starts_at=time), an_alert("credit", "3")]
    )
    text = printed(rows, 120)
    assert "churn 1" in text and "credit 3" in text


@pytest.mark.parametrize(
    ("field", "value"),
    [("window_end", 10**400), ("window_end", 10**12), ("window_start", -1), ("events", 10**400)],
)
def test_a_report_that_no_detector_writes_is_none(field: str, value: int) -> None:
    report = msgspec.to_builtins(a_report("credit", "3"))
    assert decode(json.dumps(report), RecentReport) == a_report("credit", "3")
    with pytest.raises(DecodingError):
        decode(json.dumps(report | {field: value}), RecentReport)
