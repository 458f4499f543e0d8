"""The mean over a span, compared with what the longest span remembers and with the baseline.

An exponential memory holds windows from before a step, and the baseline has an error that stays.
Both are in the longest span too. So of the mean of a score over a span of 4 or 16 windows, the part
c of that over the longest span L is taken off,

    D = mean over the span - c · mean over L - (1 - c) · mean of the baseline,

which without a change has the variance σ² (1/n + (1 - c)²/m), with σ² that of the score, and

    1/n = Q/N² + c² Q_L/N_L² - 2c Σ_j n_j (q q_L)^j / (N N_L),

N and Q being those of ``ewma.py``, q = 1 - λ, and n_j the events of the window that is j old. The
weight c is the one with which a step of as many windows as the span is long stands out most, that
of generalised least squares of both means (Rao 1973, 4a). It depends on numbers of events alone, so
D has mean 0 whatever it is. It is 0 for a single window of a baseline without an error and near 1
for a small baseline, of which D then hardly depends: what came before is the better one.

The last sum is not remembered. Both memories know Σ n_j p^j for seven other p, and (q q_L)^j is at
least Σ a_p p^j for every j, with the coefficients :data:`AT_LEAST` (found by linear programming).
So 1/n is an upper bound, whatever windows there were, of windows of one size by 0.1 to 2.5 %.

What is counted by bins is taken for that of one law, whose shares are those of the longest span and
the baseline together: without a change, the best estimate that there is.
"""

from typing import NamedTuple

import numpy as np

from tidegauge.sequential.conditional import contrast_squares
from tidegauge.sequential.ewma import KEEP, LAMBDAS, Memory
from tidegauge.sequential.reference import Reference, bin_scores
from tidegauge.sequential.tails import chi2_surprise, unskewed
from tidegauge.stats import Floats, Places

#: Places of the spans that are contrasted with the longest one.
CONTRASTED = (1, 2)

_LONGEST = len(LAMBDAS) - 1

#: a_p of each of these spans, for p = 0, q², q of the second, the third and the fourth memory.
AT_LEAST = (
    (-0.0064, 0.0701, 0.9657, -0.0364, 0.0082, -0.0015, 0.0),
    (-0.0125, 0.0976, -0.22, 0.503, 0.6818, -0.05, 0.0),
)

#: Variances are no smaller than so much of the span's own: of the first windows both means are one.
_LEAST_VARIANCE = 1e-3

#: A baseline counts for at most so many times the events of the windows.
_MOST = 1e6


class Contrast(NamedTuple):
    """Weight c, events n and grain of each span, (…, 4, signals); ``counts`` (…, 1, signals, bins).

    The weight is 0 where there is no contrast. ``counts`` are the effective ones of the longest
    span, ``grains`` as in ``conditional.py``: Σ u³ / (Σ u²)², with the weights u of windows of one
    size in D.
    """

    weights: Floats
    events: Floats
    grains: Floats
    counts: Floats

    @classmethod
    def of(cls, memory: Memory, baseline_events: Floats) -> "Contrast":
        """Contrast what is remembered, after one window or after many; the latter is (signals,)."""
        total, squared = memory.total, memory.squared
        m_inverse = 1 / baseline_events
        weights, events = np.zeros_like(total), memory.events()
        grains = np.ones_like(total)
        n = total[..., _LONGEST, :]
        there = n > 0
        safe = np.where(there, n, 1.0)
        longest = squared[..., _LONGEST, :] / safe**2
        known = (total[..., 0, :], *(it[..., at, :] for at in (1, 2, 3) for it in (squared, total)))
        for place, span in enumerate(CONTRASTED):
            its = np.where(there, total[..., span, :], 1.0)
            own = squared[..., span, :] / its**2
            both = np.zeros_like(n)
            for coefficient, sum_ in zip(AT_LEAST[place], known, strict=True):
                both += coefficient * sum_
            both /= its * safe
            f, g = _seen(span)
            above = (both + m_inverse) * f - (own + m_inverse) * g
            below = (longest + m_inverse) * f - (both + m_inverse) * g
            c = np.divide(above, below, out=np.zeros_like(n), where=there & (below > 0))
            c = np.minimum(np.maximum(c, 0.0), 1.0)
            least = _LEAST_VARIANCE * own
            variance = np.maximum(own + c**2 * longest - 2 * c * both, least)
            weights[..., span, :] = c
            events[..., span, :] = np.divide(
                1.0, variance, out=events[..., span, :].copy(), where=variance > 0
            )
            grains[..., span, :] = _grain(c, span)
        effective = (
            memory.counts[..., _LONGEST:, :, :]
            * np.divide(n, squared[..., _LONGEST, :], out=np.zeros_like(n), where=there)[
                ..., None, :, None
            ]
        )
        return cls(weights, events, grains, effective)

    @classmethod
    def again(cls, span: int, weight: float, events: float, counts: Floats) -> "Contrast":
        """Return that of one signal, from what is known of it; ``counts`` are (1, bins)."""
        its = np.array([weight])
        return cls(its, np.array([events]), _grain(its, span), counts)

    def of_rows(self, where: tuple[Places, ...]) -> "Contrast":
        """Return those of some places in counts (…, signals, bins): (some,) and (some, bins)."""
        whole = np.broadcast_to(self.counts, (*self.weights.shape, self.counts.shape[-1]))
        return Contrast(self.weights[where], self.events[where], self.grains[where], whole[where])

    def moment(self, reference: Reference, means: Floats) -> tuple[Floats, Floats]:
        """Return D of the linear scores as a standard normal, and its skewness; (…, 4, signals).

        ``means`` are those over the spans, of the same shape. 0 where the score does not vary.
        """
        score, counts = reference.linear, self.counts
        square = score * score
        n, m = np.einsum("...b,...b->...", counts, reference.in_order), reference.ordered_total
        first, second, third = (
            np.einsum("...b,...b->...", counts, it) for it in (score, square, square * score)
        )
        earlier = first / np.maximum(n, 1.0)
        of_baseline = np.einsum("...b,...b->...", reference.counts, square)
        total = np.maximum(n + m, 1.0)
        mean, second = first / total, (second + of_baseline) / total
        third = (third + reference.third_moments[0]) / total
        variance = second - mean**2
        third = third - 3 * mean * second + 2 * mean**3
        n_inverse, m_inverse = self._inverses(counts, n, m)
        left = 1 - self.weights
        error = np.sqrt(n_inverse + left**2 * m_inverse)
        varies = variance > 0
        size = np.sqrt(np.where(varies, variance, 1.0))
        z = np.where(varies, (means - self.weights * earlier) / (size * error), 0.0)
        lean = (self.grains * n_inverse**2 - left**3 * m_inverse**2) / error**3
        return z, np.where(varies, third / size**3 * lean, 0.0)

    def surprise(self, reference: Reference, means: Floats) -> Floats:
        """Return -ln p of D as a normal one, nats, after the correction of its skewness."""
        return chi2_surprise(unskewed(*self.moment(reference, means)) ** 2, 1)

    def squares(self, counts: Floats, baseline: Floats, ordered: Floats) -> Floats:
        """Return D² as that of a standard normal of the same tail, of rows, (rows,).

        ``counts`` of the spans, those of the ``baseline`` and ``ordered`` are (rows, bins).
        """
        counts, baseline, earlier = (it * ordered for it in (counts, baseline, self.counts))
        n, m, before = (
            np.maximum(it.sum(axis=-1, keepdims=True), 1.0) for it in (counts, baseline, earlier)
        )
        both, c = earlier + baseline, self.weights[:, None]
        score = bin_scores(both)[0] * ordered
        shares = counts / n - c * (earlier / before) - (1 - c) * (baseline / m)
        difference = np.einsum("rb,rb->r", shares, score)
        n_inverse, m_inverse = self._inverses(self.counts, before[:, 0], m[:, 0])
        m_inverse = np.maximum((1 - self.weights) ** 2 * m_inverse, n_inverse / _MOST)
        return contrast_squares(score, both, difference, 1 / n_inverse, 1 / m_inverse, self.grains)

    def _inverses(self, counts: Floats, n: Floats, m: Floats) -> tuple[Floats, Floats]:
        """Return 1/n and 1/m of the events with a value: of all, so many of the longest span."""
        all_ = counts.sum(axis=-1)
        some = np.divide(n, all_, out=np.ones_like(n), where=all_ > 0)
        return 1 / np.maximum(self.events * some, 1.0), 1 / np.maximum(m, 1.0)


def _seen(span: int) -> tuple[float, float]:
    """Return what a span and the longest one have seen of a step as old as the span is long."""
    age = 1 / LAMBDAS[span]
    return float(1 - KEEP[span] ** age), float(1 - KEEP[_LONGEST] ** age)


def _grain(c: Floats, span: int) -> Floats:
    """Return Σ u³ / (Σ u²)² of u_j = λ q^j - c · λ_L q_L^j."""
    a, q, p = LAMBDAS[span], KEEP[span], KEEP[_LONGEST]
    b = c * LAMBDAS[_LONGEST]
    square = a**2 / (1 - q**2) - 2 * a * b / (1 - q * p) + b**2 / (1 - p**2)
    cube = (
        a**3 / (1 - q**3)
        - 3 * a**2 * b / (1 - q**2 * p)
        + 3 * a * b**2 / (1 - q * p**2)
        - b**3 / (1 - p**3)
    )
    return np.asarray(cube / square**2)


def _carried(span: int) -> float:
    """Return how much of D is in the next window's too, with c = 1 and windows of one size.

    With c = 1 that is least: of the baseline's error, which stays, nothing is in it.
    """
    a, b, q, p = LAMBDAS[span], LAMBDAS[_LONGEST], KEEP[span], KEEP[_LONGEST]
    parts = a**2 / (1 - q**2), a * b / (1 - q * p), b**2 / (1 - p**2)
    both = q * parts[0] - (q + p) * parts[1] + p * parts[2]
    return float(both / (parts[0] - 2 * parts[1] + parts[2]))


#: The correlation of D from window to window: at least that, of windows of one size.
CARRIED = [_carried(span) for span in CONTRASTED]
