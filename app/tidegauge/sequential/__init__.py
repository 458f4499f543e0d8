"""Sequential drift detection: how surprising counts are, over spans of windows, under a budget.

Pure: histograms of windows and a baseline's go in, scores and thresholds come out.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.sequential.batch import (
        BatchInput as BatchInput,
        BatchResult as BatchResult,
        judge_batch as judge_batch,
    )
    from tidegauge.sequential.bin_contributions import bin_contributions as bin_contributions
    from tidegauge.sequential.budget import Budget as Budget
    from tidegauge.sequential.daily import (
        DailyReference as DailyReference,
        Dispersion as Dispersion,
    )
    from tidegauge.sequential.detector import judge_daily as judge_daily
    from tidegauge.sequential.discoveries import q_values as q_values
    from tidegauge.sequential.dispersion import (
        BLOCK_SECONDS as BLOCK_SECONDS,
        dispersion_of as dispersion_of,
    )
    from tidegauge.sequential.ewma import LAMBDAS as LAMBDAS, Memory as Memory
    from tidegauge.sequential.expected import (
        BINS as BINS,
        MEAN as MEAN,
        SPREAD as SPREAD,
        Expected as Expected,
    )
    from tidegauge.sequential.hours import (
        HOURS as HOURS,
        HoursMemory as HoursMemory,
        hour_weights as hour_weights,
    )
    from tidegauge.sequential.onset import age_windows as age_windows, directions as directions
    from tidegauge.sequential.reference import (
        Reference as Reference,
        SignalReference as SignalReference,
    )
    from tidegauge.sequential.scores import SCORES as SCORES, surprises as surprises
    from tidegauge.sequential.size import size_of as size_of
    from tidegauge.sequential.strongest_scores import signs_of as signs_of
    from tidegauge.sequential.value_drift import (
        ValueTable as ValueTable,
        with_values as with_values,
    )
    from tidegauge.sequential.window_batch import WindowBatch as WindowBatch

face(
    __name__,
    {
        "batch": ("BatchInput", "BatchResult", "judge_batch"),
        "bin_contributions": ("bin_contributions",),
        "budget": ("Budget",),
        "daily": ("DailyReference", "Dispersion"),
        "detector": ("judge_daily",),
        "discoveries": ("q_values",),
        "dispersion": ("BLOCK_SECONDS", "dispersion_of"),
        "ewma": ("LAMBDAS", "Memory"),
        "expected": ("BINS", "Expected", "MEAN", "SPREAD"),
        "hours": ("HOURS", "HoursMemory", "hour_weights"),
        "onset": ("age_windows", "directions"),
        "reference": ("Reference", "SignalReference"),
        "scores": ("SCORES", "surprises"),
        "size": ("size_of",),
        "strongest_scores": ("signs_of",),
        "value_drift": ("ValueTable", "with_values"),
        "window_batch": ("WindowBatch",),
    },
)
