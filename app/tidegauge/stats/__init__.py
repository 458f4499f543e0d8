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
    from tidegauge.stats.classification import (
        accuracy as accuracy,
        balanced_accuracy as balanced_accuracy,
        f1 as f1,
        precision as precision,
        recall as recall,
        specificity as specificity,
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
    from tidegauge.stats.intervals import (
        Z as Z,
        at_chance as at_chance,
        newcombe as newcombe,
        normal_interval as normal_interval,
        square_and_add as square_and_add,
        wilson as wilson,
    )
    from tidegauge.stats.multiclass import (
        average_f1_of_classes as average_f1_of_classes,
        average_precision_of_classes as average_precision_of_classes,
        average_recall_of_classes as average_recall_of_classes,
        class_accuracy as class_accuracy,
    )
    from tidegauge.stats.probability import (
        CALIBRATION_BINS as CALIBRATION_BINS,
        ProbabilityTable as ProbabilityTable,
        brier as brier,
        expected_calibration_error as expected_calibration_error,
        log_loss as log_loss,
        reliability as reliability,
        squared_calibration_error as squared_calibration_error,
    )
    from tidegauge.stats.ranking import (
        average_precision as average_precision,
        roc_auc as roc_auc,
    )
    from tidegauge.stats.regression import (
        RESIDUAL_QUANTILES as RESIDUAL_QUANTILES,
        RegressionMoments as RegressionMoments,
        mean_absolute_error as mean_absolute_error,
        mean_absolute_percentage_error as mean_absolute_percentage_error,
        mean_error as mean_error,
        r_squared as r_squared,
        residual_quantile as residual_quantile,
        root_mean_squared_error as root_mean_squared_error,
    )
    from tidegauge.stats.values import (
        histogram_quantile as histogram_quantile,
        mean_shift as mean_shift,
        quantile_shift as quantile_shift,
        standardised_mean_shift as standardised_mean_shift,
    )

face(__name__)
