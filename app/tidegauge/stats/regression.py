"""Figures of predicted numbers, from sums over rows and a histogram of residuals.

``RegressionMoments`` has the sums; e is prediction minus actual, y the actual, and the sums of
powers of actuals are of y minus a centre near them. The sums are exact, so that a figure that is a
difference of two large ones, such as a variance, loses no digits.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from math import inf, isfinite, sqrt

from tidegauge.contract import Figure, no_figure
from tidegauge.stats.intervals import Z, log_interval, normal_interval
from tidegauge.stats.values import histogram_quantile

#: The quantiles of the residuals that are figures.
RESIDUAL_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class RegressionMoments:
    """Exact sums over ``n`` rows; the relative ones over the ``relative_n`` rows with y not 0."""

    n: int
    error: Fraction
    absolute: Fraction
    squared: Fraction
    fourth: Fraction
    relative_n: int
    relative: Fraction
    relative_squared: Fraction
    actual: Fraction
    actual_squared: Fraction
    actual_cubed: Fraction
    actual_fourth: Fraction
    squared_by_actual: Fraction
    squared_by_actual_squared: Fraction


def mean_error(sums: RegressionMoments) -> Figure:
    """Return Σ e / n, the bias: above 0 if predictions are too high. The interval is normal."""
    return _mean(sums.error, sums.squared, sums.n)


def mean_absolute_error(sums: RegressionMoments) -> Figure:
    """Return MAE = Σ |e| / n, in the unit of the actuals. The interval is normal."""
    return _mean(sums.absolute, sums.squared, sums.n, 0.0)


def mean_absolute_percentage_error(sums: RegressionMoments) -> Figure:
    """Return MAPE = Σ |e / y| / n over the rows whose y is not 0, as a share. Normal interval.

    Where all actuals are 0 there is none. (scikit-learn divides by 2.2e-16 instead of 0.)
    """
    if sums.n and not sums.relative_n:
        return no_figure("actuals_are_zero", sums.n)
    return _mean(sums.relative, sums.relative_squared, sums.relative_n, 0.0)


def root_mean_squared_error(sums: RegressionMoments) -> Figure:
    """Return RMSE = √(Σ e² / n), in the unit of the actuals.

    The interval is normal on the logarithm: its standard error is that of Σ e² / n, halved.
    """
    n = sums.n
    if not n:
        return no_figure("no_labels")
    mse = sums.squared / n
    value = sqrt(mse)
    if n < 2 or not value:
        return Figure(n=n, value=value)
    spread = sqrt(max(sums.fourth / n - mse**2, Fraction(0)) / (n - 1))
    low, high = log_interval(value, spread / (2 * value))
    return Figure(n=n, value=value, low=low, high=high, method="log_normal")


def r_squared(sums: RegressionMoments) -> Figure:
    """Return R² = 1 - Σ e² / Σ (y - mean)²: 1 = no error; 0 = no better than the mean.

    Below 0 = worse than that. The interval is by the delta method: a row moves R² by
    -(e² - (1 - R²) (y - mean)²) / variance(y).
    """
    n = sums.n
    if not n:
        return no_figure("no_labels")
    mean = sums.actual / n
    variance = sums.actual_squared / n - mean**2
    if variance <= 0:
        return no_figure("constant_actuals", n)
    mse = sums.squared / n
    rest = mse / variance
    fourth = (
        sums.actual_fourth / n
        - 4 * mean * sums.actual_cubed / n
        + 6 * mean**2 * sums.actual_squared / n
        - 3 * mean**4
    )
    both = (
        sums.squared_by_actual_squared / n - 2 * mean * sums.squared_by_actual / n + mean**2 * mse
    )
    value = _float(1 - rest)
    if not isfinite(value):
        return no_figure("constant_actuals", n)
    influence = (sums.fourth / n - 2 * rest * both + rest**2 * fourth) / variance**2
    spread = _float(influence / n)
    if not isfinite(spread):
        return Figure(n=n, value=value)
    low, high = normal_interval(value, spread, high=1.0)
    return Figure(n=n, value=value, low=low, high=high, method="delta")


def residual_quantile(edges: Sequence[float], counts: Sequence[int], q: float) -> Figure:
    """Return the ``q``-quantile of prediction minus actual, interpolated inside its bin.

    Bin i holds ``edges[i-1]`` ≤ e < ``edges[i]``; in the open outer bins there is no value. The
    binning error is how far the ends of the bin are from it; the interval goes between the
    quantiles whose ranks are q n ± z √(n q (1 - q)).
    Raises ``ValueError`` if ``q`` is outside 0…1, or the counts don't fit the edges.

    >>> residual_quantile([-1.0, 0.0, 1.0], [0, 5, 5, 0], 0.25).value
    -0.5
    """
    if len(counts) != len(edges) + 1:
        raise ValueError(f"counts: found {len(counts)} bins for {len(edges)} edges")
    n = sum(counts)
    if not n:
        return no_figure("no_labels")
    half = Z * sqrt(q * (1 - q) / n)
    value, at = _placed(edges, counts, q)
    if value is None:
        return no_figure("beyond_residual_bins", n)
    return Figure(
        n=n,
        value=value,
        low=_placed(edges, counts, max(q - half, 0.0))[0],
        high=_placed(edges, counts, min(q + half, 1.0))[0],
        method="order_statistics",
        binning_error=max(value - edges[at - 1], edges[at] - value),
    )


def _placed(edges: Sequence[float], counts: Sequence[int], q: float) -> tuple[float | None, int]:
    """Return the ``q``-quantile and its bin; None in an open one, which has but one end."""
    cumulative = list(accumulate(counts))
    rank = q * cumulative[-1]
    at = bisect_left(cumulative, rank) if rank > 0 else bisect_right(cumulative, 0)
    if not 0 < at < len(edges):
        return None, at
    return histogram_quantile(edges, counts, q, minimum=None, maximum=None), at


def _float(value: Fraction) -> float:
    """Return the nearest float; infinite beyond the largest."""
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def _mean(total: Fraction, squares: Fraction, n: int, least: float = -inf) -> Figure:
    if not n:
        return no_figure("no_labels")
    mean = total / n
    if n < 2:
        return Figure(n=n, value=float(mean))
    variance = float((squares / n - mean**2) / (n - 1))
    low, high = normal_interval(float(mean), variance, least)
    return Figure(n=n, value=float(mean), low=low, high=high, method="normal")
