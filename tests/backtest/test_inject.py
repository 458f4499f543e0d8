"""A drift that is put into reports: its counts, and every figure that follows from them."""

import re

import msgspec
import numpy as np
import pytest

from support.counting import a_baseline, categorical, numeric
from support.sampled import sampled_histogram, sampled_signal
from support.window_reports import part_of, window_report
from tidegauge.backtest.inject import Injection, Injector, Kind
from tidegauge.baseline.binning import numeric_counts
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.contract.report import SignalReport, WindowReport
from tidegauge.windows.report import signal_reports

AMOUNT = sampled_signal(np.random.default_rng(1).normal(50.0, 10.0, 100_000))
BASELINE = a_baseline(
    amount=AMOUNT,
    prediction=AMOUNT,
    country=categorical("string", ["a", "b"]),
    flat=msgspec.structs.replace(numeric([0.0]), std=0.0),
)
KNOWN = {BASELINE.id: BASELINE}


def _report(number: int, values: np.ndarray | None = None, **beside: int) -> WindowReport:
    if values is None:
        values = np.random.default_rng(number).normal(50.0, 10.0, 5_000)
    amount = sampled_histogram(values, AMOUNT, **beside)
    histograms = {
        "amount": amount,
        "prediction": msgspec.structs.replace(amount),
        "country": SignalHistogram(counts=[2_000, 2_500, 500, 0]),
        "flat": SignalHistogram(counts=[2_000, 3_000]),
    }
    part = part_of(5_000, BASELINE.id, **signal_reports(histograms, BASELINE))
    return window_report(number, part, prediction_mean_5m=50.0)


def _injected(signal: str, kind: Kind, size: float, report: WindowReport) -> SignalReport:
    [found], windows = Injector(Injection(signal, kind, size, at=0.0)).apply([report], KNOWN)
    assert windows == 1
    assert found.parts[0].signals.keys() == report.parts[0].signals.keys()
    return found.parts[0].signals[signal]


def _figures_follow(signal: SignalReport, name: str) -> None:
    assert signal == signal_reports({name: signal.histogram}, BASELINE)[name]


@pytest.mark.parametrize(("kind", "size"), [("mean", 0.5), ("mean", -1.0), ("scale", 1.44)])
def test_sums_are_those_of_the_values_moved(kind: Kind, size: float) -> None:
    values = np.random.default_rng(9).normal(48.0, 11.0, 5_000)
    assert AMOUNT.mean is not None and AMOUNT.std is not None
    moved = values + size * AMOUNT.std
    if kind == "scale":
        moved = AMOUNT.mean + np.sqrt(size) * (values - AMOUNT.mean)
    signal = _injected("amount", kind, size, _report(1, values))
    h = signal.histogram
    assert h.n == 5_000
    assert h.sum == pytest.approx(moved.sum())
    assert h.sumsq == pytest.approx((moved**2).sum())
    assert (h.minimum, h.maximum) == pytest.approx((moved.min(), moved.max()))
    near = numeric_counts(moved, AMOUNT.edges)
    assert np.abs(np.array(h.counts) - near).max() < 5 * np.sqrt(near.max())
    _figures_follow(signal, "amount")


def test_values_go_missing_as_often_as_asked() -> None:
    report = _report(2, nan=100, null=30)
    signal = _injected("amount", "missing", 0.1, report)
    before, h = report.parts[0].signals["amount"].histogram, signal.histogram
    lost = h.null - 30
    assert lost == pytest.approx(510, abs=5 * np.sqrt(510))
    assert h.n + h.nan + h.null == before.n + 100 + 30
    assert h.sum / h.n == pytest.approx(before.sum / before.n)
    assert signal.missing_share == h.null / (5_000 + 130)
    _figures_follow(signal, "amount")


def test_all_can_go_missing() -> None:
    h = _injected("amount", "missing", 1.0, _report(3)).histogram
    assert (h.n, h.null, h.sum, h.minimum) == (0, 5_000, 0.0, None)


def test_categories_become_unseen_ones() -> None:
    signal = _injected("country", "unseen", 0.2, _report(4))
    assert sum(signal.histogram.counts) == 5_000
    assert signal.histogram.counts[-1] == pytest.approx(1_000, abs=5 * np.sqrt(1_000))
    assert signal.unseen_share == signal.histogram.counts[-1] / 5_000
    _figures_follow(signal, "country")


def test_counts_are_as_noisy_as_counts_are() -> None:
    """The variance of what goes missing is that of a binomial, from window to window."""
    lost = []
    for number in range(300):
        report = msgspec.structs.replace(_report(5), id=f"{number}")
        lost.append(_injected("amount", "missing", 0.1, report).histogram.null)
    assert np.mean(lost) == pytest.approx(500, rel=0.02)
    assert np.var(lost) == pytest.approx(450, rel=0.3)


def test_the_same_report_gives_the_same_counts_and_another_seed_others() -> None:
    report = _report(6)
    first, again, other = (
        Injector(Injection("amount", "mean", 0.3, 0.0, seed)).apply([report], KNOWN)
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_nothing_is_touched_before_it_begins_or_without_its_baseline() -> None:
    report = _report(7)
    later = Injection("amount", "mean", 1.0, at=report.window_start + 1)
    assert Injector(later).apply([report], KNOWN) == ([report], 0)
    now = Injection("amount", "mean", 1.0, at=report.window_start)
    assert Injector(now).apply([report], {}) == ([report], 0)
    assert Injector(now).apply([report], KNOWN)[1] == 1


def test_the_mean_score_of_five_minutes_follows_window_by_window() -> None:
    reports = [_report(number) for number in range(9)]
    assert AMOUNT.std is not None
    injector = Injector(Injection("prediction", "mean", 1.0, at=reports[4].window_start))
    both = [*injector.apply(reports[:6], KNOWN)[0], *injector.apply(reports[6:], KNOWN)[0]]
    found = [report.prediction_mean_5m for report in both]
    assert found[:4] == [50.0] * 4
    moved = [mean - 50.0 for mean in found[4:] if mean is not None]
    steps = [AMOUNT.std * share for share in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert moved == pytest.approx(steps, abs=0.4)


@pytest.mark.parametrize(
    ("signal", "kind", "why"),
    [
        ("country", "mean", "is categorical"),
        ("country", "scale", "is categorical"),
        ("amount", "unseen", "is numeric"),
        ("flat", "mean", "never varied"),
    ],
)
def test_a_kind_that_the_signal_has_not_is_refused(signal: str, kind: Kind, why: str) -> None:
    with pytest.raises(ValueError, match=f"'{signal}' {why}.* expected"):
        Injector(Injection(signal, kind, 0.5, at=0.0)).apply([_report(8)], KNOWN)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("age:mean:0.5", ("age", "mean", 0.5, None)),
        ("a:b:scale:2@2026-01-01T00:00:00Z", ("a:b", "scale", 2.0, "2026-01-01T00:00:00Z")),
        ("user@home:missing:0.02@-3h", ("user@home", "missing", 0.02, "-3h")),
        ("x:mean:-1e-1", ("x", "mean", -0.1, None)),
    ],
)
def test_a_spec_is_read(spec: str, expected: tuple[object, ...]) -> None:
    assert Injection.split(spec) == expected


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("age", "expected SIGNAL:KIND:SIZE"),
        ("age:mean", "expected SIGNAL:KIND:SIZE"),
        (":mean:1", "expected SIGNAL:KIND:SIZE"),
        ("age:swap:1", "the kind 'swap'"),
        ("age:mean:0", "the size '0'"),
        ("age:mean:much", "the size 'much'"),
        ("age:mean:inf", "the size 'inf'"),
        ("age:scale:1", "what to multiply the variance by"),
        ("age:scale:-2", "what to multiply the variance by"),
        ("age:missing:1.1", "a share"),
        ("age:unseen:0", "a share"),
    ],
)
def test_a_wrong_spec_says_what_was_expected(spec: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        Injection.split(spec)
