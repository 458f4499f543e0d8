"""What a real Prometheus knows of a real run, and that the run says that it is well and ends."""

import math
from collections import Counter

import pytest

from support.monitored import IDLE_SECONDS, TOO_LATE_EVENTS, Monitored, signals_of
from support.oracle import CellKey
from support.processes import wait_until

pytestmark = pytest.mark.timeout(240)


def drift_series(key: CellKey, signal: str) -> str:
    model, version, variant, _ = key
    return (
        f'tidegauge_drift{{model="{model}",version="{version}",variant="{variant}",'
        f'signal="{signal}",statistic="kl_current_reference_nats"}}'
    )


def only_value(run: Monitored, expression: str) -> float:
    found = run.prometheus.query(expression)
    assert len(found) == 1, f"{expression}: {found}"
    return found[0][1]


def test_prometheus_knows_how_many_events_there_were(run: Monitored) -> None:
    run.prometheus.wait_ready()
    wait_until(
        lambda: run.prometheus.query("sum(tidegauge_events_total) > 0"),
        seconds=20,
        what="Prometheus has scraped tidegauge_events_total",
    )
    by_model = Counter[tuple[str, str]]()
    for (model, _, variant, _), cell in run.verdict.cells.items():
        by_model[model, variant] += cell.events
    found = run.prometheus.query("tidegauge_events_total")
    assert {(one["model"], one.get("variant", "")): n for one, n in found} == by_model
    ingested = only_value(run, "sum(tidegauge_ingest_events_total)")
    assert ingested == run.verdict.events + TOO_LATE_EVENTS
    letters = run.prometheus.query("tidegauge_ingest_dead_letters_total")
    assert {one["reason"]: n for one, n in letters} == Counter(run.verdict.dead.values())
    assert only_value(run, "sum(tidegauge_late_events_total)") == TOO_LATE_EVENTS


@pytest.mark.parametrize("signal", ["amount", "region", "prediction"])
def test_prometheus_shows_the_drift_of_the_last_window(run: Monitored, signal: str) -> None:
    last = max(key for key in run.verdict.cells if key[0] == "credit" and key[2] == "")
    first_revision = next(
        report
        for report in run.records("windows")
        if report["revision"] == 0 and report["model"] == "credit" and report["variant"] == ""
        and report["window_start"] == last[3]
    )  # fmt: skip
    shown = only_value(run, drift_series(last, signal))
    latest = signals_of(run.latest_reports()[last])[signal]["drift"]["kl_current_reference_nats"]
    first = signals_of(first_revision)[signal]["drift"]["kl_current_reference_nats"]
    assert any(math.isclose(shown, value, abs_tol=1e-9) for value in (first, latest))


def test_no_alert_is_firing_in_the_end(run: Monitored) -> None:
    # The rule on surprise goes on for as long as an hour's memory of a drift.
    assert run.prometheus.query('tidegauge_alert_firing{rule!="drift-alarm"} == 1') == []
    raised = run.prometheus.query('sum(tidegauge_alerts_total{state="firing",rule!="drift-alarm"})')
    assert [value for _, value in raised] == [10.0]


def test_the_run_says_that_it_is_ready_and_ends_when_asked(run: Monitored) -> None:
    answer = run.installation.http("/readyz")
    assert answer is not None and answer[0] == 200, answer
    health = run.installation.http("/healthz")
    assert health is not None and health[0] == 200, health
    assert run.child.stop(seconds=IDLE_SECONDS * 2) == 0, run.child.tail()
