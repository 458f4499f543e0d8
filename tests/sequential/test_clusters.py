"""Design effects of rows that go together, against clusters whose sizes are known."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from tidegauge.sequential.clusters import are_in_order, clustered_effect, rows_effect
from tidegauge.sequential.reference import SignalReference

Places = npt.NDArray[np.intp]

SHARES = np.array([0.01, 0.04, 0.05, *[0.1] * 8, 0.05, 0.04, 0.01])
BINS = len(SHARES)
BESIDE = 3


def _reference(bins: Places) -> SignalReference:
    return SignalReference(np.bincount(bins, minlength=BINS + BESIDE).tolist(), BINS)


def _by_rows(bins: Places) -> float | None:
    return rows_effect(bins, _reference(bins))


def _by_cluster(bins: Places, clusters: Places) -> float:
    counts = np.zeros((clusters.max() + 1, BINS + BESIDE))
    np.add.at(counts, (clusters, bins), 1)
    return clustered_effect(counts, _reference(bins))


def _users(rows: int, each: int, rng: np.random.Generator) -> Places:
    """Return bins of so many identical rows of each user, one user after the other."""
    return np.repeat(rng.choice(BINS, size=rows // each, p=SHARES), each)


def _binned(values: npt.NDArray[np.float64]) -> Places:
    return np.searchsorted(np.quantile(values, SHARES.cumsum()[:-1]), values)


@pytest.mark.parametrize("each", [2, 5, 50])
@pytest.mark.parametrize("seed", range(3))
def test_identical_rows_of_a_user_are_worth_one(each: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bins = _users(20_000, each, rng)
    assert _by_cluster(bins, np.arange(len(bins)) // each) == pytest.approx(each)
    found = _by_rows(bins)
    # At 15 nats 1 % too little is 1.16 times as many false alarms.
    assert found is not None and 0.99 * each < found < 1.35 * each


@pytest.mark.parametrize("seed", range(20))
def test_independent_rows_have_no_effect_to_the_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bins = _users(10_000, 1, rng)
    assert _by_rows(bins) == 1
    assert _by_cluster(bins, rng.integers(0, 3_000, len(bins))) == 1
    assert _by_cluster(bins, np.arange(len(bins))) == 1


def test_users_of_many_sizes_whose_rows_are_only_alike() -> None:
    rng = np.random.default_rng(1)
    sizes = rng.geometric(0.3, size=6_000)
    user = np.repeat(np.arange(len(sizes)), sizes)
    values = 0.7 * rng.normal(size=len(sizes))[user] + 0.714 * rng.normal(size=len(user))
    true = 1 + ((sizes**2).sum() / sizes.sum() - 1) * 0.49
    bins = _binned(values)
    for found in (_by_cluster(bins, user), _by_rows(bins)):
        assert found is not None and 0.97 * true < found < 1.5 * true


def test_rows_in_any_order_tell_by_entity_alone() -> None:
    rng = np.random.default_rng(2)
    bins, user = _users(10_000, 5, rng), np.arange(10_000) // 5
    mixed = rng.permutation(len(bins))
    assert _by_cluster(bins[mixed], user[mixed]) == pytest.approx(5)
    assert _by_rows(bins[mixed]) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_file_in_the_order_of_a_column_tells_nothing_of_the_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    column = np.sort(rng.normal(size=20_000))
    assert are_in_order(_binned(column))
    other = _binned(0.3 * column + rng.normal(size=len(column)))
    assert not are_in_order(other)
    assert _by_rows(other) is None


def test_users_are_told_from_the_days_that_they_are_on() -> None:
    rng = np.random.default_rng(3)
    cycle = 0.2 * np.sin(np.arange(20_000) / 20_000 * 14 * 2 * np.pi)
    assert _by_rows(_binned(rng.normal(size=20_000) + cycle)) == 1
    found = _by_rows(_binned(np.repeat(rng.normal(size=10_000), 2) + cycle))
    assert found == pytest.approx(2.0, abs=0.15)


def test_a_category_of_a_few_busy_users_counts() -> None:
    rng = np.random.default_rng(4)
    bins = _users(40_000, 1, rng)
    clusters = np.arange(len(bins))
    rare = np.flatnonzero(bins == 0)
    clusters[rare] = rare[np.arange(len(rare)) // 8 * 8]
    assert _by_cluster(bins, np.unique(clusters, return_inverse=True)[1]) > 6


def _films(seed: int, popular: float) -> tuple[Places, Places]:
    """Return bins and users of ratings: a user rates a film once, and most of them have no bin.

    By ``popular`` users differ in how many of the 20 films with bins they rate.
    """
    rng = np.random.default_rng(seed)
    bins, users = [], []
    for user in range(400):
        rated = rng.integers(20, 180)
        share = rng.beta(0.1 / popular, 0.9 / popular) if popular else 0.1
        first = min(rng.binomial(rated, share), 20)
        bins += [*rng.choice(20, size=first, replace=False).tolist(), *[20] * (rated - first)]
        users += [user] * int(rated)
    return np.array(bins), np.array(users)


def _of_films(bins: Places, users: Places) -> float:
    counts = np.zeros((400, 22))
    np.add.at(counts, (users, bins), 1)
    return clustered_effect(counts, SignalReference(counts.sum(axis=0).tolist(), 0))


def test_one_bin_that_goes_by_users_counts_though_in_others_rows_exclude_each_other() -> None:
    bins, users = _films(1, popular=0.03)
    rare = bins < 20
    off = np.bincount(users, rare - rare.mean())
    effect = (off**2).sum() / (len(rare) * rare.mean() * (1 - rare.mean()))
    assert effect > 2.5
    assert effect < _of_films(bins, users) < 1.5 * effect


@pytest.mark.parametrize("seed", range(20))
def test_users_who_only_rate_no_film_twice_have_no_effect(seed: int) -> None:
    assert _of_films(*_films(seed, popular=0.0)) == 1


def test_few_rows_tell_nothing() -> None:
    assert _by_rows(np.repeat([0, 3, 5, 1, 2] * 19, 10)) == 1


def test_counts_divided_by_the_effect_have_the_tails_of_independent_ones() -> None:
    """Exact: G of clusters of five over five is that of the clusters."""
    rng = np.random.default_rng(5)
    one = _reference(_users(50_000, 5, rng)).divided(5.0)
    assert sum(one.counts) == pytest.approx(10_000)
    windows = 5.0 * rng.multinomial(200, SHARES, size=4_000) / 5
    p = np.array(one.counts[:BINS]) / sum(one.counts)
    x = ((windows - 200 * p) ** 2 / (200 * p)).sum(axis=1)
    assert (x > stats.chi2.isf(0.05, BINS - 1)).mean() < 0.09
    assert one.divided(1.0) is one
