"""Predictions and their labels: what is counted of them, and how good a model is by the counts.

Pure: no Kafka, no clock. Counts are mergeable and exact; every figure is a function of them.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.outcomes.cells import OutcomeCells as OutcomeCells
    from tidegauge.outcomes.counts import OutcomeCounts as OutcomeCounts
    from tidegauge.outcomes.estimate import (
        RealisedRates as RealisedRates,
        estimate_held as estimate_held,
        estimate_of as estimate_of,
        estimated_figures as estimated_figures,
        labelled_scores as labelled_scores,
        rates_of as rates_of,
        realised_rates as realised_rates,
        share_held as share_held,
        with_results as with_results,
    )
    from tidegauge.outcomes.held import (
        CONTRIBUTION as CONTRIBUTION,
        RESULTS as RESULTS,
        JoinLimits as JoinLimits,
        Result as Result,
        UnusedLabel as UnusedLabel,
    )
    from tidegauge.outcomes.inputs import (
        ReadLabels as ReadLabels,
        ReadPredictions as ReadPredictions,
        ReadRecord as ReadRecord,
        read_input as read_input,
    )
    from tidegauge.outcomes.join import Joined as Joined, OutcomeJoin as OutcomeJoin
    from tidegauge.outcomes.labelled_rows import (
        predicted_codes as predicted_codes,
        prediction_bins as prediction_bins,
    )
    from tidegauge.outcomes.maturity import (
        MATURE as MATURE,
        LagCurve as LagCurve,
        arrived_of as arrived_of,
        lag_curve as lag_curve,
    )
    from tidegauge.outcomes.names import Strata as Strata, StratumName as StratumName
    from tidegauge.outcomes.packed import (
        CARRIED as CARRIED,
        LABEL as LABEL,
        MODEL_INDEX as MODEL_INDEX,
        NONE as NONE,
        OF_MODEL as OF_MODEL,
        PREDICTION as PREDICTION,
        RETRACTED as RETRACTED,
        WITHOUT_ID as WITHOUT_ID,
        PackedLabels as PackedLabels,
        pack as pack,
        unpack_labels as unpack_labels,
        unpack_predictions as unpack_predictions,
    )
    from tidegauge.outcomes.performance import (
        LESS_IS_BETTER as LESS_IS_BETTER,
        coverage as coverage,
        figures_of as figures_of,
        merged as merged,
        performance_of as performance_of,
        worsening as worsening,
    )
    from tidegauge.outcomes.reference import (
        baseline_counts as baseline_counts,
        outcomes_of_rows as outcomes_of_rows,
        reference_figures as reference_figures,
    )

face(__name__)
