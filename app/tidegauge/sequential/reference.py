"""What a baseline says of a model's signals, laid out for all of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class SignalReference(NamedTuple):
    """Baseline counts of one signal; the first ``ordered`` bins are values in order."""

    counts: Sequence[int]
    ordered: int


@dataclass(frozen=True)
class Reference:
    """Baselines of ``signals`` signals, padded to the widest: arrays of (signals, bins).

    ``linear`` and ``quadratic`` are the scores of the ordered bins, 0 elsewhere: centred, of unit
    variance and orthogonal under the baseline's shares of those bins.
    """

    counts: Floats
    exists: Bools
    ordered: Bools
    linear: Floats
    quadratic: Floats

    @classmethod
    def of(cls, signals: Sequence[SignalReference]) -> "Reference":
        """Lay out baselines; raises ``ValueError`` for one that counted nothing."""
        width = max((len(signal.counts) for signal in signals), default=0)
        shape = len(signals), width
        counts, exists, ordered = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool)
        linear, quadratic = np.zeros(shape), np.zeros(shape)
        for row, signal in enumerate(signals):
            if sum(signal.counts) <= 0:
                raise ValueError(f"signal {row}: its baseline counted nothing")
            counts[row, : len(signal.counts)] = signal.counts
            exists[row, : len(signal.counts)] = True
            ordered[row, : signal.ordered] = True
            linear[row, : signal.ordered], quadratic[row, : signal.ordered] = bin_scores(
                np.asarray(signal.counts[: signal.ordered], dtype=np.float64)
            )
        return cls(counts, exists, ordered, linear, quadratic)

    @cached_property
    def ordered_total(self) -> Floats:
        """Return the events in the ordered bins of each signal."""
        return np.asarray((self.counts * self.ordered).sum(axis=-1))

    @cached_property
    def third_moments(self) -> Floats:
        """Return Σ counts · score³ of the linear and of the quadratic scores, (2, signals)."""
        return np.stack(
            [(self.counts * it**3).sum(axis=-1) for it in (self.linear, self.quadratic)]
        )

    @cached_property
    def is_ordered(self) -> Bools:
        """Which signals have an order with something in it to measure."""
        return np.asarray(self.linear.any(axis=-1))


def bin_scores(counts: Floats) -> tuple[Floats, Floats]:
    """Return the linear and the quadratic score of bins in order, by how a baseline filled them.

    The linear one is the normal score of a bin, E[Z | z_lo < Z < z_hi] for a standard normal Z cut
    at the baseline's cumulated shares: (φ(z_lo) - φ(z_hi)) / p, and z itself where p is 0. The
    quadratic one is its square, made orthogonal to 1 and to the linear one. Both have mean 0 and
    variance 1 under the baseline (van der Waerden scores; Hájek & Šidák 1967). All are 0 where
    there are too few bins to tell: one has no location, two have no spread.
    """
    none = np.zeros(len(counts))
    total = counts.sum()
    if total <= 0 or np.count_nonzero(counts) < 2:
        return none, none
    p = counts / total
    z = ndtri(np.minimum(np.concatenate([[0.0], np.cumsum(p)]), 1.0))
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    edge = np.minimum(np.maximum(np.where(np.isfinite(z[:-1]), z[:-1], z[1:]), -8.0), 8.0)
    s = np.where(p > 0, (density[:-1] - density[1:]) / np.where(p > 0, p, 1.0), edge)
    linear = s - (p * s).sum()
    linear /= np.sqrt((p * linear**2).sum())
    square = linear**2 - 1.0 - (p * linear**3).sum() * linear
    spread = (p * square**2).sum()
    # Two filled bins: the square is a linear function of the score itself.
    return linear, square / np.sqrt(spread) if spread > 1e-9 else none
