"""Every statistic of the room against an oracle: scipy where it has one, numpy otherwise."""

import inspect
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import spatial
from scipy import stats as scipy_stats

import tidegauge.stats as room

Counts = list[int]

A = ([60, 130, 140, 100, 70], [200, 300, 250, 150, 100])
B = ([70, 140, 140, 140, 0, 10], [200, 300, 250, 150, 100, 0])


def smoothed(current: Counts, reference: Counts, k: float) -> tuple[np.ndarray, np.ndarray]:
    c, r = np.array(current, float), np.array(reference, float)
    hit = (c > 0) | (r > 0)
    return c[hit] + k, r[hit] + k


def scipy_kl(p: Counts, q: Counts, k: float) -> float:
    return float(scipy_stats.entropy(*smoothed(p, q, k)))


def scipy_psi(current: Counts, reference: Counts, k: float) -> float:
    return scipy_kl(current, reference, k) + scipy_kl(reference, current, k)


def scipy_js(p: Counts, q: Counts, k: float) -> float:
    return float(spatial.distance.jensenshannon(*smoothed(p, q, k))) ** 2


def scipy_wasserstein(current: Counts, reference: Counts, k: float) -> float:
    hit = [i for i, (c, r) in enumerate(zip(current, reference, strict=True)) if c or r]
    return float(scipy_stats.wasserstein_distance(hit, hit, *smoothed(current, reference, k)))


#: A statistic on two count vectors, and what it must equal.
DIVERGENCES: dict[str, Callable[[Counts, Counts, float], float]] = {
    "psi": scipy_psi,
    "kl": scipy_kl,
    "js_divergence": scipy_js,
    "wasserstein_bins": scipy_wasserstein,
}
#: Figures of another shape; each has its oracle in a test of this folder.
OTHERS = {"drift", "histogram_quantile"}


def discovered() -> dict[str, Callable[..., np.ndarray]]:
    return {name: getattr(room, name) for name in room.__all__}


def test_every_statistic_of_the_room_has_an_oracle() -> None:
    assert set(discovered()) == set(DIVERGENCES) | OTHERS
    taking_pseudocount = {
        name
        for name, function in discovered().items()
        if "pseudocount" in inspect.signature(function).parameters
    }
    assert taking_pseudocount == set(DIVERGENCES)


two_histograms = st.integers(2, 20).flatmap(
    lambda bins: st.tuples(
        *(
            st.lists(st.integers(0, 10_000), min_size=bins, max_size=bins).filter(any)
            for _ in range(2)
        )
    )
)


@pytest.mark.parametrize("name", DIVERGENCES)
@given(two_histograms)
def test_smoothed_figures_agree_with_scipy(name: str, sides: tuple[Counts, Counts]) -> None:
    found = float(discovered()[name](*sides, pseudocount=0.5))
    # scipy takes the root of JS, which turns a rounding error of 1e-16 into one of 1e-8.
    assert found == pytest.approx(DIVERGENCES[name](*sides, 0.5), rel=1e-9, abs=1e-12)
    assert found >= 0


@pytest.mark.parametrize("name", DIVERGENCES)
@given(two_histograms)
def test_exact_figures_agree_with_scipy_up_to_infinity(
    name: str, sides: tuple[Counts, Counts]
) -> None:
    found = float(discovered()[name](*sides, pseudocount=0))
    assert found == pytest.approx(DIVERGENCES[name](*sides, 0.0), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", DIVERGENCES)
@given(two_histograms)
def test_bins_that_nobody_hit_change_nothing(name: str, sides: tuple[Counts, Counts]) -> None:
    padded = [[*side, 0, 0] for side in sides]
    statistic = discovered()[name]
    assert float(statistic(*padded)) == pytest.approx(float(statistic(*sides)), rel=1e-12)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_leading_axes_are_many_signals_at_once(name: str) -> None:
    statistic = discovered()[name]
    current = np.array([[*A[0], 0], B[0], [1, 0, 0, 0, 0, 0]])
    reference = np.array([[*A[1], 0], B[1], [1, 0, 0, 0, 0, 0]])
    together = statistic(current, reference)
    one_by_one = [
        float(statistic(c, r)) for c, r in zip(current.tolist(), reference.tolist(), strict=True)
    ]
    assert together.tolist() == pytest.approx(one_by_one)
    against_one = statistic(current, reference[0])
    assert float(against_one[1]) == pytest.approx(float(statistic(B[0], [*A[1], 0])))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_side_that_counted_nothing_makes_the_figure_nan(name: str) -> None:
    statistic = discovered()[name]
    assert math.isnan(float(statistic([0, 0], [1, 2])))
    assert math.isnan(float(statistic([1, 2], [0, 0])))
    assert math.isnan(float(statistic([0, 0], [0, 0], pseudocount=0)))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_counts_that_cannot_be_compared_are_refused(name: str) -> None:
    statistic = discovered()[name]
    with pytest.raises(ValueError, match=r"shape \(2,\) and \(3,\).*same bins"):
        statistic([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="negative"):
        statistic([1, -2, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="pseudocount: found -1"):
        statistic([1, 2], [1, 2], pseudocount=-1)


@pytest.mark.parametrize(
    ("name", "sides", "pseudocount", "expected"),
    [
        ("psi", A, 0, 0.077833),
        ("psi", B, 0, math.inf),
        ("psi", B, 0.5, 0.640020),
        ("kl", A, 0, 0.037869),
        ("kl", A[::-1], 0, 0.039964),
        ("kl", B, 0, math.inf),
        ("kl", B[::-1], 0, math.inf),
        ("js_divergence", A, 0, 0.009659),
        ("js_divergence", B, 0, 0.054828),
        ("wasserstein_bins", A, 0, 0.330),
        ("wasserstein_bins", B, 0, 0.290),
    ],
)
def test_published_constants_come_out(
    name: str, sides: tuple[Counts, Counts], pseudocount: float, expected: float
) -> None:
    assert float(discovered()[name](*sides, pseudocount=pseudocount)) == pytest.approx(
        expected, abs=5e-7
    )


@pytest.mark.parametrize(
    ("sides", "nats", "bits"), [(A, 0.098282, 0.118049), (B, 0.234154, 0.281247)]
)
def test_the_js_distance_of_other_tools_is_the_root_of_the_divergence(
    sides: tuple[Counts, Counts], nats: float, bits: float
) -> None:
    divergence = float(room.js_divergence(*sides, pseudocount=0))
    assert math.sqrt(divergence) == pytest.approx(nats, abs=5e-7)
    assert math.sqrt(divergence / math.log(2)) == pytest.approx(bits, abs=5e-7)


@pytest.mark.parametrize(
    ("name", "ends"),
    [("js_divergence", math.log(2)), ("wasserstein_bins", 3.0), ("psi", math.inf)],
)
def test_the_far_end_of_the_range_is_met_by_sides_with_nothing_in_common(
    name: str, ends: float
) -> None:
    statistic = discovered()[name]
    assert float(statistic([5, 0, 0, 0], [0, 0, 0, 7], pseudocount=0)) == pytest.approx(ends)
    assert float(statistic([5, 1, 0, 2], [5, 1, 0, 2])) == 0
