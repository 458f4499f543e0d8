"""Benjamini-Hochberg against scipy's, and far out where p is no float any more."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import false_discovery_control

from tidegauge.sequential.tails import q_values


@given(st.lists(st.tuples(st.floats(0, 600), st.integers(1, 16)), min_size=1, max_size=50))
def test_q_values_are_those_of_scipy(signals: list[tuple[float, int]]) -> None:
    surprises, looks = (np.array(its, float) for its in zip(*signals, strict=True))
    p = np.minimum(looks * np.exp(-surprises), 1.0)
    assert q_values(surprises, looks) == pytest.approx(false_discovery_control(p), rel=1e-9)


def test_what_is_beyond_a_float_comes_first_all_the_same() -> None:
    found = q_values([2000.0, 10.0, 0.0], [1, 1, 1])
    assert found.tolist() == sorted(found.tolist())
    assert found[0] == 0.0
