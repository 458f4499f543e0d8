"""The detector's bars, on a few of the settings that ``make bench-detection`` measures."""

import numpy as np
import pytest
from scipy import stats

from _detection_delay import of_detector, of_oracle
from _detection_joint import joint_delays
from _detection_null import Cell, achieved
from _detection_worlds import DRIFTS, draw, shares_between

BY_NAME = {drift.name: drift for drift in DRIFTS}


@pytest.mark.parametrize(
    "cell",
    [
        Cell("numeric", 20, 200, 10_000),
        Cell("heavy-tailed", 1, 1_000, 100_000),
        Cell("categorical", 20, 1_000, 10_000),
    ],
    ids=str,
)
def test_false_alarms_are_between_a_third_of_the_budget_and_a_fifth_above_it(cell: Cell) -> None:
    found = achieved(cell, nominal=60.0, seed=11)
    assert found.seen >= 30 * 0.3
    assert 0.3 - 2 * found.standard_error < found.ratio < 1.2 + 2 * found.standard_error


@pytest.mark.parametrize("name", ["mean 0.25 sd, n = 200", "missing 0 to 2 %, n = 200"])
def test_a_drift_is_seen_nearly_as_soon_as_by_who_knows_it(name: str) -> None:
    drift = BY_NAME[name]
    mine = of_detector(drift, runs=200, seed=12).evidence
    oracle = of_oracle(drift, runs=200, seed=12)
    tolerance = 2 * (mine.standard_error + oracle.standard_error * drift.bar) / oracle.mean
    assert 0.9 < mine.mean / oracle.mean < drift.bar + tolerance


def test_the_oracle_is_not_slower_than_theory_says() -> None:
    drift = BY_NAME["mean 0.1 sd, n = 200"]
    signals = draw("numeric", 1, 100_000, np.random.default_rng(13))
    before = signals.shares[0][:-2]
    after = drift.shares(signals.shares[0], signals.edges[0])[:-2]
    information = drift.events * float((after * np.log(after / before)).sum())
    # Lorden 1971: ln(windows between false alarms) / KL, to first order.
    assert of_oracle(drift, runs=400, seed=13).mean < 1.05 * np.log(43_200 * 20) / information


def test_shares_are_all_there_is() -> None:
    assert shares_between(stats.norm.cdf, [-1.0, 0.0, 2.0]).sum() == pytest.approx(1)


def test_a_correlation_that_is_lost_is_seen_by_joint_signals() -> None:
    found = {it.case: it for it in joint_delays(quick=True, seed=3)}
    assert all(it.seen == 1.0 for name, it in found.items() if name.startswith("correlation"))
    assert max(it.median for name, it in found.items() if "5 features" in name) <= 4
