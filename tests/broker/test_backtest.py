"""``tidegauge backtest`` on a real broker and a real Redis: it finds what DETECT has found."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from support.counting import a_baseline, categorical
from support.kafka_broker import KafkaBroker, unique
from support.product import Installation
from support.sampled import sampled_histogram, sampled_signal
from support.window_reports import latency, part_of, window_report
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.ruleset import parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.baseline.document import Baseline, NumericSignal
from tidegauge.baseline.io.store import BaselineStore
from tidegauge.cli.app import app
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.contract.report import WindowReport
from tidegauge.windows.drift_detector import DriftDetector
from tidegauge.windows.report import signal_reports

RULES = """
rules:
  - {name: alarm, metric: surprise, above: 1, severity: medium}
  - {name: drift, metric: kl, above: 0.05, severity: medium}
  - {name: slow, metric: latency_mean_ms, above: 200, severity: critical}
"""
WINDOWS = 200
EVENTS = 1_000
#: Windows in which the amounts had moved by themselves.
DRIFTED = range(150, 160)


@dataclass
class Past:
    """What an installation has reported and alerted, up to a minute ago."""

    installation: Installation
    rules: Path
    reports: list[WindowReport]
    alerts: list[Alert]

    def backtest(self, *options: str) -> Any:
        given = ("--rules", str(self.rules), "--since", "-6h", "--json", *options)
        done = invoke(self.installation, *given)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def refused(self, *options: str) -> str:
        done = invoke(self.installation, *options)
        assert done.exit_code == 2, done.output
        return " ".join(done.stderr.split())


def invoke(installation: Installation, *options: str) -> Result:
    """Run the command here: to start Python anew each time takes longer than all it does."""
    return CliRunner().invoke(app, ["backtest", *options], env=installation.environment())


def _amounts(rng: np.random.Generator, number: int, shift: float = 0.0) -> Any:
    return rng.gamma(4.0, 10.0, number) + 20.0 * shift


def _baseline() -> Baseline:
    amount = sampled_signal(_amounts(np.random.default_rng(5), 100_000))
    country = categorical("string", ["a", "b"])
    made = a_baseline(
        amount=amount, country=msgspec.structs.replace(country, counts=[50_000, 40_000, 10_000, 0])
    )
    return msgspec.structs.replace(made, rows=100_000)


def _report(number: int, start: int, baseline: Baseline, model: str) -> WindowReport:
    rng = np.random.default_rng(number)
    values = _amounts(rng, EVENTS, shift=0.6 if number in DRIFTED else 0.0)
    signal = baseline.signals["amount"]
    assert isinstance(signal, NumericSignal)
    histograms = {
        "amount": sampled_histogram(values, signal),
        "country": SignalHistogram(counts=rng.multinomial(EVENTS, [0.5, 0.4, 0.1, 0]).tolist()),
    }
    part = part_of(EVENTS, baseline.id, **signal_reports(histograms, baseline))
    begins = start + 60 * number
    return msgspec.structs.replace(
        window_report(0, part, model=model, version="1"),
        id=f"{model}-{number}",
        latency=latency(300.0 if number == 120 else 40.0),
        window_start=begins,
        window_end=begins + 60,
    )


@pytest.fixture(scope="module")
def past(
    kafka_broker: KafkaBroker, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Past]:
    directory = tmp_path_factory.mktemp("backtest")
    installation = Installation(
        directory, unique("past"), kafka_broker.bootstrap_servers, redis_url
    )
    installation.create_topics()
    store = BaselineStore(redis_url, prefix=installation.name)
    baseline = _baseline()
    store.put(baseline)
    store.close()
    rules = directory / "rules.yaml"
    rules.write_text(RULES)
    start = int(time.time()) // 60 * 60 - 60 * (WINDOWS + 1)
    reports = [_report(number, start, baseline, "m") for number in range(WINDOWS)]
    watch, memory, state, alerts = DriftDetector(lambda model: 1.0), None, AlertState(), []
    producer = Producer({"bootstrap.servers": installation.bootstrap_servers, "linger.ms": 50})

    def send(kind: str, key: str, record: Any) -> None:
        producer.produce(installation.topic(kind), encode(record), key)

    for report in reports:
        memory, seen = watch.take(memory, report, {baseline.id: baseline})
        verdict = evaluate(
            parse_rules(RULES, source="test"), seen, state, distribution=lambda *_: None
        )
        state = verdict.state
        send("windows", '["m","1",""]', seen)
        for alert in verdict.alerts:
            send("alerts_history", alert.fingerprint, alert)
        alerts += verdict.alerts
    # What there is after a crash, and after late events; and another model.
    send("windows", '["m","1",""]', reports[3])
    send("windows", '["m","1",""]', msgspec.structs.replace(reports[9], id="r", revision=1))
    send("windows", '["other","1",""]', _report(1, start, baseline, "other"))
    assert producer.flush(30) == 0
    yield Past(installation, rules, reports, alerts)


def test_the_rules_that_were_in_force_fire_as_they_did(past: Past) -> None:
    result = past.backtest("--model", "m")
    found = {
        (it["rule"], it["signal"], it["starts_at"], it["window_end"], it["ends_at"])
        for it in result["episodes"]
    }
    ends = {(it.fingerprint, it.starts_at): it.ends_at for it in past.alerts}
    fired = [it for it in past.alerts if it.state == "firing"]
    assert {it.rule for it in fired} == {"alarm", "drift", "slow"}
    assert found == {
        (it.rule, it.signal, it.starts_at, it.window_end, ends[it.fingerprint, it.starts_at])
        for it in fired
    }
    assert [(it["rule"], it["alarms"]) for it in result["rules"]] == [
        (it["rule"], it["in_force"]) for it in result["rules"]
    ]
    assert result["windows"] == WINDOWS
    assert (result["repeated_passed_over"], result["revisions_passed_over"]) == (1, 0)


def test_other_rules_and_another_budget_are_tried_beside_those_in_force(past: Past) -> None:
    other = past.rules.with_name("other.yaml")
    other.write_text("rules: [{name: alarm, metric: surprise, above: 1, severity: low}]")
    few, many = (
        past.backtest("--model", "m", "--rules", str(other), "--alarms-per-month", budget)
        for budget in ("0.001", "1000")
    )
    assert few["rules"][0]["alarms"] <= many["rules"][0]["alarms"]
    assert few["rules"][0]["seconds_firing"] < many["rules"][0]["seconds_firing"]
    assert [it["rule"] for it in many["rules"]] == ["alarm", "drift", "slow"]
    assert [it["alarms"] for it in many["rules"][1:]] == [0, 0]


@pytest.mark.parametrize(
    ("spec", "rule", "most"),
    [
        ("amount:mean:0.5", "alarm", 2),
        ("amount:mean:-0.1", "alarm", 15),
        ("amount:scale:1.5", "alarm", 4),
        ("amount:missing:0.05", "alarm", 1),
        ("country:unseen:0.05", "alarm", 1),
        ("country:missing:0.3", "drift", 1),
    ],
)
def test_an_injected_drift_is_seen_as_soon_as_it_can_be(
    past: Past, spec: str, rule: str, most: int
) -> None:
    at = past.reports[60].window_start
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    injection = past.backtest("--model", "m", "--inject", f"{spec}@{text}")["injection"]
    assert (injection["at"], injection["windows"]) == (at, WINDOWS - 60)
    seen = {it["rule"]: it for it in injection["seen"]}
    assert seen.keys() == {"alarm", "drift"}
    assert 1 <= seen[rule]["windows"] <= most
    assert seen[rule]["minutes"] == seen[rule]["windows"]
    assert not seen[rule]["fired_before"]


def test_the_table_says_what_the_json_does(past: Past) -> None:
    given = ("--rules", str(past.rules), "--since", "-6h", "--model", "m")
    shown = past.installation.succeed("backtest", *given, "--inject", "amount:mean:0.5")
    assert "200 windows of 1 slice," in shown
    assert re.search("Injected from .* mean 0.5 of amount, 1[78][0-9] windows", shown)
    for name in ("alarm", "drift", "slow", "latency_mean_ms 300 ms"):
        assert name in shown


def test_the_promise_is_counted_on_what_was_reported(past: Past) -> None:
    known = (past.reports[it].window_start for it in (DRIFTED.start, DRIFTED.stop))
    since, until = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(it)) for it in known)
    given = ("--since", "-6h", "--model", "m", "--calibrate", "--json")
    for excepted in ((), ("--except", f"{since}/{until}")):
        done = invoke(past.installation, *given, *excepted)
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        [model] = found["models"]
        left_out = len(DRIFTED) if excepted else 0
        assert found["windows"] == model["promise"]["windows"] == WINDOWS - left_out
        assert model["reasons"] == ["without_hours"]
        starts = {it["signal"]: it["own"]["starts"] for it in model["signals"]}
        assert starts == {"amount": 0 if excepted else 1, "country": 0}


def test_only_what_ended_in_the_time_is_replayed(past: Past) -> None:
    first, last = past.reports[20].window_end, past.reports[50].window_end
    result = past.backtest(
        *("--model", "m"),
        *("--since", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first))),
        *("--until", time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(last))),
    )
    assert result["windows"] == 30
    assert [it["first_window_start"] for it in result["slices"]] == [first]


def test_what_is_wrong_is_said(past: Past) -> None:
    assert "known are amount, country" in past.refused("--since", "-6h", "--inject", "size:mean:1")
    assert "'country' is categorical" in past.refused(
        "--since", "-6h", "--inject", "country:mean:1"
    )
    late = past.refused("--since", "-6h", "--inject", "amount:mean:1@now")
    assert "no window begins after the drift is to begin" in late
    assert "there are some of m, other" in past.refused("--since", "-6h", "--model", "x")
    assert "has none at all" in past.refused("--since", "-900d", "--until", "-800d")
    assert "is not before --until" in past.refused("--since", "-1h", "--until", "-2h")
    assert "a.yaml" in past.refused("--since", "-6h", "--rules", "a.yaml")


def test_a_baseline_that_is_gone_is_named(past: Past) -> None:
    elsewhere = replace(past.installation, extra={"REDIS__PREFIX": unique("empty")})
    done = invoke(elsewhere, "--since", "-6h", "--model", "m", "--json")
    assert done.exit_code == 0, done.output
    [missing] = json.loads(done.stdout)["missing_baselines"]
    assert (missing["model"], missing["windows"]) == ("m", WINDOWS)
    assert missing["id"][:12] in done.stderr and "not in the store" in done.stderr


def test_a_topic_that_is_not_there_is_named(tmp_path: Path, past: Past) -> None:
    nothing = Installation(
        tmp_path, unique("none"), past.installation.bootstrap_servers, past.installation.redis_url
    )
    done = invoke(nothing, "--since", "-6h")
    assert done.exit_code == 2, done.output
    assert "tidegauge topics create" in done.stderr
