"""Each score against its definition, written out for one signal."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from support.signals import some_memory, worlds
from tidegauge.sequential.conditional import GRAINS
from tidegauge.sequential.reference import Reference, SignalReference, bin_scores
from tidegauge.sequential.scores import SCORES, surprises
from tidegauge.sequential.tails import chi2_surprise
from tidegauge.stats.divergences import g_two_sample

QUANTILES = [0.01, 0.05, *(i / 10 for i in range(1, 10)), 0.95, 0.99]
SHARES = np.diff([0.0, *QUANTILES, 1.0])
BASELINE = [*np.round(SHARES * 10_000).astype(int).tolist(), 0, 0]
NUMERIC = Reference.of([SignalReference(BASELINE, 14)])
CATEGORICAL = Reference.of([SignalReference([600, 300, 90, 10, 0], 0)])


def _of(reference: Reference, counts: npt.ArrayLike) -> dict[str, float]:
    found = surprises(reference, np.asarray(counts, dtype=np.float64)[None, :])[0]
    return dict(zip(SCORES, found.tolist(), strict=True))


def test_bin_scores_are_centred_of_unit_variance_and_orthogonal() -> None:
    for counts in (SHARES * 1e4, np.array([5.0, 0.0, 3.0, 90.0, 2.0]), np.array([1.0, 1.0, 8.0])):
        p = counts / counts.sum()
        linear, quadratic = bin_scores(counts)
        for score in (linear, quadratic):
            assert (p * score).sum() == pytest.approx(0, abs=1e-9)
            assert (p * score**2).sum() == pytest.approx(1)
        assert (p * linear * quadratic).sum() == pytest.approx(0, abs=1e-9)
        assert np.all(np.diff(linear) > 0)


def test_linear_scores_of_many_bins_are_normal_quantiles() -> None:
    linear, _ = bin_scores(np.ones(1_000))
    assert linear[899] == pytest.approx(stats.norm.ppf(0.8995), abs=1e-2)


@pytest.mark.parametrize("counts", [[7.0], [0.0, 7.0], []])
def test_too_few_bins_have_no_scores(counts: list[float]) -> None:
    assert all(not score.any() for score in bin_scores(np.array(counts)))


@pytest.mark.parametrize("counts", [[1e17, 1.0], [2.5e-16, 1e16], [0.0, 1e9, 3.6e-52]])
def test_a_share_that_rounds_to_nothing_is_like_an_empty_bin(counts: list[float]) -> None:
    assert all(not score.any() for score in bin_scores(np.array(counts)))


def test_two_bins_have_a_location_and_no_spread() -> None:
    linear, quadratic = bin_scores(np.array([3.0, 1.0]))
    assert linear.any() and not quadratic.any()


def test_shape_is_scipys_g_test_but_for_the_correction() -> None:
    counts = [180, 270, 60, 40, 3]
    table = np.array([counts, CATEGORICAL.counts[0]])
    g, _, df, _ = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    n, m = table.sum(axis=1)
    inverse = np.minimum((n + m) / table.sum(axis=0), n).sum() - 1
    q = 1 + inverse * (1 / n + 1 / m - 1 / (n + m)) / (6 * df)
    assert _of(CATEGORICAL, counts)["shape"] == pytest.approx(-stats.chi2.logsf(g / q, df))
    assert 1 < q < 1.3


def test_bin_is_the_worst_two_by_two_table_times_the_number_of_bins() -> None:
    counts = np.array([180, 270, 60, 40, 3])
    reference = CATEGORICAL.counts[0].astype(int)
    n, m = counts.sum(), reference.sum()
    tails = [
        min(
            stats.hypergeom.logsf(c - 1, n + m, c + r, n),
            stats.hypergeom.logcdf(c, n + m, c + r, n),
        )
        for c, r in zip(counts, reference, strict=True)
    ]
    expected = -min(tails) - np.log(2) - np.log(5)
    assert expected < _of(CATEGORICAL, counts)["bin"] < expected + 0.5


def test_bin_is_what_g_two_sample_says_of_the_pairs_below_four_nats() -> None:
    counts = np.array([100.5, 60.25, 30.0, 3.0, 0.0])
    reference = CATEGORICAL.counts[0]
    g = g_two_sample(
        np.stack([counts, counts.sum() - counts], axis=-1),
        np.stack([reference, reference.sum() - reference], axis=-1),
    )
    expected = float(chi2_surprise(g.max(), 1) - np.log(5))
    assert 0.2 < expected < 4
    assert _of(CATEGORICAL, counts)["bin"] == pytest.approx(expected, rel=1e-9)


def test_two_bins_have_one_table_whose_shape_is_its_tail() -> None:
    binary = Reference.of([SignalReference([1_980, 20], 2)])
    found = _of(binary, [960.0, 40.0])
    expected = -stats.hypergeom.logsf(39, 3_000, 60, 1_000) - np.log(2)
    assert expected < found["shape"] < expected + 0.5
    assert found["mean"] < expected + 0.5


def test_a_sum_that_rounds_below_its_only_bin_is_no_harm() -> None:
    for count in np.random.default_rng(1).uniform(200, 1e6, 200):
        alone = _of(CATEGORICAL, [0.0, 0.1, 0.0, 0.0, count])
        assert all(np.isfinite(list(alone.values()))) and alone["bin"] > 100


def test_each_score_answers_to_its_own_change() -> None:
    z = stats.norm.ppf([0.0, *QUANTILES, 1.0])
    moved = [*np.diff(stats.norm.cdf(z, 0.1)) * 5_000, 0, 0]
    wider = [*np.diff(stats.norm.cdf(z, 0, 1.1)) * 5_000, 0, 0]
    missing = [*SHARES * 4_900, 100, 0]
    assert max(_of(NUMERIC, moved), key=_of(NUMERIC, moved).__getitem__) == "mean"
    assert max(_of(NUMERIC, wider), key=_of(NUMERIC, wider).__getitem__) == "spread"
    assert max(_of(NUMERIC, missing), key=_of(NUMERIC, missing).__getitem__) == "bin"


def test_what_is_not_there_is_no_surprise() -> None:
    assert set(_of(NUMERIC, np.zeros(16)).values()) == {0.0}
    categorical = _of(CATEGORICAL, [0, 0, 0, 0, 500])
    assert categorical["mean"] == categorical["spread"] == 0.0
    assert categorical["shape"] > 300 and categorical["bin"] > 300


def test_a_signal_has_the_same_scores_beside_wider_ones() -> None:
    both = Reference.of([SignalReference([600, 300, 90, 10, 0], 0), SignalReference(BASELINE, 14)])
    counts = np.zeros((2, 16))
    counts[0, :5] = [180, 270, 60, 40, 3]
    counts[1] = BASELINE
    beside = surprises(both, counts)[0]
    assert beside == pytest.approx(list(_of(CATEGORICAL, counts[0, :5]).values()))


@given(st.lists(st.integers(0, 10**6), min_size=16, max_size=16))
def test_every_score_of_any_counts_is_a_number_not_below_zero(counts: list[int]) -> None:
    for reference, width in ((NUMERIC, 16), (CATEGORICAL, 5)):
        found = surprises(reference, np.array(counts[:width], dtype=np.float64)[None, :])
        assert np.isfinite(found).all() and (found >= 0).all()


@given(worlds())
def test_the_largest_score_of_a_signal_is_the_same_whether_others_are_exact_or_not(
    world: tuple[Reference, npt.NDArray[np.float64]],
) -> None:
    reference, windows = world
    memory = some_memory(reference)
    for window in windows[:9]:
        memory = memory.after(window)
        counts, grains = memory.effective(), GRAINS[:, None]
        exact = surprises(reference, counts, grains)
        found = surprises(reference, counts, grains, largest_only=True)
        assert (found >= exact).all()
        flat = (it.transpose(1, 0, 2).reshape(len(window), -1) for it in (found, exact))
        largest, expected = (
            [(row.max(), row.argmax()) for row in its if row.max() > 0] for its in flat
        )
        assert largest == expected


def test_more_of_a_change_is_never_less_of_a_surprise() -> None:
    more = [[*np.roll(SHARES, 1) * k + SHARES * (300 - k), 0, 0] for k in range(0, 301, 10)]
    for name in ("shape", "spread", "bin"):
        assert np.all(np.diff([_of(NUMERIC, it)[name] for it in more]) >= -1e-9), name


def test_a_baseline_that_counted_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="signal 1: its baseline counted nothing"):
        Reference.of([SignalReference([1], 1), SignalReference([0, 0], 2)])


def test_a_bin_that_was_hit_long_ago_is_like_one_that_never_was() -> None:
    never = _of(CATEGORICAL, [60.0, 30.0, 9.0, 1.0, 0.0])
    for left in (1e-99, 1e-200, 1e-310, 5e-324):
        found = _of(CATEGORICAL, [60.0, 30.0, 9.0, 1.0, left])
        assert found["bin"] == pytest.approx(never["bin"])
        assert np.isfinite(found["shape"])
