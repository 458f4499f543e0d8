"""What a report says has changed about the signals in alarm."""

from typing import Any

import msgspec
import numpy as np
import pytest

from support.counting import a_baseline, categorical, numeric
from support.window_reports import part_of, signal_report, window_report
from tidegauge.baseline.compare import bin_labels
from tidegauge.baseline.document import Baseline
from tidegauge.contract.report import Change, SignalReport, WindowReport
from tidegauge.stats.divergences import degrees_of_freedom, psi_corrected
from tidegauge.windows.changes import Bins, drifts_of_values
from tidegauge.windows.drift_detector import DriftDetector
from tidegauge.windows.values import SliceMemory

EDGES = [10.0, 20.0, 30.0, 40.0]
SHARES = np.array([0.1, 0.2, 0.4, 0.2, 0.1])


def _numeric(**fields: Any) -> Any:
    signal = numeric(EDGES, (SHARES * 10_000).astype(int).tolist())
    return msgspec.structs.replace(signal, minimum=0.0, maximum=50.0, mean=25.0, **fields)


def _categorical() -> Any:
    signal = categorical("string", ["FR", "DE"])
    return msgspec.structs.replace(signal, counts=[6000, 3000, 1000, 0])


SIGNALS = {"amount": _numeric(), "country": _categorical(), "prediction": _numeric()}
PLAIN = a_baseline(**SIGNALS)

CALM = {
    "amount": (100, 200, 400, 200, 100),
    "country": (600, 300, 100, 0),
    "prediction": (100, 200, 400, 200, 100),
}
#: All of what was below 20 went up, by ten thousand in a window.
SHIFTED = (0, 100, 400, 300, 200)


def _report(
    number: int, baseline: Baseline = PLAIN, /, times: float = 1, null: int = 0, **changed: Any
) -> WindowReport:
    signals: dict[str, SignalReport] = {}
    for name, counts in (CALM | changed).items():
        its = tuple(round(times * count) for count in counts)
        signals[name] = signal_report(
            counts=its, null=null, mean=None if name == "country" else 25.0 + 5 * (its[0] == 0)
        )
    return window_report(number, part_of(round(1000 * times) + null, baseline.id, **signals))


def _changes(*reports: WindowReport, baseline: Baseline = PLAIN) -> dict[str, Change]:
    """Return what the last one says, by signal in alarm."""
    watch, memory = DriftDetector(lambda model: 1.0), None
    for report in reports:
        memory, seen = watch.take(memory, report, {baseline.id: baseline})
    found = {name: signal.evidence for name, signal in seen.parts[0].signals.items()}
    return {name: its.change for name, its in found.items() if its and its.change}


def test_only_signals_in_alarm_have_changed() -> None:
    assert _changes(_report(0)) == {}
    assert _changes(_report(0), _report(1, amount=SHIFTED)).keys() == {"amount"}


def test_the_bins_that_moved_most_come_first_with_both_shares() -> None:
    change = _changes(_report(0), _report(1, amount=SHIFTED))["amount"]
    assert change.span == "spike"
    labels = bin_labels(SIGNALS["amount"])
    assert [one.bin for one in change.moved] == [labels[i] for i in (0, 4, 1, 3)]
    assert [(one.baseline_share, one.current_share) for one in change.moved] == [
        (0.1, 0.0),
        (0.1, 0.2),
        (0.2, 0.1),
        (0.2, 0.3),
    ]
    # Of the table of this bin in both sides: no event where (1,000 / 11,000) of all were expected.
    gone = 2 * 1000 * np.log((1000 / 10_000) / (1000 / 11_000))
    assert change.moved[0].g == pytest.approx(-gone)
    assert change.moved[1].g > 0


def test_the_deltas_are_current_less_baseline() -> None:
    change = _changes(_report(0), _report(1, amount=SHIFTED, null=50))["amount"]
    assert change.mean_delta == 5.0
    # Rank 500 of 1,000 values: at the end of the bin that begins at 20; it was in its middle.
    assert change.median_delta == pytest.approx(5.0)
    assert change.missing_share_delta == pytest.approx(50 / 1050)
    assert change.unseen_share_delta is None


def test_categories_have_no_mean_and_say_how_many_are_new() -> None:
    change = _changes(_report(0), _report(1, country=(570, 300, 100, 30)))["country"]
    assert change.mean_delta is None and change.median_delta is None
    assert change.unseen_share_delta == pytest.approx(0.03)
    assert change.moved[0].bin == "never seen"
    assert change.missing_share_delta == 0.0


def test_a_value_that_the_baseline_never_had_moves_the_median_no_further_than_what_was_seen() -> (
    None
):
    above = signal_report(counts=(0, 0, 0, 0, 1000))
    above.histogram.minimum, above.histogram.maximum = 90.0, 110.0
    report = _report(1)
    report.parts[0].signals["amount"] = above
    change = _changes(_report(0), report)["amount"]
    assert change.median_delta is not None and 15 <= change.median_delta <= 110 - 25


def test_a_slight_change_is_shown_by_a_longer_span_with_the_window_in_which_it_began() -> None:
    slightly = (80, 190, 400, 210, 120)
    reports = [_report(number) for number in range(80)]
    reports += [_report(80 + number, amount=slightly) for number in range(40)]
    for number in range(81, 121):
        found = _changes(*reports[:number])
        if found:
            break
    change = found["amount"]
    assert number > 83 and change.span == "minutes"
    began = reports[80].window_end
    assert abs(change.onset_window_end - began) <= 3 * 60
    assert change.onset_window_end <= reports[number - 1].window_end


def test_after_a_spike_the_onset_stays_until_the_alarm_is_over() -> None:
    reports = [_report(number) for number in range(80)]
    reports += [_report(80 + number, amount=SHIFTED) for number in range(3)]
    reports += [_report(83 + number) for number in range(60)]
    watch, memory, onsets = DriftDetector(lambda model: 1.0), None, []
    for report in reports:
        memory, seen = watch.take(memory, report, {PLAIN.id: PLAIN})
        # A worker that takes the partition over knows it too.
        memory = msgspec.json.decode(msgspec.json.encode(memory), type=SliceMemory)
        evidence = seen.parts[0].signals["amount"].evidence
        if evidence is not None and evidence.change is not None:
            onsets.append(evidence.change.onset_window_end)
    assert len(onsets) >= 10, "the spans remember it for long"
    assert set(onsets) == {reports[80].window_end}
    assert memory is not None and memory.onsets == b"", "and then it is forgotten"


def test_windows_that_are_pooled_count_for_the_onset() -> None:
    reports = [_report(number, times=0.05) for number in range(80)]
    reports += [_report(80 + n, times=0.05, amount=SHIFTED) for n in range(12)]
    change = _changes(*reports)["amount"]
    assert abs(change.onset_window_end - reports[80].window_end) <= 4 * 60


def test_without_importances_the_rank_is_by_surprise() -> None:
    found = _changes(
        _report(0), _report(1, amount=SHIFTED, country=(500, 400, 100, 0), prediction=SHIFTED)
    )
    assert {name: change.rank for name, change in found.items()} == {
        "amount": 1,
        "prediction": 2,
        "country": 3,
    }
    assert {change.importance for change in found.values()} == {None}
    assert found["amount"].q_value == found["prediction"].q_value < found["country"].q_value < 1e-4


def test_with_importances_the_rank_is_by_their_share_times_the_size_of_the_drift() -> None:
    baseline = a_baseline(**SIGNALS)
    baseline.importances = {"country": 30.0, "amount": 1.0}
    moved = {"amount": SHIFTED, "country": (500, 400, 100, 0)}
    found = _changes(_report(0, baseline), _report(1, baseline, **moved), baseline=baseline)
    assert {name: (change.rank, change.importance) for name, change in found.items()} == {
        "country": (1, 30 / 31),
        "amount": (2, 1 / 31),
    }
    moved |= {"prediction": SHIFTED}
    found = _changes(_report(0, baseline), _report(1, baseline, **moved), baseline=baseline)
    assert {name: change.rank for name, change in found.items()} == {
        "prediction": 1,
        "country": 2,
        "amount": 3,
    }
    assert found["prediction"].importance is None


def test_the_drifts_of_values_are_to_the_bit_those_of_each_signal_alone() -> None:
    rng = np.random.default_rng(5)
    signals = [
        numeric(list(map(float, range(edges))), rng.integers(50, 900, edges + 1).tolist())
        for edges in (2, 7, 7, 12, 18, 40, 18)
    ]
    bins = [Bins(signal) for signal in signals]
    counts, reference = np.zeros((2, len(signals), 60))
    for at, its in enumerate(bins):
        width = len(its.reference)
        reference[at, :width] = its.reference
        counts[at, :width] = rng.uniform(0, 99, width)
    counts[3] = 0.0  # it counted nothing since the onset
    counts[4] = reference[4] / 100  # no more than noise
    reports = [signal_report(counts=(1,)) for _ in signals]
    together = drifts_of_values(list(zip(reports, bins, strict=True)), counts, reference)
    assert [size is None for size in together] == [at in (3, 4) for at in range(len(signals))]
    for at, its in enumerate(bins):
        one = slice(at, at + 1)
        assert drifts_of_values([(reports[at], its)], counts[one], reference[one]) == [together[at]]
        places, width = its.values, len(its.values)
        now, before = (np.bincount(places, it[at, :width])[1:] for it in (counts, reference))
        if together[at] is not None:
            assert together[at] == float(psi_corrected(now, before))
            assert together[at] > 1 / now.sum() * int(degrees_of_freedom(now, before)) ** 0.5
    assert drifts_of_values([], counts[:0], reference[:0]) == []
