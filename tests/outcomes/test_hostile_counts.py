"""Counts of labels that no worker of OUTCOMES has: refused, or figures without a value."""

import msgspec
import pytest

from tidegauge.contract import (
    BinaryTarget,
    DecodingError,
    Figure,
    OutcomeTally,
    RegressionTarget,
    StratumCounts,
)
from tidegauge.outcomes import OutcomeCounts, performance_of, worsening

BINARY = BinaryTarget(positive="1", negative="0", threshold=0.5)
NUMBER = RegressionTarget(residual_edges=(0.0,))


def _stratum(labelled, **fields):
    return StratumCounts(
        version="1",
        baseline="b",
        target=0,
        labelled=msgspec.convert(labelled, OutcomeTally),
        **fields,
    )


def test_counts_of_which_a_sum_would_not_fit_64_bits_are_refused():
    with pytest.raises(DecodingError, match="joinable"):
        OutcomeCounts.from_record(BINARY, _stratum({"problem": "binary"}, joinable=2**62))
    with pytest.raises(DecodingError, match="n: found"):
        OutcomeCounts.from_record(NUMBER, _stratum({"problem": "regression", "n": 2**62}))
    many = {"problem": "binary", "outcomes": {"bins": [0], "counts": [2**62]}}
    with pytest.raises(DecodingError, match="outcomes: found"):
        OutcomeCounts.from_record(BINARY, _stratum(many))


@pytest.mark.parametrize(
    ("target", "labelled"),
    [
        (BINARY, {"problem": "binary", "scores": {
            "bins": [0], "counts": [-2], "sums": [0], "squares": [0]}}),
        (NUMBER, {"problem": "regression", "n": 5, "squared": "9" * 700 + "p1000"}),
        (NUMBER, {"problem": "regression", "n": 5, "squared": "-3p0"}),
    ],
    ids=["negative scores", "beyond floats", "a negative square"],
)  # fmt: skip
def test_of_counts_that_contradict_each_other_there_is_no_figure(target, labelled):
    found = performance_of(OutcomeCounts.from_record(target, _stratum(labelled)))
    assert {it.reason for it in found.figures.values()} == {"counts_incomplete"}
    assert not found.reliability


def test_a_worsening_beyond_floats_has_no_interval():
    figure = Figure(n=1, value=0.5, low=-1e300, high=1e300)
    found = worsening("brier", figure, Figure(n=1, value=0.1, low=0.1, high=0.2))
    assert found.value is not None and found.low is None
