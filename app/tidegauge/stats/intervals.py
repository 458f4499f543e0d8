"""Intervals of 95 %, each by a method that has a name; and the same at other levels."""

from math import exp, inf, log, sqrt

from msgspec import UNSET
from scipy.special import betaincinv, stdtrit

from tidegauge.contract import Figure, IntervalMethod

#: The normal quantile of 97.5 %: intervals are two-sided and of 95 %.
Z = 1.959963984540054


def wilson(hits: float, n: float) -> tuple[float, float]:
    """Return the score interval of a proportion; 0 to 1 if ``n`` is 0.

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). It has a width where all or none are hits.
    Raises ``ValueError`` if hits are not between 0 and ``n``.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".

    >>> [round(end, 4) for end in wilson(9, 10)], wilson(0, 0)
    ([0.5958, 0.9821], (0.0, 1.0))
    """
    if not 0 <= hits <= n:
        raise ValueError(f"hits: found {hits}, expected 0 to n = {n}")
    if n == 0:
        return 0.0, 1.0
    # Numbers of numpy have no JSON form.
    hits, n = float(hits), float(n)
    p = hits / n
    middle, half = p + Z * Z / (2 * n), Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    # Rounding may leave 1e-17 where the end is 0 or 1.
    low = 0.0 if hits == 0 else (middle - half) / scale
    high = 1.0 if hits == n else (middle + half) / scale
    return low, high


def newcombe(hits: float, n: float, other_hits: float, other_n: float) -> tuple[float, float]:
    """Return the interval of p - p', the difference of two independent proportions.

    By the square-and-add of Wilson's limits. -1 to 1 if a side has none.
    Raises ``ValueError`` if hits are not between 0 and their n.

    Source: Newcombe 1998, "Interval Estimation for the Difference Between Independent Proportions",
    method 10.

    >>> [round(end, 4) for end in newcombe(56, 70, 48, 80)]
    [0.0524, 0.3339]
    """
    a, b = wilson(hits, n), wilson(other_hits, other_n)
    if not n or not other_n:
        return -1.0, 1.0
    p, q = hits / n, other_hits / other_n
    return square_and_add([(1.0, p, *a), (-1.0, q, *b)])


def square_and_add(terms: list[tuple[float, float, float, float]]) -> tuple[float, float]:
    """Return the interval of Σ w p of independent proportions: (w, p, low, high) of each.

    The variance at each end is recovered from the limits of the parts (MOVER).

    Source: Zou & Donner 2008, "Construction of Confidence Limits About Effect Measures".
    """
    middle = sum(w * p for w, p, _, _ in terms)
    below = sum((w * (p - (low if w > 0 else high))) ** 2 for w, p, low, high in terms)
    above = sum((w * (p - (high if w > 0 else low))) ** 2 for w, p, low, high in terms)
    return middle - sqrt(below), middle + sqrt(above)


def logit_interval(p: float, standard_error: float) -> tuple[float, float]:
    """Return the interval of a p inside 0…1, normal on the scale of ln(p / (1 - p)).

    >>> [round(end, 4) for end in logit_interval(0.9, 0.03)]
    [0.824, 0.9453]
    """
    middle, half = log(p / (1 - p)), Z * standard_error / (p * (1 - p))
    return _logistic(middle - half), _logistic(middle + half)


def log_interval(value: float, standard_error: float) -> tuple[float, float]:
    """Return the interval of a positive value, normal on the scale of its logarithm."""
    half = Z * standard_error / value
    return value * exp(-half), (value * exp(half) if half < 700 else inf)


def normal_interval(
    value: float, variance: float, low: float = -inf, high: float = inf
) -> tuple[float, float]:
    """Return value ± z √variance, cut off at the ends of its range."""
    value, half = float(value), Z * sqrt(max(variance, 0.0))
    return max(value - half, low), min(value + half, high)


def _logistic(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def proportion(hits: float, n: float, method: IntervalMethod = "wilson") -> Figure:
    """Return hits / n with Wilson's interval; ``n`` must be above 0."""
    low, high = wilson(hits, n)
    return Figure(n=round(n), value=hits / n, low=low, high=high, method=method)


def at_chance(figure: Figure, chance: float) -> tuple[float, float] | None:
    """Return the interval outside of which, at either end, the truth is with ``chance``.

    Of proportions by Clopper and Pearson, who keep to any chance; Wilson's normal tail is too short
    for small ones, by a factor of 5 at 1e-4 and of 300 at 1e-5 where few are wrong. F1 = 2 J / (1 +
    J) is one of the proportion J. Of other figures, each half of the interval of 95 % is made
    longer as Student's quantile of n - 1 is, on the scale that its method has: the logit, the
    logarithm, or the value itself. ``interval_n`` takes the place of n where the figure has it: the
    variance of an area under a curve is known no better than the smaller class lets it be. None if
    the figure has no interval.

    Source: Clopper & Pearson 1934, "The Use of Confidence or Fiducial Limits Illustrated in the
    Case of the Binomial".

    >>> [round(end, 4) for end in at_chance(proportion(90, 100), 1e-4) or ()]
    [0.7462, 0.9772]
    """
    value, low, high = figure.value, figure.low, figure.high
    n = figure.n if figure.interval_n is UNSET else figure.interval_n
    if value is None or low is None or high is None:
        return None
    if figure.method == "wilson":
        return clopper_pearson(round(value * n), n, chance)
    if figure.method == "wilson_jaccard":
        below, above = clopper_pearson(round(value / (2 - value) * n), n, chance)
        return 2 * below / (1 + below), 2 * above / (1 + above)
    longer = -float(stdtrit(max(n - 1, 1), chance)) / Z
    if figure.method in ("logit", "delong_logit") and 0 < low <= value <= high < 1:
        middle, *ends = (log(it / (1 - it)) for it in (value, low, high))
        below, above = (_logistic(middle + (it - middle) * longer) for it in ends)
        return below, above
    if figure.method == "log_normal" and 0 < low <= value:
        below, above = (log(it / value) * longer for it in (low, high))
        return value * exp(below), (value * exp(above) if above < 700 else inf)
    return value - (value - low) * longer, value + (high - value) * longer


def clopper_pearson(hits: int, n: int, chance: float) -> tuple[float, float]:
    """Return the ends between which a proportion is but for ``chance`` at each.

    >>> [round(end, 4) for end in clopper_pearson(9, 10, 0.025)]
    [0.555, 0.9975]
    """
    low = float(betaincinv(hits, n - hits + 1, chance)) if hits > 0 else 0.0
    high = 1 - float(betaincinv(n - hits, hits + 1, chance)) if hits < n else 1.0
    return low, high
