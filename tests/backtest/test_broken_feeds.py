"""What the default rules say of broken feeds and of segments: in a backtest what was said live."""

import math

import pytest

from support.feeds import NUMBERS, Change, Row, baseline, run
from tidegauge.alerting.ruleset import DEFAULT_RULES
from tidegauge.backtest import run as module
from tidegauge.backtest.run import BacktestPlan, backtest
from tidegauge.config.sections import WindowSettings
from tidegauge.contract import encode
from tidegauge.kafka.reader import KafkaRecord

KNOWN = baseline()


def renamed(row: Row, window: int, at: int) -> None:
    if window >= 1:
        row["features"]["annual_income"] = row["features"].pop("income")


def infinite_for_a_while(row: Row, window: int, at: int) -> None:
    if window in (1, 2) and at % 3 == 0:
        row["features"]["age"] = -math.inf


def slow_in_all(row: Row, window: int, at: int) -> None:
    if window >= 2:
        row["latency_ms"] = 400.0


def drifting_in_one_region(row: Row, window: int, at: int) -> None:
    if window >= 1 and row["features"]["region"] == "EU":
        row["features"]["age"] += 0.6


def drifting_together(row: Row, window: int, at: int) -> None:
    if window >= 1:
        for name in NUMBERS[1:4]:
            row["features"][name] += 0.25


@pytest.mark.parametrize(
    "change",
    [renamed, infinite_for_a_while, slow_in_all, drifting_in_one_region, drifting_together],
)
@pytest.mark.parametrize("held", [200_000, 40])
def test_a_backtest_says_what_was_said(
    change: Change, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SIGNALS_HELD", held)
    live = run(change, known=KNOWN, windows=5)
    first, last = live.reports[0].window_start, live.reports[-1].window_end
    plan = BacktestPlan(
        rules=DEFAULT_RULES, alarms_of=lambda model: 1.0, since=first, until=last,
        window_of=lambda model: WindowSettings(),
    )  # fmt: skip
    records = [KafkaRecord(f"windows at {at}", encode(it)) for at, it in enumerate(live.reports)]
    result = backtest(plan, records, {KNOWN.id: KNOWN}.get)
    assert live.fired
    assert sorted(
        (it.rule, ",".join(it.segment.values()), sorted(it.signals)) for it in result.episodes
    ) == sorted(live.fired)
