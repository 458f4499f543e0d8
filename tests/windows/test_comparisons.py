"""Windows compared with baselines that are laid out once."""

import pytest

from support.counting import a_baseline, numeric
from tidegauge.baseline.document import Baseline
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.contract.report import Drift
from tidegauge.windows.report import Comparisons, drifts

A = a_baseline(amount=numeric([2.0], [60, 40]), size=numeric([1.0, 3.0], [10, 20, 30]))
B = a_baseline(amount=numeric([2.0], [10, 90]))


def _histograms(**counts: list[int]) -> dict[str, SignalHistogram]:
    return {name: SignalHistogram(counts=its, absent=1) for name, its in counts.items()}


def _alone(baseline: Baseline, signals: dict[str, SignalHistogram]) -> dict[str, Drift | None]:
    known = {name: it for name, it in baseline.signals.items() if name in signals}
    return {name: drifts({name: (signals[name], it, 1.0)})[name] for name, it in known.items()}


def test_each_window_has_the_figures_it_has_alone_whatever_signals_the_last_one_had() -> None:
    comparisons = Comparisons()
    for window in (
        _histograms(amount=[5, 5], size=[1, 2, 3]),
        _histograms(size=[9, 0, 3]),
        _histograms(size=[4, 4, 4], other=[1], amount=[1, 9]),
        _histograms(amount=[0, 7], size=[1, 2, 3]),
    ):
        assert comparisons.drifts(A.id, A, window) == _alone(A, window)
        only = {name: it for name, it in window.items() if name == "amount"}
        assert comparisons.drifts(B.id, B, only) == _alone(B, only)


def test_a_window_of_another_binning_is_refused() -> None:
    comparisons = Comparisons()
    comparisons.drifts(A.id, A, _histograms(amount=[5, 5]))
    with pytest.raises(ValueError, match="signal 0: reference has 5 bins, current 6"):
        comparisons.drifts(A.id, A, _histograms(amount=[5, 5, 5]))
