"""Sequential drift detection: how surprising counts are, over spans of windows, under a budget.

Pure: histograms of windows and a baseline's go in, scores and thresholds come out.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.sequential.budget import Budget as Budget, thresholds as thresholds
    from tidegauge.sequential.calendar import (
        HOURS as HOURS,
        ProfileCalendar as ProfileCalendar,
    )
    from tidegauge.sequential.clusters import (
        are_in_order as are_in_order,
        clustered_effect as clustered_effect,
        rows_effect as rows_effect,
    )
    from tidegauge.sequential.conditional import GRAINS as GRAINS
    from tidegauge.sequential.contrast import (
        CONTRASTED as CONTRASTED,
        Contrast as Contrast,
    )
    from tidegauge.sequential.daily import (
        DailyReference as DailyReference,
        Dispersion as Dispersion,
        HoursMemory as HoursMemory,
    )
    from tidegauge.sequential.dispersion import (
        BLOCK_SECONDS as BLOCK_SECONDS,
        dispersion_of as dispersion_of,
    )
    from tidegauge.sequential.engine import (
        BatchInput as BatchInput,
        BatchResult as BatchResult,
        HourlyInput as HourlyInput,
        StrongestScores as StrongestScores,
        WindowBatch as WindowBatch,
        judge_batch as judge_batch,
        size_of as size_of,
    )
    from tidegauge.sequential.ewma import LAMBDAS as LAMBDAS, Memory as Memory
    from tidegauge.sequential.expected import (
        BINS as BINS,
        MEAN as MEAN,
        SPREAD as SPREAD,
        Expected as Expected,
    )
    from tidegauge.sequential.hourly_batch import HourlyBatch as HourlyBatch
    from tidegauge.sequential.onset import (
        counts_since as counts_since,
        since_onset as since_onset,
        size_of_bin as size_of_bin,
    )
    from tidegauge.sequential.reference import (
        Reference as Reference,
        SignalReference as SignalReference,
    )
    from tidegauge.sequential.scores import (
        SCORES as SCORES,
        bin_contributions as bin_contributions,
        surprises as surprises,
    )
    from tidegauge.sequential.slots import slots_of as slots_of, standing_out as standing_out
    from tidegauge.sequential.tails import q_values as q_values
    from tidegauge.sequential.value_drift import (
        ValueTable as ValueTable,
        with_values as with_values,
    )
    from tidegauge.sequential.weeks import (
        LEAST_WEEKS as LEAST_WEEKS,
        BaselineDays as BaselineDays,
    )

face(__name__)
