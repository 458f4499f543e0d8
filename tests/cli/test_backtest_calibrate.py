"""``tidegauge backtest --calibrate``: what it prints, what it refuses, and the manual's example."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from support.counting import numeric
from support.deployment import ROOT
from support.window_reports import part_of, signal_report, window_report
from tidegauge.backtest.result import Calibration
from tidegauge.baseline.document import Baseline
from tidegauge.cli import backtest as module
from tidegauge.cli.app import app
from tidegauge.config.settings import Settings
from tidegauge.contract import encode
from tidegauge.kafka.reader import KafkaRecord

SHARES = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
TILT = np.array([-0.06, -0.06, 0.0, 0.06, 0.06])
#: 2026-05-01T00:00:00Z
START = 1_777_593_600
DAYS = "--since 2026-05-01T00:00:00Z --until 2026-05-03T12:00:00Z"


def _baseline() -> Baseline:
    rng = np.random.default_rng(0)
    counts = {name: rng.multinomial(100_000, SHARES).tolist() for name in ("age", "amount", "rate")}
    signals = {name: numeric([-2.0, -1.0, 1.0, 2.0], its) for name, its in counts.items()}
    return Baseline(model="credit", version="3", rows=100_000, source="test", signals={**signals})


BASELINE = _baseline()


def _records(windows: int) -> list[KafkaRecord]:
    """Return windows of a minute, with a daily cycle of the amount."""
    rng, found = np.random.default_rng(1), []
    for number in range(windows):
        signals = {}
        for name in BASELINE.signals:
            cycle = 0.3 * np.sin(2 * np.pi * number / 1440) * (name == "amount")
            counts = rng.multinomial(1_000, SHARES + cycle * TILT)
            signals[name] = signal_report(counts=tuple(counts.tolist()))
        report = window_report(0, part_of(1_000, BASELINE.id, **signals))
        report.id, report.window_start = str(number), START + 60 * number
        report.window_end = report.window_start + 60
        found.append(KafkaRecord(f"tidegauge.windows/0 at offset {number}", encode(report)))
    return found


Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on records in place of a topic; the outputs and the exit code."""

    @contextmanager
    def baselines(_: object) -> Iterator[object]:
        yield {BASELINE.id: BASELINE}.get

    monkeypatch.setattr(module, "kafka_settings", Settings)
    monkeypatch.setattr(module, "_baselines", baselines)

    def run(options: str, records: list[KafkaRecord], keys: tuple[bytes, ...] = ()) -> Any:
        def read(*_: object, keep: Callable[[bytes], bool], **__: object) -> Iterator[KafkaRecord]:
            for key in keys:
                keep(key)
            return iter(records)

        monkeypatch.setattr(module, "read_span", read)
        return CliRunner().invoke(app, ["backtest", *options.split()], env={"COLUMNS": "100"})

    return run


def test_the_manual_prints_what_the_command_does(run: Run) -> None:
    done = run(f"{DAYS} --model credit --calibrate", _records(3_600))
    assert done.exit_code == 0, done.output
    shown = "\n".join(line.rstrip() for line in done.stdout.splitlines() if line.strip())
    manual = (ROOT / "docs" / "detection.md").read_text()
    _, _, block = manual.partition(
        f"$ tidegauge backtest {DAYS} \\\n    --model credit --calibrate\n"
    )
    printed = "\n".join(line.rstrip() for line in block.partition("\n```")[0].splitlines())
    assert shown == printed, shown


def test_json_has_all_of_it(run: Run) -> None:
    records = _records(60)
    done = run(f"{DAYS} --calibrate --json --alarms-per-month 3", records)
    assert done.exit_code == 0, done.output
    found = msgspec.json.decode(done.stdout, type=Calibration)
    [model] = found.models
    assert (found.windows, model.model, model.versions) == (60, "credit", ["3"])
    assert model.promise.own.alarms_per_month == 3
    assert {it.signal for it in model.signals} == {"age", "amount", "rate"}


def test_the_time_of_a_known_drift_is_named_beside_it(run: Run) -> None:
    excepted = (
        "--except 2026-05-01T00:00:00Z/2026-05-01T00:30:00Z --except 2026-05-02T02:00+02:00/now"
    )
    done = run(f"{DAYS} --calibrate {excepted}", _records(60))
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert "without 30 windows from 2026-05-01 00:00:00Z to 2026-05-01 00:30:00Z" in said
    assert "without 0 windows from 2026-05-02 00:00:00Z" in said
    assert "every other alarm counts as false" in said
    assert "too little history: " in said and "would tell" in said


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--except 2026-05-01T00:00:00Z", "--except: found '2026-05-01T00:00:00Z', expected two"),
        ("--except 2026-05-01T00:00:00Z/soon", "--except: found 'soon', expected a time"),
        ("--except 2026-05-01/2026-05-02", "a time without its zone"),
        ("--except -1h/-2h", "--except: found '-1h/-2h', -1h is not before -2h"),
        ("--inject age:mean:1", "--calibrate takes neither --rules nor --inject"),
        ("--rules rules.yaml", "--calibrate takes neither --rules nor --inject"),
        ("--alarms-per-month 0", "--alarms-per-month: found 0"),
    ],
)
def test_wrong_options_are_named(run: Run, options: str, why: str) -> None:
    done = run(f"{DAYS} --calibrate {options}", [])
    assert done.exit_code == 2
    assert why in " ".join(done.stderr.split())


def test_exceptions_without_a_calibration_are_refused(run: Run) -> None:
    done = run(f"{DAYS} --except -2h/-1h", [])
    assert done.exit_code == 2 and "--except is only for --calibrate" in done.stderr


def test_an_empty_topic_and_a_model_that_there_is_not(run: Run) -> None:
    done = run(f"{DAYS} --calibrate", [])
    said = " ".join(done.stderr.split())
    assert done.exit_code == 2 and "tidegauge.windows has none at all" in said
    done = run(f"{DAYS} --calibrate --model kredit", [], keys=(b'["credit","3",""]',))
    said = " ".join(done.stderr.split())
    assert done.exit_code == 2 and "matches 'kredit'" in said and "some of credit" in said


def test_a_damaged_report_is_a_warning(run: Run) -> None:
    records = [*_records(60), KafkaRecord("tidegauge.windows/2 at offset 9", b'{"id":')]
    done = run(f"{DAYS} --calibrate", records)
    assert done.exit_code == 0
    assert "1 record was skipped: tidegauge.windows/2 at offset 9 (no window report" in done.stderr


def test_a_baseline_that_is_gone_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def none(_: object) -> Iterator[object]:
        yield lambda id: None

    monkeypatch.setattr(module, "_baselines", none)
    done = run(f"{DAYS} --calibrate", _records(5))
    said = " ".join(done.stderr.split())
    assert done.exit_code == 2 and f"the baseline {BASELINE.id} is not in the store" in said
