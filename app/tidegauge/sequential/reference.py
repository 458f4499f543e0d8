"""What a baseline says of a model's signals, laid out for all of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from tidegauge.stats import Bools, Floats

#: Filled bins that it takes to tell a location.
_LEAST_FILLED = 2

#: A linear score of less, before it is brought to that of unit variance: all but one of the bins
#: have no share that a float can tell from 0.
_LEAST_SIZE = 1e-9

#: A quadratic score of less variance than this, before it is brought to 1, is rounding.
_LEAST_SPREAD = 1e-9


#: What follows from a reference, with the signals on the first axis.
_BY_SIGNAL = ("total", "rest", "log_bins", "in_order", "ordered_total", "is_ordered")


class SignalReference(NamedTuple):
    """Baseline counts of one signal; the first ``ordered`` bins are values in order.

    ``excess`` is that of ``Reference``, by bin; none if left out. ``new`` is the place of the bin
    of values that the baseline never had, if there is one.
    """

    counts: Sequence[float]
    ordered: int
    excess: Sequence[float] = ()
    new: int | None = None

    def divided(self, design_effect: float) -> "SignalReference":
        """Return as many counts as independent rows would need to be as certain."""
        if design_effect == 1:
            return self
        return self._replace(counts=[count / design_effect for count in self.counts])


@dataclass(frozen=True)
class Reference:
    """Baselines of ``signals`` signals, padded to the widest: arrays of (signals, bins).

    ``linear`` and ``quadratic`` are the scores of the ordered bins, 0 elsewhere: centred, of unit
    variance and orthogonal under the baseline's shares of those bins. Some shares of a baseline
    are farther off than by sampling: their counts have the variance (1 + ``excess``) · counts. What
    it has in a ``new`` bin was expected, not counted: to find fewer there is no sign of a change.
    """

    counts: Floats
    exists: Bools
    ordered: Bools
    linear: Floats
    quadratic: Floats
    excess: Floats
    new: Bools

    @classmethod
    def of(cls, signals: Sequence[SignalReference]) -> "Reference":
        """Lay out baselines; raises ``ValueError`` for one that counted nothing."""
        width = max((len(signal.counts) for signal in signals), default=0)
        shape = len(signals), width
        counts, exists, ordered = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool)
        linear, quadratic, excess = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        new = np.zeros(shape, bool)
        rows_of: dict[int, list[int]] = {}
        for row, signal in enumerate(signals):
            if sum(signal.counts) <= 0:
                raise ValueError(f"signal {row}: its baseline counted nothing")
            counts[row, : len(signal.counts)] = signal.counts
            exists[row, : len(signal.counts)] = True
            ordered[row, : signal.ordered] = True
            excess[row, : len(signal.excess)] = signal.excess
            if signal.new is not None:
                new[row, signal.new] = True
            rows_of.setdefault(signal.ordered, []).append(row)
        # Only those of the same number of bins together: sums over more than there are would be
        # rounded otherwise, and a signal's scores depend on the others of its model.
        for bins, rows in rows_of.items():
            linear[rows, :bins], quadratic[rows, :bins] = bin_scores(counts[rows, :bins])
        return cls(counts, exists, ordered, linear, quadratic, excess, new)

    @classmethod
    def joined(cls, references: "Sequence[Reference]") -> "Reference":
        """Lay out the signals of references of equal width one after the other.

        What follows from them is taken over too, so that it is the same to the bit.
        """
        if len(references) == 1:
            return references[0]
        found = cls(
            *(np.concatenate([getattr(it, one.name) for it in references]) for one in fields(cls))
        )
        for name in _BY_SIGNAL:
            found.__dict__[name] = np.concatenate([getattr(it, name) for it in references])
        thirds = [it.third_moments for it in references]
        found.__dict__["third_moments"] = np.concatenate(thirds, axis=-1)
        return found

    @cached_property
    def total(self) -> Floats:
        """Return the events of each signal, (signals, 1)."""
        return np.asarray(self.counts.sum(axis=-1, keepdims=True))

    @cached_property
    def rest(self) -> Floats:
        """Return the events in all bins but one, (signals, bins)."""
        return np.asarray(self.total - self.counts)

    @cached_property
    def log_bins(self) -> Floats:
        """Return the logarithm of each signal's number of bins."""
        return np.asarray(np.log(self.exists.sum(axis=-1)))

    @cached_property
    def in_order(self) -> Floats:
        """Return ``ordered`` as weights, 1 or 0."""
        return self.ordered.astype(np.float64)

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
    def has_expected(self) -> bool:
        """Whether any share is farther off than by sampling, or was not counted."""
        return bool(self.excess.any() or (self.counts * self.new).any())

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

    ``counts`` are (…, bins), and so are both scores.
    """
    filled = np.count_nonzero(counts, axis=-1, keepdims=True)
    total = counts.sum(axis=-1, keepdims=True)
    p = counts / np.where(total > 0, total, 1.0)
    below = np.zeros((*p.shape[:-1], p.shape[-1] + 1))
    np.cumsum(p, axis=-1, out=below[..., 1:])
    z = ndtri(np.minimum(below, 1.0))
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    low, high = z[..., :-1], z[..., 1:]
    edge = np.minimum(np.maximum(np.where(np.isfinite(low), low, high), -8.0), 8.0)
    mean_z = (density[..., :-1] - density[..., 1:]) / np.where(p > 0, p, 1.0)
    s = np.where(p > 0, mean_z, edge)
    linear = s - (p * s).sum(axis=-1, keepdims=True)
    size = np.sqrt((p * linear**2).sum(axis=-1, keepdims=True))
    tells = (filled >= _LEAST_FILLED) & (size > _LEAST_SIZE)
    linear = np.divide(linear, size, out=np.zeros_like(linear), where=tells)
    square = linear**2 - 1.0 - (p * linear**3).sum(axis=-1, keepdims=True) * linear
    spread = (p * square**2).sum(axis=-1, keepdims=True)
    # Two filled bins: the square is a linear function of the score itself.
    there = tells & (spread > _LEAST_SPREAD)
    quadratic = np.divide(square, np.sqrt(spread), out=np.zeros_like(square), where=there)
    return linear, quadratic
