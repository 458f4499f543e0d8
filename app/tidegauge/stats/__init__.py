"""Pure numbers: counts of histograms in, figures out. No I/O, no clock, no state.

Every divergence is in nats (a distance names its unit) and its direction by its arguments.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.stats._shares import (
        PSEUDOCOUNT as PSEUDOCOUNT,
        Bools as Bools,
        Floats as Floats,
        Places as Places,
    )
    from tidegauge.stats.divergences import (
        chi2_two_sample as chi2_two_sample,
        degrees_of_freedom as degrees_of_freedom,
        g_two_sample as g_two_sample,
        hellinger as hellinger,
        js_distance as js_distance,
        js_divergence as js_divergence,
        kl as kl,
        ks_bins as ks_bins,
        psi as psi,
        psi_corrected as psi_corrected,
        wasserstein_bins as wasserstein_bins,
    )
    from tidegauge.stats.drift_table import (
        DriftTable as DriftTable,
        drift as drift,
        drift_table as drift_table,
    )
    from tidegauge.stats.values import (
        histogram_quantile as histogram_quantile,
        mean_shift as mean_shift,
        quantile_shift as quantile_shift,
        standardised_mean_shift as standardised_mean_shift,
    )

face(__name__)
