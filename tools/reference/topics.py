"""Every topic: its content, settings, schema, and the roles that write and read it."""

from pathlib import Path
from typing import Any

import yaml

from tidegauge.config import Settings
from tidegauge.kafka import ROLES, topic_specs
from tidegauge.kafka.acls import acls
from tidegauge.kafka.topics import TopicSpec, changelog_topic
from tools.reference.markdown import code, page, table, text

ASYNCAPI = Path(__file__).parents[2] / "schemas" / "asyncapi.yaml"

INTRODUCTION = """
The topics by their default names, as `tidegauge topics create` creates them. The names are
[settings](settings.md#topics). `operator` is a person with the command line, `producer` a serving
node. [AsyncAPI](../../schemas/asyncapi.yaml) has keys, headers and messages in full.
"""

CHANGELOG = "The state of DETECT's table, written and read back by DETECT only. Compacted."


def topic_page() -> str:
    """Return the page of topics: an overview, then the settings of each."""
    settings = Settings.model_construct()
    fields = {
        getattr(settings.topics, name): (name, field.description or "")
        for name, field in type(settings.topics).model_fields.items()
    }
    fields[changelog_topic(settings)] = ("changelog", CHANGELOG)
    records = _records()
    overview, made = [], []
    for spec in topic_specs(settings):
        name, description = fields[spec.name]
        links = [f"[{one}](../../schemas/{one}.schema.json)" for one in records.get(name, [])]
        writes, reads = _roles(settings, spec, "Write"), _roles(settings, spec, "Read")
        overview.append([code(spec.name), text(description), ", ".join(links), writes, reads])
        made.append([code(spec.name), str(spec.partitions), _config(spec), _checked(spec)])
    head = ["topic", "what is on it", "schema", "written by", "read by"]
    return page(
        "Topics",
        INTRODUCTION,
        "## What is on each\n\n" + table(head, overview),
        "## How each is made\n\n"
        "`tidegauge check` compares what is marked; a topic that has more than is asked for in "
        "bytes, replicas or time is right too.\n\n"
        + table(["topic", "partitions", "made with", "checked"], made),
    )


def _roles(settings: Settings, spec: TopicSpec, operation: str) -> str:
    found = [
        role
        for role in ROLES
        if any(
            acl.resource == "topic" and acl.name == spec.name and operation in acl.operations
            for acl in acls(settings, role)
        )
    ]
    return ", ".join(found)


def _config(spec: TopicSpec) -> str:
    return "<br>".join(code(f"{name}={value}") for name, value in spec.config.items())


def _checked(spec: TopicSpec) -> str:
    found = [code(name) for name in sorted(spec.required)]
    if spec.exact:
        found.append("partitions")
    if spec.each_counts and "cleanup.policy" not in spec.required:
        found.append("not compacted")
    if spec.least_kept_ms:
        found.append(f"kept for {spec.least_kept_ms // 3_600_000} h at least")
    return ", ".join(found)


def _records() -> dict[str, list[str]]:
    """Return the schemas of the records on each topic, by the topic's setting."""
    document: Any = yaml.safe_load(ASYNCAPI.read_text("utf-8"))
    messages = document["components"]["messages"]
    found = {}
    for topic, channel in document["channels"].items():
        payloads = [messages[name].get("payload") for name in channel["messages"]]
        paths = [payload["$ref"] for payload in payloads if payload]
        found[topic] = [Path(path).name.removesuffix(".schema.json") for path in paths]
    return found
