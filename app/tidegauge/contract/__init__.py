"""The records on every topic as msgspec Structs, and how they are written as text.

``schemas/`` is generated from the Structs. No Kafka, no Redis, no clock; the lowest floor of all.
Everything on a topic is one of the records below.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.contract.alert import (
        Acknowledgement as Acknowledgement,
        Action as Action,
        ActionKind as ActionKind,
        Alert as Alert,
        AlertEvent as AlertEvent,
        AlertLinks as AlertLinks,
        AlertPhase as AlertPhase,
        DataRange as DataRange,
        Distribution as Distribution,
        InhibitedAlert as InhibitedAlert,
        Outcome as Outcome,
        Severity as Severity,
        SignalAlert as SignalAlert,
        acknowledge as acknowledge,
    )
    from tidegauge.contract.audit import (
        AuditFact as AuditFact,
        AuditRecord as AuditRecord,
        Configuration as Configuration,
        ConfigurationKind as ConfigurationKind,
        configuration_after as configuration_after,
    )
    from tidegauge.contract.cloudevents import (
        SPECVERSION as SPECVERSION,
        STRUCTURED_CONTENT_TYPE as STRUCTURED_CONTENT_TYPE,
        Mode as Mode,
        Sent as Sent,
        schema_id as schema_id,
        source_of as source_of,
        unwrap as unwrap,
        wrap as wrap,
    )
    from tidegauge.contract.dead_letter import (
        DETAIL_CHARACTERS as DETAIL_CHARACTERS,
        PAYLOAD_LIMIT_BYTES as PAYLOAD_LIMIT_BYTES,
        DeadLetter as DeadLetter,
        LabelProblem as LabelProblem,
        LabelReason as LabelReason,
        NotifyReason as NotifyReason,
        Reason as Reason,
        dead_letter_of as dead_letter_of,
        without_payload as without_payload,
    )
    from tidegauge.contract.histogram import (
        Cell as Cell,
        HistogramRecord as HistogramRecord,
        PartitionClock as PartitionClock,
        SignalHistogram as SignalHistogram,
        SourceRange as SourceRange,
        cell_partition as cell_partition,
    )
    from tidegauge.contract.label import (
        ID_CHARACTERS as ID_CHARACTERS,
        Label as Label,
        LabelError as LabelError,
        LabelEvent as LabelEvent,
        LabelledPrediction as LabelledPrediction,
        read_label as read_label,
    )
    from tidegauge.contract.outcome import (
        LabelsRecord as LabelsRecord,
        OutcomeInput as OutcomeInput,
        PredictedCounts as PredictedCounts,
        PredictionsRecord as PredictionsRecord,
        Stratum as Stratum,
    )
    from tidegauge.contract.outcome_cell import (
        LAG_EDGES as LAG_EDGES,
        MOST_GROUPS as MOST_GROUPS,
        MOST_STRATA as MOST_STRATA,
        SCORE_BINS as SCORE_BINS,
        SUM_UNIT as SUM_UNIT,
        BinaryCounts as BinaryCounts,
        MulticlassCounts as MulticlassCounts,
        OutcomeCell as OutcomeCell,
        OutcomeTally as OutcomeTally,
        RegressionCounts as RegressionCounts,
        ScoreSums as ScoreSums,
        SparseCounts as SparseCounts,
        StratumCounts as StratumCounts,
        outcome_partition as outcome_partition,
    )
    from tidegauge.contract.outcome_figure import (
        EstimatedPerformance as EstimatedPerformance,
        Figure as Figure,
        IntervalMethod as IntervalMethod,
        NoFigure as NoFigure,
        Performance as Performance,
        ReliabilityBin as ReliabilityBin,
        TrackRecord as TrackRecord,
        no_figure as no_figure,
    )
    from tidegauge.contract.performance import (
        ESTIMATED as ESTIMATED,
        CohortEvidence as CohortEvidence,
        PerformanceReport as PerformanceReport,
    )
    from tidegauge.contract.prediction import (
        ARROW_CONTENT_TYPE as ARROW_CONTENT_TYPE,
        ARROW_MAGIC as ARROW_MAGIC,
        JSON_CONTENT_TYPE as JSON_CONTENT_TYPE,
        LATENCY_EDGES_MS as LATENCY_EDGES_MS,
        NON_FINITE as NON_FINITE,
        OUTPUT_SIGNALS as OUTPUT_SIGNALS,
        STATUS_CATEGORIES as STATUS_CATEGORIES,
        PredictionEvent as PredictionEvent,
        epoch_seconds as epoch_seconds,
    )
    from tidegauge.contract.receipt import (
        RECEIPT_CHARACTERS as RECEIPT_CHARACTERS,
        Receipt as Receipt,
        read_receipt as read_receipt,
        receipt_writer as receipt_writer,
    )
    from tidegauge.contract.record import (
        SCHEMA_VERSION as SCHEMA_VERSION,
        DecodingError as DecodingError,
        RawMessage as RawMessage,
        Record as Record,
        cut as cut,
        decode as decode,
        deterministic_id as deterministic_id,
        doc as doc,
        encode as encode,
        printable as printable,
        printable_json as printable_json,
        printable_lines as printable_lines,
        shortened as shortened,
        spreadsheet_text as spreadsheet_text,
    )
    from tidegauge.contract.report import (
        AlarmBudget as AlarmBudget,
        Change as Change,
        CountedRange as CountedRange,
        Drift as Drift,
        DriftedSignal as DriftedSignal,
        DriftPattern as DriftPattern,
        EarlierWindows as EarlierWindows,
        Evidence as Evidence,
        Expectation as Expectation,
        LatencySummary as LatencySummary,
        MovedBin as MovedBin,
        Quality as Quality,
        ReportPart as ReportPart,
        SignalReport as SignalReport,
        Size as Size,
        WindowReport as WindowReport,
    )
    from tidegauge.contract.silence import (
        GLOB_CHARACTERS as GLOB_CHARACTERS,
        Matchers as Matchers,
        Silence as Silence,
        Silences as Silences,
        Withheld as Withheld,
        checked as checked,
        covers as covers,
        in_force as in_force,
        matchers_text as matchers_text,
    )
    from tidegauge.contract.target import (
        CLASS_CHARACTERS as CLASS_CHARACTERS,
        MOST_CLASSES as MOST_CLASSES,
        MOST_RESIDUAL_EDGES as MOST_RESIDUAL_EDGES,
        BinaryTarget as BinaryTarget,
        ClassTarget as ClassTarget,
        MulticlassTarget as MulticlassTarget,
        OutcomeTarget as OutcomeTarget,
        Problem as Problem,
        RegressionTarget as RegressionTarget,
        actual_number as actual_number,
        class_code as class_code,
        class_text as class_text,
    )
    from tidegauge.contract.templates import (
        RUNBOOK as RUNBOOK,
        Exact as Exact,
        check_template as check_template,
        links_of as links_of,
        render as render,
    )
    from tidegauge.contract.wording import (
        OF_THRESHOLD as OF_THRESHOLD,
        OfSlice as OfSlice,
        clock as clock,
        cohort_facts as cohort_facts,
        counted as counted,
        counted_in as counted_in,
        duration as duration,
        duration_text as duration_text,
        exact as exact,
        figure as figure,
        first_lines as first_lines,
        is_of_lost_values as is_of_lost_values,
        limit_text as limit_text,
        listed as listed,
        metric_text as metric_text,
        moment as moment,
        quantity as quantity,
        quantity_text as quantity_text,
        rfc3339 as rfc3339,
        segment_text as segment_text,
        sized as sized,
        subject as subject,
        utc_text as utc_text,
        with_subject as with_subject,
        without_subject as without_subject,
    )

face(__name__)
