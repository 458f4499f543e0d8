"""Joint signals: sums of a few scaled features, which show what no feature shows alone. Pure.

If two features lose their correlation, the distribution of each stays as it was, and that of their
sum changes. A joint signal is such a sum, counted and judged like every numeric signal:

    round(Σ weight · clip((x - centre) / scale, -4, 4), 1/1024)

INGEST computes it of each event, and ``baseline create`` of each row, by the same operations in the
same order, so that the same values always give the same bits. Clipped, no value is larger than a
few tens, be a feature as large as it may; rounded, the difference of two features that are the same
but for their last bits is 0, not noise. An event without a finite number in one of the features has
no value of it.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tidegauge.baseline.document import Baseline, FeatureScale, NumericSignal
from tidegauge.stats import Floats

#: Scales that a feature counts for at most; of normal ones, one value in 16,000 is farther out.
MOST_SCALES = 4.0

#: Parts of a scale that sums are rounded to.
_PARTS = 1024.0

#: What stands for no value: it is no sum of anything.
NO_VALUE = math.inf

#: Features of a projection, in turn. Of many, more pairs are together in one; of few, a change
#: shows more, and one that takes three features to be seen shows at all.
_SIZES = (8, 8, 4, 3)

#: Draws for each projection, until it is a new one.
_DRAWS = 64

#: Of a name, so many characters of features; more are counted.
_NAME_CHARACTERS = 200

#: Of a joint signal, by feature.
Weights = dict[str, float]


@dataclass(frozen=True, eq=False)
class JointSums:
    """How joint signals are computed: ``weights`` by signal and feature, and features' ``scales``.

    Features are taken in the order of their names, whatever the order in the document.
    """

    scales: Mapping[str, FeatureScale]
    weights: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, baseline: Baseline) -> "JointSums | None":
        """Return those of a baseline; None if it has no joint signals."""
        weights = {
            name: signal.sum_of
            for name, signal in baseline.signals.items()
            if isinstance(signal, NumericSignal) and signal.sum_of
        }
        return cls(baseline.scales or {}, weights) if weights else None

    @cached_property
    def features(self) -> list[str]:
        """Names of the features that are used, in order."""
        return sorted({name for its in self.weights.values() for name in its})

    @cached_property
    def _terms(self) -> list[list[tuple[int, float]]]:
        """Return for each signal the places of its features and their weights."""
        place = {name: at for at, name in enumerate(self.features)}
        return [[(place[name], its[name]) for name in sorted(its)] for its in self.weights.values()]

    @cached_property
    def _scales(self) -> list[tuple[float, float]]:
        return [(self.scales[name].centre, self.scales[name].scale) for name in self.features]

    def columns(self, numbers: Sequence[Floats]) -> list[Floats]:
        """Return a column for each signal; :data:`NO_VALUE` where one of its features has none.

        ``numbers`` has a column for each of ``features``; what is not finite is no value.
        """
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            scaled = [
                _scaled(column, *its) for column, its in zip(numbers, self._scales, strict=True)
            ]
            return [_sum(scaled, terms) for terms in self._terms]

    def of_event(self, numbers: Sequence[float]) -> list[float]:
        """Return what :meth:`columns` does for one row, without numpy, which is slow for one."""
        scaled = [
            min(max((x - centre) / scale, -MOST_SCALES), MOST_SCALES)
            if math.isfinite(x)
            else math.nan
            for x, (centre, scale) in zip(numbers, self._scales, strict=True)
        ]
        found = []
        for terms in self._terms:
            total = 0.0
            for place, weight in terms:
                total += weight * scaled[place]
            found.append(NO_VALUE if math.isnan(total) else round(total * _PARTS) / _PARTS)
        return found


def _scaled(column: Floats, centre: float, scale: float) -> Floats:
    """Return how many scales values are from the centre, NaN where there is none."""
    scaled = column - centre
    scaled /= scale
    np.clip(scaled, -MOST_SCALES, MOST_SCALES, out=scaled)
    if not math.isfinite(column.sum()):
        scaled[~np.isfinite(column)] = np.nan
    return scaled


def _sum(scaled: Sequence[Floats], terms: Sequence[tuple[int, float]]) -> Floats:
    total = np.zeros(len(scaled[0]))
    for place, weight in terms:
        if weight == 1.0:
            total += scaled[place]
        elif weight == -1.0:
            total -= scaled[place]
        else:
            total += weight * scaled[place]
    total *= _PARTS
    np.rint(total, out=total)
    total /= _PARTS
    total += 0.0  # -0.0 becomes 0.0
    if math.isnan(total.sum()):
        total[np.isnan(total)] = NO_VALUE
    return total


def joint_name(kind: str, number: int, weights: Weights) -> str:
    """Name a joint signal by its features, with their signs.

    >>> joint_name("pair", 1, {"income": 1.0, "age": -1.0})
    'joint pair 1: -age +income'
    """
    terms = [f"{'+' if weights[name] > 0 else '-'}{name}" for name in sorted(weights)]
    shown, size = list[str](), 0
    for term in terms:
        size += 1 + len(term)
        if size > _NAME_CHARACTERS:
            break
        shown.append(term)
    if len(shown) < len(terms):
        shown.append(f"and {len(terms) - len(shown)} more")
    return f"joint {kind} {number}: {' '.join(shown)}"


def _hash(*parts: object) -> bytes:
    return hashlib.sha256("\0".join(map(str, parts)).encode(errors="surrogatepass")).digest()


def draw_projections(features: list[str], number: int, known: Sequence[Weights]) -> list[Weights]:
    """Draw sums of some features with equal weights and random signs, none of them twice.

    The features are dealt like cards, so each is in about as many as any other. What is random is a
    hash of names: the same features have the same projections in every table and on every machine.
    """
    seen = {_key(its) for its in known}
    found: list[Weights] = []
    cards = _cards(features)
    for draw in range(_DRAWS * number):
        if len(found) == number:
            break
        size = min(len(features), _SIZES[len(found) % len(_SIZES)])
        hand: list[str] = []
        while len(hand) < size:
            card = next(cards)
            if card not in hand:
                hand.append(card)
        signs = {name: 1.0 if _hash("sign", draw, name)[0] & 1 else -1.0 for name in sorted(hand)}
        first = next(iter(signs.values()))
        weights = {name: sign * first for name, sign in signs.items()}
        if _key(weights) not in seen:
            seen.add(_key(weights))
            found.append(weights)
    return found


def _key(weights: Weights) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(weights.items()))


def _cards(features: list[str]) -> Iterator[str]:
    """Yield the features over and over, each time in another order."""
    deal = 0
    while True:
        yield from sorted(features, key=lambda name: _hash("order", deal, name))
        deal += 1
