"""How far values are apart, and whether by more than noise: beside plain sums and scipy's tails."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import chi2

from tidegauge.baseline.compare import value_bins
from tidegauge.sequential.value_drift import ValueDrift, ValueTable

counts = st.lists(st.integers(0, 500), min_size=8, max_size=8)


def alone(current: list[int], reference: list[int], bins: list[int]) -> ValueDrift | None:
    merged = [[0.0] * (max(bins) + 1) for _ in range(2)]
    for its, side in zip(merged, (current, reference), strict=True):
        for place, count in zip(bins, side, strict=True):
            if place >= 0:
                its[place] += count
    pairs = [(c, r) for c, r in zip(*merged, strict=True) if c or r]
    n, m = (sum(it) for it in merged)
    if not n or not m:
        return None
    b = len(pairs)
    p = [((c + 0.5) / (n + b / 2), (r + 0.5) / (m + b / 2)) for c, r in pairs]
    kl = sum(x * math.log(x / y) for x, y in p)
    g = 0.0
    for c, r in pairs:
        for seen, total in ((c, n), (r, m)):
            if seen:
                g += 2 * seen * math.log(seen / ((c + r) / (n + m) * total))
    surprise = -chi2.logsf(g, b - 1) if b > 1 else 0.0
    return ValueDrift(kl, surprise, (b - 1) / 2 * (1 / n + 1 / m), b)


@given(st.lists(st.tuples(counts, counts, st.sampled_from([0, 5])), min_size=1, max_size=4))
def test_the_figures_are_those_of_their_definitions(
    pairs: list[tuple[list[int], list[int], int]],
) -> None:
    bins = [value_bins(reference, ordered) for _, reference, ordered in pairs]
    table = ValueTable([reference for _, reference, _ in pairs], bins)
    [found] = ValueTable.together([table], [[current for current, _, _ in pairs]])
    for one, (current, reference, _), places in zip(found, pairs, bins, strict=True):
        expected = alone(current, reference, places)
        assert (one is None) == (expected is None)
        if one is not None and expected is not None and expected.surprise_nats < 600:
            assert one.kl_nats == pytest.approx(expected.kl_nats, abs=1e-12)
            assert one.noise_nats == pytest.approx(expected.noise_nats, abs=1e-12)
            assert one.bins == expected.bins
            assert one.surprise_nats == pytest.approx(expected.surprise_nats, rel=1e-6, abs=1e-9)


@given(st.lists(st.tuples(counts, counts, st.sampled_from([0, 5])), min_size=2, max_size=4))
def test_a_signals_figures_are_the_same_to_the_bit_in_any_company(
    pairs: list[tuple[list[int], list[int], int]],
) -> None:
    tables = [ValueTable([r], [value_bins(r, ordered)]) for _, r, ordered in pairs]
    currents = [[current] for current, _, _ in pairs]
    apart = [ValueTable.together([it], [its])[0] for it, its in zip(tables, currents, strict=True)]
    assert ValueTable.together(tables, currents) == apart


def test_what_holds_no_value_has_no_part_in_it() -> None:
    reference, sound = [100, 200, 100, 20, 5, 0], [50, 100, 50, 10, 2, 0]
    broken = [50, 100, 50, 4000, 700, 900]
    table = ValueTable([reference], [value_bins(reference, 3)])
    assert ValueTable.together([table], [[sound]]) == ValueTable.together([table], [[broken]])


def test_the_commonest_of_a_thousand_categories_in_a_small_baseline_are_no_drift() -> None:
    rng = np.random.default_rng(1)
    for rows in (100, 300, 1000):
        drawn = np.sort(np.bincount(rng.integers(1000, size=rows), minlength=1000))[::-1]
        reference = [*drawn[:20].tolist(), int(drawn[20:].sum()), 0, 0, 0, 0]
        current = [*[1] * 20, 980, 0, 0, 0, 0]
        table = ValueTable([reference], [value_bins(reference, 0)])
        [[found]] = ValueTable.together([table], [[current]])
        assert found is not None and found.surprise_nats < 16


def test_nothing_at_all_is_compared_with_nothing() -> None:
    assert ValueTable.together([], []) == []
    assert ValueTable.together([ValueTable([], [])], [[]]) == [[]]
