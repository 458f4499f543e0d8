"""Drift that no feature shows alone, from the rows of a file and events to the alert."""

import statistics
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.counting import a_counter, a_tenure, as_arrow, cells_of, count, promote
from support.window_reports import part_of, window_report
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.ruleset import parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.audit.verify import verify
from tidegauge.baseline.binning import numeric_counts, numeric_edges
from tidegauge.baseline.compare import distribution
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.io.builder import build
from tidegauge.baseline.io.joint import JointOptions
from tidegauge.baseline.joint import JointSums
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert, Distribution
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.contract.report import WindowReport
from tidegauge.sequential import (
    BatchInput,
    Budget,
    Memory,
    Reference,
    SignalReference,
    judge_batch,
)
from tidegauge.windows.drift_detector import DriftDetector
from tidegauge.windows.report import signal_reports

#: Rows of baselines, and events of a window.
M, N = 10_000, 1_000
NAMES = ["age", "income", "tenure", "debt", "rate"]
Rows = np.ndarray[Any, np.dtype[np.float64]]
World = Callable[[np.random.Generator, int], Rows]


def independent(rng: np.random.Generator, rows: int) -> Rows:
    return rng.normal(size=(rows, len(NAMES)))


def correlated(i: int, j: int) -> World:
    """Two of the features have a correlation of .8; each alone is as if they had none."""

    def world(rng: np.random.Generator, rows: int) -> Rows:
        values = independent(rng, rows)
        values[:, j] = 0.8 * values[:, i] + 0.6 * values[:, j]
        return values

    return world


def exclusive(i: int, j: int, k: int) -> World:
    """Give a feature the sign of the product of two others: all pairs are independent."""

    def world(rng: np.random.Generator, rows: int) -> Rows:
        values = independent(rng, rows)
        values[:, k] = np.abs(values[:, k]) * np.sign(values[:, i] * values[:, j])
        return values

    return world


def _baseline(path: Path, world: World, seed: int, joint: int, pairs: int) -> Baseline:
    rows = world(np.random.default_rng(seed), M)
    pq.write_table(pa.table(dict(zip(NAMES, rows.T, strict=True))), path / "x.parquet")
    options = JointOptions(joint, pairs)
    return build(path / "x.parquet", model="m", version="1", joint=options, warn=print).baseline


def _counted(baseline: Baseline, rows: Rows, number: int, **columns: Any) -> WindowReport:
    """Count a window of events by INGEST's own code, and report it."""
    features = dict(zip(NAMES, map(pa.array, rows.T), strict=True)) | columns
    times = pa.array(np.full(len(rows), 1_750_000_000.0))
    struct = pa.StructArray.from_arrays(list(features.values()), names=list(features))
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(baseline), tenure)
    count(counter, tenure, [as_arrow({"time": times, "features": struct})])
    (cell,) = cells_of(tenure).values()
    signals = signal_reports(cell.signals, baseline)
    return window_report(number, part_of(len(rows), baseline.id, **signals))


def _watched(baseline: Baseline, windows: Iterator[WindowReport]) -> Iterator[WindowReport]:
    detector, memory = DriftDetector(lambda model: 1.0), None
    for report in windows:
        memory, seen = detector.take(memory, report, {baseline.id: baseline})
        yield seen


def _in_alarm(report: WindowReport) -> list[str]:
    part = report.parts[0]
    return [
        name
        for name, its in part.signals.items()
        if its.evidence
        and part.alarm_budget
        and its.evidence.surprise_nats > part.alarm_budget.threshold_nats
    ]


def _delay(path: Path, world: World, seed: int, joint: int, pairs: int) -> int:
    """Return how many windows after the dependence is gone the first alarm comes."""
    baseline = _baseline(path, world, seed, joint, pairs)
    rng, before = np.random.default_rng(1_000 + seed), 6
    windows = (
        _counted(baseline, (world if it < before else independent)(rng, N), it) for it in range(30)
    )
    for number, report in enumerate(_watched(baseline, windows), start=1):
        if found := _in_alarm(report):
            assert number > before, f"{found} in alarm without a drift"
            assert all(name.startswith("joint") for name in found)
            return number - before
    return 1_000


@pytest.mark.parametrize(
    ("world", "features", "joint", "pairs"),
    [
        (correlated, 2, 8, 0),
        (correlated, 2, 0, 4),
        (exclusive, 3, 8, 0),
    ],
)
def test_a_dependence_that_is_lost_is_seen_within_four_windows(
    tmp_path: Path, world: Callable[..., World], features: int, joint: int, pairs: int
) -> None:
    """Whichever of the features it is of."""
    delays = [
        _delay(tmp_path, world(*its), seed, joint, pairs)
        for seed, its in enumerate(combinations(range(len(NAMES)), features))
    ]
    assert statistics.median(delays) <= 4, delays
    assert max(delays) <= 8, delays


def test_without_joint_signals_nothing_sees_it(tmp_path: Path) -> None:
    assert _delay(tmp_path, correlated(0, 1), 0, 0, 0) == 1_000


WORLD = correlated(0, 1)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    return _baseline(tmp_path_factory.mktemp("files"), WORLD, 1, 8, 2)


RULES = parse_rules(
    """
rules:
  - {name: missing, metric: missing_excess, above: 0.05, severity: high}
  - {name: share, metric: missing_share, above: 0.05, severity: low, signal: "[!p]*"}
  - name: drift
    metric: surprise
    above: 1
    severity: {minor: low, moderate: medium, major: high}
    signal_inhibited_by: [missing]
    group: none
  - {name: kl, metric: kl_values, above: 0.05, severity: high, group: none}
""",
    source="rules.yaml",
)


def _alerts(baseline: Baseline, windows: Iterator[WindowReport]) -> list[Alert]:
    state, found = AlertState(), []

    def shown(_: str, name: str, counts: SignalHistogram) -> Distribution | None:
        signal = baseline.signals.get(name)
        return None if signal is None else distribution(signal, counts)

    for report in _watched(baseline, windows):
        said = evaluate(RULES, report, state, distribution=shown)
        state = said.state
        found += said.alerts
    return [it for it in found if it.state == "firing"]


def test_an_alert_says_which_features_and_can_be_verified(watched: Baseline) -> None:
    rng = np.random.default_rng(2)
    alerts = _alerts(watched, (_counted(watched, independent(rng, N), it) for it in range(3)))
    (pair,) = (
        it for it in alerts if it.rule == "drift" and it.signal == "joint pair 1: +age -income"
    )
    assert "joint pair 1: +age -income" in pair.summary
    assert {it.rule for it in alerts} == {"drift", "kl"}
    for one in alerts:
        figures = verify(msgspec.json.decode(encode(one), type=Alert))
        assert all(it.holds for it in figures), [it for it in figures if not it.holds]
        assert len(figures) >= 2


def test_features_drift_together_and_none_alone(watched: Baseline) -> None:
    rng = np.random.default_rng(3)
    (report,) = _watched(watched, iter([_counted(watched, independent(rng, N), 0)]))
    (part,) = report.parts
    assert part.pattern and part.pattern.together
    assert part.pattern.together[0].signal == "joint pair 1: +age -income"
    assert (part.pattern.signals, part.pattern.drifted_signals, part.pattern.drifts) == (5, 0, [])
    assert part.signals["joint pair 1: +age -income"].features == {"age": 1.0, "income": -1.0}
    assert part.signals["age"].features is msgspec.UNSET


def test_the_change_of_a_feature_explains_its_sums(watched: Baseline) -> None:
    rng = np.random.default_rng(4)
    rows = WORLD(rng, N)
    rows[:, 0] += 1.0
    (report,) = _watched(watched, iter([_counted(watched, rows, 0)]))
    (part,) = report.parts
    assert "joint pair 1: +age -income" in _in_alarm(report)
    assert part.pattern and part.pattern.together is msgspec.UNSET
    assert [it.signal for it in part.pattern.drifts] == ["age"]
    changes = {
        name: its.evidence.change
        for name, its in part.signals.items()
        if its.evidence and its.evidence.change
    }
    assert changes["age"].rank == 1 and len(changes) > 1


def test_missing_features_are_said_once(watched: Baseline) -> None:
    """Values that are missing at random: the sums have fewer events, and no alert of their own."""
    rng = np.random.default_rng(5)

    def window(number: int) -> WindowReport:
        rows = WORLD(rng, N)
        ages = pa.array(rows[:, 0], mask=rng.random(N) < 0.5)
        return _counted(watched, rows, number, age=ages)

    reports = list(_watched(watched, map(window, range(4))))
    assert _in_alarm(reports[-1]) == ["age"]
    its = reports[-1].parts[0].signals["joint pair 1: +age -income"]
    assert its.quality is None and its.missing_share == pytest.approx(0.5, abs=0.1)
    alerts = _alerts(watched, map(window, range(4)))
    assert {(it.rule, it.signal or it.signals[0].signal) for it in alerts} == {
        ("missing", "age"),
        ("share", "age"),
    }


def test_sums_of_a_broken_feature_are_not_reported_beside_it(watched: Baseline) -> None:
    """Not at random: what is left of the feature has other values, and so have its sums."""
    rng = np.random.default_rng(6)

    def window(number: int) -> WindowReport:
        rows = WORLD(rng, N)
        return _counted(watched, rows, number, age=pa.array(rows[:, 0], mask=rows[:, 0] > 0))

    alerts = _alerts(watched, map(window, range(4)))
    of_drift = {it.signal or "" for it in alerts if it.rule == "drift"}
    assert not any("age" in name for name in of_drift)


def test_a_segment_by_a_feature_says_nothing_of_its_sums(watched: Baseline) -> None:
    rng = np.random.default_rng(7)
    report = _counted(watched, independent(rng, N), 0)
    report.segment = {"age": "30"}
    (seen,) = _watched(watched, iter([report]))
    assert not any("age" in name for name in _in_alarm(seen))


def test_without_a_drift_starts_stay_within_the_budget(watched: Baseline) -> None:
    """Starts of joint signals over several baselines: what one got wrong, all its windows have."""
    windows, a_window = 40, 1 / 30
    rng, sums = np.random.default_rng(8), JointSums.of(watched)
    assert sums is not None
    starts = allowed = 0.0
    for _ in range(15):
        columns = sums.columns(_features(WORLD(rng, M), sums))
        edges = [numeric_edges(column) for column in columns]
        counted = [_bins(*its) for its in zip(columns, edges, strict=True)]
        reference = Reference.of([SignalReference(it, len(it) - 3) for it in counted])
        memory, before = Memory.empty(*reference.counts.shape), np.zeros(len(edges), dtype=bool)
        budget = Budget(a_window * windows, float(windows), 1)
        for _ in range(windows):
            window = np.zeros(reference.counts.shape)
            columns = sums.columns(_features(WORLD(rng, N), sums))
            for row, its in zip(window, zip(columns, edges, strict=True), strict=True):
                bins = _bins(*its)
                row[: len(bins)] = bins
            [judged] = judge_batch([BatchInput(reference, memory, window, budget)])
            memory, now = judged.verdict.memory, judged.verdict.alarms
            starts += int(np.count_nonzero(now & ~before))
            before = now
        allowed += a_window * windows
    assert allowed == pytest.approx(20)
    assert 0 < starts <= 1.2 * allowed


def _features(rows: Rows, sums: JointSums) -> list[Rows]:
    return [rows[:, NAMES.index(name)] for name in sums.features]


def _bins(values: Rows, edges: list[float]) -> list[int]:
    return [*numeric_counts(values, edges).tolist(), 0, 0, 0]
