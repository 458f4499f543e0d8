"""What a model is compared with: the baseline document, its bins and its hours of the day. Pure.

How baselines are made of files, and stored in Redis, is :mod:`tidegauge.baseline.io`'s.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.baseline.binning import (
        Clusters as Clusters,
        canonical_category as canonical_category,
        numeric_counts as numeric_counts,
        numeric_edges as numeric_edges,
        rare_values as rare_values,
    )
    from tidegauge.baseline.compare import (
        BESIDE as BESIDE,
        OUTSIDE as OUTSIDE,
        RARE_ROWS as RARE_ROWS,
        bin_labels as bin_labels,
        counted_by_bin as counted_by_bin,
        current_counts as current_counts,
        distribution as distribution,
        nan_is_missing as nan_is_missing,
        new_bin as new_bin,
        ordered_bins as ordered_bins,
        rare_values_unknown as rare_values_unknown,
        reference_counts as reference_counts,
        reference_excess as reference_excess,
        tells_unseen as tells_unseen,
        value_bins as value_bins,
    )
    from tidegauge.baseline.daily import (
        LEAST_DAYS as LEAST_DAYS,
        MOST_DAYS as MOST_DAYS,
        ClockChange as ClockChange,
        DailyCycle as DailyCycle,
        DayCalendar as DayCalendar,
        DaySlot as DaySlot,
        KindsOfDays as KindsOfDays,
        SignalHours as SignalHours,
    )
    from tidegauge.baseline.document import (
        LEAST_BASELINE_ROWS as LEAST_BASELINE_ROWS,
        Baseline as Baseline,
        BaselineError as BaselineError,
        CategoricalSignal as CategoricalSignal,
        Dependence as Dependence,
        FeatureScale as FeatureScale,
        NumericSignal as NumericSignal,
        RareValues as RareValues,
        Signal as Signal,
        features_of as features_of,
        small as small,
    )
    from tidegauge.baseline.joint import (
        NO_VALUE as NO_VALUE,
        JointSums as JointSums,
        Weights as Weights,
        draw_projections as draw_projections,
        joint_name as joint_name,
    )
    from tidegauge.baseline.outcomes import (
        BaselineOutcomes as BaselineOutcomes,
    )
    from tidegauge.baseline.validation import (
        MAX_DOCUMENT_BYTES as MAX_DOCUMENT_BYTES,
        MAX_SIGNALS as MAX_SIGNALS,
        UnusableBaseline as UnusableBaseline,
        read_baseline as read_baseline,
        validate as validate,
    )

face(__name__)
