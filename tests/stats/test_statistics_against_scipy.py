"""Every statistic of the room against scipy, published constants and what other tools compute.

The room is walked, not listed: a statistic without an entry in one of the two tables below fails.
"""

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import spatial
from scipy import stats as scipy_stats

import tidegauge.stats as room
from tidegauge.contract import Drift

Counts = list[int]
#: Takes current and reference.
Oracle = Callable[[Counts, Counts], float]

A = ([60, 130, 140, 100, 70], [200, 300, 250, 150, 100])
B = ([70, 140, 140, 140, 0, 10], [200, 300, 250, 150, 100, 0])
#: Nothing in common.
APART = ([5, 0, 0, 0], [0, 0, 0, 7])
#: A share of no count under 10⁹, so that no rank falls between two bins, where scipy may take
#: either end of the empty bins between them.
ODD_SHARE = 0.123456789


def hit_bins(current: Counts, reference: Counts, k: float = 0.0) -> np.ndarray:
    table = np.array([current, reference], float)
    return table[:, table.any(axis=0)] + k


def kl_of(first: Counts, second: Counts, k: float) -> float:
    return float(scipy_stats.entropy(*hit_bins(first, second, k)))


def psi_of(current: Counts, reference: Counts, k: float) -> float:
    return kl_of(current, reference, k) + kl_of(reference, current, k)


def psi_corrected_of(current: Counts, reference: Counts) -> float:
    bins = hit_bins(current, reference).shape[1]
    noise = (bins - 1) * (1 / sum(current) + 1 / sum(reference))
    return max(psi_of(current, reference, 0.5) - noise, 0.0)


def js_distance_of(p: Counts, q: Counts, k: float, base: float) -> float:
    return float(spatial.distance.jensenshannon(*hit_bins(p, q, k), base=base))


def hellinger_of(current: Counts, reference: Counts) -> float:
    c, r = (np.sqrt(np.array(side) / sum(side)) for side in (current, reference))
    return float(spatial.distance.euclidean(c, r)) / math.sqrt(2)


def wasserstein_of(current: Counts, reference: Counts, k: float = 0.0) -> float:
    places = np.flatnonzero(np.array(current) + np.array(reference))
    return float(scipy_stats.wasserstein_distance(places, places, *hit_bins(current, reference, k)))


def ks_of(current: Counts, reference: Counts) -> float:
    sides = (np.repeat(np.arange(len(side)), side) for side in (current, reference))
    return float(scipy_stats.ks_2samp(*sides, method="asymp").statistic)


def contingency(current: Counts, reference: Counts, power: str) -> Any:
    table = hit_bins(current, reference)
    return scipy_stats.chi2_contingency(table, correction=False, lambda_=power)


def edges_of(counts: Any) -> np.ndarray:
    """Return edges for so many bins, no two bins of one width."""
    return np.arange(np.shape(counts)[-1] + 1.0) ** 1.5 - 3


def between(counts: Counts) -> Any:
    return scipy_stats.rv_histogram((np.array(counts), edges_of(counts)), density=False)


def mean_shift_of(current: Counts, reference: Counts) -> float:
    return float(between(current).mean() - between(reference).mean())


def quantile_shift_of(current: Counts, reference: Counts) -> float:
    return float(between(current).ppf(ODD_SHARE) - between(reference).ppf(ODD_SHARE))


@dataclass(frozen=True)
class Entry:
    """A statistic with its arguments, and what it must equal."""

    name: str
    oracle: Oracle
    arguments: dict[str, Any] = field(default_factory=dict)
    swapped: bool = False
    edges: bool = False
    #: Published for A and B, and what sides without anything in common must give.
    constants: tuple[float | None, float] | None = None
    far_end: float | None = None
    #: What it gives without drift, and for a side without counts.
    none: float = 0.0
    nothing: float = math.nan

    def __call__(self, current: Any, reference: Any) -> np.ndarray:
        sides = (reference, current) if self.swapped else (current, reference)
        leading = (edges_of(current),) if self.edges else ()
        return getattr(room, self.name)(*leading, *sides, **self.arguments)

    def __str__(self) -> str:
        words = [self.name, *(f"{key}={value}" for key, value in self.arguments.items())]
        return " ".join([*words, "swapped"] if self.swapped else words)


EXACT, SMOOTHED = {"pseudocount": 0}, {"pseudocount": 0.5}
NATS, BITS = {"unit": "nats"}, {"unit": "bits"}

ENTRIES = [
    Entry("psi", lambda c, r: psi_of(c, r, 0), EXACT, constants=(0.077833, math.inf),
          far_end=math.inf),
    Entry("psi", lambda c, r: psi_of(c, r, 0.5), SMOOTHED, constants=(None, 0.640020)),
    Entry("psi_corrected", psi_corrected_of, constants=(None, 0.640020 - 5 * (1 / 500 + 1 / 1000))),
    Entry("kl", lambda c, r: kl_of(c, r, 0), EXACT, constants=(0.037869, math.inf),
          far_end=math.inf),
    Entry("kl", lambda c, r: kl_of(r, c, 0), EXACT, swapped=True, constants=(0.039964, math.inf),
          far_end=math.inf),
    Entry("kl", lambda c, r: kl_of(c, r, 0.5), SMOOTHED),
    Entry("kl", lambda c, r: kl_of(r, c, 0.5), SMOOTHED, swapped=True),
    Entry("js_divergence", lambda c, r: js_distance_of(c, r, 0, math.e) ** 2, EXACT,
          constants=(0.009659, 0.054828), far_end=math.log(2)),
    Entry("js_divergence", lambda c, r: js_distance_of(c, r, 0.5, math.e) ** 2, SMOOTHED),
    Entry("js_distance", lambda c, r: js_distance_of(c, r, 0, math.e), EXACT | NATS,
          constants=(0.098282, 0.234154), far_end=math.sqrt(math.log(2))),
    Entry("js_distance", lambda c, r: js_distance_of(c, r, 0, 2), EXACT | BITS,
          constants=(0.118049, 0.281247), far_end=1.0),
    Entry("js_distance", lambda c, r: js_distance_of(c, r, 0.5, math.e), SMOOTHED | NATS),
    Entry("js_distance", lambda c, r: js_distance_of(c, r, 0.5, 2), SMOOTHED | BITS),
    Entry("hellinger", hellinger_of, constants=(0.098458, 0.270788), far_end=1.0),
    Entry("chi2_two_sample", lambda c, r: contingency(c, r, "pearson").statistic,
          constants=(25.027886, 107.412989), far_end=12.0),
    Entry("g_two_sample", lambda c, r: contingency(c, r, "log-likelihood").statistic,
          constants=(25.551463, 139.193943),
          far_end=2 * (5 * math.log(12 / 5) + 7 * math.log(12 / 7))),
    Entry("degrees_of_freedom", lambda c, r: contingency(c, r, "pearson").dof,
          constants=(4, 5), far_end=1, none=2, nothing=1),
    Entry("wasserstein_bins", wasserstein_of, EXACT, constants=(0.330, 0.290), far_end=3.0),
    Entry("wasserstein_bins", lambda c, r: wasserstein_of(c, r, 0.5), SMOOTHED),
    Entry("ks_bins", ks_of, constants=(0.12, 0.08), far_end=1.0),
    Entry("mean_shift", mean_shift_of, edges=True, far_end=(1 - 3**1.5 - 8) / 2),
    Entry("standardised_mean_shift",
          lambda c, r: mean_shift_of(c, r) / float(between(r).std()), edges=True,
          far_end=(1 - 3**1.5 - 8) / 2 / ((8 - 3**1.5) / math.sqrt(12))),
    Entry("quantile_shift", quantile_shift_of, {"q": ODD_SHARE}, edges=True),
]  # fmt: skip
by_entry = pytest.mark.parametrize("entry", ENTRIES, ids=str)


def drift_of(current: Counts, reference: Counts) -> list[float]:
    return [
        psi_of(current, reference, 0.5),
        kl_of(current, reference, 0.5),
        kl_of(reference, current, 0.5),
        js_distance_of(current, reference, 0.5, math.e) ** 2,
        wasserstein_of(current, reference, 0.5),
    ]


def figures(drift: Drift | None) -> list[float]:
    assert drift is not None
    assert drift.wasserstein_bins is not None
    return [
        drift.psi,
        drift.kl_current_reference_nats,
        drift.kl_reference_current_nats,
        drift.js_nats,
        drift.wasserstein_bins,
    ]


def quantiles(current: Counts, reference: Counts) -> list[float]:
    inner = edges_of(current)
    ends = {"minimum": inner[0], "maximum": inner[-1]}
    return [
        room.histogram_quantile(inner[1:-1].tolist(), side, ODD_SHARE, **ends)
        for side in (current, reference)
    ]


#: Those of plain Python that give several figures or none: found, expected.
COMPOSED: dict[str, tuple[Callable[..., list[float]], Callable[..., list[float]]]] = {
    "drift": (lambda c, r: figures(room.drift(r, c, len(c))), drift_of),
    "drift_table": (lambda c, r: figures(room.drift_table([r], [c], [len(c)])[0]), drift_of),
    "histogram_quantile": (
        quantiles,
        lambda c, r: [float(between(side).ppf(ODD_SHARE)) for side in (c, r)],
    ),
}


def discovered() -> dict[str, FunctionType]:
    """Walk the room's files for the functions that are defined in them and not private."""
    return {
        name: thing
        for file in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")
        if not file.name.rpartition(".")[2].startswith("_")
        for name, thing in vars(importlib.import_module(file.name)).items()
        if inspect.isfunction(thing) and thing.__module__ == file.name and not name.startswith("_")
    }


def test_every_statistic_of_the_room_has_an_oracle() -> None:
    found = discovered()
    assert set(found) == {entry.name for entry in ENTRIES} | set(COMPOSED)
    # A class that `drift_table` is the one call of.
    assert set(found) == set(room.__all__) - {"DriftTable"}
    assert len({statistic.__module__ for statistic in found.values()}) == len(found)


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


def histograms(lowest: int, highest: int) -> st.SearchStrategy[tuple[Counts, Counts]]:
    return st.integers(2, 20).flatmap(
        lambda bins: st.tuples(
            *(
                st.lists(st.integers(lowest, highest), min_size=bins, max_size=bins).filter(any)
                for _ in range(2)
            )
        )
    )


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


# What other tools compute from the values themselves, as their sources have it: Evidently 0.7
# (calculations/stattests) and NannyML 0.13 (drift/univariate/methods.py). The formulas are held
# here, the packages themselves by `make check-peers`, in environments of their own: NannyML refuses
# Python 3.13 and python-dateutil from 3 on, Evidently pandas 3. Evidently's chi-squared and G tests
# compare with the reference as if that had no noise, so they are other figures than the two here.


def values(side: Counts) -> np.ndarray:
    return np.repeat(np.arange(len(side)), side)


def shares_of(side: Counts) -> np.ndarray:
    return np.bincount(values(side), minlength=len(side)) / len(values(side))


def evidently_psi(c: Counts, r: Counts) -> float:
    current, reference = shares_of(c), shares_of(r)
    return float(np.sum((reference - current) * np.log(reference / current)))


def evidently_kl(c: Counts, r: Counts) -> float:
    return float(scipy_stats.entropy(shares_of(r), shares_of(c)))


def evidently_js(c: Counts, r: Counts) -> float:
    return float(spatial.distance.jensenshannon(shares_of(r), shares_of(c), None))


def evidently_hellinger(c: Counts, r: Counts) -> float:
    return math.sqrt(1 - np.clip(np.sum(np.sqrt(shares_of(r) * shares_of(c))), 0, 1))


def evidently_wasserstein(c: Counts, r: Counts) -> float:
    norm = max(float(np.std(values(r))), 0.001)
    return float(scipy_stats.wasserstein_distance(values(r), values(c))) / norm


def nannyml_js(c: Counts, r: Counts) -> float:
    return float(spatial.distance.jensenshannon(shares_of(r), shares_of(c), base=2))


def nannyml_hellinger(c: Counts, r: Counts) -> float:
    apart = np.sqrt(shares_of(r)) - np.sqrt(shares_of(c))
    return float(np.sqrt(np.sum(apart**2)) / np.sqrt(2))


def nannyml_chi2(c: Counts, r: Counts) -> float:
    return float(scipy_stats.chi2_contingency(hit_bins(c, r))[0])


def nannyml_ks(c: Counts, r: Counts) -> float:
    return float(scipy_stats.ks_2samp(values(r), values(c)).statistic)


def wasserstein_in_deviations(c: Counts, r: Counts) -> float:
    return float(room.wasserstein_bins(c, r, pseudocount=0)) / max(float(np.std(values(r))), 0.001)


#: The peer's formula, what is the same here, and the fewest counts in a bin: 1 where the tools
#: part ways over empty bins.
PEERS: list[tuple[Oracle, Oracle, int]] = [
    (evidently_psi, lambda c, r: float(room.psi(c, r, pseudocount=0)), 1),
    (evidently_kl, lambda c, r: float(room.kl(r, c, pseudocount=0)), 1),
    (evidently_js, lambda c, r: float(room.js_distance(c, r, unit="nats", pseudocount=0)), 0),
    (evidently_hellinger, lambda c, r: float(room.hellinger(c, r)), 0),
    (evidently_wasserstein, wasserstein_in_deviations, 0),
    (nannyml_js, lambda c, r: float(room.js_distance(c, r, unit="bits", pseudocount=0)), 0),
    (nannyml_hellinger, lambda c, r: float(room.hellinger(c, r)), 0),
    (nannyml_chi2, lambda c, r: float(room.chi2_two_sample(c, r)), 0),
    (nannyml_ks, lambda c, r: float(room.ks_bins(c, r)), 0),
]


@pytest.mark.parametrize(("peer", "ours", "lowest"), PEERS, ids=[p[0].__name__ for p in PEERS])
@given(data=st.data())
@settings(max_examples=30)
def test_other_tools_compute_the_same(
    peer: Oracle, ours: Oracle, lowest: int, data: st.DataObject
) -> None:
    sides = data.draw(histograms(lowest, 200))
    # scipy's default, which NannyML takes, corrects a table of two bins for continuity.
    assume(peer is not nannyml_chi2 or hit_bins(*sides).shape[1] > 2)
    # Roots of what is 0 but for rounding.
    assert ours(*sides) == pytest.approx(peer(*sides), rel=1e-9, abs=5e-8)


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
