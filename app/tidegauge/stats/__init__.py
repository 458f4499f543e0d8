"""Pure numbers, one statistic a file: counts in, figures out. No I/O, no clock, no state.

Every divergence is in nats (a distance names its unit) and its direction by its arguments.
"""

from tidegauge.stats.chi2 import chi2_two_sample
from tidegauge.stats.degrees_of_freedom import degrees_of_freedom
from tidegauge.stats.drift import drift
from tidegauge.stats.drift_table import DriftTable, drift_table
from tidegauge.stats.g import g_two_sample
from tidegauge.stats.hellinger import hellinger
from tidegauge.stats.js import js_divergence
from tidegauge.stats.js_distance import js_distance
from tidegauge.stats.kl import kl
from tidegauge.stats.ks import ks_bins
from tidegauge.stats.mean_shift import mean_shift
from tidegauge.stats.psi import psi
from tidegauge.stats.psi_corrected import psi_corrected
from tidegauge.stats.quantile import histogram_quantile
from tidegauge.stats.quantile_shift import quantile_shift
from tidegauge.stats.standardised_mean_shift import standardised_mean_shift
from tidegauge.stats.wasserstein import wasserstein_bins

__all__ = [
    "DriftTable",
    "chi2_two_sample",
    "degrees_of_freedom",
    "drift",
    "drift_table",
    "g_two_sample",
    "hellinger",
    "histogram_quantile",
    "js_distance",
    "js_divergence",
    "kl",
    "ks_bins",
    "mean_shift",
    "psi",
    "psi_corrected",
    "quantile_shift",
    "standardised_mean_shift",
    "wasserstein_bins",
]
