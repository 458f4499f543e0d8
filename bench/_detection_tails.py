"""How often each score is beyond a level without a drift, out where the thresholds of models are.

At 15 nats a score may be beyond the level once in 3,269,017 windows, which no simulation of windows
reaches. Of a binary signal all pairs of counts are added up; of others, and of the memories, counts
are drawn from a mixture of drifts and weighed by their likelihood ratio (importance sampling with
the balance heuristic, Veach & Guibas 1995).
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, logsumexp
from scipy.stats import binom

from _detection_contrast import contrasted
from tidegauge.baseline import numeric_counts, numeric_edges
from tidegauge.sequential import GRAINS, LAMBDAS, SCORES, Reference, SignalReference, surprises

Floats = npt.NDArray[np.float64]

#: Nats: a model of 20 to 50 signals with windows of a minute and one false alarm a month.
LEVELS = (15.0, 16.0)

#: Bins of missing values and of those that are not finite.
_SPECIALS = 2

#: Pairs of counts less probable than this don't add to a tail of 1e-7.
_NEGLIGIBLE = 1e-16

#: Standard deviations that drifts go to, about where a score is beyond the levels.
_AIMS = (-5.5, 4.5, 5.5, 7.0)

#: Times the variance, where G of many bins is beyond.
_WIDER = (3.0, 4.5, 6.0)

#: A memory of λ is full after so many times 1/λ windows.
_FULL = 5

#: As many directions as there are tilts for.
_FEW_BINS = 3

#: A set of exponents of the tilts is cut here.
_MOST = 8.0


def _of_ranks(m: int) -> Floats:
    """Return the counts of a baseline in bins at its own quantiles."""
    values = np.arange(float(m))
    return numeric_counts(values, numeric_edges(values)).astype(np.float64)


_QUANTILES = _of_ranks(10_000) / 10_000


class Case(NamedTuple):
    """A signal of true ``shares``, ordered or not, and both numbers of events."""

    kind: str
    shares: tuple[float, ...]
    events: int
    baseline: int
    ordered: bool = True

    def __str__(self) -> str:
        return f"{self.kind}, n={self.events}, m={self.baseline}"


class Tail(NamedTuple):
    """P(beyond) ÷ what the level allows, by score, and its standard error; the worse level's.

    ``span`` is how many windows the memory is of; ``in_alarm`` is the share of the windows in which
    any of the scores is beyond the lower level.
    """

    case: str
    span: int
    in_alarm: float
    ratios: dict[str, float]
    errors: dict[str, float]


def _binary(share: float, n: int, m: int) -> Case:
    return Case(f"binary {share:.3g}", (1 - share, share), n, m)


def _numeric(n: int, m: int) -> Case:
    return Case("numeric", tuple(_QUANTILES.tolist()), n, m)


BINARY = (
    _binary(0.01, 1_000, 500),
    _binary(0.01, 1_000, 2_000),
    _binary(0.0005, 10_000, 10_000),
    _binary(0.0005, 1_000, 500),
    _binary(0.01, 200, 100_000),
)
SPARSE = (
    *(Case("95 % zeros", (0.95, 0.04, 0.01), n, 500) for n in (200, 1_000)),
    Case("rare levels", (0.97, 0.02, 0.005, 0.003, 0.001, 0.0007, 0.0003), 1_000, 2_000, False),
)
NUMERIC = tuple(_numeric(n, m) for m in (500, 2_000, 10_000, 100_000) for n in (200, 1_000, 10_000))
ALL = (*BINARY, *SPARSE, *NUMERIC)
QUICK = (
    *BINARY[:3],
    *SPARSE[1:],
    _numeric(1_000, 500),
    _numeric(10_000, 500),
    _numeric(200, 2_000),
)


def tails(
    cases: Sequence[Case], *, seed: int, samples: int = 40_000, spans: Sequence[int] = (0, 1)
) -> Iterator[Tail]:
    """Measure each case in memories of ``spans``, places in ``LAMBDAS``."""
    for case in cases:
        for place in spans:
            rng = np.random.default_rng([seed, 5, place, *map(ord, str(case))])
            weights, found = _sampled(case, place, samples, rng)
            tail = _tail(case, place, weights, found)
            yield _with_contrast(tail, case, place, samples // 4, rng) if place else tail


def _with_contrast(
    tail: Tail, case: Case, place: int, samples: int, rng: np.random.Generator
) -> Tail:
    """Put the mean's tail in that is contrasted with the longest span, as the detector has it."""
    if not case.ordered:
        return tail
    logs, found = contrasted(np.array(case.shares), case.events, case.baseline, place, samples, rng)
    weights = np.exp(logs)
    sums = {at: np.exp(at) * weights * (found > at) for at in LEVELS}
    worse = max(sums.values(), key=lambda it: float(it.sum()))
    return tail._replace(
        ratios={**tail.ratios, "mean": round(float(worse.sum()), 3)},
        errors={**tail.errors, "mean": round(float(np.sqrt((worse**2).sum())), 3)},
    )


def _tail(case: Case, place: int, log_weights: Floats, found: Floats) -> Tail:
    """``found`` (samples, scores) with the logarithm of what each sample counts for."""
    weights = np.exp(log_weights)[:, None]
    by_level = np.stack([np.exp(it) * weights * (found > it) for it in LEVELS])
    sums, errors = by_level.sum(axis=1), np.sqrt((by_level**2).sum(axis=1))
    worse, columns = sums.argmax(axis=0), np.arange(len(SCORES))
    by_score = zip(
        SCORES,
        sums[worse, columns].round(3).tolist(),
        errors[worse, columns].round(3).tolist(),
        strict=True,
    )
    # The tilts of memories are drifts in one direction: not those that a shape of many bins is of.
    bins = len(case.shares)
    known = [it for it in by_score if place == 0 or bins <= _FEW_BINS or it[0] != "shape"]
    if not case.ordered:
        known = [it for it in known if it[0] in ("shape", "bin")]
    ratios, theirs = {it: ratio for it, ratio, _ in known}, {it: error for it, _, error in known}
    scored = [SCORES.index(it) for it in ratios]
    any_beyond = (found[:, scored] > LEVELS[0]).any(axis=1)
    in_alarm = float(f"{weights[any_beyond].sum():.3g}")
    return Tail(str(case), round(1 / LAMBDAS[place]), in_alarm, ratios, theirs)


def _sampled(
    case: Case, place: int, samples: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return logarithms of weights, (samples,), and the scores, (samples, 4)."""
    if place == 0 and case.kind.startswith("binary"):
        counts, theirs, weights = _all_pairs(case)
    elif place == 0 and case.kind == "numeric":
        counts, weights = _by_ranks(case, samples, rng)
        theirs = _of_ranks(case.baseline)[None]
    else:
        counts, theirs, weights = _two_samples(case, place, samples, rng)
    bins = len(case.shares)
    kinds, which = np.unique(theirs, axis=0, return_inverse=True)
    beside = [0] * _SPECIALS
    laid_out = Reference.of(
        [
            SignalReference([*row, *beside], bins if case.ordered else 0)
            for row in kinds.astype(int).tolist()
        ]
    )
    rows = Reference(*(getattr(laid_out, it.name)[which.ravel()] for it in fields(Reference)))
    counts = np.pad(counts, ((0, 0), (0, _SPECIALS)))
    return weights, surprises(rows, counts, GRAINS[place])


def _all_pairs(case: Case) -> tuple[Floats, Floats, Floats]:
    """Return all counts that are probable at all, and the logarithm of their probability."""
    share = case.shares[1]
    sides = case.events, case.baseline
    some = []
    for n in sides:
        low, high = binom.ppf([_NEGLIGIBLE, 1 - _NEGLIGIBLE], n, share).tolist()
        some.append(np.arange(max(low - 3, 0.0), min(high + 3, n) + 1))
    a, b = (it.ravel() for it in np.meshgrid(*some, indexing="ij"))
    logs = binom.logpmf(a, sides[0], share) + binom.logpmf(b, sides[1], share)
    both = (np.stack([n - it, it], axis=-1) for n, it in zip(sides, (a, b), strict=True))
    return (*both, logs)


def _by_ranks(case: Case, samples: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw windows of a continuous signal whose bins are at its baseline's quantiles.

    The baseline's counts are fixed, and the true shares of its bins have Dirichlet's law: counts of
    a window are Dirichlet-multinomial.
    """
    n, baseline = case.events, _of_ranks(case.baseline)
    reference = Reference.of([SignalReference(baseline.astype(int).tolist(), len(baseline))])
    law = baseline.copy()
    law[0] += 1  # of order statistics: one more spacing than values
    p, m = law / law.sum(), law.sum()
    error = np.sqrt(1 / n + 1 / m)
    laws = [law]
    for direction in _directions(p, reference):
        for aim in _AIMS:
            shares = p * np.exp(np.clip(aim * error * direction, -_MOST, _MOST))
            laws.append(m * shares / shares.sum())
    laws.extend(p / max(times * error**2 - 1 / n, 1e-12) for times in _WIDER)
    parts = _parts(samples, len(laws), reference, len(_WIDER))
    counts = np.concatenate(
        [
            rng.multinomial(n, rng.dirichlet(one, len(part))).astype(np.float64)
            for one, part in zip(laws, parts, strict=True)
        ]
    )
    return counts, _weights([_polya(counts, it) for it in laws], parts)


def _directions(p: Floats, reference: Reference) -> list[Floats]:
    """Return what a signal may be off by: mean, spread, each bin; of unit variance."""
    bins = len(p)
    found = [it[0, :bins] for it in (reference.linear, reference.quadratic) if it.any()]
    for at in range(bins):
        found.append(((np.arange(bins) == at) - p[at]) / np.sqrt(p[at] * (1 - p[at])))
    return found


def _parts(
    samples: int, laws: int, reference: Reference, wider: int = 0
) -> list[npt.NDArray[np.intp]]:
    """Share samples out: as many to mean and spread, and to all bins at once, as to the others.

    Mean and spread come first, after what has no drift; last the ``wider`` ones of all bins.
    """
    of_moments = (int(reference.linear.any()) + int(reference.quadratic.any())) * len(_AIMS)
    others = laws - of_moments - wider
    size = np.ones(laws)
    if of_moments:
        size[1 : 1 + of_moments] = others / of_moments
    if wider:
        size[-wider:] = others / wider
    ends = np.round(np.cumsum(size) / size.sum() * samples).astype(int)
    return np.split(np.arange(samples), ends[:-1])


def _polya(counts: Floats, law: Floats) -> Floats:
    """Return ln P of Dirichlet-multinomial counts, without what is the same under any law."""
    total = law.sum()
    shift = gammaln(total) - gammaln(total + counts.sum(axis=-1))
    result: Floats = shift + (gammaln(counts + law) - gammaln(law)).sum(axis=-1)
    return result


def _weights(logs: Sequence[Floats], parts: Sequence[npt.NDArray[np.intp]]) -> Floats:
    """Return ln(probability ÷ that under the mixture) of each sample, less ln samples.

    ``logs`` are ln P under each law, the first being that without a drift.
    """
    samples = sum(map(len, parts))
    mixed = [one + np.log(len(part) / samples) for one, part in zip(logs, parts, strict=True)]
    return np.asarray(logs[0] - logsumexp(np.stack(mixed), axis=0) - np.log(samples))


def _two_samples(
    case: Case, place: int, samples: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Draw what a full memory has, and a baseline, in fixed bins.

    Both sides are tilted along each direction, the windows of a memory by their weights.
    """
    q, n, m = np.array(case.shares), case.events, case.baseline
    expected = np.maximum(np.round(q * 1e6), 1).astype(int)
    reference = Reference.of([SignalReference(expected.tolist(), len(q) if case.ordered else 0)])
    keep = (1 - LAMBDAS[place]) ** np.arange(max(round(_FULL / LAMBDAS[place]), 1))
    keep = keep[:1] if place == 0 else keep
    weights = keep * keep.sum() / (keep**2).sum()  # of an event among the effective ones
    effective = n * weights.sum()
    error = np.sqrt(1 / effective + 1 / m)
    tilts = [(np.zeros_like(q), np.zeros_like(q))]
    for direction in _directions(q, reference):
        for aim in _AIMS:
            by = aim / error * direction
            tilts.append((_cut(by / effective), _cut(-by / m)))
    parts = _parts(samples, len(tilts), reference)
    drawn, theirs = [], []
    for (up, down), part in zip(tilts, parts, strict=True):
        shares = q * np.exp(weights[:, None] * up)
        counts = rng.multinomial(n, _normed(shares), (len(part), len(weights)))
        drawn.append(np.einsum("swb,w->sb", counts, weights))
        theirs.append(rng.multinomial(m, _normed(q * np.exp(down)), len(part)))
    a, b = np.concatenate(drawn), np.concatenate(theirs).astype(np.float64)
    logs = [
        a @ up
        + b @ down
        - n * np.log(np.exp(weights[:, None] * up) @ q).sum()
        - m * np.log(np.exp(down) @ q)
        for up, down in tilts
    ]
    return a, b, _weights(logs, parts)


def _cut(exponents: Floats) -> Floats:
    return np.asarray(np.clip(exponents, -_MOST, _MOST))


def _normed(shares: Floats) -> Floats:
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))
