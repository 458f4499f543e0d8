"""``tidegauge audit`` and ``verify``: the audit trail, and whether it and an alert are true."""

import csv
import math
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from tidegauge.audit import (
    EVENTS,
    Chain,
    StoredRecord,
    as_text,
    asked_for,
    explain,
    read_audit,
    verify as checks_of,
)
from tidegauge.cli.command import (
    SkippedRecords,
    kafka_settings,
    reported,
    skipping,
)
from tidegauge.cli.printing import echo, echo_json
from tidegauge.contract import (
    GLOB_CHARACTERS,
    Alert,
    AuditRecord,
    DecodingError,
    counted,
    decode,
    moment,
    printable_json,
    quantity_text,
    spreadsheet_text,
    utc_text,
)

app = typer.Typer(help="The audit trail.", no_args_is_help=True)

_DAY_SECONDS = 24 * 3600

#: The trail is not whole, or a figure of an alert differs.
BROKEN = 1

#: Inputs of a fact about a figure, and of one that asks for data.
_FIGURES = {
    "metric", "value", "comparison", "threshold", "events", "minimum_events", "window_start",
    "window_end", "baseline", "report",
}  # fmt: skip
_DATA = {"data_since", "data_until", "data_offsets"}

ModelOption = Annotated[str | None, typer.Option("--model", help="Of this model alone.")]
EventOption = Annotated[
    str | None, typer.Option("--event", help="Of this event alone, such as action.requested.")
]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="From then on: 2026-11-24T00:00:00Z, -7d, -6h.")
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Before then.")]


class Format(StrEnum):
    """What ``export`` writes."""

    jsonl = "jsonl"
    csv = "csv"


@app.command("list")
@reported
def list_(
    model: ModelOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    event: EventOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List who did what, when and why, and on which figures: one line each, the oldest first."""
    with skipping() as skipped:
        found = list(_selected(model, since, until, event, skipped))
    for raw, record in sorted(found, key=lambda one: one[1].time):
        echo_json(raw) if json else echo(describe(record))


@app.command()
@reported
def export(
    model: ModelOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    event: EventOption = None,
    format: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.jsonl,
) -> None:
    """Write records to standard output, as they are in the topic or as a table."""
    with skipping() as skipped:
        found = _selected(model, since, until, event, skipped)
        if format is Format.jsonl:
            for raw, _ in found:
                echo_json(raw)
            return
        names = AuditRecord.__struct_fields__
        writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        writer.writeheader()
        for _, record in found:
            row = msgspec.to_builtins(record)
            shown = {
                name: spreadsheet_text(it) if isinstance(it, str) else it
                for name, it in row.items()
            }
            inputs = printable_json(msgspec.json.encode(row["inputs"]).decode())
            writer.writerow({**shown, "inputs": inputs})


@app.command()
@reported
def why(
    action: Annotated[
        str, typer.Argument(help="Id of the action, or the beginning of it; or none.")
    ] = "",
    model: ModelOption = None,
    on: Annotated[str | None, typer.Option("--on", help="Of this day, in UTC: 2026-11-17.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object for each action.")] = False,
) -> None:
    """Explain why actions were requested: alert, figures, baseline, rules, and what people did."""
    if not (action or model or on or since):
        raise ValueError("say which action by its id, or by --model, --on or --since")
    begin, end = _span(on, since, until)
    with skipping() as skipped:
        found_at = _selected(model, None, None, None, skipped)
        trail = [record for _, record in found_at if record.event in EVENTS]
    asked = [
        one
        for one in asked_for(trail)
        if one.subject.startswith(action) and begin <= one.time < end
    ]
    if not asked:
        raise ValueError("no action of that name or time is in the audit trail; see: audit list")
    for number, one in enumerate(asked):
        found = explain(one, trail)
        if json:
            echo_json(found)
            continue
        if number:
            echo()
        for line in as_text(found):
            echo(line)


def _span(on: str | None, since: str | None, until: str | None) -> tuple[float, float]:
    """Return from when on, and before when, in epoch seconds."""
    now = time.time()
    if on is None:
        return (
            -math.inf if since is None else moment(since, now),
            math.inf if until is None else moment(until, now),
        )
    if since or until:
        raise ValueError("found --on with --since or --until; expected one or the other")
    try:
        day = datetime.strptime(on, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ValueError(f"--on: found {on!r}, expected a day such as 2026-11-17") from None
    return day, day + _DAY_SECONDS


@app.command()
@reported
def verify(
    model: ModelOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Recompute every chain; print CONFIRMED, or where it breaks and exit with 1.

    A trail whose latest records were cut off is a whole trail too: keep the last number and hash
    that this prints, elsewhere, and check that they are still there.
    """
    chains: dict[tuple[int, str], Chain] = {}
    for stored in read_audit(kafka_settings()):
        name = _model_of(stored)
        if model is None or name == model:
            chain = chains.setdefault((stored.partition, name), Chain())
            chain.take(stored.offset, stored.value)
    broken = any(chain.breaks for chain in chains.values())
    if json:
        echo_json(_as_json(chains, broken=broken))
    else:
        for line in _as_lines(chains, broken=broken):
            echo(line)
    if broken:
        raise typer.Exit(BROKEN)


@reported
def verify_alert(
    file: Annotated[Path, typer.Argument(help="An alert as JSON; - for standard input.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Recompute the figures of an alert; print CONFIRMED, or what differs and exit with 1."""
    raw = typer.get_binary_stream("stdin").read() if str(file) == "-" else file.read_bytes()
    try:
        alert = decode(raw, Alert)
    except DecodingError as error:
        raise ValueError(f"{file} is no alert: {error}") from error
    checks = checks_of(alert)
    wrong = [check for check in checks if not check.holds]
    verdict = "DIFFERS" if wrong else "CONFIRMED"
    if json:
        listed = [{**check._asdict(), "holds": check.holds} for check in checks]
        echo_json(msgspec.json.encode({"verdict": verdict, "checks": listed}))
    else:
        echo(f"{verdict}: alert {alert.id}, rule {alert.rule}")
        for check in checks:
            claim = "as the alert says" if check.holds else f"the alert says {check.claimed!r}"
            echo(f"  {check.what}: {check.found!r}, {claim}")
    if wrong:
        raise typer.Exit(BROKEN)


def describe(record: AuditRecord) -> str:
    """Return a record in one line for a person."""
    inputs = record.inputs
    of = [record.model or record.inputs.get("models", ""), record.version, record.event]
    text = " ".join([utc_text(record.time), *(one for one in of if one)])
    if action := inputs.get("action"):
        text += f" {action}"
    # A reason names the version itself, as a rule, and that is in front already.
    reason = record.reason.removeprefix(f"{record.model} {record.version}: ")
    text += f" by {record.actor}: {reason}"
    # Anybody may send a fact, so its inputs may be incomplete.
    if not inputs.keys() >= _FIGURES:
        known = sorted((name, value) for name, value in inputs.items() if value)
        details = ", ".join(f"{name} {value}" for name, value in known)
        return f"{text} [{details}]" if details else text
    signal = f" of {inputs['signal']}" if inputs.get("signal") else ""
    unit = inputs.get("unit", "")
    parts = [
        f"{inputs['metric']}{signal} {quantity_text(inputs['value'], unit)}, "
        f"{inputs['comparison']} {inputs['threshold']}",
        f"{quantity_text(inputs['events'], '')} events, "
        f"at least {quantity_text(inputs['minimum_events'], '')}",
        f"window {utc_text(inputs['window_start'])} to {utc_text(inputs['window_end'])}",
    ]
    if "withheld" in inputs:
        parts.insert(0, f"withheld: {inputs['withheld']}")
    if inputs.keys() >= _DATA:
        parts.append(
            f"data {utc_text(inputs['data_since'])} to {utc_text(inputs['data_until'])}, "
            f"up to {inputs['data_offsets']}"
        )
    parts.append(f"baseline {inputs['baseline'] or 'none'}")
    parts.append(f"report {inputs['report']}")
    return f"{text} [{'; '.join(parts)}]"


def _selected(
    model: str | None,
    since: str | None,
    until: str | None,
    event: str | None,
    skipped: SkippedRecords,
) -> Iterator[tuple[bytes, AuditRecord]]:
    now = time.time()
    begin = None if since is None else moment(since, now)
    end = None if until is None else moment(until, now)
    for stored in read_audit(kafka_settings()):
        try:
            record = decode(stored.value, AuditRecord)
        except DecodingError as error:
            place = f"partition {stored.partition}, offset {stored.offset}"
            skipped(place, f"no audit record: {error}")
            continue
        if (
            (model is None or _is_about(record, model))
            and event in (None, record.event)
            and (begin is None or record.time >= begin)
            and (end is None or record.time < end)
        ):
            yield stored.value, record


def _is_about(record: AuditRecord, model: str) -> bool:
    """Whether a fact is about a model, alone or as one of several."""
    if record.model:
        return record.model == model
    models = record.inputs.get("models")
    return models is not None and len(models) <= GLOB_CHARACTERS and fnmatchcase(model, models)


def _model_of(stored: StoredRecord) -> str:
    """Return whose chain a record is in; that of its key if it can't be read."""
    try:
        return str(decode(stored.value, dict[str, Any])["model"])
    except (DecodingError, KeyError):
        return (stored.key or b"").decode(errors="replace")


def _as_lines(chains: dict[tuple[int, str], Chain], *, broken: bool) -> Iterator[str]:
    yield f"{'BROKEN' if broken else 'CONFIRMED'}: {counted(len(chains), 'chain')}"
    for (partition, model), chain in sorted(chains.items()):
        name = f"  {model or '(no model)'}, partition {partition}"
        records = counted(chain.head.seq, "record")
        yield f"{name}: {records}, the last has hash {chain.head.hash}"
        for one in chain.breaks:
            yield f"    {one.kind} at offset {one.offset}: {one.detail}"


def _as_json(chains: dict[tuple[int, str], Chain], *, broken: bool) -> dict[str, Any]:
    return {
        "verdict": "BROKEN" if broken else "CONFIRMED",
        "chains": [
            {
                "model": model,
                "partition": partition,
                "records": chain.head.seq,
                "head": chain.head.hash,
                "breaks": [one._asdict() for one in chain.breaks],
            }
            for (partition, model), chain in sorted(chains.items())
        ],
    }
