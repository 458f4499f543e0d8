"""What other tools compute from the values themselves, as their sources have it.

Evidently 0.7 (calculations/stattests) and NannyML 0.13 (drift/univariate/methods.py). The formulas
are held here, the packages themselves by `make check-peers`, in environments of their own: NannyML
refuses Python 3.13 and python-dateutil from 3 on, Evidently pandas 3. Evidently's chi-squared and G
tests compare with the reference as if that had no noise, so they are other figures than the two
here.
"""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from scipy import spatial, stats as scipy_stats

import tidegauge.stats as room
from support.statistics_table import Counts, Oracle, histograms, hit_bins


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
