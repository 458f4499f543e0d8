"""The records on every topic, as msgspec Structs; ``schemas/`` is generated from them.

No Kafka, no Redis, no clock. Everything on a topic is one of the records below.
"""

from tidegauge.contract._base import SCHEMA_VERSION, Record, deterministic_id, encode
from tidegauge.contract.acknowledgement import Acknowledgement, Outcome, acknowledge
from tidegauge.contract.alert import (
    Action,
    ActionKind,
    Alert,
    AlertLinks,
    DataRange,
    Distribution,
    InhibitedAlert,
    Severity,
    SignalAlert,
)
from tidegauge.contract.audit import AuditFact, AuditRecord
from tidegauge.contract.cloudevents import (
    SPECVERSION,
    STRUCTURED_CONTENT_TYPE,
    Sent,
    schema_id,
    source_of,
    unwrap,
    wrap,
)
from tidegauge.contract.configuration import (
    Configuration,
    ConfigurationKind,
    configuration_after,
)
from tidegauge.contract.dead_letter import (
    PAYLOAD_LIMIT_BYTES,
    DeadLetter,
    NotifyReason,
    Reason,
    without_payload,
)
from tidegauge.contract.decoding import DecodingError, decode
from tidegauge.contract.histogram import (
    Cell,
    HistogramRecord,
    PartitionClock,
    SignalHistogram,
    SourceRange,
)
from tidegauge.contract.prediction import (
    ARROW_CONTENT_TYPE,
    ARROW_MAGIC,
    JSON_CONTENT_TYPE,
    NON_FINITE,
    PredictionEvent,
    epoch_seconds,
)
from tidegauge.contract.report import (
    AlarmBudget,
    Change,
    CountedRange,
    Drift,
    DriftedSignal,
    DriftPattern,
    Evidence,
    Expectation,
    LatencySummary,
    MovedBin,
    Quality,
    ReportPart,
    SignalReport,
    Size,
    WindowReport,
)
from tidegauge.contract.routing import cell_partition
from tidegauge.contract.signals import LATENCY_EDGES_MS, OUTPUT_SIGNALS, STATUS_CATEGORIES
from tidegauge.contract.silence import GLOB_CHARACTERS, Matchers, Silence, Withheld

__all__ = [
    "ARROW_CONTENT_TYPE",
    "ARROW_MAGIC",
    "GLOB_CHARACTERS",
    "JSON_CONTENT_TYPE",
    "LATENCY_EDGES_MS",
    "NON_FINITE",
    "OUTPUT_SIGNALS",
    "PAYLOAD_LIMIT_BYTES",
    "SCHEMA_VERSION",
    "SPECVERSION",
    "STATUS_CATEGORIES",
    "STRUCTURED_CONTENT_TYPE",
    "Acknowledgement",
    "Action",
    "ActionKind",
    "AlarmBudget",
    "Alert",
    "AlertLinks",
    "AuditFact",
    "AuditRecord",
    "Cell",
    "Change",
    "Configuration",
    "ConfigurationKind",
    "CountedRange",
    "DataRange",
    "DeadLetter",
    "DecodingError",
    "Distribution",
    "Drift",
    "DriftPattern",
    "DriftedSignal",
    "Evidence",
    "Expectation",
    "HistogramRecord",
    "InhibitedAlert",
    "LatencySummary",
    "Matchers",
    "MovedBin",
    "NotifyReason",
    "Outcome",
    "PartitionClock",
    "PredictionEvent",
    "Quality",
    "Reason",
    "Record",
    "ReportPart",
    "Sent",
    "Severity",
    "SignalAlert",
    "SignalHistogram",
    "SignalReport",
    "Silence",
    "Size",
    "SourceRange",
    "WindowReport",
    "Withheld",
    "acknowledge",
    "cell_partition",
    "configuration_after",
    "decode",
    "deterministic_id",
    "encode",
    "epoch_seconds",
    "schema_id",
    "source_of",
    "unwrap",
    "without_payload",
    "wrap",
]
