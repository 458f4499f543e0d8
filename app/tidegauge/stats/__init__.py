"""Pure numbers, one statistic a file: counts in, figures out. No I/O, no clock, no state.

Every divergence is in nats and names its direction by its arguments.
"""

from tidegauge.stats.drift import drift
from tidegauge.stats.js import js_divergence
from tidegauge.stats.kl import kl
from tidegauge.stats.psi import psi
from tidegauge.stats.quantile import histogram_quantile
from tidegauge.stats.wasserstein import wasserstein_bins

__all__ = [
    "drift",
    "histogram_quantile",
    "js_divergence",
    "kl",
    "psi",
    "wasserstein_bins",
]
