"""Merging histograms into windows, closing them by event time, judging them. Pure, no Kafka.

The state of a partition is a fold over its log, so that who reads it again comes to the same bytes.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.windows.changelog import Changelog as Changelog, Checkpoint as Checkpoint
    from tidegauge.windows.closing import (
        Closed as Closed,
        Closing as Closing,
        Failures as Failures,
        Raising as Raising,
    )
    from tidegauge.windows.drift_detector import (
        MONTH_SECONDS as MONTH_SECONDS,
        DriftDetector as DriftDetector,
        pack as pack,
        unpack as unpack,
    )
    from tidegauge.windows.evidence import (
        BaselineLayout as BaselineLayout,
        alarm_budget as alarm_budget,
    )
    from tidegauge.windows.forgetting import forgotten_after as forgotten_after
    from tidegauge.windows.gaps import GapBook as GapBook
    from tidegauge.windows.inactivity import InactivityCheck as InactivityCheck
    from tidegauge.windows.partition import (
        Counts as Counts,
        DataWanted as DataWanted,
        Gap as Gap,
        Output as Output,
        PartitionState as PartitionState,
        Window as Window,
    )
    from tidegauge.windows.parts import Write as Write
    from tidegauge.windows.pattern import (
        drift_of_values as drift_of_values,
        pattern_of as pattern_of,
    )
    from tidegauge.windows.report import (
        SCORE_SECONDS as SCORE_SECONDS,
        drifts as drifts,
        signal_report as signal_report,
    )
    from tidegauge.windows.shortening import shortened as shortened
    from tidegauge.windows.shown import Labels as Labels, ShownSlices as ShownSlices
    from tidegauge.windows.topic_changes import (
        Change as Change,
        Joined as Joined,
        TopicChanges as TopicChanges,
    )
    from tidegauge.windows.validation import (
        check_signals as check_signals,
        read_record as read_record,
    )
    from tidegauge.windows.values import (
        LastRecord as LastRecord,
        RawCell as RawCell,
        RawRecord as RawRecord,
        Slice as Slice,
        SliceMemory as SliceMemory,
        SliceState as SliceState,
    )

face(
    __name__,
    {
        "changelog": ("Changelog", "Checkpoint"),
        "closing": ("Closed", "Closing", "Failures", "Raising"),
        "drift_detector": ("DriftDetector", "MONTH_SECONDS", "pack", "unpack"),
        "evidence": ("BaselineLayout", "alarm_budget"),
        "forgetting": ("forgotten_after",),
        "gaps": ("GapBook",),
        "inactivity": ("InactivityCheck",),
        "partition": ("Counts", "DataWanted", "Gap", "Output", "PartitionState", "Window"),
        "parts": ("Write",),
        "pattern": ("drift_of_values", "pattern_of"),
        "report": ("SCORE_SECONDS", "drifts", "signal_report"),
        "shortening": ("shortened",),
        "shown": ("Labels", "ShownSlices"),
        "topic_changes": ("Change", "Joined", "TopicChanges"),
        "validation": ("check_signals", "read_record"),
        "values": ("LastRecord", "RawCell", "RawRecord", "Slice", "SliceMemory", "SliceState"),
    },
)
