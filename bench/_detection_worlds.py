"""Signals whose true shares are known: baselines drawn from them, windows, and drifts of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from scipy import stats

from tidegauge.baseline import numeric_counts, numeric_edges
from tidegauge.sequential import Reference, SignalReference

Floats = npt.NDArray[np.float64]
Kind = Literal["numeric", "heavy-tailed", "categorical"]

#: Categories with a bin of their own; then "other", never seen before, and missing.
CATEGORIES = 20

#: Zipf's shares of 200 categories; a tenth of the events is of those in "other".
_ZIPF = 1 / np.arange(1, 201) ** 1.55
_SHARES = _ZIPF / _ZIPF.sum()
_CATEGORICAL = np.array([*_SHARES[:CATEGORIES], _SHARES[CATEGORIES:].sum(), 0.0, 0.0])

#: A category that no undisturbed event has: 0 to 199 are Zipf's, by rank.
_NEW_CATEGORY = float(len(_ZIPF))

#: Bins that no undisturbed event falls into: missing and not finite.
_SPECIALS = 2

_LAWS = {"numeric": stats.norm, "heavy-tailed": stats.t(df=2)}


@dataclass(frozen=True)
class Signals:
    """Baselines as the product would make them, and the true shares (signals, bins).

    ``edges`` are those of each ordered signal, one row each; none of a categorical one.
    """

    reference: Reference
    shares: Floats
    edges: list[list[float]]

    def window(self, events: int, rng: np.random.Generator) -> Floats:
        """Draw a window of so many events for every signal."""
        return rng.multinomial(events, self.shares).astype(np.float64)


def draw(kind: Kind, signals: int, baseline: int, rng: np.random.Generator) -> Signals:
    """Draw baselines of so many events."""
    if kind == "categorical":
        counts = rng.multinomial(baseline, _CATEGORICAL, size=signals)
        references = [SignalReference(row.tolist(), 0) for row in counts]
        return Signals(Reference.of(references), np.tile(_CATEGORICAL, (signals, 1)), [])
    law = _LAWS[kind]
    references, edges, shares = [], [], []
    for _ in range(signals):
        sample = np.sort(law.rvs(size=baseline, random_state=rng))
        cuts = numeric_edges(sample)
        counts = [*numeric_counts(sample, cuts).tolist(), *[0] * _SPECIALS]
        references.append(SignalReference(counts, len(cuts) + 1))
        edges.append(cuts)
        shares.append(shares_between(law.cdf, cuts))
    return Signals(Reference.of(references), np.array(shares), edges)


def shares_between(cdf: Callable[[Floats], Floats], cuts: list[float]) -> Floats:
    """Return the shares of the bins between cuts, and of the special ones: none."""
    cumulated = np.concatenate([[0.0], cdf(np.asarray(cuts)), [1.0]])
    return np.concatenate([np.diff(cumulated), np.zeros(_SPECIALS)])


def values(kind: Kind, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw the values themselves, categories by their rank: what a baseline and windows are of."""
    if kind == "categorical":
        return rng.choice(len(_SHARES), size=shape, p=_SHARES).astype(np.float64)
    if kind == "heavy-tailed":
        return rng.standard_t(2, size=shape)
    return rng.normal(size=shape)


class Change(Protocol):
    """What a drift does, to the shares of a signal's bins and to its values alike."""

    def shares(self, shares: Floats, cuts: list[float]) -> Floats:
        """Return the shares after it, of the true ones before and the cuts between bins."""

    def values(self, values: Floats, rng: np.random.Generator) -> Floats:
        """Return values after it, missing ones as NaN."""


@dataclass(frozen=True)
class Moved:
    """Another mean and standard deviation than 0 and 1."""

    mean: float
    scale: float

    def shares(self, shares: Floats, cuts: list[float]) -> Floats:
        """Return the normal shares between the cuts."""
        return shares_between(lambda x: stats.norm.cdf(x, self.mean, self.scale), cuts)

    def values(self, values: Floats, rng: np.random.Generator) -> Floats:
        """Shift and stretch standard normal values."""
        return values * self.scale + self.mean


@dataclass(frozen=True)
class Into:
    """So large a share of all events goes into one bin; ``draw`` says with which values."""

    bin_: int
    share: float
    draw: Callable[[int, np.random.Generator], Floats]

    def shares(self, shares: Floats, cuts: list[float]) -> Floats:
        """Return the shares with that bin's larger, and the others' smaller."""
        after = shares * (1 - self.share)
        after[self.bin_] += self.share
        return after

    def values(self, values: Floats, rng: np.random.Generator) -> Floats:
        """Replace that share of the values at random."""
        replaced = rng.random(values.shape) < self.share
        after = values.copy()
        after[replaced] = self.draw(int(replaced.sum()), rng)
        return after


@dataclass(frozen=True)
class Drift:
    """A change of a signal of ``kind``, watched with ``events`` a window."""

    name: str
    kind: Kind
    events: int
    bar: float
    change: Change

    def shares(self, shares: Floats, cuts: list[float]) -> Floats:
        """Return the shares of one signal after the change."""
        return self.change.shares(shares, cuts)


def _always(value: float) -> Callable[[int, np.random.Generator], Floats]:
    return lambda size, rng: np.full(size, value)


def _of_other(size: int, rng: np.random.Generator) -> Floats:
    rest = _SHARES[CATEGORIES:]
    return CATEGORIES + rng.choice(len(rest), size=size, p=rest / rest.sum()).astype(np.float64)


_NEW = Into(CATEGORIES + 1, 0.02, _always(_NEW_CATEGORY))
_MISSING = Into(-_SPECIALS, 0.02, _always(np.nan))
_OTHER = Into(CATEGORIES, 0.02, _of_other)

#: So small that packages which look at a window at a time don't see it: not compared with them.
SMALL = Drift("mean 0.05 sd, n = 1,000", "numeric", 1_000, 2.0, Moved(0.05, 1.0))

DRIFTS = (
    Drift("mean 0.1 sd, n = 200", "numeric", 200, 1.6, Moved(0.1, 1.0)),
    Drift("mean 0.1 sd, n = 1,000", "numeric", 1_000, 1.6, Moved(0.1, 1.0)),
    Drift("mean 0.1 sd, n = 5,000", "numeric", 5_000, 1.6, Moved(0.1, 1.0)),
    Drift("mean 0.25 sd, n = 200", "numeric", 200, 1.6, Moved(0.25, 1.0)),
    Drift("mean 0.5 sd, n = 200", "numeric", 200, 1.6, Moved(0.5, 1.0)),
    Drift("variance x 1.2, n = 1,000", "numeric", 1_000, 1.6, Moved(0.0, 1.2**0.5)),
    Drift("new category 2 %, n = 200", "categorical", 200, 1.2, _NEW),
    Drift("missing 0 to 2 %, n = 200", "numeric", 200, 1.2, _MISSING),
    Drift('2 % more in "other", n = 1,000', "categorical", 1_000, 2.5, _OTHER),
)
