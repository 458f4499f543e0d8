"""Many signals at once against one at a time."""

import random
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given, strategies as st

from support.plain_drift import plain_drift
from tidegauge.contract.report import Drift
from tidegauge.stats.drift_table import DriftTable, drift_table


@dataclass(frozen=True)
class Signal:
    reference: list[int]
    current: list[int]
    ordered: int


@st.composite
def signals(draw: st.DrawFn) -> Signal:
    bins = draw(st.integers(1, 25))
    counts = st.just(0) | st.integers(0, 5_000) | st.integers(0, 10**12)
    side = st.lists(counts, min_size=bins, max_size=bins)
    return Signal(draw(side), draw(side), draw(st.integers(0, bins)))


def table_of(some: list[Signal]) -> list[Drift | None]:
    return drift_table(
        [s.reference for s in some], [s.current for s in some], [s.ordered for s in some]
    )


def same(found: Drift | None, expected: Drift | None) -> bool:
    if found is None or expected is None:
        return found is expected
    if found.wasserstein_bins is None or expected.wasserstein_bins is None:
        assert found.wasserstein_bins is expected.wasserstein_bins
    return all(
        getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-12, abs=1e-12)
        for name in Drift.__struct_fields__
        if getattr(found, name) not in (None, msgspec.UNSET)
    )


@given(st.lists(signals(), max_size=5))
def test_each_signal_has_the_figures_it_has_alone(some: list[Signal]) -> None:
    found = table_of(some)
    assert len(found) == len(some)
    for figures, s in zip(found, some, strict=True):
        assert same(figures, plain_drift(s.reference, s.current, s.ordered))


@given(signals(), st.lists(signals(), max_size=5), st.integers(0, 5))
def test_the_figures_of_a_signal_are_the_same_to_the_bit_in_any_company(
    signal: Signal, others: list[Signal], place: int
) -> None:
    place = min(place, len(others))
    found = table_of([*others[:place], signal, *others[place:]])
    assert found[place] == table_of([signal])[0]


def test_fifty_signals_of_a_model_agree_with_one_at_a_time() -> None:
    generator = random.Random(5)
    some = [
        Signal(
            [generator.randrange(10_000) for _ in range(20)],
            [generator.randrange(100) for _ in range(20)],
            generator.choice([0, 17]),
        )
        for _ in range(50)
    ]
    expected = [plain_drift(s.reference, s.current, s.ordered) for s in some]
    assert all(same(*pair) for pair in zip(table_of(some), expected, strict=True))


def test_one_window_after_the_other_has_the_figures_that_it_has_alone() -> None:
    generator = random.Random(6)
    references = [[generator.randrange(1_000) for _ in range(bins)] for bins in (4, 9, 6)]
    table = DriftTable(references, [4, 0, 5])
    for _ in range(3):
        window = [[generator.randrange(100) for _ in reference] for reference in references]
        assert table.of(window) == drift_table(references, window, [4, 0, 5])


def test_no_signals_have_no_figures() -> None:
    assert drift_table([], [], []) == []


@pytest.mark.parametrize(
    ("references", "currents", "ordered", "message"),
    [
        ([[1, 2]], [[1, 2]], [], "1 references and 0 numbers"),
        ([[1], [1, 2, 3]], [[1], [1, 2]], [0, 2], "signal 1: reference has 3 bins, current 2"),
        ([[1, 2]], [], [2], "0 currents and 1 references"),
        ([[1, 2]], [[1, 2]], [3], "signal 0: .* of which 3 are ordered"),
        ([[1, 2]], [[1, 2]], [-1], "signal 0: .* of which -1 are ordered"),
        ([[1], []], [[1], []], [0, 0], "signal 1: reference has 0 bins"),
        ([[1, 2], [1, 2]], [[1, 2], [-1, 2]], [2, 2], "signal 1: found a negative count"),
        ([[1, 2], [1, -2]], [[1, 2], [1, 2]], [2, 2], "signal 1: found a negative count"),
    ],
)
def test_counts_that_cannot_be_compared_are_refused(
    references: list[list[int]], currents: list[list[int]], ordered: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        drift_table(references, currents, ordered)
