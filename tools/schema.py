"""Write the JSON Schema (2020-12) of every record, generated from the Structs that decode it.

Beside them ``asyncapi.yaml``, which says what is on which topic.
``python -m tools.schema schemas`` writes the files; ``--check`` compares them instead.
"""

import argparse
import difflib
import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tidegauge.baseline import Baseline
from tidegauge.contract import (
    Acknowledgement,
    Action,
    Alert,
    AuditFact,
    AuditRecord,
    Configuration,
    DeadLetter,
    HistogramRecord,
    LabelEvent,
    LabelsRecord,
    PerformanceReport,
    PredictionEvent,
    PredictionsRecord,
    Silence,
    WindowReport,
    Withheld,
    schema_id,
)
from tools import asyncapi
from tools.released import RELEASE

#: File name (before ``.schema.json``) of every record that leaves a process.
RECORDS: dict[str, type[msgspec.Struct]] = {
    "prediction-event": PredictionEvent,
    "label-event": LabelEvent,
    "predictions-record": PredictionsRecord,
    "labels-record": LabelsRecord,
    "histogram-record": HistogramRecord,
    "window-report": WindowReport,
    "performance-report": PerformanceReport,
    "alert": Alert,
    "action": Action,
    "acknowledgement": Acknowledgement,
    "silence": Silence,
    "withheld": Withheld,
    "configuration": Configuration,
    "audit-fact": AuditFact,
    "audit-record": AuditRecord,
    "dead-letter": DeadLetter,
    "baseline": Baseline,
}

_SUFFIX = ".schema.json"
_ASYNCAPI = "asyncapi.yaml"


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of one of :data:`RECORDS`; raises ``KeyError`` for another name."""
    record = RECORDS[name]
    _, definitions = msgspec.json.schema_components([record], ref_template="#/$defs/{name}")
    for definition in definitions.values():
        _tidy(definition)
    root = definitions.pop(record.__name__)
    _constrain_integer_keys(record, root)
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": schema_id(name),
        **root,
    }
    if definitions:
        document["$defs"] = definitions
    return document


def _tidy(node: Any) -> None:
    """Unfold docstrings, and leave out OpenAPI's ``discriminator``, which no validator follows."""
    if isinstance(node, dict):
        if node.keys() == {"enum"} and len(node["enum"]) == 1:  # msgspec's tag has no description
            node["description"] = "What kind of record this is."
        node.pop("discriminator", None)
        if isinstance(node.get("description"), str):
            node["description"] = inspect.cleandoc(node["description"])
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict | list):
            _tidy(child)


def _constrain_integer_keys(record: type[msgspec.Struct], definition: dict[str, Any]) -> None:
    """Say that the names of an object are integers, which msgspec's schema leaves out."""
    info = msgspec.inspect.type_info(record)
    assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101 - RECORDS holds Structs only
    for field in info.fields:
        kind = field.type
        if isinstance(kind, msgspec.inspect.Metadata):
            kind = kind.type
        if isinstance(kind, msgspec.inspect.DictType) and isinstance(
            kind.key_type, msgspec.inspect.IntType
        ):
            pattern = {"pattern": "^(0|-?[1-9][0-9]*)$"}
            definition["properties"][field.encode_name]["propertyNames"] = pattern


def topics() -> dict[str, Any]:
    """Return the AsyncAPI document of all topics under the default settings."""
    # Only here: they need the Kafka client, and what imports a schema doesn't.
    from tidegauge.config import Settings
    from tidegauge.kafka import topic_specs

    defaults = Settings.model_construct()  # no file and no environment variable
    return asyncapi.document(
        version=RELEASE,
        addresses={
            channel.topic: getattr(defaults.topics, channel.topic) for channel in asyncapi.CHANNELS
        },
        groups={
            "ingest.group_id": defaults.ingest.group_id,
            "ingest.labels_group_id": defaults.ingest.labels_group_id,
            "outcomes.group_id": defaults.outcomes.group_id,
            "detect.app_id": defaults.detect.app_id,
            "notify.group_id": defaults.notify.group_id,
            "ledger.group_id": defaults.ledger.group_id,
            "ledger.acknowledgements_group_id": defaults.ledger.acknowledgements_group_id,
        },
        specs=topic_specs(defaults),
    )


def documents() -> dict[str, str]:
    """Return every file's text by its name; the same code always gives the same text."""
    schemas = {
        name + _SUFFIX: json.dumps(schema(name), indent=2, sort_keys=True, ensure_ascii=False)
        + "\n"
        for name in RECORDS
    }
    return {**schemas, _ASYNCAPI: asyncapi.text(topics())}


def _written(directory: Path) -> list[Path]:
    """Return the files in ``directory`` that are, or once were, written from here."""
    return [*directory.glob("*" + _SUFFIX), *directory.glob(_ASYNCAPI)]


def differences(directory: Path, expected: Mapping[str, str]) -> list[str]:
    """Return a unified diff for every file in ``directory`` that is not as ``expected``."""
    found = {path.name: path.read_text("utf-8") for path in _written(directory)}
    return [
        "".join(
            difflib.unified_diff(
                found.get(name, "").splitlines(keepends=True),
                expected.get(name, "").splitlines(keepends=True),
                str(directory / name) if name in found else "/dev/null",
                "the code" if name in expected else "/dev/null",
            )
        )
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write or check the schemas; returns the exit code (1: a file is stale)."""
    parser = argparse.ArgumentParser(prog="python -m tools.schema")
    parser.add_argument("directory", type=Path, help="where the files are")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    options = parser.parse_args(arguments)
    directory: Path = options.directory
    expected = documents()
    stale = differences(directory, expected)
    if options.check:
        for diff in stale:
            print(diff, file=sys.stderr)
        if stale:
            print(
                f"{len(stale)} file(s) in {directory} differ from the code: "
                "run `make schemas` and commit the result",
                file=sys.stderr,
            )
        return 1 if stale else 0
    directory.mkdir(parents=True, exist_ok=True)
    for path in _written(directory):
        if path.name not in expected:
            path.unlink()
    for name, text in expected.items():
        (directory / name).write_text(text, "utf-8")
    print(f"{len(expected)} files in {directory}, {len(stale)} of them changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
