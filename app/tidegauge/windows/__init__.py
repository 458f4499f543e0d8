"""Merging histograms into windows, closing them by event time, judging them. Pure, no Kafka.

The state of a partition is a fold over its log, so that who reads it again comes to the same bytes.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.windows.changelog import Changelog as Changelog, Checkpoint as Checkpoint
    from tidegauge.windows.changes import pattern_of as pattern_of
    from tidegauge.windows.closing import Closing as Closing
    from tidegauge.windows.cohort_rules import CohortRules as CohortRules
    from tidegauge.windows.drift_detector import (
        MONTH_SECONDS as MONTH_SECONDS,
        DriftDetector as DriftDetector,
        WindowInput as WindowInput,
        pack as pack,
        remembered as remembered,
    )
    from tidegauge.windows.evidence import BaselineLayout as BaselineLayout
    from tidegauge.windows.hours import SURE_ROWS as SURE_ROWS
    from tidegauge.windows.inactivity import InactivityCheck as InactivityCheck
    from tidegauge.windows.outcome_store import Arrivals as Arrivals
    from tidegauge.windows.outcome_values import (
        CohortAlerts as CohortAlerts,
        CohortAlertsKey as CohortAlertsKey,
        OutcomeWindow as OutcomeWindow,
    )
    from tidegauge.windows.outputs import (
        Closed as Closed,
        DataWanted as DataWanted,
        Failures as Failures,
        Output as Output,
        Raising as Raising,
    )
    from tidegauge.windows.partition import PartitionState as PartitionState
    from tidegauge.windows.parts import Write as Write
    from tidegauge.windows.performance import (
        PerformanceClosing as PerformanceClosing,
        ReferenceFigures as ReferenceFigures,
    )
    from tidegauge.windows.records import (
        RawCell as RawCell,
        RawRecord as RawRecord,
        check_signals as check_signals,
        read_record as read_record,
    )
    from tidegauge.windows.report import (
        SCORE_SECONDS as SCORE_SECONDS,
        drifts as drifts,
        shortened as shortened,
        signal_report as signal_report,
    )
    from tidegauge.windows.slices import forgotten_after as forgotten_after
    from tidegauge.windows.sources import Gap as Gap, GapBook as GapBook
    from tidegauge.windows.values import (
        Counts as Counts,
        LastRecord as LastRecord,
        Slice as Slice,
        SliceMemory as SliceMemory,
        SliceState as SliceState,
        Window as Window,
    )

face(__name__)
