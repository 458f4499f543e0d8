"""The bins that an alert names are those that the detector would."""

import numpy as np
from hypothesis import given, strategies as st

from support.alerts import example_alert
from tidegauge.alerting.measure import MOST_MOVED, Measurement, carry, top_bins
from tidegauge.contract.alert import Distribution
from tidegauge.sequential.scores import bin_contributions

COUNTS = st.lists(st.integers(0, 10_000), min_size=8, max_size=8).filter(any)


@given(COUNTS, COUNTS)
def test_the_bins_that_moved_most_are_named_with_what_the_detector_makes_of_them(
    reference: list[int], current: list[int]
) -> None:
    labels = [str(i) for i in range(8)]
    found = top_bins(Distribution(bins=labels, reference=reference, current=current))
    baseline, shares, g = bin_contributions(np.array(reference, float), np.array(current, float))
    assert len(found) <= MOST_MOVED
    for one in found:
        i = labels.index(one.bin)
        assert np.allclose(
            (one.baseline_share, one.current_share, one.g), (baseline[i], shares[i], g[i]),
            rtol=1e-9, atol=1e-6,
        )  # fmt: skip
    left = np.delete(np.abs(g), [labels.index(one.bin) for one in found])
    least = min((abs(one.g) for one in found), default=0.0)
    assert left.max() <= least + 1e-6 or len(found) < MOST_MOVED


def test_of_an_empty_side_no_bin_moved() -> None:
    assert top_bins(Distribution(bins=["a"], reference=[0], current=[3])) == []
    assert top_bins(Distribution(bins=["a"], reference=[3], current=[0])) == []


def test_a_surprise_has_the_bins_and_the_baseline_events_of_its_evidence() -> None:
    alert = example_alert("surprise", top_bins=[], baseline_events=None)
    evidence = alert.evidence
    assert evidence is not None and evidence.change is not None
    carry(alert, Measurement("x", 2.0, "", 10, "b", None, evidence, alert.alarm_budget))
    assert alert.top_bins == evidence.change.moved != []
    assert alert.baseline_events == evidence.baseline_events


def test_any_other_alert_has_those_of_its_distribution() -> None:
    alert = example_alert("firing", top_bins=[], baseline_events=None)
    assert alert.distribution is not None
    carry(alert, Measurement("x", 2.0, "", 10, "b", None))
    assert alert.top_bins == top_bins(alert.distribution) != []
    assert alert.baseline_events == sum(alert.distribution.reference)
