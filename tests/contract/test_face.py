"""What consumers import from ``tidegauge.contract`` stays where it is."""

import tidegauge.contract
import tidegauge.producer

CONTRACT = """
    ARROW_CONTENT_TYPE ARROW_MAGIC Acknowledgement Action ActionKind AlarmBudget Alert
    AlertLinks AuditFact AuditRecord Cell Change Configuration ConfigurationKind
    CountedRange DataRange DeadLetter DecodingError Distribution Drift DriftPattern
    DriftedSignal Evidence Expectation GLOB_CHARACTERS HistogramRecord InhibitedAlert
    JSON_CONTENT_TYPE LATENCY_EDGES_MS LatencySummary Matchers MovedBin NON_FINITE
    NotifyReason OUTPUT_SIGNALS Outcome PAYLOAD_LIMIT_BYTES PartitionClock PredictionEvent
    Quality Reason Record ReportPart SCHEMA_VERSION SPECVERSION STATUS_CATEGORIES
    STRUCTURED_CONTENT_TYPE Sent Severity SignalAlert SignalHistogram SignalReport Silence
    Size SourceRange WindowReport Withheld acknowledge cell_partition configuration_after
    decode deterministic_id encode epoch_seconds schema_id source_of unwrap without_payload
    wrap
"""


def test_every_name_that_consumers_could_import_is_still_there() -> None:
    assert [name for name in CONTRACT.split() if not hasattr(tidegauge.contract, name)] == []
    assert tidegauge.producer.PredictionLogger
