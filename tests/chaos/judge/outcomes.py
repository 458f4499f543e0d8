"""What labels have come to, held against what they must come to: cells, dead letters, reports."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chaos.judge.findings import Findings, Kind, OutputRecord
from chaos.judge.labels import CellName, Expected, Place, Refusal, Tally
from chaos.judge.performance import judge_reports
from chaos.labels import NEGATIVE, POSITIVE, THRESHOLD

#: The histograms of a cell, each of which must be exact.
_HISTOGRAMS = ("outcomes", "lags", "counts", "sums", "squares", "predicted")

_TARGET = {
    "problem": "binary",
    "positive": POSITIVE,
    "negative": NEGATIVE,
    "threshold": THRESHOLD,
}


@dataclass
class Counted:
    """What OUTCOMES has committed: the cells of all tenures, and how far each partition is read."""

    cells: dict[CellName, Tally]
    #: By partition and tenure, the offsets from and to.
    spans: dict[int, dict[str, tuple[int, int]]]
    #: Baselines that strata name.
    baselines: set[str]
    wrong: list[str]

    def reached(self) -> dict[int, int]:
        """Return up to where each partition of the topic of outcomes is joined."""
        return {p: max(to for _, to in its.values()) for p, its in self.spans.items()}


@dataclass
class CellReader:
    """Adds up the records of OUTCOMES among those of histograms, whose topic is ``source``."""

    source: str
    _newest: dict[tuple[str, str, str, int], tuple[int, dict[str, Any]]] = field(
        default_factory=dict
    )
    _spans: dict[int, dict[str, tuple[int, int]]] = field(default_factory=lambda: defaultdict(dict))

    def take(self, value: bytes) -> None:
        """Take a committed record; what is not of OUTCOMES is passed over."""
        if self.source.encode() not in value:
            return
        record = json.loads(value)
        if record["source"] != self.source:
            return
        tenure, seq = record["tenure"], record["seq"]
        for partition, at in record["ranges"].items():
            its = self._spans[int(partition)]
            to = max(at["to"], its.get(tenure, (0, 0))[1])
            its[tenure] = (at["start"], to)
        for cell in record.get("outcomes", ()):
            key = (tenure, cell["model"], cell["kind"], cell["window_start"])
            if seq >= self._newest.get(key, (0, {}))[0]:
                self._newest[key] = (seq, cell)

    def counted(self) -> Counted:
        """Return the sum over all tenures."""
        found = Counted(defaultdict(Tally), self._spans, set(), [])
        for _, cell in self._newest.values():
            if cell["targets"] != [_TARGET]:
                found.wrong.append(f"a cell of {cell['model']} has the targets {cell['targets']}")
                continue
            for one in cell["strata"]:
                name = CellName(
                    cell["model"], cell["kind"], cell["window_start"], one.get("variant", "")
                )
                if one["version"] != "1" or one.get("groups"):
                    found.wrong.append(f"{name} has version {one['version']} or groups")
                found.baselines.add(one["baseline"])
                _add(found.cells[name], one)
        return found


def _add(tally: Tally, one: Mapping[str, Any]) -> None:
    labelled = one["labelled"]
    scores = labelled.get("scores", {})
    bins = scores.get("bins", ())
    for name in ("counts", "sums", "squares"):
        getattr(tally, name).update(dict(zip(bins, scores.get(name, ()), strict=True)))
    for name, its in (
        ("outcomes", labelled.get("outcomes", {})),
        ("lags", one.get("lags", {})),
        ("predicted", one.get("predicted", {})),
    ):
        pairs = zip(its.get("bins", ()), its.get("counts", ()), strict=True)
        getattr(tally, name).update(dict(pairs))
    tally.log_loss += labelled.get("log_loss", 0)
    tally.log_loss_squared += labelled.get("log_loss_squared", 0)
    tally.joinable += one.get("joinable", 0)


class Letter(msgspec.Struct):
    """A dead letter of a label, as far as it is judged."""

    partition: int
    offset: int
    reason: str
    label_problem: str | None = None


def judge_labels(
    expected: Expected,
    counted: Counted,
    letters: Iterable[OutputRecord],
    reports: Iterable[OutputRecord],
    baselines: set[str],
    findings: Findings,
) -> None:
    """Judge all of it; ``baselines`` are the ids of those that were ever promoted."""
    if not any(tally.n for tally in expected.cells.values()):
        findings.add("WRONG", "no label counts for any prediction: nothing was judged", at=0.0)
    judge_cells_and_letters(expected, counted, letters, baselines, findings)
    judge_reports(expected.cells, reports, findings)
    findings.count("labels", expected.labels)
    for kind, number in sorted(expected.kinds.items()):
        findings.count(f"labels_{kind}", number)


def judge_cells_and_letters(
    expected: Expected,
    counted: Counted,
    letters: Iterable[OutputRecord],
    baselines: set[str],
    findings: Findings,
) -> None:
    """Judge what OUTCOMES and the router of labels put out."""
    for what in counted.wrong:
        findings.add("WRONG", what, at=0.0)
    for name in counted.baselines - baselines:
        findings.add("WRONG", f"cells of outcomes name {name}, which is no baseline", at=0.0)
    _judge_spans(counted, findings)
    _judge_cells(expected.cells, counted.cells, findings)
    _judge_letters(expected.letters, letters, findings)


def _judge_spans(counted: Counted, findings: Findings) -> None:
    for partition, its in sorted(counted.spans.items()):
        at = 0
        for start, to in sorted(its.values()):
            if start == to:
                continue
            if start != at:
                kind: Kind = "LOST" if start > at else "DUPLICATED"
                what = f"partition {partition} of outcomes: a tenure begins at {start}, not {at}"
                findings.add(kind, what, at=0.0)
            at = to


def _judge_cells(
    expected: Mapping[CellName, Tally], found: Mapping[CellName, Tally], findings: Findings
) -> None:
    for name in sorted(expected.keys() | found.keys()):
        mine, its = expected.get(name, Tally()), found.get(name, Tally())
        findings.count("outcome_cells")
        said = []
        for kept in _HISTOGRAMS:
            difference = _minus(getattr(its, kept), getattr(mine, kept))
            if difference:
                some = dict(list(difference.items())[:5])
                said.append(f"{kept} differs by {some} in {len(difference)} bins")
        for kept in ("log_loss", "log_loss_squared"):
            by = getattr(its, kept) - getattr(mine, kept)
            if abs(by) > mine.n:
                said.append(f"{kept} differs by {by} units of {mine.n} labels")
        least = mine.joinable - mine.unsure
        if not least <= its.joinable <= mine.joinable:
            said.append(f"{its.joinable} joinable, expected {least} to {mine.joinable}")
        if said:
            more = its.n - mine.n or sum(its.predicted.values()) - sum(mine.predicted.values())
            kind: Kind = "LOST" if more < 0 else "DUPLICATED" if more else "WRONG"
            what = f"{name.kind} {name.start} of {name.model}/{name.variant}: {'; '.join(said)}"
            findings.add(kind, what, at=float(name.start))


def _minus(one: Counter[int], other: Counter[int]) -> dict[int, int]:
    keys = sorted(one.keys() | other.keys())
    return {key: by for key in keys if (by := one[key] - other[key])}


def _judge_letters(
    expected: Mapping[Place, Refusal], records: Iterable[OutputRecord], findings: Findings
) -> None:
    decode = msgspec.json.Decoder(Letter).decode
    seen: Counter[Place] = Counter()
    for record in records:
        letter = decode(record.value)
        place = (letter.partition, letter.offset)
        at, name = record.timestamp_ms / 1000, f"dead letter of label {place[0]}@{place[1]}"
        seen[place] += 1
        refusal = expected.get(place)
        if refusal is None:
            said = letter.label_problem or letter.reason
            findings.add("WRONG", f"{name} ({said}): the label is of use", at=at)
        elif seen[place] > 1:
            findings.add("DUPLICATED", f"{name} was sent again", at=at)
        elif refusal != (letter.reason, letter.label_problem):
            findings.add("WRONG", f"{name} says {letter}, expected {refusal}", at=at)
    for place in sorted(expected.keys() - seen.keys()):
        what = f"dead letter of label {place[0]}@{place[1]} ({expected[place]}) was never sent"
        findings.add("LOST", what, at=0.0)
    findings.count("label_dead_letters", len(expected))
