"""What histograms imply of values outside of the baseline's range."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, strategies as st

from support.counting import a_baseline, numeric
from support.sampled import sampled_histogram, sampled_signal
from support.window_reports import part_of, signal_report, window_report
from tidegauge.baseline import OUTSIDE, Baseline, NumericSignal
from tidegauge.contract import SignalHistogram
from tidegauge.contract.report import Evidence, WindowReport
from tidegauge.windows.drift_detector import DriftDetector
from tidegauge.windows.evidence import BaselineLayout
from tidegauge.windows.outside import Outside, Range
from tidegauge.windows.values import SliceMemory

Floats = npt.NDArray[np.float64]


LAWS = {
    "normal": lambda rng, size: rng.normal(50.0, 10.0, size),
    "lognormal": lambda rng, size: np.exp(rng.normal(0.0, 2.0, size)),
    "t": lambda rng, size: rng.standard_t(2, size),
    "counts": lambda rng, size: rng.poisson(3.0, size).astype(float),
    "mostly 0": lambda rng, size: np.where(rng.random(size) < 0.9, 0.0, rng.exponential(1, size)),
    "far from 0": lambda rng, size: rng.normal(1e9, 1.0, size),
}


@given(
    st.sampled_from(sorted(LAWS)),
    st.integers(0, 10_000),
    st.sampled_from([1.0, 10.0, 1000.0, -1.0, 1e200]),
    st.floats(0.0, 0.2),
)
def test_there_are_never_fewer_than_it_says(law: str, seed: int, times: float, part: float) -> None:
    rng = np.random.default_rng(seed)
    known, values = LAWS[law](rng, 300), LAWS[law](rng, 200)
    values = np.where(rng.random(200) < part, times * values, values)
    signal = sampled_signal(known)
    its = Range.of(signal)
    if its is None:
        assert signal.minimum == signal.maximum
        return
    with np.errstate(over="ignore"):
        found = its.outside(sampled_histogram(values, signal))
    below, above = (values < known.min()).sum(), (values > known.max()).sum()
    assert found.below + found.above <= below + above
    assert (found.below > 0) == (below > 0) and (found.above > 0) == (above > 0)


def test_most_of_what_is_far_outside_is_counted() -> None:
    rng = np.random.default_rng(1)
    signal = sampled_signal(rng.normal(size=100_000))
    values = rng.normal(size=1_000)
    values = np.where(values > np.quantile(values, 0.99), 10 * values, values)
    its = Range.of(signal)
    assert its is not None
    assert its.outside(sampled_histogram(values, signal)).above >= 5
    assert its.outside(sampled_histogram(rng.uniform(-1, 1, 1_000), signal)) == Outside(0, 0)


def test_a_baseline_without_extremes_or_with_one_value_has_no_range() -> None:
    assert Range.of(numeric([10.0, 20.0])) is None, "its range is not that of its edges"
    signal = sampled_signal(np.full(10, 4.0))
    assert signal.minimum == signal.maximum and Range.of(signal) is None


RNG = np.random.default_rng(2)
BASELINE: Baseline = a_baseline(amount=sampled_signal(RNG.normal(size=100_000)))
AMOUNT = BASELINE.signals["amount"]
assert isinstance(AMOUNT, NumericSignal)


def _report(number: int, values: Floats, **fields: object) -> WindowReport:
    signal = signal_report()
    signal.histogram = sampled_histogram(values, AMOUNT)
    return window_report(number, part_of(len(values), BASELINE.id, amount=signal), **fields)


def _seen(values: list[Floats]) -> list[Evidence]:
    watch, memory, found = DriftDetector(lambda model: 1.0), None, []
    for number, its in enumerate(values):
        memory, seen = watch.take(memory, _report(number, its), {BASELINE.id: BASELINE})
        found.append(seen.parts[0].signals["amount"].evidence)
    return found


def _tail(values: Floats) -> Floats:
    return np.where(values > 2.33, 10 * values, values)


def _corrupted(values: Floats) -> Floats:
    return np.where(np.arange(len(values)) % 100 == 7, 1000 * values, values)


@pytest.mark.parametrize("changed", [_tail, _corrupted])
def test_one_in_a_hundred_values_that_is_far_off_is_seen_within_two_windows(changed) -> None:
    rng = np.random.default_rng(3)
    windows = [rng.normal(size=1_000) for _ in range(22)]
    windows[20:] = map(changed, windows[20:])
    found = _seen(windows)
    assert all(its.change is None for its in found[:20])
    last = found[-1]
    assert last.change is not None and last.change.moved[0].bin == OUTSIDE
    assert last.psi_of_bin is not None and last.psi_of_bin > 1.0
    assert last.bins == len(AMOUNT.counts) + 4


def test_a_memory_from_before_there_was_such_a_bin_goes_on() -> None:
    watch = DriftDetector(lambda model: 1.0)
    rng = np.random.default_rng(4)
    memory, _ = watch.take(None, _report(0, rng.normal(size=900)), {BASELINE.id: BASELINE})
    assert memory is not None
    bins = len(AMOUNT.counts) + 4

    def cut(written: bytes, *shape: int) -> bytes:
        return np.frombuffer(written).reshape(*shape, bins)[..., :-1].tobytes()

    old = SliceMemory(
        through=memory.through, baseline=memory.baseline, total=memory.total,
        squared=memory.squared, counts=cut(memory.counts, 4, 1), pooled=cut(memory.pooled, 1),
    )  # fmt: skip
    following = _report(1, rng.normal(size=900))
    expected = watch.take(memory, following, {BASELINE.id: BASELINE})
    assert watch.take(old, following, {BASELINE.id: BASELINE}) == expected


def test_late_events_never_make_a_count_negative() -> None:
    """A later maximum that is larger can mean that fewer values are outside."""
    layout = BaselineLayout.of(BASELINE)
    first = np.array([*np.zeros(990), *np.full(10, 6.0)])
    later = np.array([*first, 1e6])
    counts = [layout.counts([_report(0, its).parts[0]])[0] for its in (first, later)]
    assert counts[0][0, -1] > counts[1][0, -1] > 0
    news = layout.late(counts[1] - counts[0])
    assert (news >= 0).all() and news.sum() == 1
    assert math.isclose(counts[0].sum(), 1000)


def test_a_range_whose_squares_are_no_float_has_an_outside_all_the_same() -> None:
    signal = numeric([0.0], [5, 1])
    signal.minimum, signal.maximum = -1.0, 1.7e308
    its = Range.of(signal)
    assert its is not None
    beyond = SignalHistogram(counts=[3, 1], sum=-6.0, sumsq=1e308, minimum=-5.0, maximum=1e300)
    assert its.outside(beyond) == Outside(below=1, above=0)
