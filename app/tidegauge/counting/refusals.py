"""What is not counted: refused records, which become dead letters, and features without a signal.

A feature is ignored if the baseline has no signal of its name, or if the name is reserved for an
output. The decoders skip such features, which keeps them fast; so one event of a batch is decoded
in full now and then to find their names.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from typing import Any, Literal, NamedTuple, get_args

import msgspec
import numpy as np

from tidegauge.config import IngestSettings
from tidegauge.contract import (
    ARROW_MAGIC,
    OUTPUT_SIGNALS,
    DeadLetter,
    DecodingError,
    LabelReason,
    RawMessage,
    Reason,
    dead_letter_of,
    decode,
    printable,
)
from tidegauge.counting.decode import reference
from tidegauge.counting.decode.reference import EARLIEST_TIME, RefusedError
from tidegauge.counting.plan import Plan
from tidegauge.stats import Floats

#: Dead letters that wait for a flush; with their payloads 64 MB at most, however bad the input is.
DEAD_LETTERS = 1_000

#: Rows of a batch that get a dead letter each; those after them share one for each reason. None do
#: once DEAD_LETTERS wait: a batch can have a million rows.
ROW_LETTERS = 100


class _Place(NamedTuple):
    """Where a record is that was never seen."""

    at_partition: int
    at_offset: int

    def partition(self) -> int:
        return self.at_partition

    def offset(self) -> int:
        return self.at_offset


class Refusals:
    """The dead letters of what can't be counted, since they were last sent."""

    def __init__(self, source: str, settings: IngestSettings, clock: Callable[[], float]) -> None:
        self._source = source
        self._settings = settings
        self._clock = clock
        self.letters: list[DeadLetter] = []

    def latest_time(self) -> float:
        """Return the latest event time that can be true now, epoch seconds."""
        return self._clock() + self._settings.max_ahead_seconds

    def time(self, message: RawMessage, time: float, latest: float) -> None:
        """Refuse an event for its time, if that can't be true."""
        try:
            reference.check_time(time, latest)
        except RefusedError as refused:
            self.record(message, refused, message.value() or b"")

    def record(self, message: RawMessage, refused: RefusedError, payload: bytes) -> None:
        """Refuse a record."""
        self._add(message, refused, payload)

    def failed(self, message: RawMessage, error: Exception) -> None:
        """Refuse a record whose decoding raised this, whatever it is."""
        payload = message.value() or b""
        self._add(message, as_refused(error, payload), payload)

    def unreadable(self, partition: int, first: int, end: int, why: str) -> None:
        """Refuse offsets ``first`` to before ``end``, which can't be read."""
        detail = f"offsets {first} to {end - 1} can't be read: {why}"
        place = _Place(partition, first)
        self._add(place, RefusedError("too_large", detail), b"", rows=end - first)

    def rest(self, message: RawMessage, error: Exception, rows: int) -> None:
        """Refuse the last so many rows of a batch, whose decoding raised this."""
        self._add_rest(message, as_refused(error, message.value() or b""), rows)

    def rows(self, message: RawMessage, refused: Iterable[tuple[int, RefusedError]]) -> None:
        """Refuse rows of a batch, by their numbers."""
        rest: Counter[Reason | LabelReason] = Counter()
        details: dict[Reason | LabelReason, str] = {}
        for written, (row, error) in enumerate(refused):
            if written < ROW_LETTERS and len(self.letters) < DEAD_LETTERS:
                self._add(message, error, b"", row=row)
            else:
                rest[error.reason] += 1
                details.setdefault(error.reason, f"row {row}: {error.detail}")
        for reason, rows in rest.items():
            self._add_rest(message, RefusedError(reason, details[reason]), rows)

    def row_times(self, message: RawMessage, times: Floats, latest: float) -> None:
        """Refuse the rows of a batch whose times can't be true."""
        wrong = np.flatnonzero(~((times >= EARLIEST_TIME) & (times <= latest)))
        room = max(0, min(ROW_LETTERS, DEAD_LETTERS - len(self.letters)))
        one_by_one, rest = wrong[:room].tolist(), wrong[room:]
        self.rows(message, ((row, _time_error(float(times[row]), latest)) for row in one_by_one))
        others = times[rest]
        kinds = [
            ~np.isfinite(others),
            np.isfinite(others) & (others < EARLIEST_TIME),
            np.isfinite(others) & (others > latest),
        ]
        for places in kinds:
            found = rest[places]
            if len(found):
                first = int(found[0])
                error = _time_error(float(times[first]), latest)
                error = RefusedError(error.reason, f"row {first}: {error.detail}")
                self._add_rest(message, error, len(found))

    def _add_rest(self, message: RawMessage, first: RefusedError, rows: int) -> None:
        detail = f"{rows} rows, beside those with dead letters of their own; {first.detail}"
        self._add(message, RefusedError(first.reason, detail), b"", rows=rows)

    def _add(
        self,
        message: "RawMessage | _Place",
        refused: RefusedError,
        payload: bytes,
        *,
        row: int | None = None,
        rows: int | None = None,
    ) -> None:
        self.letters.append(
            dead_letter_of(
                topic=self._source,
                partition=message.partition(),
                offset=message.offset(),
                row=row,
                rows=rows,
                time=self._clock(),
                reason=refused.reason,
                detail=refused.detail,
                payload=payload,
                redact=self._settings.redact_dead_letters or not (row is rows is None),
            )
        )


def as_refused(error: Exception, payload: bytes) -> RefusedError:
    """Return what a record is refused for if reading it raised this."""
    if isinstance(error, RefusedError):
        return error
    reason: Reason = "invalid_arrow" if payload.startswith(ARROW_MAGIC) else "invalid_record"
    return RefusedError(reason, f"it can't be read: {type(error).__name__}: {error}")


def _time_error(time: float, latest: float) -> RefusedError:
    try:
        reference.check_time(time, latest)
    except RefusedError as refused:
        return refused
    raise AssertionError(f"time {time} is one that can be true")


log = logging.getLogger(__name__)

#: ``unknown_feature``: the baseline has no such signal; ``reserved_name``: it is an output's.
Ignored = Literal["unknown_feature", "reserved_name"]
REASONS: tuple[Ignored, ...] = get_args(Ignored)

#: In one of so many batches an event is decoded in full.
_EVERY = 8

#: Names that are remembered of a version; a producer may generate any number of them.
MOST_NAMES = 50

#: Names that the log has.
_LOGGED = 5

#: Of a name, so many characters of its beginning: it may be as long as an event.
_CHARACTERS = 200

_WHY: Mapping[Ignored, str] = {
    "unknown_feature": "its baseline doesn't know",
    "reserved_name": "have the name of an output, and belong beside the features",
}


class _Event(msgspec.Struct):
    model: str
    version: str
    features: dict[str, msgspec.Raw] = {}


Names = dict[Ignored, set[str]]


class IgnoredFeatures:
    """Remembers by version, of those with a baseline, which features are counted nowhere.

    ``plan_of`` returns the plan of a model and version, if there is one.
    """

    def __init__(self, plan_of: Callable[[tuple[str, str]], Plan | None]) -> None:
        self._plan_of = plan_of
        self._names: dict[tuple[str, str], Names] = {}
        self._turns = 0

    def sample(self, values: Sequence[bytes | None]) -> None:
        """Decode one event of the records of a poll, if it is their turn."""
        self._turns += 1
        if not values or (self._turns - 1) % _EVERY:
            return
        # Each time another place: the events may come from several producers in turn.
        value = values[self._turns // _EVERY % len(values)]
        if not value or value.startswith(ARROW_MAGIC):
            return
        try:
            event = decode(value, _Event)
        except DecodingError:
            return  # of another shape; most are not
        self._note(event.model, event.version, event.features.keys())

    def note_columns(self, model: str, version: str, names: Collection[str]) -> None:
        """Note the features of a column batch; of batches with equal schemas, one is enough."""
        self._note(model, version, set(names))

    def _note(self, model: str, version: str, names: Set[str]) -> None:
        plan = self._plan_of((model, version))
        if plan is None or not plan.baseline or names <= plan.by_name.keys() - _RESERVED:
            return
        found: Names = {
            "unknown_feature": set(names - plan.by_name.keys() - _RESERVED),
            "reserved_name": set(names & _RESERVED),
        }
        known = self._names.setdefault((model, version), {reason: set() for reason in REASONS})
        for reason, its in found.items():
            new = {name[:_CHARACTERS] for name in its} - known[reason]
            room = MOST_NAMES - len(known[reason])
            if new and room > 0:
                known[reason] |= set(sorted(new)[:room])
                log.warning("%s", _message(model, version, reason, sorted(new)))

    def keep(self, versions: Iterable[tuple[str, str]]) -> None:
        """Forget all other versions: their baselines have changed."""
        kept = set(versions)
        self._names = {key: names for key, names in self._names.items() if key in kept}

    def series(self) -> dict[tuple[str, ...], float]:
        """Return the number of names by model, version and reason."""
        return {
            (model, version, reason): float(len(names))
            for (model, version), its in self._names.items()
            for reason, names in its.items()
        }


_RESERVED: frozenset[Any] = frozenset(OUTPUT_SIGNALS)


def _message(model: str, version: str, reason: Ignored, names: list[str]) -> str:
    more = len(names) - _LOGGED
    listed = ", ".join(names[:_LOGGED]) + (f" and {more} more" if more > 0 else "")
    return printable(
        f"events of {model} {version} have features that {_WHY[reason]}, so they are counted "
        f"nowhere: {listed}"
    )
