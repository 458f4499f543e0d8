"""Every statistic of ``tidegauge.stats`` with its arguments, and what it must equal, by scipy.

The room is walked, not listed: a statistic without an entry in one of the two tables fails.
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
from hypothesis import strategies as st
from scipy import spatial, stats as scipy_stats

import tidegauge.stats as room
from tidegauge.contract.report import Drift

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


#: Files with figures of labelled predictions; tests/outcomes holds them against scikit-learn.
OF_OUTCOMES = frozenset(
    {"classification", "intervals", "multiclass", "probability", "ranking", "regression"}
)


def exported() -> set[str]:
    """Return the functions of the room's face that are about histograms."""
    return {
        name
        for name in room.__all__
        if name[0].islower() and _file_of(getattr(room, name)) not in OF_OUTCOMES
    }


def _file_of(thing: Any) -> str:
    return str(thing.__module__).rpartition(".")[2]


def discovered() -> dict[str, FunctionType]:
    """Walk the room's files for the functions that are defined in them and not private."""
    return {
        name: thing
        for file in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")
        if not file.name.rpartition(".")[2].startswith("_")
        and file.name.rpartition(".")[2] not in OF_OUTCOMES
        for name, thing in vars(importlib.import_module(file.name)).items()
        if inspect.isfunction(thing) and thing.__module__ == file.name and not name.startswith("_")
    }


def histograms(lowest: int, highest: int) -> st.SearchStrategy[tuple[Counts, Counts]]:
    return st.integers(2, 20).flatmap(
        lambda bins: st.tuples(
            *(
                st.lists(st.integers(lowest, highest), min_size=bins, max_size=bins).filter(any)
                for _ in range(2)
            )
        )
    )
