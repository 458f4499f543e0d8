"""A window's report is a pure function of its counts."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from support.counting import (
    NOW,
    a_baseline,
    a_counter,
    a_tenure,
    as_json,
    cells_of,
    count,
    event,
    numeric,
    promote,
)
from support.world import SOURCE, World, a_state, join_all
from tidegauge.baseline.compare import vectors
from tidegauge.baseline.document import Baseline
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.contract.prediction import LATENCY_EDGES_MS
from tidegauge.contract.report import WindowReport
from tidegauge.stats.divergences import js_divergence, kl, psi, wasserstein_bins
from tidegauge.stats.values import histogram_quantile
from tidegauge.windows.merging import merge
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.report import Comparisons, ReportInput, counted_ranges, make_reports
from tidegauge.windows.values import ScoreSum, Slice, Window

MINUTE = int(NOW // 60 * 60)
A = a_baseline()
B = a_baseline(amount=numeric([2.0]))


def _report(
    state: PartitionState, *baselines: Baseline, scores: Sequence[ScoreSum] = ()
) -> tuple[WindowReport, ScoreSum]:
    window = Window(Slice("m", "1", "", ()), MINUTE, 60)
    [found] = make_reports(
        [ReportInput(state.counts(window), scores, revision=0)],
        baselines={baseline.id: baseline for baseline in baselines},
        comparisons=Comparisons(),
    )
    return found


def _events(world: World, *amounts: float, partition: int = 0, **fields: Any) -> None:
    for amount in amounts:
        world.event(partition, time=MINUTE + 1, features={"amount": amount}, **fields)


def test_drift_is_that_of_the_statistics_on_the_merged_counts() -> None:
    world = World(promote(A))
    _events(world, -3.0, 0.25, 7.0, partition=0)
    _events(world, 500.0, 7.0, partition=2)
    world.event(1, time=MINUTE + 1)
    world.flush()
    report, _ = _report(join_all(a_state(), world.log), A)
    [part] = report.parts
    signal = part.signals["amount"]
    reference, current, ordered = vectors(A.signals["amount"], signal.histogram)
    assert current.tolist() == [1, 0, 1, 2, 1, 1, 0, 0]
    drift = signal.drift
    assert drift is not None
    assert drift.psi == pytest.approx(psi(reference, current))
    assert drift.kl_current_reference_nats == pytest.approx(kl(current, reference))
    assert drift.kl_reference_current_nats == pytest.approx(kl(reference, current))
    assert drift.js_nats == pytest.approx(js_divergence(reference, current))
    assert drift.wasserstein_bins == pytest.approx(
        wasserstein_bins(reference[:ordered], current[:ordered])
    )
    country = part.signals["country"].drift
    assert country is not None and country.wasserstein_bins is None


def test_shares_and_means_are_of_what_they_say() -> None:
    world = World(promote(A))
    _events(world, 1.0, 3.0, latency_ms=None, status="error")
    world.event(0, time=MINUTE + 1, features={"amount": None, "country": "XX"}, status="ok")
    world.event(0, time=MINUTE + 1, features={"amount": "NaN"}, status="what")
    world.flush()
    report, _ = _report(join_all(a_state(), world.log), A)
    [part] = report.parts
    amount = part.signals["amount"]
    assert (amount.kind, amount.mean, amount.missing_share) == ("numeric", 2.0, 0.25)
    assert amount.unseen_share is None
    country = part.signals["country"]
    assert (country.kind, country.mean) == ("categorical", None)
    assert (country.missing_share, country.unseen_share) == (0.75, 0.25)
    assert part.signals["status"].unseen_share == 0.25
    assert (report.events, report.errors, report.latency) == (4, 2, None)


def test_a_baseline_change_inside_the_window_gives_a_part_for_each() -> None:
    world = World(promote(A))
    _events(world, 1.0, 1.0)
    world.flush()
    world.counters["a"].use(promote(B), world.tenures["a"])
    _events(world, 1.0, prediction=0.5)
    world.flush()
    report, score = _report(join_all(a_state(), world.log), A, B)
    assert {p.baseline: p.events for p in report.parts} == {A.id: 2, B.id: 1}
    assert report.events == 3
    for part in report.parts:
        assert part.signals["amount"].drift is not None
    assert (score.n, score.sum) == (1, 0.5)


def test_a_part_whose_baseline_is_not_at_hand_has_figures_but_no_drift() -> None:
    world = World(promote(A))
    _events(world, 1.0)
    world.flush()
    report, _ = _report(join_all(a_state(), world.log))
    assert report.parts[0].signals["amount"].drift is None
    assert report.parts[0].signals["amount"].histogram.n == 1


def test_the_mean_of_five_minutes_is_over_predictions_not_over_windows() -> None:
    world = World(promote(A))
    _events(world, 1.0, prediction=1.0)
    world.flush()
    state = join_all(a_state(), world.log)
    end = MINUTE + 60
    scores = [
        ScoreSum(window_end=end - 300, sum=1000.0, n=1000),  # just out
        ScoreSum(window_end=end - 240, sum=0.0, n=3),
        ScoreSum(window_end=end + 60, sum=1000.0, n=1000),  # a later window, in a revision
    ]
    report, score = _report(state, A, scores=scores)
    assert report.prediction_mean_5m == 0.25
    assert score == ScoreSum(window_end=end, sum=1.0, n=1)


def test_the_mean_of_the_largest_predictions_is_a_number_that_json_has() -> None:
    world = World(promote(A))
    _events(world, 1.0, prediction=sys.float_info.max)
    world.flush()
    state = join_all(a_state(), world.log)
    scores = [ScoreSum(window_end=MINUTE, sum=sys.float_info.max, n=1)]
    report, _ = _report(state, A, scores=scores)
    assert report.prediction_mean_5m == sys.float_info.max / 2


def test_without_any_prediction_there_is_no_mean() -> None:
    world = World(promote(A))
    _events(world, 1.0)
    world.flush()
    report, _ = _report(join_all(a_state(), world.log), A)
    assert report.prediction_mean_5m is None


def test_latency_quantiles_come_from_the_merged_histogram() -> None:
    values = np.random.default_rng(3).gamma(2.0, 40.0, 400).tolist()
    world = World(promote(A))
    for i, value in enumerate(values):
        world.event(i % 3, time=MINUTE + 1, latency_ms=value)
    world.flush()
    report, _ = _report(join_all(a_state(), world.log), A)
    latency = report.latency
    assert latency is not None
    histogram = report.parts[0].signals["latency_ms"].histogram
    assert latency.mean_ms == pytest.approx(np.mean(values))
    for share, found in ((0.5, latency.p50_ms), (0.95, latency.p95_ms), (0.99, latency.p99_ms)):
        expected = histogram_quantile(
            LATENCY_EDGES_MS, histogram.counts, share, minimum=min(values), maximum=max(values)
        )
        assert found == pytest.approx(expected)
        assert np.mean(np.array(values) <= found) == pytest.approx(share, abs=0.03)


def test_counted_ranges_reach_from_the_first_tenure_to_what_is_covered() -> None:
    world = World(promote(A))
    world.event(0, time=MINUTE - 500)
    world.renew("a")  # nothing of the window was in this tenure
    _events(world, 1.0)
    world.flush()
    world.move(0)
    _events(world, 1.0)
    world.event(2, time=MINUTE - 500)
    world.flush()
    state = join_all(a_state(), world.log)
    report, _ = _report(state, A)
    ranges = {r.partition: (r.start, r.to) for r in report.counted}
    assert ranges[0] == (1, 3)
    assert all(r.topic == SOURCE for r in report.counted)
    counts = state.counts(Window(Slice("m", "1", "", ()), MINUTE, 60))
    again = counted_ranges(
        [c for part in counts.parts.values() for c in part.values()], counts.covered, counts.past
    )
    assert again == report.counted


def test_merging_adds_every_field() -> None:
    a = SignalHistogram(
        counts=[1, 2], absent=1, nan=2, sum=3.0, sumsq=5.0, minimum=1.0, maximum=2.0
    )
    b = SignalHistogram(counts=[10, 0], null=4, invalid=5, sum=-1.0, sumsq=1.0, minimum=-1.0)
    assert merge([a, b]) == SignalHistogram(
        counts=[11, 2], absent=1, null=4, nan=2, invalid=5, sum=2.0, sumsq=6.0,
        minimum=-1.0, maximum=2.0,
    )  # fmt: skip
    assert a.counts == [1, 2]


def test_histograms_of_different_binnings_are_never_added() -> None:
    with pytest.raises(ValueError, match="histograms of 1 and of 2 bins"):
        merge([SignalHistogram(counts=[1]), SignalHistogram(counts=[1, 2])])


def test_the_report_has_the_same_id_however_often_it_is_made() -> None:
    world = World(promote(A))
    _events(world, 1.0)
    world.flush()
    state = join_all(a_state(), world.log)
    assert _report(state, A)[0] == _report(state, A)[0]
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(A), tenure)
    count(counter, tenure, [as_json(event(time=MINUTE + 1, features={"amount": 1.0}))])
    [cell] = cells_of(tenure).values()
    assert cell.signals == {
        name: signal.histogram for name, signal in _report(state, A)[0].parts[0].signals.items()
    }
