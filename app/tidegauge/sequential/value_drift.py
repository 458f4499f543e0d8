"""How far the values of windows are from their baselines, and whether by more than noise. Pure.

Only values count: a signal that is not sent, or sent in another type, has no drift here.
"""

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from tidegauge.contract import Drift
from tidegauge.sequential.tails import chi2_surprise
from tidegauge.stats import PSEUDOCOUNT, Floats


class ValueDrift(NamedTuple):
    """KL(current‖reference) of the values, nats, and -ln p of their likelihood ratio.

    ``noise_nats`` is what KL is on average without a drift, with ``bins`` that either side has hit:
    d (bins - 1) / 2 · (1/n + 1/m), half of what it is for PSI (Yurdakul 2018). d is the signal's
    design effect, by which the likelihood ratio is divided too.
    """

    kl_nats: float
    surprise_nats: float
    noise_nats: float
    bins: int
    design_effect: float = 1.0


class ValueTable:
    """The values of baselines' signals, laid out to compare windows with.

    Bins are on the first axis, so a signal's figures are the same to the last bit in any company
    (see :class:`tidegauge.stats.DriftTable`).
    """

    def __init__(
        self,
        references: Sequence[Sequence[int]],
        bins: Sequence[Sequence[int]],
        effects: Sequence[float] | None = None,
    ) -> None:
        """``bins``: which bin of values each of a reference's is, -1 if it holds none.

        ``effects`` are design effects; 1 if not given.
        """
        self._effects = np.ones(len(references)) if effects is None else np.array(effects)
        self._signals = len(references)
        self._bins = max((max(its) + 1 for its in bins), default=0)
        nowhere = self._bins * self._signals
        self._places = np.array(
            [
                place * self._signals + at if place >= 0 else nowhere
                for at, its in enumerate(bins)
                for place in its
            ],
            dtype=np.intp,
        )
        self._references = self._merged(references)

    @staticmethod
    def together(
        tables: "Sequence[ValueTable]", currents: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[ValueDrift | None]]:
        """Compare windows, each by its own table; None where a side has no values."""
        sizes = [table._signals for table in tables]
        counts = np.zeros((max((it._bins for it in tables), default=0), 2, sum(sizes)))
        spans = [slice(*ends) for ends in pairwise(accumulate(sizes, initial=0))]
        for table, current, span in zip(tables, currents, spans, strict=True):
            counts[: table._bins, 0, span] = table._merged(current)
            counts[: table._bins, 1, span] = table._references
        effects = np.concatenate([it._effects for it in tables]) if tables else np.ones(0)
        found = _figures(counts, effects)
        return [found[span] for span in spans]

    def _merged(self, sides: Sequence[Sequence[int]]) -> Floats:
        """Return counts as (bins of values, signals)."""
        flat = np.fromiter(chain.from_iterable(sides), np.float64, len(self._places))
        size = self._bins * self._signals
        merged = np.zeros(size + 1)
        np.add.at(merged, self._places, flat)
        return merged[:size].reshape(self._bins, self._signals)


def with_values(drift: Drift | None, values: ValueDrift | None) -> Drift | None:
    """Add to the figures of all bins those of the values."""
    if drift is not None and values is not None:
        drift.kl_values_nats, drift.values_surprise_nats = values.kl_nats, values.surprise_nats
        drift.kl_values_noise_nats, drift.values_bins = values.noise_nats, values.bins
        if values.design_effect > 1:
            drift.design_effect = values.design_effect
    return drift


def _figures(counts: Floats, effects: Floats) -> list[ValueDrift | None]:
    """Compare currents with references, (bins, 2, signals), of these design effects."""
    total = np.add.reduce(counts)
    has_values = (total > 0).all(axis=0)
    hit = np.add.reduce(counts, axis=1) > 0
    smoothed = (counts + PSEUDOCOUNT) * hit[:, np.newaxis]
    sums = np.maximum(np.add.reduce(smoothed), PSEUDOCOUNT)
    current, reference = smoothed[:, 0] / sums[0], smoothed[:, 1] / sums[1]
    ratio = np.divide(current, reference, out=np.ones(current.shape), where=hit)
    kl = np.maximum(np.add.reduce(current * np.log(ratio)), 0.0)
    bins = np.add.reduce(hit)
    surprise = chi2_surprise(_likelihood_ratio(counts, total) / effects, bins - 1)
    per_event = np.divide(1.0, total, out=np.zeros(total.shape), where=total > 0)
    noise = np.maximum(bins - 1, 0) / 2 * np.add.reduce(per_event) * effects
    columns = (kl, surprise, noise, bins, effects)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        ValueDrift(*row) if there else None
        for row, there in zip(rows, has_values.tolist(), strict=True)
    ]


def _likelihood_ratio(counts: Floats, total: Floats) -> Floats:
    """Return G of the two samples, (signals): 2 Σ O ln(O / E), with E from their sum."""
    both, all_of_it = np.add.reduce(counts, axis=1), np.add.reduce(total)
    own = np.add.reduce(np.add.reduce(xlogy(counts, counts), axis=1))
    ends = np.add.reduce(xlogy(total, total)) + np.add.reduce(xlogy(both, both))
    return np.asarray(2 * np.maximum(own + xlogy(all_of_it, all_of_it) - ends, 0.0))
