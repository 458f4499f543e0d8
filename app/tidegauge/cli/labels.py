"""``tidegauge labels``: whether the labels in a file are labels, before they are sent."""

import codecs
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, NamedTuple

import msgspec
import typer

from tidegauge.cli.command import BAD_INPUT, reported, warn
from tidegauge.cli.printing import echo
from tidegauge.config import Settings, load_settings
from tidegauge.contract import (
    DecodingError,
    Label,
    LabelError,
    LabelEvent,
    OutcomeTarget,
    RegressionTarget,
    actual_number,
    class_code,
    class_text,
    counted,
    decode,
    printable,
    read_label,
    shortened,
)

app = typer.Typer(help="Labels: what became of predictions.", no_args_is_help=True)

#: Labels by line, as they are sent; other formats are tables.
_LINES = (".ndjson", ".jsonl", ".json")

#: Problems that are printed; the others are counted.
_SHOWN = 20

#: Different actuals that are printed.
_ACTUALS = 5

#: Ids that are remembered to find labels that are there twice; each takes about 100 bytes.
_REMEMBERED = 5_000_000

_SEGMENT = "segments."

_COUNTED = ("correction", "retraction")


class FileLabel(NamedTuple):
    """One label of a file: where it is, and the record that would be sent."""

    place: str
    value: bytes


class Findings:
    """What is in a file of labels."""

    def __init__(self) -> None:
        self.labels = 0
        self.problems = 0
        self.kinds: Counter[str] = Counter()
        self.actuals: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.twice = 0
        self.others = 0
        self._seen: set[int] = set()

    def add(self, label: Label, value: bytes) -> None:
        """Count one label."""
        self.labels += 1
        if label.prediction is None:
            self.kinds["by id"] += 1
        else:
            with_receipt = b'"receipt"' in value
            self.kinds["with a receipt" if with_receipt else "with their prediction"] += 1
        if label.revision and not label.retracted:
            self.kinds["correction"] += 1
        if label.retracted:
            self.kinds["retraction"] += 1
        elif label.actual is not None and (
            len(self.actuals) < _REMEMBERED or class_text(label.actual) in self.actuals
        ):
            self.actuals[class_text(label.actual)] += 1
        if label.id is not None and len(self._seen) < _REMEMBERED:
            before = len(self._seen)
            self._seen.add(hash((label.id, label.model, label.revision)))
            self.twice += len(self._seen) == before

    def lines(self) -> Iterator[str]:
        """Yield what was found, in a few lines."""
        kinds = ", ".join(
            counted(n, kind) if kind in _COUNTED else f"{n:,} {kind}"
            for kind, n in self.kinds.most_common()
        )
        yield f"{counted(self.labels, 'label')}{': ' if kinds else ''}{kinds}"
        if self.actuals:
            shown = [
                f"{shortened(printable(text), 30, 0)} ({n:,})"
                for text, n in self.actuals.most_common(_ACTUALS)
            ]
            more = len(self.actuals) - len(shown)
            others = f" and {counted(more, 'other value')}" if more else ""
            yield f"actual: {', '.join(shown)}{others}"

    def warnings(self) -> Iterator[str]:
        """Yield what is no error, but may be a slip."""
        if self.twice:
            yield (
                f"{counted(self.twice, 'label')} with the id and the revision of an earlier one: "
                "only the first counts; a correction needs a larger revision"
            )
        if self.others:
            yield (
                f"{counted(self.others, 'label')} with a class that the baseline doesn't name: "
                "they count as other"
            )
        if self.unknown:
            names = ", ".join(f"{name} ({n:,})" for name, n in self.unknown.most_common(_ACTUALS))
            fields = ", ".join(LabelEvent.__struct_fields__)
            yield f"fields that no label has are passed over: {names}; known are {fields}"


@app.command("check")
@reported
def check(
    file: Annotated[
        str,
        typer.Argument(
            help="NDJSON with one label event a line, CSV, Parquet or Arrow with their fields as "
            "columns (segments as segments.NAME), or - for NDJSON from standard input."
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help="Compare each actual with the target of this model.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="The version of that model.")] = None,
) -> None:
    """Read the labels in a file as INGEST would, and show what is wrong with them.

    Sends nothing. Receipts are checked with the key of the settings, if there is one. With --model
    and --version an actual must be a class, or a number, of the promoted baseline of that version;
    labels that name another model are not compared. Exits with 2 if a record is no label.
    """
    settings = load_settings()
    keys = settings.outcomes.receipt_keys
    target = None
    if model is not None or version is not None:
        if model is None or version is None:
            raise ValueError("give both --model and --version, or none of them")
        target = _target(settings, model, version)
    findings = Findings()
    fields = set(LabelEvent.__struct_fields__)
    with _rows(file) as rows:
        for row in rows:
            try:
                label = read_label(row.value, keys)
                if target is not None and _model_of(label) in (None, model):
                    findings.others += _check_actual(label, target)
            except LabelError as error:
                findings.problems += 1
                if findings.problems <= _SHOWN:
                    echo(_problem(file, row, error), err=True, fg="red")
                continue
            findings.add(label, row.value)
            findings.unknown.update(_decoded(row.value).keys() - fields)
    if findings.problems > _SHOWN:
        echo(f"and {counted(findings.problems - _SHOWN, 'other problem')}", err=True, fg="red")
    for line in findings.lines():
        echo(line)
    for line in findings.warnings():
        warn(line)
    if findings.problems:
        echo(f"{counted(findings.problems, 'record')} can't be a label", err=True, fg="red")
        raise typer.Exit(BAD_INPUT)


def _target(settings: Settings, model: str, version: str) -> OutcomeTarget:
    # Only here: numpy and redis take half a second.
    from tidegauge.baseline.io import BaselineStore, without_baseline

    with closing(BaselineStore.of(settings)) as store:
        promoted = store.snapshot().promoted
        pointer = promoted.get((model, version))
        if pointer is None:
            raise ValueError(without_baseline([(model, version)], promoted))
        outcomes = store.get(pointer.id).outcomes
    if not outcomes:
        raise ValueError(
            f"the promoted baseline of model {model}, version {version} doesn't say what labels "
            "are compared with: create it with --label"
        )
    return outcomes.target


def _model_of(label: Label) -> str | None:
    return label.model if label.prediction is None else label.prediction.model


def _check_actual(label: Label, target: OutcomeTarget) -> bool:
    """Return whether the actual counts as other; raises :class:`LabelError` if it is no class."""
    if label.actual is None:
        return False
    if isinstance(target, RegressionTarget):
        if actual_number(label.actual) is None:
            raise LabelError("invalid_class", "expected a finite number", "actual")
        return False
    code = class_code(target, label.actual)
    if code is None:
        raise LabelError("invalid_class", f"expected {' or '.join(target.texts)}", "actual")
    return code == len(target.texts)


def _problem(file: str, row: FileLabel, error: LabelError) -> str:
    shown = f": {error.field}" if error.field else ""
    values = _decoded(row.value)
    value = ""
    if error.field in values:
        found = msgspec.json.encode(values[error.field]).decode()
        value = f" (found {shortened(printable(found), 60, 10)})"
    return f"{file}{row.place}{shown}: {error.reason}: {error}{value}"


def _decoded(value: bytes) -> dict[str, Any]:
    try:
        return decode(value, dict[str, Any])
    except DecodingError:
        return {}


@contextmanager
def _rows(file: str) -> Iterator[Iterator[FileLabel]]:
    if file == "-":
        yield _lines(sys.stdin.buffer)
    elif file.lower().endswith(_LINES):
        with Path(file).open("rb") as opened:
            yield _lines(opened)
    else:
        # Only here: DuckDB and pyarrow take half a second.
        from tidegauge.baseline.io import text_rows

        rows = enumerate(text_rows(Path(file)), 1)
        yield (FileLabel(f", row {number}", event_of(row)) for number, row in rows)


def _lines(opened: IO[bytes]) -> Iterator[FileLabel]:
    for number, line in enumerate(opened, 1):
        line = line.removeprefix(codecs.BOM_UTF8).strip()
        if number == 1 and line.startswith(b"["):
            elements = decode(line + opened.read(), list[msgspec.Raw])
            yield from (
                FileLabel(f", element {at}", bytes(it)) for at, it in enumerate(elements, 1)
            )
        elif line:
            yield FileLabel(f":{number}", line)


def event_of(row: dict[str, str]) -> bytes:
    r"""Return the label event of a row of texts; what has no other form stays text.

    >>> event_of({"id": "17", "actual": "1", "revision": "2", "segments.region": "EU"})
    b'{"id":"17","actual":"1","revision":2,"segments":{"region":"EU"}}'
    """
    event: dict[str, Any] = {}
    for name, text in row.items():
        if name.startswith(_SEGMENT):
            event.setdefault("segments", {})[name.removeprefix(_SEGMENT)] = text
        else:
            event[name] = _FORMS.get(name, str)(text)
    return msgspec.json.encode(event)


def _number(text: str) -> object:
    try:
        return int(text) if text.strip("+-").isdecimal() else float(text)
    except ValueError:
        return text


def _truth(text: str) -> object:
    return {"true": True, "false": False, "1": True, "0": False}.get(text.lower(), text)


_FORMS = {
    "time": _number,
    "observed_at": _number,
    "prediction": _number,
    "revision": _number,
    "retracted": _truth,
}
