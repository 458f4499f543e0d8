"""The figures of a report against the statistics they are made of."""

import pytest
from hypothesis import given, strategies as st

from tidegauge.stats.divergences import js_divergence, kl, psi, wasserstein_bins
from tidegauge.stats.drift_table import drift

REFERENCE = [200, 300, 250, 150, 100, 0]
CURRENT = [70, 140, 140, 140, 0, 10]


@st.composite
def signals(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    bins = draw(st.integers(1, 25))
    side = st.lists(st.integers(0, 5_000), min_size=bins, max_size=bins)
    return draw(side), draw(side), draw(st.integers(0, bins))


@given(signals())
def test_every_figure_is_the_statistic_it_is_named_after(
    signal: tuple[list[int], list[int], int],
) -> None:
    reference, current, ordered = signal
    figures = drift(reference, current, ordered)
    if not any(reference) or not any(current):
        assert figures is None
        return
    assert figures is not None
    near = {"rel": 1e-9, "abs": 1e-12}
    assert figures.psi == pytest.approx(float(psi(current, reference)), **near)
    assert figures.kl_current_reference_nats == pytest.approx(float(kl(current, reference)), **near)
    assert figures.kl_reference_current_nats == pytest.approx(float(kl(reference, current)), **near)
    assert figures.js_nats == pytest.approx(float(js_divergence(current, reference)), **near)
    if any(reference[:ordered]) and any(current[:ordered]):
        expected = float(wasserstein_bins(current[:ordered], reference[:ordered]))
        assert figures.wasserstein_bins == pytest.approx(expected, **near)
    else:
        assert figures.wasserstein_bins is None


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=25).filter(any))
def test_the_same_counts_on_both_sides_are_no_drift(counts: list[int]) -> None:
    figures = drift(counts, counts, len(counts))
    assert figures is not None
    assert figures.psi == figures.js_nats == figures.wasserstein_bins == 0


def test_the_two_directions_of_kl_are_not_mixed_up() -> None:
    figures = drift(REFERENCE, CURRENT, 5)
    assert figures is not None
    assert figures.kl_current_reference_nats == pytest.approx(0.208870, abs=5e-7)
    assert figures.kl_reference_current_nats == pytest.approx(0.431150, abs=5e-7)
    assert figures.psi == pytest.approx(0.640020, abs=5e-7)


def test_a_category_has_no_wasserstein_distance() -> None:
    figures = drift(REFERENCE, CURRENT, 0)
    assert figures is not None
    assert figures.wasserstein_bins is None


def test_values_going_missing_is_drift_but_moves_no_value() -> None:
    figures = drift([500, 500, 0, 0, 0], [400, 400, 200, 0, 0], 2)
    assert figures is not None
    assert figures.psi > 0.1
    assert figures.wasserstein_bins == 0


def test_a_window_in_which_every_value_is_missing_has_drift_but_no_distance() -> None:
    figures = drift([500, 500, 0, 0, 0], [0, 0, 1000, 0, 0], 2)
    assert figures is not None
    assert figures.psi > 1
    assert figures.wasserstein_bins is None


@pytest.mark.parametrize(
    ("reference", "current", "ordered", "message"),
    [
        ([1, 2, 3], [1, 2], 2, "reference has 3 bins, current 2"),
        ([1, 2], [1, 2], 3, "of which 3 are ordered"),
        ([1, 2], [1, 2], -1, "of which -1 are ordered"),
        ([], [], 0, "reference has 0 bins"),
        ([1, 2], [-1, 2], 2, "found a negative count"),
    ],
)
def test_counts_that_cannot_be_compared_are_refused(
    reference: list[int], current: list[int], ordered: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        drift(reference, current, ordered)
