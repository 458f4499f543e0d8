"""Undisturbed signals of everyday data, as baselines are made of them: the cases that once broke.

Each signal is a model of its own, with windows of a minute and one false alarm a month allowed.
What its baseline and its windows are drawn from is known, so that nothing has drifted.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy import stats

import _harness  # noqa: F401 - puts the product on the path
from support.sampled import sampled_histogram, sampled_signal
from tidegauge.baseline import Baseline, Dependence, NumericSignal, Signal
from tidegauge.baseline.io.signals import categorical_signal
from tidegauge.contract import SignalHistogram
from tidegauge.sequential import SignalReference, clustered_effect, rows_effect
from tidegauge.windows.evidence import BaselineLayout
from tidegauge.windows.outside import Range

Floats = npt.NDArray[np.float64]

#: Missing, not finite, invalid.
_BESIDE = (0.0, 0.0, 0.0)


class Law(Protocol):
    """What values are drawn from."""

    def signal(self, rows: int, rng: np.random.Generator) -> Signal:
        """Return the signal of a baseline of so many rows."""

    def shares(self, signal: Signal) -> Floats:
        """Return the true shares of the signal's bins, as the detector lays them out."""

    def histogram(self, signal: Signal, size: int, rng: np.random.Generator) -> SignalHistogram:
        """Return what INGEST counts of so many values."""


@dataclass(frozen=True)
class Continuous:
    """Values of a continuous law."""

    law: object = field(default_factory=stats.norm)

    def moved(self, by: float) -> object:
        """Return the law with another mean."""
        return stats.norm(by)

    def values(self, size: int, rng: np.random.Generator) -> Floats:
        """Draw values."""
        return np.asarray(self.law.rvs(size=size, random_state=rng))  # type: ignore[attr-defined]

    def signal(self, rows: int, rng: np.random.Generator) -> NumericSignal:
        """Return the signal of a baseline of so many rows."""
        return sampled_signal(self.values(rows, rng))

    def shares(self, signal: Signal) -> Floats:
        """Return the shares; all values outside of the range are taken to be known as such."""
        assert isinstance(signal, NumericSignal)
        its = Range.of(signal)
        if its is None:
            ends = np.array([-np.inf, *signal.edges, np.inf])
            return np.array([*np.diff(self._below(ends)), *_BESIDE])
        inside = np.diff(self._below(np.array([its.low, *signal.edges, its.high])))
        return np.array([*inside, *_BESIDE, 1 - inside.sum()])

    def histogram(self, signal: Signal, size: int, rng: np.random.Generator) -> SignalHistogram:
        """Return what INGEST counts of so many values."""
        assert isinstance(signal, NumericSignal)
        return sampled_histogram(self.values(size, rng), signal)

    def _below(self, ends: Floats) -> Floats:
        return np.asarray(self.law.cdf(ends))  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Atoms:
    """Numbers of which there are few, in order."""

    atoms: tuple[float, ...]
    weights: tuple[float, ...]

    def signal(self, rows: int, rng: np.random.Generator) -> NumericSignal:
        """Return the signal of a baseline of so many rows."""
        return sampled_signal(np.repeat(self.atoms, rng.multinomial(rows, self.weights)))

    def shares(self, signal: Signal) -> Floats:
        """Return the shares of the bins that the numbers are in."""
        assert isinstance(signal, NumericSignal)
        its = Range.of(signal)
        found = np.zeros(len(signal.counts) + len(_BESIDE) + (its is not None))
        for atom, weight in zip(self.atoms, self.weights, strict=True):
            outside = its is not None and not its.low <= atom <= its.high
            found[-1 if outside else np.searchsorted(signal.edges, atom, side="right")] += weight
        return found

    def histogram(self, signal: Signal, size: int, rng: np.random.Generator) -> SignalHistogram:
        """Return what INGEST counts of so many values."""
        assert isinstance(signal, NumericSignal)
        values = np.repeat(self.atoms, rng.multinomial(size, self.weights))
        return sampled_histogram(values, signal)


@dataclass(frozen=True)
class Categories:
    """So many categories, with shares by rank: 1 / rank ** exponent."""

    number: int
    exponent: float = 0.0

    @property
    def weights(self) -> Floats:
        """Return the share of each category."""
        found = np.arange(1, self.number + 1) ** -self.exponent
        return np.asarray(found / found.sum())

    def signal(self, rows: int, rng: np.random.Generator) -> Signal:
        """Return the signal of a baseline of so many rows."""
        counts = rng.multinomial(rows, self.weights).tolist()
        seen = Counter({f"c{at}": count for at, count in enumerate(counts) if count})
        return categorical_signal(seen, kind="string", are_text=False, missing=0)

    def shares(self, signal: Signal) -> Floats:
        """Return the shares of the bins, with the true share of what the baseline never saw."""
        assert not isinstance(signal, NumericSignal)
        weights = self.weights
        own = weights[[int(name[1:]) for name in signal.categories]]
        other = weights[[int(name[1:]) for name in signal.known]].sum()
        unseen = max(1 - own.sum() - other, 0.0)
        if not signal.known_complete:
            other, unseen = other + unseen, 0.0
        return np.array([*own, other, unseen, *_BESIDE])

    def histogram(self, signal: Signal, size: int, rng: np.random.Generator) -> SignalHistogram:
        """Return what INGEST counts of so many values."""
        shares = self.shares(signal)[: -len(_BESIDE)]
        return SignalHistogram(counts=rng.multinomial(size, shares).tolist())


class Watched(NamedTuple):
    """Signals as the detector lays them out, and windows of them, (signals, bins)."""

    layout: BaselineLayout
    window: Callable[[np.random.Generator], Floats]


@dataclass(frozen=True)
class Case:
    """Signals with baselines of so many rows, and windows of so many events.

    Every entity, such as a user, has ``each`` events, which are identical. ``known`` is what tells
    of that: a column of entities, the order of the rows, or nothing.
    """

    name: str
    law: Law
    rows: int
    events: int = 1_000
    each: int = 1
    known: str = ""

    def __str__(self) -> str:
        return f"{self.name}, n={self.events}, m={self.rows}"

    def baseline(self, signals: int, rng: np.random.Generator) -> Baseline:
        """Make a baseline of so many signals."""
        drawn = {f"s{at}": self.law.signal(self.rows // self.each, rng) for at in range(signals)}
        found = Baseline(model="m", version="1", rows=self.rows, source="bench", signals=drawn)
        if self.each > 1:
            effects = {}
            for name, its in drawn.items():
                repeated, effect = self._clustered(its, rng)
                found.signals[name], effects[name] = repeated, effect
            if self.known:
                found.dependence = Dependence(
                    found_by="entity" if self.known == "entity" else "rows",
                    design_effects={name: it for name, it in effects.items() if it > 1},
                )
        return found

    def _clustered(self, signal: Signal, rng: np.random.Generator) -> tuple[Signal, float]:
        """Return a signal with each row so many times, and the design effect that is found."""
        assert isinstance(signal, NumericSignal)
        counts = np.array([*signal.counts, 0, 0, 0])
        bins = rng.permutation(np.repeat(np.arange(len(counts)), counts))
        reference = SignalReference((self.each * counts).tolist(), len(signal.counts))
        if self.known == "entity":
            clusters = np.zeros((len(bins), len(counts)))
            clusters[np.arange(len(bins)), bins] = self.each
            effect = clustered_effect(clusters, reference)
        else:
            effect = rows_effect(np.repeat(bins, self.each), reference) or 1.0
        signal.counts = (self.each * counts[:-3]).tolist()
        return signal, float(f"{effect:.4g}")

    def watched(self, signals: int, rng: np.random.Generator) -> Watched:
        """Lay out a baseline of so many signals, each of which is a model of its own."""
        baseline = self.baseline(signals, rng)
        layout = BaselineLayout.of(baseline)
        shares = self.shares(baseline, layout)
        effects = 1.0 if layout.effects is None else layout.effects[:, None]

        def window(rng: np.random.Generator) -> Floats:
            drawn = rng.multinomial(self.events // self.each, shares)
            return np.asarray(self.each * drawn / effects)

        return Watched(layout, window)

    def shares(self, baseline: Baseline, layout: BaselineLayout) -> Floats:
        """Return the true shares of the signals' bins, (signals, bins)."""
        shares = np.zeros(layout.reference.counts.shape)
        for row, name in zip(shares, layout.names, strict=True):
            its = self.law.shares(baseline.signals[name])
            row[: len(its)] = its
        return shares


def _numeric(rows: int, events: int = 1_000) -> Case:
    return Case("numeric", Continuous(), rows, events)


def _binary(share: float, rows: int) -> Case:
    return Case(f"binary {share:.3g}", Atoms((0.0, 1.0), (1 - share, share)), rows)


#: Exponents of Zipf's law, 0 for values that are equally frequent.
CATEGORICAL: Sequence[Case] = (
    Case("200 values, Zipf 1.5", Categories(200, 1.5), 2_000),
    Case("1,000 values, Zipf 1", Categories(1_000, 1.0), 10_000),
    Case("1,000 values, equal", Categories(1_000), 3_000),
    Case("8,000 values, equal", Categories(8_000), 100_000),
    Case("100 values, equal", Categories(100), 10_000),
    Case("30 values, equal", Categories(30), 10_000),
)
RARE: Sequence[Case] = (
    _binary(0.01, 500),
    _binary(0.01, 2_000),
    _binary(0.0005, 10_000),
    Case("95 % zeros", Atoms((0.0, 1.0, 2.0), (0.95, 0.04, 0.01)), 500),
)
SMALL_BASELINES: Sequence[Case] = tuple(map(_numeric, (50, 100, 200, 500, 1_000, 2_000, 5_000)))
CLUSTERS: Sequence[Case] = tuple(
    Case(
        f"{each} identical events of each user, {by or 'unknown'}",
        Continuous(), rows, each=each, known=by,
    )
    for each in (2, 5, 50)
    for rows, by in (
        (10_000, ""), (10_000, "entity"), (10_000, "order of rows"), (100_000, "entity"),
    )
)  # fmt: skip
FIXED: Sequence[Case] = (
    *CATEGORICAL, *RARE, *SMALL_BASELINES, _numeric(150, 2_000), _numeric(300, 2_000), *CLUSTERS
)  # fmt: skip
QUICK: Sequence[Case] = (
    *CATEGORICAL[:2], *RARE[:2], RARE[3], SMALL_BASELINES[0], SMALL_BASELINES[3], CLUSTERS[1],
)  # fmt: skip
