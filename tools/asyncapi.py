"""The AsyncAPI 3 document: every topic, what is on it, who sends it and who receives it. Pure.

https://www.asyncapi.com/docs/reference/specification/v3.0.0 and its Kafka bindings 0.5.0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import yaml

from tidegauge.contract import (
    ARROW_CONTENT_TYPE,
    JSON_CONTENT_TYPE,
    SPECVERSION,
    STRUCTURED_CONTENT_TYPE,
    schema_id,
)
from tidegauge.contract.cloudevents import KINDS, type_of

_KAFKA_BINDING = "0.5.0"

#: Of these the binding has its own types; it takes the rest as they are.
_LISTS = frozenset({"cleanup.policy"})
_INTEGERS = frozenset(
    {"retention.ms", "retention.bytes", "delete.retention.ms", "max.message.bytes"}
)


class Spec(Protocol):
    """How a topic is made, as far as it is said here (``tidegauge.kafka.topics.TopicSpec``)."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def partitions(self) -> int: ...  # noqa: D102
    @property
    def config(self) -> Mapping[str, str]: ...  # noqa: D102


@dataclass(frozen=True)
class Message:
    """A kind of record on a topic. ``schema`` is the stem of its file, None where JSON has none."""

    name: str
    summary: str
    schema: str | None
    #: What the key is and what it is for, None if there is no key.
    key: str | None = None
    content_type: str = JSON_CONTENT_TYPE
    #: Whether the header ``content-type`` may be there; it never has to.
    header: bool = False

    @property
    def is_event(self) -> bool:
        """Whether it goes as a CloudEvent."""
        return self.schema in KINDS


@dataclass(frozen=True)
class Operation:
    """What one part of tidegauge does with a topic. A receiver names its consumer group."""

    name: str
    action: Literal["send", "receive"]
    role: str
    summary: str
    group: str | None = None


@dataclass(frozen=True)
class Channel:
    """A topic by its name in the settings."""

    topic: str
    description: str
    messages: tuple[Message, ...]
    operations: tuple[Operation, ...]


CHANNELS = (
    Channel(
        "predictions",
        "What serving nodes send. Any partition will do; nothing depends on the order.",
        (
            Message(
                "predictionEvent",
                "One prediction.",
                "prediction-event",
                header=True,
            ),
            Message(
                "predictionBatch",
                "Many predictions of one model and version: an Arrow IPC stream "
                "(docs/producing.md, Arrow batches). Recognised by its first bytes.",
                None,
                content_type=ARROW_CONTENT_TYPE,
                header=True,
            ),
        ),
        (
            Operation(
                "countPredictions",
                "receive",
                "ingest",
                "Counts every event exactly once.",
                "ingest.group_id",
            ),
        ),
    ),
    Channel(
        "labels",
        "What became of predictions, whenever it is known. Any partition and any key will do; "
        "nothing depends on the order.",
        (Message("labelEvent", "The actual outcome of one prediction.", "label-event"),),
        (
            Operation(
                "routeLabels",
                "receive",
                "ingest",
                "Hands each to the worker that has its prediction.",
                "ingest.labels_group_id",
            ),
        ),
    ),
    Channel(
        "outcomes",
        "Predictions and labels on their way to the join; between INGEST and OUTCOMES. Both have "
        "the partition of a hash of the prediction's id. Read committed records only.",
        (
            Message("predictionsRecord", "Predictions that labels may find.", "predictions-record"),
            Message("labelsRecord", "Labels, some with their predictions.", "labels-record"),
        ),
        (
            Operation("sendOutcomes", "send", "ingest", "In one transaction with its offsets."),
            Operation(
                "joinOutcomes",
                "receive",
                "outcomes",
                "Joins them, and counts each label once.",
                "outcomes.group_id",
            ),
        ),
    ),
    Channel(
        "histograms",
        "Mergeable counts, for DETECT. A slice of a model's traffic has one partition, by a hash "
        "of model, version, variant and segment; its outcomes have one, by a hash of the model. "
        "Read committed records only.",
        (Message("histogramRecord", "What one flush says to one partition.", "histogram-record"),),
        (
            Operation("sendHistograms", "send", "ingest", "In one transaction with its offsets."),
            Operation(
                "sendOutcomeCells", "send", "outcomes", "In one transaction with its offsets."
            ),
            Operation(
                "mergeHistograms",
                "receive",
                "detect",
                "Merges them into windows.",
                "detect.app_id",
            ),
        ),
    ),
    Channel(
        "windows",
        "One report for each closed window of each slice, and one more for each revision of it. "
        "A re-run sends the same id again.",
        (
            Message(
                "windowReport",
                "Counts and statistics of a window.",
                "window-report",
                key="JSON list of model, version, variant and the segment's name and value",
            ),
        ),
        (Operation("sendWindows", "send", "detect", "At least once, in the order of their ends."),),
    ),
    Channel(
        "performance",
        "The newest figures of each cohort of a labelled model, compacted.",
        (
            Message(
                "performanceReport",
                "Figures of one cohort, by the labels that have come.",
                "performance-report",
                key="JSON list of model, version, variant, the group's name and value, start and "
                "length of the cohort",
            ),
        ),
        (Operation("sendPerformance", "send", "detect", "At least once."),),
    ),
    Channel(
        "alerts",
        "The newest state of each alert, compacted by fingerprint. What is over stays until it has "
        "said nothing for a year. A worker that was paused may send an older one after it: by its "
        "window_end.",
        (
            Message(
                "alert",
                "An alert is pending, fires, fires still, or is over.",
                "alert",
                key="fingerprint of the rule and what it watches",
            ),
        ),
        (Operation("sendAlerts", "send", "detect", "At least once, after it is in the history."),),
    ),
    Channel(
        "alerts_history",
        "The life of alerts: every step of each, those of one alert in order. Act on an id once: a "
        "re-run sends it again.",
        (
            Message(
                "alert",
                "An alert is pending, fires, fires still, or is over.",
                "alert",
                key="fingerprint of the rule and what it watches",
            ),
        ),
        (
            Operation("sendAlertHistory", "send", "detect", "At least once."),
            Operation(
                "deliverAlerts",
                "receive",
                "notify",
                "Takes each to its receivers. Each has a group: this, a hyphen, its name.",
                "notify.group_id",
            ),
        ),
    ),
    Channel(
        "actions",
        "What is to be done, such as a retraining. Act on an id once: a re-run sends it again.",
        (Message("action", "An action is asked for.", "action", key="id of the action"),),
        (Operation("sendActions", "send", "detect", "At least once."),),
    ),
    Channel(
        "acknowledgements",
        "What became of actions. Whoever carries actions out says so here.",
        (
            Message(
                "acknowledgement",
                "An action was taken, or has failed.",
                "acknowledgement",
                key="id of the action",
            ),
        ),
        (
            Operation("sendAcknowledgements", "send", "cli", "When a person says so."),
            Operation(
                "auditAcknowledgements",
                "receive",
                "ledger",
                "Makes a fact of each.",
                "ledger.acknowledgements_group_id",
            ),
        ),
    ),
    Channel(
        "silences",
        "What people say to alerts: silences, and that they have seen one. The last record of a "
        "key holds; compacted.",
        (Message("silence", "Alerts are silenced, or no longer.", "silence", key="id"),),
        (
            Operation("sendSilences", "send", "cli", "When a person says so."),
            # Followed from the beginning, by no group.
            Operation("followSilences", "receive", "notify", "Delivers nothing that is silenced."),
            Operation(
                "auditSilences",
                "receive",
                "ledger",
                "Makes facts of each.",
                "ledger.acknowledgements_group_id",
            ),
        ),
    ),
    Channel(
        "withheld",
        "What a receiver has not been told of, as it was silenced: NOTIFY's own memory. Compacted; "
        "an empty record says that it is over.",
        (
            Message(
                "withheld",
                "An alert is silenced, or waits for a digest (its key: receiver/digest/id).",
                "withheld",
                key="receiver/fingerprint",
            ),
        ),
        (
            Operation("sendWithheld", "send", "notify", "Before the alert's offset is committed."),
            Operation("restoreWithheld", "receive", "notify", "When it begins to deliver."),
        ),
    ),
    Channel(
        "configuration",
        "Which rules and receivers came into force after which. Compacted.",
        (
            Message(
                "configuration",
                "Rules or receivers came into force.",
                "configuration",
                key="rules or receivers",
            ),
        ),
        (
            Operation("sendRules", "send", "detect", "If others were in force before."),
            Operation("sendReceivers", "send", "notify", "If others were in force before."),
            Operation(
                "auditConfiguration",
                "receive",
                "ledger",
                "Makes a fact of each.",
                "ledger.acknowledgements_group_id",
            ),
        ),
    ),
    Channel(
        "audit_facts",
        "What is to be audited. Anybody may report a fact, by the key that is its model; a "
        "producer must partition by murmur2, as Java clients do. A re-run sends an id again.",
        (Message("auditFact", "Who did what, when, why.", "audit-fact", key="model"),),
        (
            Operation("sendAuditFacts", "send", "detect", "At least once."),
            Operation("sendPromotions", "send", "cli", "When a baseline is promoted."),
            Operation("sendAcknowledged", "send", "ledger", "What became of an action."),
            Operation("chainFacts", "receive", "ledger", "Each id once.", "ledger.group_id"),
        ),
    ),
    Channel(
        "audit",
        "The audit trail: facts chained by their hashes, model by model, each once; never deleted "
        "and never compacted. Read committed records only.",
        (Message("auditRecord", "A fact in the chain of its model.", "audit-record", key="model"),),
        (
            Operation("sendAudit", "send", "ledger", "In one transaction with its offsets."),
            Operation(
                "recordAudit",
                "receive",
                "notify",
                "Records alerts and actions in MLflow's model registry, if a receiver is one.",
                "notify.group_id",
            ),
        ),
    ),
    Channel(
        "dead_letters",
        "What could not be counted or delivered, with where it came from and why.",
        (Message("deadLetter", "One refused event or alert.", "dead-letter"),),
        (
            Operation(
                "sendDeadLetters",
                "send",
                "ingest",
                "In one transaction with the offsets of what was refused.",
            ),
            Operation(
                "sendUnjoined",
                "send",
                "outcomes",
                "Labels that find no prediction, or are no class of it.",
            ),
            Operation("sendUndelivered", "send", "notify", "Alerts that a receiver has refused."),
        ),
    ),
)


def document(
    *,
    version: str,
    addresses: Mapping[str, str],
    groups: Mapping[str, str],
    specs: Iterable[Spec],
) -> dict[str, Any]:
    """Return the document.

    ``addresses`` has the name in the cluster of every topic of :data:`CHANNELS`, ``groups`` the
    consumer group of every receiver by its setting, ``specs`` how the topics are made. Raises
    ``KeyError`` for a topic or a group that is missing there.
    """
    by_name = {spec.name: spec for spec in specs}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tidegauge",
            "version": version,
            "description": (
                "Every topic that tidegauge reads and writes, as it is with the default settings. "
                "send and receive are tidegauge's own. Payloads are JSON Schema 2020-12; readers "
                "must ignore fields that they don't know. What has headers ce_… is a CloudEvent "
                "in binary mode; by the setting topics.cloudevents it is one in structured mode: "
                f"content-type {STRUCTURED_CONTENT_TYPE}, and the payload in the event's data."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON_CONTENT_TYPE,
        "channels": {
            channel.topic: _channel(channel, by_name[addresses[channel.topic]])
            for channel in CHANNELS
        },
        "operations": {
            operation.name: _operation(operation, channel, groups)
            for channel in CHANNELS
            for operation in channel.operations
        },
        "components": {
            "messages": {
                message.name: _message(message)
                for channel in CHANNELS
                for message in channel.messages
            }
        },
    }


def text(document: Mapping[str, Any]) -> str:
    """Write the document as YAML; the same document always gives the same text."""
    head = "# Written by `make schemas` from the code; don't edit.\n"
    body: str = yaml.safe_dump(dict(document), sort_keys=False, width=100, allow_unicode=True)
    return head + body


def _channel(channel: Channel, spec: Spec) -> dict[str, Any]:
    binding: dict[str, Any] = {"partitions": spec.partitions}
    if spec.config:
        binding["topicConfiguration"] = {
            name: _typed(name, value) for name, value in sorted(spec.config.items())
        }
    return {
        "address": spec.name,
        "description": channel.description,
        "messages": {
            message.name: {"$ref": f"#/components/messages/{message.name}"}
            for message in channel.messages
        },
        "bindings": {"kafka": {**binding, "bindingVersion": _KAFKA_BINDING}},
    }


def _typed(name: str, value: str) -> str | int | list[str]:
    if name in _LISTS:
        return value.split(",")
    return int(value) if name in _INTEGERS else value


def _operation(operation: Operation, channel: Channel, groups: Mapping[str, str]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "action": operation.action,
        "channel": {"$ref": f"#/channels/{channel.topic}"},
        "summary": operation.summary,
        "tags": [{"name": operation.role}],
        "messages": [
            {"$ref": f"#/channels/{channel.topic}/messages/{message.name}"}
            for message in channel.messages
        ],
    }
    if operation.group is not None:
        group = {"type": "string", "enum": [groups[operation.group]]}
        said["bindings"] = {"kafka": {"groupId": group, "bindingVersion": _KAFKA_BINDING}}
    return said


def _message(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"summary": message.summary, "contentType": message.content_type}
    if message.is_event:
        assert message.schema is not None  # noqa: S101 - what is an event has one
        said["headers"] = _event_headers(message.schema)
    elif message.header:
        said["headers"] = {
            "type": "object",
            "properties": {"content-type": {"type": "string", "const": message.content_type}},
        }
    if message.schema is not None:
        said["payload"] = {"$ref": f"./{message.schema}.schema.json"}
    if message.key is not None:
        key = {"type": "string", "description": message.key}
        said["bindings"] = {"kafka": {"key": key, "bindingVersion": _KAFKA_BINDING}}
    return said


def _event_headers(schema: str) -> dict[str, Any]:
    """Describe the headers of binary mode; in structured mode only ``content-type`` is there."""
    said: dict[str, Any] = {
        "content-type": {"enum": [JSON_CONTENT_TYPE, STRUCTURED_CONTENT_TYPE]},
        "ce_specversion": {"const": SPECVERSION},
        "ce_id": {"description": "id of the record; with the source unlike all others"},
        "ce_source": {"description": "who says so, after a slash"},
        "ce_type": {"enum": [type_of(kind) for kind in KINDS[schema]]},
        "ce_time": {"format": "date-time", "description": "event time: the end of the window"},
        "ce_subject": {"description": "model, slash, version; both percent-encoded"},
        "ce_dataschema": {"const": schema_id(schema)},
    }
    return {
        "type": "object",
        "properties": {name: {"type": "string"} | its for name, its in said.items()},
        "required": ["content-type"],
    }
