"""The schemas, the examples beside them and the decoders must agree, on what is refused too."""

import copy
import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from tidegauge.baseline.document import Baseline
from tidegauge.contract.alert import Action, Alert
from tidegauge.contract.audit import AuditFact, AuditRecord
from tidegauge.contract.histogram import HistogramRecord
from tidegauge.contract.report import WindowReport
from tools.schema import RECORDS, documents, main, schema

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
EXAMPLES = sorted((SCHEMAS / "examples").glob("*.json"))


def example(name: str) -> Any:
    return json.loads((SCHEMAS / "examples" / f"{name}.json").read_text("utf-8"))


def decoded(name: str, kind: type[T]) -> T:
    return msgspec.convert(example(name), kind, strict=False)


def validator(record: str) -> Draft202012Validator:
    document = json.loads((SCHEMAS / f"{record}.schema.json").read_text("utf-8"))
    return Draft202012Validator(document, format_checker=FormatChecker(["date-time"]))


def test_the_files_are_those_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(SCHEMAS), "--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("record", RECORDS)
def test_a_schema_is_valid_and_says_what_it_is(record: str) -> None:
    document = schema(record)
    Draft202012Validator.check_schema(document)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"] == f"urn:tidegauge:schema:{record}:1"
    assert document["title"] == RECORDS[record].__name__
    assert document["description"]
    assert "\n   " not in json.dumps(document).encode().decode("unicode_escape")


# The baseline is a document, which `tidegauge baseline` writes.
@pytest.mark.parametrize("record", sorted(RECORDS.keys() - {"baseline"}))
def test_every_field_of_a_record_is_described(record: str) -> None:
    document = schema(record)
    definitions = {document["title"]: document, **document.get("$defs", {})}
    undescribed = [
        f"{title}.{name}"
        for title, definition in definitions.items()
        for name, field in definition.get("properties", {}).items()
        if "description" not in field
    ]
    assert undescribed == []


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_has_an_example(record: str) -> None:
    assert [path for path in EXAMPLES if path.name.split(".")[0] == record]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_survives_its_record(path: Path) -> None:
    record = path.name.split(".")[0]
    found = json.loads(path.read_text("utf-8"))
    validator(record).validate(found)
    there_and_back = json.loads(
        msgspec.json.encode(msgspec.json.decode(path.read_bytes(), type=RECORDS[record]))
    )
    # What is at its default may be left out, and times may be spelt in several ways.
    for name, value in there_and_back.items():
        if name != "time" and name in found:
            assert value == found[name]
    assert there_and_back.keys() <= found.keys()


def test_unknown_fields_are_ignored() -> None:
    event = {**example("prediction-event.minimal"), "added_later": {"any": ["thing"]}}
    validator("prediction-event").validate(event)
    msgspec.convert(event, RECORDS["prediction-event"])


# --- what both must refuse: example, path of the field, wrong value (or absent)

ABSENT = object()

WRONG: list[tuple[str, list[str | int], object]] = [
    ("prediction-event.full", ["time"], ABSENT),
    ("prediction-event.full", ["model"], ABSENT),
    ("prediction-event.full", ["version"], ABSENT),
    ("prediction-event.full", ["model"], ""),
    ("prediction-event.full", ["version"], 3),
    ("prediction-event.full", ["model"], "m" * 201),
    ("prediction-event.full", ["time"], None),
    ("prediction-event.full", ["time"], "yesterday"),
    ("prediction-event.full", ["time"], "2026-03-01T12:00:13.75"),
    ("prediction-event.full", ["prediction"], [0.5]),
    ("prediction-event.full", ["label"], 0.5),
    ("prediction-event.full", ["features"], [1, 2]),
    ("prediction-event.full", ["features", "income"], [61200]),
    ("prediction-event.full", ["features", "income"], {"value": 61200}),
    ("prediction-event.full", ["segments", "region"], None),
    ("prediction-event.full", ["latency_ms"], True),
    ("prediction-event.full", ["status"], 200),
    ("histogram-record", ["seq"], "41"),
    ("histogram-record", ["ranges", "0", "to"], ABSENT),
    ("histogram-record", ["ranges", "first"], {"origin": 0, "start": 0, "since": 0, "to": 1}),
    ("histogram-record", ["cells", 0, "signals", "income", "counts"], [1.5]),
    ("window-report", ["parts", 0, "signals", "income", "kind"], "ordinal"),
    ("window-report", ["latency", "p99_ms"], ABSENT),
    ("window-report", ["window_start"], 1772366400.5),
    ("alert.firing", ["severity"], "urgent"),
    ("alert.firing", ["state"], "acknowledged"),
    ("alert.firing", ["value"], None),
    ("alert.firing", ["distribution", "bins"], ABSENT),
    ("action.retrain", ["kind"], "reboot"),
    ("action.retrain", ["data", "offsets", 0, "to"], None),
    ("audit-fact.alert-firing", ["event"], "ignored"),
    ("audit-fact.alert-firing", ["inputs", "value"], 0.0743),
    ("audit-record.alert-firing", ["hash"], "0"),
    ("audit-record.alert-firing", ["previous"], ABSENT),
    ("audit-record.alert-firing", ["seq"], 0),
    ("dead-letter", ["reason"], "unknown"),
    ("dead-letter", ["payload_encoding"], "hex"),
    ("dead-letter", ["offset"], ABSENT),
    ("baseline.credit-3", ["signals", "income", "kind"], "ordinal"),
    ("baseline.credit-3", ["signals", "income", "edges"], ABSENT),
    ("baseline.credit-3", ["signals", "region", "dtype"], "float"),
]


@pytest.mark.parametrize(
    ("name", "path", "value"),
    WRONG,
    ids=[
        f"{name}-{'.'.join(map(str, path))}-{'absent' if value is ABSENT else repr(value)[:20]}"
        for name, path, value in WRONG
    ],
)
def test_what_is_wrong_is_refused_by_the_schema_and_by_the_decoder(
    name: str, path: list[str | int], value: object
) -> None:
    record = name.split(".")[0]
    wrong = copy.deepcopy(example(name))
    at = wrong
    for step in path[:-1]:
        at = at[step]
    if value is ABSENT:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    with pytest.raises(ValidationError):
        validator(record).validate(wrong)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(wrong), type=RECORDS[record])


# --- the examples tell one story

STORY = ["alert.pending", "alert.firing", "alert.firing-retrain", "alert.resolved"]


def kl_nats(current: list[int], reference: list[int]) -> float:
    """KL(current‖reference) with half a count in each bin that either side has hit."""
    pairs = [(c + 0.5, r + 0.5) for c, r in zip(current, reference, strict=True) if c or r]
    n, m = (sum(side) for side in zip(*pairs, strict=True))
    return sum(c / n * math.log((c / n) / (r / m)) for c, r in pairs)


@pytest.mark.parametrize("name", STORY)
def test_the_figure_of_an_alert_follows_from_its_distribution(name: str) -> None:
    alert = decoded(name, Alert)
    assert alert.distribution is not None
    assert alert.value == pytest.approx(
        kl_nats(alert.distribution.current, alert.distribution.reference), rel=1e-12
    )
    assert (alert.value > alert.threshold) == (alert.state in ("pending", "firing"))
    assert alert.threshold >= 0.05
    assert sum(alert.distribution.current) == alert.events


def reports() -> Iterator[WindowReport]:
    for name in ("window-report", "window-report.recovered"):
        yield decoded(name, WindowReport)


@pytest.mark.parametrize("name", STORY)
def test_an_alert_is_about_a_report_of_the_examples(name: str) -> None:
    alert = decoded(name, Alert)
    (report,) = [report for report in reports() if report.id == alert.report]
    assert alert.counted == report.counted
    assert (alert.window_start, alert.window_end) == (report.window_start, report.window_end)
    (part,) = report.parts
    assert part.baseline == alert.baseline == decoded("baseline.credit-3", Baseline).id
    drift = part.signals[alert.signal or ""].drift
    assert drift is not None
    assert drift.kl_current_reference_nats == pytest.approx(alert.value, rel=1e-12)


def test_the_histogram_record_is_what_the_report_counted() -> None:
    record = msgspec.json.decode(
        (SCHEMAS / "examples" / "histogram-record.json").read_bytes(), type=HistogramRecord
    )
    (cell,) = record.cells
    report = next(reports())
    (part,) = report.parts
    assert cell.window_start == report.window_start
    assert cell.events == report.events
    assert cell.baseline == part.baseline
    assert cell.signals == {name: signal.histogram for name, signal in part.signals.items()}
    for signal in cell.signals.values():
        beside = signal.absent + signal.null + signal.nan + signal.invalid
        assert signal.n + beside == cell.events
    for counted in report.counted:
        tenure = record.ranges[counted.partition]
        assert counted.start == tenure.start <= tenure.to <= counted.to


def test_the_action_and_the_audit_follow_from_the_alert() -> None:
    alert = decoded("alert.firing-retrain", Alert)
    action = decoded("action.retrain", Action)
    assert alert.actions == [action.id]
    assert action.alert == alert.id
    assert action.data is not None
    assert action.data.until - action.data.since == 86_400
    assert decoded("audit-fact.alert-firing", AuditFact).subject == alert.id
    audit = decoded("audit-fact.action-requested", AuditFact)
    assert audit.subject == action.id
    assert audit.inputs["alert"] == alert.id
    assert float(audit.inputs["data_since"]) == action.data.since
    assert float(audit.inputs["data_until"]) == action.data.until
    resolved = decoded("alert.resolved", Alert)
    assert resolved.fingerprint == decoded("alert.firing", Alert).fingerprint
    assert resolved.episode == decoded("alert.firing", Alert).episode
    assert decoded("audit-fact.alert-resolved", AuditFact).subject == resolved.id
    missing = decoded("alert.no-data", Alert)
    assert (missing.episode, missing.was) == (resolved.episode, "firing")
    assert decoded("audit-fact.alert-no-data", AuditFact).subject == missing.id
    assert decoded("alert.silence", Alert).starts_at == missing.window_start
    pending = decoded("alert.pending", Alert)
    assert decoded("audit-fact.alert-pending", AuditFact).subject == pending.id


def test_an_alert_of_a_release_without_episodes_can_be_read() -> None:
    old = example("alert.firing")
    del old["episode"], old["reminder"]
    alert = msgspec.json.decode(json.dumps(old), type=Alert)
    assert (alert.episode, alert.reminder) == ("", 0)


def test_the_audit_records_are_a_chain_that_anybody_can_recompute() -> None:
    previous = ""
    for seq, name in enumerate(["baseline-promoted", "alert-firing", "action-requested"], start=1):
        record = example(f"audit-record.{name}")
        assert decoded(f"audit-record.{name}", AuditRecord).seq == seq
        assert record["previous"] == previous
        assert example(f"audit-fact.{name}").items() <= record.items()
        previous = record.pop("hash")
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == previous


# --- the command


def test_writing_twice_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert f"{len(documents())} files" in capsys.readouterr().out
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main([str(tmp_path)]) == 0
    assert "0 of them changed" in capsys.readouterr().out
    assert written == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(written) == set(documents())


def test_a_stale_file_is_named_with_its_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(tmp_path)])
    alert = tmp_path / "alert.schema.json"
    alert.write_text(alert.read_text("utf-8").replace('"critical"', '"catastrophic"'), "utf-8")
    (tmp_path / "action.schema.json").unlink()
    (tmp_path / "retired.schema.json").write_text("{}\n", "utf-8")
    assert main([str(tmp_path), "--check"]) == 1
    said = capsys.readouterr().err
    assert f"--- {alert}" in said
    assert any(line.startswith("-") and "catastrophic" in line for line in said.splitlines())
    assert "retired.schema.json" in said
    assert "3 file(s)" in said
    assert "make schemas" in said
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0
    assert not (tmp_path / "retired.schema.json").exists()
