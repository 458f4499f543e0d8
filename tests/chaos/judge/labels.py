"""What labels must have come to, recounted from the two source topics. Plain Python.

Follows docs/outcomes.md: of the labels of one id the one with the largest revision counts, of
several the first on its partition; a retracted one counts nothing, and one by id nothing beyond the
retention. Whichever of a label and its prediction is read first makes no difference to anything
here but for predictions that labels bring along: whether those can be joined by id as well.
"""

import json
import math
from base64 import urlsafe_b64decode
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from chaos.labels import LABELLED, NEGATIVE, POSITIVE, RETENTION_SECONDS, THRESHOLD
from chaos.plan.faults import WINDOW_SECONDS
from chaos.source import SourceRecord

#: Length of a cohort in a run.
COHORT_SECONDS = 60

SCORE_BINS = 128
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
LAG_EDGES = (
    _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR,
    12 * _HOUR, *(n * _DAY for n in (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60)),
)  # fmt: skip

#: An event of another time is none; no label of a run is near either.
_EARLIEST, _AHEAD_SECONDS = 946_684_800.0, 3_600.0

Place = tuple[int, int]


class Refusal(NamedTuple):
    """Why a label is of no use, as its dead letter says it."""

    reason: str
    problem: str | None = None


class CellName(NamedTuple):
    """What a count is of."""

    model: str
    kind: str
    start: int
    variant: str


class Prediction(NamedTuple):
    """What is counted of a prediction; its time is cut to seconds."""

    model: str
    variant: str
    time: int
    score: float

    @property
    def cohort(self) -> CellName:
        """The cell of its cohort."""
        start = self.time // COHORT_SECONDS * COHORT_SECONDS
        return CellName(self.model, "cohort", start, self.variant)

    @property
    def bin(self) -> int:
        """Its bin of scores."""
        return min(int(self.score * SCORE_BINS), SCORE_BINS - 1)

    @property
    def is_positive(self) -> bool:
        """Whether the positive class is predicted."""
        return self.score >= THRESHOLD


@dataclass
class Tally:
    """The counts of a cell. Of ``unsure`` joinable ones nobody can say whether they are."""

    outcomes: Counter[int] = field(default_factory=Counter)
    lags: Counter[int] = field(default_factory=Counter)
    counts: Counter[int] = field(default_factory=Counter)
    sums: Counter[int] = field(default_factory=Counter)
    squares: Counter[int] = field(default_factory=Counter)
    predicted: Counter[int] = field(default_factory=Counter)
    log_loss: int = 0
    log_loss_squared: int = 0
    joinable: int = 0
    unsure: int = 0

    @property
    def n(self) -> int:
        """How many predictions have a label."""
        return sum(self.outcomes.values())

    def add_label(self, one: Prediction, actual: bool, arrived: float) -> None:
        """Count a prediction with its label."""
        at = one.bin * 2 + actual
        self.outcomes[at * 3 + one.is_positive] += 1
        self.lags[sum(edge <= arrived - one.time for edge in LAG_EDGES)] += 1
        self.counts[at] += 1
        self.sums[at] += round(one.score * 2**30)
        self.squares[at] += round(one.score * one.score * 2**30)
        least = 2.0**-52
        loss = -math.log(min(max(one.score if actual else 1 - one.score, least), 1 - least))
        self.log_loss += round(loss * 2**30)
        self.log_loss_squared += round(loss * loss * 2**16)


@dataclass
class Expected:
    """Every cell, and every dead letter by the place of its label."""

    cells: dict[CellName, Tally]
    letters: dict[Place, Refusal]
    labels: int
    #: Labels by what they were, for those who read the summary.
    kinds: Counter[str]


class _Event(msgspec.Struct):
    id: str
    time: float
    model: str
    version: str
    prediction: float
    variant: str = ""


@dataclass
class Predictions:
    """The predictions of models with a target, one after the other from the source."""

    by_id: dict[str, Prediction] = field(default_factory=dict)
    cells: defaultdict[CellName, Tally] = field(default_factory=lambda: defaultdict(Tally))

    def __post_init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Event).decode
        self._marks = tuple(f'"model":"{model}"'.encode() for model in LABELLED)

    def take(self, record: SourceRecord) -> None:
        """Count a record that was to be counted, unless it is bad or of another model."""
        _, _, timestamp_ms, value = record
        if value is None or not any(mark in value for mark in self._marks):
            return
        try:
            event = self._decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if not _EARLIEST <= event.time <= timestamp_ms / 1000 + _AHEAD_SECONDS:
            return
        one = Prediction(event.model, event.variant, int(event.time), event.prediction)
        if event.id in self.by_id:
            raise ValueError(f"two predictions have the id {event.id}; the traffic must not do so")
        self.by_id[event.id] = one
        cell = self.cells[one.cohort]
        cell.joinable += 1
        cell.predicted[one.bin * 3 + one.is_positive] += 1


class _Label(NamedTuple):
    place: Place
    arrived: float
    revision: int
    retracted: bool
    actual: bool | None
    #: Without one, any that has the id.
    model: str | None
    brought: Prediction | None


def expect(predictions: Predictions, labels: Iterable[SourceRecord]) -> Expected:
    """Work out what labels come to; each partition of theirs must come in order.

    Raises ``ValueError`` where more than the two topics decides: the traffic must not do so.
    """
    found = Expected(predictions.cells, {}, 0, Counter())
    by_id: defaultdict[str, list[_Label]] = defaultdict(list)
    for partition, offset, timestamp_ms, value in labels:
        found.labels += 1
        place = (partition, offset)
        id, read = _read(place, timestamp_ms / 1000, value or b"")
        if isinstance(read, Refusal):
            found.letters[place] = read
            found.kinds[read.problem or read.reason] += 1
        elif id is None:
            assert read.brought is not None
            _count(found, read.brought, read)
        else:
            by_id[id].append(read)
    for id, its in by_id.items():
        _judge(found, id, predictions.by_id.get(id), its)
    return found


def _judge(found: Expected, id: str, known: Prediction | None, its: list[_Label]) -> None:
    if len({(one.model, one.brought) for one in its}) > 1:
        raise ValueError(f"labels name prediction {id} in several ways")
    best = max(its, key=lambda one: one.revision)  # of several the first
    one, is_brought = its[0].brought or known, its[0].brought is not None
    if not is_brought and known is not None and its[0].model not in (None, known.model):
        one = None
    if is_brought and known is not None:
        found.cells[known.cohort].unsure += 1
    if one is None:
        _refuse(found, best, "unknown_prediction")
        return
    late = best.arrived > one.time + RETENTION_SECONDS and not is_brought
    invalid = [it for it in its if it.actual is None and not it.retracted]
    if (late or invalid) and len(its) > 1:
        raise ValueError(f"of several labels of {id} some are of no use: it depends which is first")
    if invalid or late:
        _refuse(found, best, "invalid_class" if invalid else "expired_label")
        return
    found.kinds["twice_or_stale"] += sum(
        it.revision <= max(before.revision for before in its[:n]) for n, it in enumerate(its) if n
    )
    found.kinds["corrected"] += len(set(it.revision for it in its)) > 1
    if best.retracted:
        found.kinds["retracted"] += 1
    else:
        _count(found, one, best)


def _refuse(found: Expected, label: _Label, problem: str) -> None:
    found.letters[label.place] = Refusal("invalid_record", problem)
    found.kinds[problem] += 1


def _count(found: Expected, one: Prediction, label: _Label) -> None:
    assert label.actual is not None
    found.kinds["counted"] += 1
    start = int(label.arrived // WINDOW_SECONDS * WINDOW_SECONDS)
    for name in (one.cohort, CellName(one.model, "arrival", start, one.variant)):
        found.cells[name].add_label(one, label.actual, label.arrived)


def _read(place: Place, arrived: float, value: bytes) -> tuple[str | None, _Label | Refusal]:
    try:
        label = json.loads(value)
    except ValueError:
        return None, Refusal("invalid_json")
    id, model, brought = label.get("id"), label.get("model"), None
    if (receipt := label.get("receipt")) is not None:
        try:
            fields = msgspec.msgpack.decode(_receipt_bytes(receipt))
        except ValueError:
            return None, Refusal("invalid_record", "invalid_receipt")
        model, _, variant, time, score, _, _, id = fields
        brought = Prediction(model, variant, int(time), score)
    elif "prediction" in label:
        score, time = label["prediction"], int(label["time"])
        brought = Prediction(label["model"], label.get("variant", ""), time, score)
    elif id is None:
        return None, Refusal("invalid_record")
    if model is not None and model not in LABELLED:
        return None, Refusal("invalid_record", "no_target")
    text = _text(label.get("actual"))
    return id, _Label(
        place,
        arrived,
        label.get("revision", 0),
        label.get("retracted", False),
        {POSITIVE: True, NEGATIVE: False}.get(text),
        model if brought is None else None,
        brought,
    )


def _receipt_bytes(receipt: str) -> bytes:
    body = receipt.removeprefix("tg1.")
    return urlsafe_b64decode(body + "=" * (-len(body) % 4))[1:]


def _text(actual: Any) -> str:
    if isinstance(actual, str):
        return actual.strip()
    return "" if actual is None else str(int(actual))
