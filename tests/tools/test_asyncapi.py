"""``schemas/asyncapi.yaml``: valid by the official schema, and true to settings and topics."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from tidegauge.config.settings import Settings
from tidegauge.kafka.topics import topic_specs
from tools.schema import RECORDS, topics

SCHEMAS = Path(__file__).parents[2] / "schemas"
OFFICIAL = Path(__file__).parent / "asyncapi" / "3.0.0.json.gz"
DOCUMENT: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text("utf-8"))


@cache
def official() -> Draft7Validator:
    return Draft7Validator(json.loads(gzip.decompress(OFFICIAL.read_bytes())))


def at(reference: str) -> Any:
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [ref for child in node.values() for ref in references(child)]
    return [ref for child in node for ref in references(child)] if isinstance(node, list) else []


def test_it_is_valid_by_the_official_schema() -> None:
    official().validate(DOCUMENT)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["asyncapi"], "2.6.0"),
        (["operations", "sendAlerts", "action"], "publish"),
        (["channels", "audit", "bindings", "kafka", "partitions"], 0),
        (["channels", "audit", "bindings", "kafka", "topicConfiguration", "retention.ms"], "-1"),
        (["components", "messages", "alert", "contentType"], 3),
        (["topics"], {}),
    ],
)
def test_the_official_schema_refuses_what_is_wrong(path: list[str], value: object) -> None:
    wrong = json.loads(json.dumps(DOCUMENT))
    node = wrong
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    with pytest.raises(ValidationError):
        official().validate(wrong)


def test_every_reference_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert found
    for reference in found:
        if reference.startswith("#/"):
            at(reference)
        else:
            assert (SCHEMAS / reference).is_file(), reference


def test_it_has_every_topic_but_the_changelog_as_it_is_made() -> None:
    specs = {spec.name: spec for spec in topic_specs(Settings.model_construct())}
    del specs["tidegauge-detect-windows-changelog"]  # DETECT's own state
    channels = {channel["address"]: channel for channel in DOCUMENT["channels"].values()}
    assert channels.keys() == specs.keys()
    for name, spec in specs.items():
        binding = channels[name]["bindings"]["kafka"]
        assert binding["partitions"] == spec.partitions
        said = dict(binding.get("topicConfiguration", {}))
        if "cleanup.policy" in said:
            said["cleanup.policy"] = ",".join(said["cleanup.policy"])
        assert {name: str(value) for name, value in said.items()} == spec.config


def test_every_record_that_leaves_a_process_by_kafka_is_a_message() -> None:
    payloads = {
        message["payload"]["$ref"]
        for message in DOCUMENT["components"]["messages"].values()
        if "payload" in message
    }
    assert payloads == {f"./{name}.schema.json" for name in RECORDS if name != "baseline"}


def test_every_topic_is_sent_or_received_by_a_part_of_tidegauge() -> None:
    used = {operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()}
    assert used == {f"#/channels/{name}" for name in DOCUMENT["channels"]}
    for operation in DOCUMENT["operations"].values():
        assert ("bindings" in operation) <= (operation["action"] == "receive")


def test_whoever_receives_does_so_in_a_group_but_for_what_is_read_from_its_beginning() -> None:
    receive = {n: o for n, o in DOCUMENT["operations"].items() if o["action"] == "receive"}
    alone = {name for name, operation in receive.items() if "bindings" not in operation}
    assert alone == {"followSilences", "restoreWithheld"}


def test_the_environment_has_no_say_in_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIDEGAUGE_TOPICS__ALERTS", "another")
    (tmp_path / "tidegauge.yaml").write_text("topics: {audit: another}\n")
    monkeypatch.chdir(tmp_path)
    assert topics() == DOCUMENT
