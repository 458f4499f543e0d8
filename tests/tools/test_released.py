"""A change that breaks a reader of the previous release is found, with the field and the reason."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from tools.compatibility import misread
from tools.released import breaks, freeze, main, previous, schemas
from tools.schema import RECORDS

SCHEMAS = Path(__file__).parents[2] / "schemas"
RELEASE = previous(SCHEMAS)
THEN = schemas(RELEASE)
OLD_EXAMPLES = sorted((RELEASE / "examples").glob("*.json"))
NEW_EXAMPLES = sorted((SCHEMAS / "examples").glob("*.json"))

Change = Callable[[dict[str, Any]], object]


def test_todays_schemas_break_no_reader(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(SCHEMAS)]) == 0, capsys.readouterr().err
    assert f"{len(THEN)} schemas" in capsys.readouterr().out


@pytest.mark.parametrize("path", OLD_EXAMPLES, ids=lambda path: path.stem)
def test_what_the_previous_release_wrote_can_be_read(path: Path) -> None:
    msgspec.json.decode(path.read_bytes(), type=RECORDS[path.name.split(".")[0]])


@pytest.mark.parametrize("path", NEW_EXAMPLES, ids=lambda path: path.stem)
def test_what_is_written_today_is_valid_for_the_previous_release(path: Path) -> None:
    record = path.name.split(".")[0]
    if record in THEN:  # what is new has no readers yet
        Draft202012Validator(THEN[record]).validate(json.loads(path.read_bytes()))


def test_every_record_of_the_release_has_an_example_there() -> None:
    assert {path.name.split(".")[0] for path in OLD_EXAMPLES} == THEN.keys()


# --- changes that break, made to the schema of a record


def without(*path: str) -> Change:
    def change(schema: dict[str, Any]) -> None:
        at = schema
        for step in path[:-1]:
            at = at[step]
        del at["properties"][path[-1]]
        if path[-1] in at.get("required", []):
            at["required"].remove(path[-1])

    return change


def field(name: str, **value: Any) -> Change:
    return lambda schema: schema["properties"].update({name: value})


def required(name: str, **value: Any) -> Change:
    def change(schema: dict[str, Any]) -> None:
        schema["properties"].setdefault(name, value)
        schema["required"].append(name)

    return change


def optional(name: str) -> Change:
    return lambda schema: schema["required"].remove(name)


def enum(name: str, *values: str) -> Change:
    return lambda schema: schema["properties"][name].update(enum=list(values))


BREAKING: list[tuple[str, Change, list[str]]] = [
    ("action", without("reason"), ["reason was removed", "reason: is required and is never"]),
    ("action", without("schema_version"), ["schema_version was removed"]),
    ("action", without("$defs", "CountedRange", "to"), ["data.offsets[].to was removed"]),
    (
        "action",
        field("reason", type="integer"),
        ["refuse reason: may be integer, expected string", "may be string, expected integer"],
    ),
    ("action", field("requested_at", type="number"), ["may be number, expected integer"]),
    ("action", field("reason", anyOf=[{"type": "string"}, {"type": "null"}]), ["may be null"]),
    ("action", required("due", type="number"), ["0.1.0 wrote is refused at due: is required"]),
    ("action", optional("reason"), ["refuse reason: is required and may be absent"]),
    (
        "alert",
        enum("severity", "low", "medium", "high", "critical", "fatal"),
        ['readers of 0.1.0 refuse severity: may be "fatal"', '"low"'],
    ),
    (
        "alert",
        enum("severity", "low", "medium", "high"),
        ['what 0.1.0 wrote is refused at severity: may be "critical"'],
    ),
    ("alert", field("severity", type="string"), ["refuse severity: may be any string"]),
    (
        "histogram-record",
        lambda schema: schema["$defs"]["SignalHistogram"]["properties"].update(
            counts={"type": "array", "items": {"type": "number"}}
        ),
        ["refuse cells[].signals.*.counts[]: may be number, expected integer"],
    ),
    (
        "histogram-record",
        lambda schema: schema["properties"]["ranges"].pop("propertyNames"),
        ["refuse ranges: may have propertyNames any"],
    ),
    (
        "baseline",
        lambda schema: schema["$defs"]["NumericSignal"]["properties"]["edges"].update(
            items={"type": "string"}
        ),
        ["signals.*.edges[]: may be string, expected number"],
    ),
    (
        "prediction-event",
        lambda schema: schema["properties"]["model"].update(maxLength=100),
        ["wrote is refused at model: may have maxLength 200, expected 100"],
    ),
    ("prediction-event", required("id"), ["refused at id: is required and may be absent"]),
    ("prediction-event", without("latency_ms"), ["latency_ms was removed"]),
    (
        "dead-letter",
        lambda schema: schema.update(additionalProperties=False) or without("row")(schema),
        ["row was removed", "refused at row: may be written and is forbidden"],
    ),
]


@pytest.mark.parametrize(("record", "change", "said"), BREAKING)
def test_a_breaking_change_is_named_with_its_field_and_reason(
    record: str, change: Change, said: list[str]
) -> None:
    now = copy.deepcopy(THEN)
    change(now[record])
    found = list(breaks("0.1.0", THEN, now))
    assert found
    assert all(problem.startswith(f"{record}: ") for problem in found)
    for part in said:
        assert any(part in problem for problem in found), found


def test_a_record_that_is_gone_is_a_break() -> None:
    now = {name: schema for name, schema in THEN.items() if name != "alert"}
    (problem,) = breaks("0.1.0", THEN, now)
    assert problem == "alert: was a record of 0.1.0 and is none any more"


COMPATIBLE: list[tuple[str, Change]] = [
    ("alert", field("added", type="string", default="")),
    ("action", lambda schema: schema.update(description="said otherwise")),
    ("window-report", lambda schema: schema["$defs"].update(New={"type": "object"})),
    # Only tidegauge reads it, so it may take more.
    ("prediction-event", field("label", type=["string", "number", "boolean", "null"])),
    ("prediction-event", lambda schema: schema["properties"]["model"].update(maxLength=300)),
    ("prediction-event", optional("version")),
]


@pytest.mark.parametrize(("record", "change"), COMPATIBLE)
def test_a_change_that_breaks_nobody_passes(record: str, change: Change) -> None:
    now = copy.deepcopy(THEN)
    change(now[record])
    assert list(breaks("0.1.0", THEN, now)) == []


def test_a_schema_that_contains_itself_is_compared_once() -> None:
    tree = {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
            }
        },
        "$ref": "#/$defs/Node",
    }
    other = copy.deepcopy(tree)
    other["$defs"]["Node"]["properties"]["children"]["items"] = {"type": "string"}
    assert misread(tree, tree) == []
    (problem,) = misread(tree, other)
    assert problem == ("children[]", "may be object, expected string")


# --- the command


def test_a_break_fails_the_command_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(SCHEMAS, tmp_path, dirs_exist_ok=True)
    alert = tmp_path / "alert.schema.json"
    alert.write_text(alert.read_text("utf-8").replace('"resolved"', '"closed"'), "utf-8")
    assert main([str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert 'refuse state: may be "closed", expected "firing" or "inactive"' in said
    assert "give a new field a default" in said


def test_freezing_keeps_schemas_and_examples_and_replaces_what_was_there(tmp_path: Path) -> None:
    shutil.copytree(SCHEMAS, tmp_path, dirs_exist_ok=True)
    stale = freeze(tmp_path, "0.10.0") / "gone.schema.json"
    stale.write_text("{}")
    kept = freeze(tmp_path, "0.10.0")
    assert not stale.exists()
    assert schemas(kept) == schemas(SCHEMAS)
    assert len(list((kept / "examples").iterdir())) == len(NEW_EXAMPLES)
    (tmp_path / "released" / "0.9.0").mkdir()
    assert previous(tmp_path) == kept


def test_no_release_at_all_is_an_error_and_no_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no release"):
        main([str(tmp_path)])
