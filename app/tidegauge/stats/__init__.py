"""Pure numbers, one statistic a file: counts in, figures out. No I/O, no clock, no state.

Every divergence is in nats (a distance names its unit) and its direction by its arguments.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.stats.chi2 import chi2_two_sample as chi2_two_sample
    from tidegauge.stats.degrees_of_freedom import degrees_of_freedom as degrees_of_freedom
    from tidegauge.stats.drift import PSEUDOCOUNT as PSEUDOCOUNT, drift as drift
    from tidegauge.stats.drift_table import DriftTable as DriftTable, drift_table as drift_table
    from tidegauge.stats.g import g_two_sample as g_two_sample
    from tidegauge.stats.hellinger import hellinger as hellinger
    from tidegauge.stats.js import js_divergence as js_divergence
    from tidegauge.stats.js_distance import js_distance as js_distance
    from tidegauge.stats.kl import kl as kl
    from tidegauge.stats.ks import ks_bins as ks_bins
    from tidegauge.stats.mean_shift import mean_shift as mean_shift
    from tidegauge.stats.psi import psi as psi
    from tidegauge.stats.psi_corrected import psi_corrected as psi_corrected
    from tidegauge.stats.quantile import histogram_quantile as histogram_quantile
    from tidegauge.stats.quantile_shift import quantile_shift as quantile_shift
    from tidegauge.stats.standardised_mean_shift import (
        standardised_mean_shift as standardised_mean_shift,
    )
    from tidegauge.stats.wasserstein import wasserstein_bins as wasserstein_bins

face(
    __name__,
    {
        "chi2": ("chi2_two_sample",),
        "degrees_of_freedom": ("degrees_of_freedom",),
        "drift": ("PSEUDOCOUNT", "drift"),
        "drift_table": ("DriftTable", "drift_table"),
        "g": ("g_two_sample",),
        "hellinger": ("hellinger",),
        "js": ("js_divergence",),
        "js_distance": ("js_distance",),
        "kl": ("kl",),
        "ks": ("ks_bins",),
        "mean_shift": ("mean_shift",),
        "psi": ("psi",),
        "psi_corrected": ("psi_corrected",),
        "quantile": ("histogram_quantile",),
        "quantile_shift": ("quantile_shift",),
        "standardised_mean_shift": ("standardised_mean_shift",),
        "wasserstein": ("wasserstein_bins",),
    },
)
