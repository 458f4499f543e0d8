"""Every statistic of the room against scipy and published constants, and what all must do."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings

import tidegauge.stats as room
from support.statistics_table import (
    APART,
    COMPOSED,
    ENTRIES,
    A,
    B,
    Counts,
    Entry,
    by_entry,
    discovered,
    exported,
    histograms,
)


def test_every_statistic_of_the_room_has_an_oracle() -> None:
    found = discovered()
    assert set(found) == {entry.name for entry in ENTRIES} | set(COMPOSED)
    assert set(found) == exported()


def test_what_takes_a_pseudocount_is_held_with_and_without_one() -> None:
    taking = {
        name
        for name, statistic in discovered().items()
        if "pseudocount" in inspect.signature(statistic).parameters
    }
    for value in (0, 0.5):
        held = {entry.name for entry in ENTRIES if entry.arguments.get("pseudocount") == value}
        assert held == taking


def test_every_docstring_has_an_example_and_says_what_is_refused() -> None:
    for name, statistic in discovered().items():
        text = inspect.getdoc(statistic) or ""
        assert ">>> " in text, name
        assert "Raises ``ValueError``" in text, name


@by_entry
@given(histograms(0, 10_000))
@settings(max_examples=50)
def test_figures_agree_with_scipy(entry: Entry, sides: tuple[Counts, Counts]) -> None:
    # scipy takes the root of JS, which turns a rounding error of 1e-16 into one of 1e-8.
    near = {"rel": 1e-9, "abs": 1e-7 if entry.name == "js_distance" else 1e-9}
    assert float(entry(*sides)) == pytest.approx(entry.oracle(*sides), **near)


@pytest.mark.parametrize("name", COMPOSED)
@given(histograms(0, 10_000))
@settings(max_examples=50)
def test_composed_figures_agree_with_scipy(name: str, sides: tuple[Counts, Counts]) -> None:
    found, expected = COMPOSED[name]
    assert found(*sides) == pytest.approx(expected(*sides), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.constants is not None], ids=str)
def test_published_constants_come_out(entry: Entry) -> None:
    assert entry.constants is not None
    for sides, published in zip((A, B), entry.constants, strict=True):
        if published is not None:
            assert float(entry(*sides)) == pytest.approx(published, abs=5e-7)


def test_published_constants_with_an_epsilon_in_empty_bins_come_out() -> None:
    filled = [[share or 1e-4 for share in np.array(side) / sum(side)] for side in B]
    # Those who fill up shares don't make them add up to 1 again; here they always do.
    total = 1.0001
    assert float(room.psi(*filled, pseudocount=0)) * total == pytest.approx(0.902842, abs=5e-7)
    kl = [float(room.kl(*sides, pseudocount=0)) * total for sides in (filled, filled[::-1])]
    assert kl == pytest.approx([0.242518, 0.660323], abs=1e-6)


@by_entry
@given(histograms(0, 10_000))
@settings(max_examples=20)
def test_bins_that_nobody_hit_change_nothing(entry: Entry, sides: tuple[Counts, Counts]) -> None:
    padded = [[*side, 0, 0] for side in sides]
    # Two sides that are nearly the same leave rounding alone.
    assert float(entry(*padded)) == pytest.approx(float(entry(*sides)), rel=1e-9, abs=1e-7)


@by_entry
def test_leading_axes_are_many_signals_at_once_and_broadcast(entry: Entry) -> None:
    current = np.array([[*A[0], 0], B[0]])[:, np.newaxis]
    reference = np.array([[*A[1], 0], B[1], [1, 0, 7, 0, 0, 2]])
    together = entry(current, reference)
    assert together.shape == (2, 3)
    for (i, j), found in np.ndenumerate(together):
        alone = entry(current[i, 0].tolist(), reference[j].tolist())
        assert isinstance(alone, np.ndarray)
        assert alone.shape == ()
        assert float(found) == pytest.approx(float(alone), rel=1e-12)


@by_entry
def test_a_side_that_counted_nothing_has_no_figure(entry: Entry) -> None:
    for sides in (([0, 0], [1, 2]), ([1, 2], [0, 0])):
        assert float(entry(*sides)) == pytest.approx(entry.nothing, nan_ok=True)
    neither = 0.0 if entry.name == "degrees_of_freedom" else math.nan
    assert float(entry([0, 0], [0, 0])) == pytest.approx(neither, nan_ok=True)


@by_entry
def test_the_near_end_of_the_range_is_met_by_the_same_shares(entry: Entry) -> None:
    assert float(entry([5, 1, 0, 2], [5, 1, 0, 2])) == entry.none
    if entry.arguments.get("pseudocount") != 0.5:
        found = float(entry([5, 1, 0, 2], [15, 3, 0, 6]))
        assert found == pytest.approx(entry.none, abs=1e-12)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.far_end is not None], ids=str)
def test_the_far_end_of_the_range_is_met_by_sides_with_nothing_in_common(entry: Entry) -> None:
    assert float(entry(*APART)) == pytest.approx(entry.far_end)


@by_entry
def test_counts_that_cannot_be_compared_are_refused(entry: Entry) -> None:
    with pytest.raises(ValueError, match=r"shape \(\d,\) and \(\d,\).*same bins"):
        entry([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="no bins"):
        entry([], [])
    for sides in (([1, -2, 3], [1, 2, 3]), ([1, 2, 3], [1, -2, 3])):
        with pytest.raises(ValueError, match="negative"):
            entry(*sides)
    if "pseudocount" in entry.arguments:
        with pytest.raises(ValueError, match="pseudocount: found -1"):
            getattr(room, entry.name)([1, 2], [1, 2], **entry.arguments | {"pseudocount": -1})
