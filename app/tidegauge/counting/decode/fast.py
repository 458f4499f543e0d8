"""The fast path: JSON straight into structs made for the models there are, and out as columns.

One msgspec decoder knows every monitored model: a union of structs tagged by ``model``, each with
one typed field a feature. An event that fits is counted by column, thousands at a time; whatever
does not fit raises and goes through :mod:`tidegauge.counting.decode.tolerant`, with the same
counts.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import chain, repeat
from operator import attrgetter
from typing import Annotated, Any, Union, cast

import msgspec
import numpy as np
import numpy.typing as npt

from tidegauge.contract import ARROW_MAGIC
from tidegauge.counting.cells import ABSENT_VALUE
from tidegauge.counting.decode.tolerant import NAME_CHARACTERS, Name
from tidegauge.counting.plan import CategoricalPlan, Floats, NumericPlan, Plan
from tidegauge.counting.segments import SegmentColumn

_FIELD_TYPES: dict[str, Any] = {
    "string": str | None | msgspec.UnsetType,
    "integer": int | None | msgspec.UnsetType,
    "boolean": bool | None | msgspec.UnsetType,
}

#: Fields of every event struct; floats that are not there decode to the value that means absent.
_ENVELOPE: list[tuple[str, Any] | tuple[str, Any, Any]] = [
    ("time", float | Annotated[datetime, msgspec.Meta(tz=True)]),
    ("version", Name),
    ("variant", Annotated[str, msgspec.Meta(max_length=NAME_CHARACTERS)], ""),
    ("prediction", float | None, ABSENT_VALUE),
    ("latency_ms", float | None, ABSENT_VALUE),
    ("status", str | None | msgspec.UnsetType, msgspec.UNSET),
]

_times = attrgetter("time")
_version = attrgetter("version")
_variant = attrgetter("variant")
group_key = attrgetter("__class__", "version", "variant")


class FastModel:
    """The event struct of one model, covering the features of all its versions' plans."""

    def __init__(self, model: str, plans: Iterable[Plan], segments: type | None) -> None:
        self.model = model
        kinds: dict[str, Any] = {}
        label: Any = None
        for plan in plans:
            for signal in plan.features:
                kind = float | None if isinstance(signal, NumericPlan) else _type_of(signal)
                if kinds.setdefault(signal.name, kind) != kind:
                    raise TypeError(f"{model}: versions differ in the type of {signal.name!r}")
            found = plan.by_name.get("label")
            if isinstance(found, CategoricalPlan):
                if label not in (None, _type_of(found)):
                    raise TypeError(f"{model}: versions differ in the type of the label")
                label = _type_of(found)
        self.field_of = {name: f"f{i}" for i, name in enumerate(kinds)}
        envelope = list(_ENVELOPE)
        if label is not None:
            envelope.append(("label", label, msgspec.UNSET))
        if segments is not None:
            envelope.append(("segments", segments | None, None))
        if kinds:
            features = msgspec.defstruct(
                "Features",
                [(self.field_of[name], kind, _default_of(kind)) for name, kind in kinds.items()],
                rename={field: name for name, field in self.field_of.items()},
                gc=False,
            )
            envelope.append(("features", features, msgspec.field(default_factory=features)))
        self.struct = msgspec.defstruct(
            "Event", envelope, tag_field="model", tag=model, gc=False, kw_only=True
        )


def _type_of(signal: CategoricalPlan) -> Any:
    return _FIELD_TYPES[signal.dtype]


def _default_of(kind: Any) -> Any:
    return ABSENT_VALUE if kind == float | None else msgspec.UNSET


Columns = tuple[list[Floats], list[npt.NDArray[np.intp]]]


def make_extractor(plan: Plan, fast: FastModel) -> Callable[[Sequence[Any]], Columns]:
    """Return a function from events of ``fast.struct`` to the columns of ``plan``."""
    numeric = [signal for signal in plan.features if isinstance(signal, NumericPlan)]
    rows = _row_getter([fast.field_of[signal.name] for signal in numeric], len(fast.field_of))
    width = len(numeric)
    categorical = [
        (attrgetter(_path(signal.name, fast)), signal.fast_bin_of, signal.bins, signal.default_bin)
        for signal in plan.categorical
    ]
    outputs = [attrgetter(signal.name) for signal in plan.numeric[width:]]
    features = attrgetter("features")

    def extract(events: Sequence[Any]) -> Columns:
        n = len(events)
        columns: list[Floats] = []
        if width:
            flat = np.fromiter(
                chain.from_iterable(map(rows, map(features, events))), np.float64, n * width
            )
            columns.extend(np.ascontiguousarray(flat.reshape(n, width).T))
        columns.extend(np.fromiter(map(get, events), np.float64, n) for get in outputs)
        codes = [
            np.fromiter(map(table.get, map(get, events), repeat(default)), np.intp, n)
            for get, table, _, default in categorical
        ]
        return columns, codes

    return extract


def _path(name: str, fast: FastModel) -> str:
    return f"features.{fast.field_of[name]}" if name in fast.field_of else name


def _row_getter(fields: Sequence[str], there_are: int) -> Callable[[Any], Iterable[float]]:
    """Return a function from a features struct to the values of some fields, in that order."""
    if fields == [f"f{i}" for i in range(there_are)]:
        return msgspec.structs.astuple  # all of them: three times as fast as asking for each
    if len(fields) == 1:  # attrgetter of one name gives the bare value
        only = attrgetter(fields[0])
        return lambda features: (only(features),)
    if fields:
        return cast("Callable[[Any], Iterable[float]]", attrgetter(*fields))
    return lambda features: ()


def _are_sound(values: Sequence[bytes | None], limit: int) -> bool:
    """Whether all are there, none is too long, and all are UTF-8.

    JSON is UTF-8 throughout, in the fields that the decoder skips without a look as well.
    """
    try:
        if values and values[0].startswith(ARROW_MAGIC):  # type: ignore[union-attr]
            return False  # said without a look at all of a topic of batches
        if max(map(len, values), default=0) > limit:  # type: ignore[arg-type]
            return False
        joined = b"".join(values)  # type: ignore[arg-type]
        if not joined.isascii():
            for value in values:
                value.decode()  # type: ignore[union-attr]
    except (TypeError, AttributeError, UnicodeDecodeError):
        return False
    return True


def is_one_group(events: Sequence[Any]) -> bool:
    """Whether all events have the same :data:`group_key`; much quicker than making the keys."""
    return (
        len(set(map(type, events))) == 1
        and len(set(map(_version, events))) == 1
        and len(set(map(_variant, events))) == 1
    )


def event_times(events: Sequence[Any]) -> Floats:
    """Event times of decoded events, epoch seconds."""
    try:
        return np.fromiter(map(_times, events), np.float64, len(events))
    except TypeError:  # some are RFC 3339 strings, decoded to datetime
        return np.fromiter(
            (t.timestamp() if isinstance(t, datetime) else t for t in map(_times, events)),
            np.float64,
            len(events),
        )


class FastPath:
    """The decoder of all models, with an extractor for each of their versions.

    ``dimensions`` are the segments that are monitored; names that JSON needs no escapes for.
    """

    def __init__(self, plans: Iterable[Plan], dimensions: Sequence[str] = ()) -> None:
        self._dimensions = dimensions
        self._segments = _segments_of(dimensions) if dimensions else None
        by_model: dict[str, list[Plan]] = {}
        for plan in plans:
            by_model.setdefault(plan.model, []).append(plan)
        self._models: dict[type, FastModel] = {}
        self._extractors: dict[tuple[type, Plan], Callable[[Sequence[Any]], Columns]] = {}
        for model, versions in by_model.items():
            # Where two versions disagree on a type, or a name needs escapes in JSON (msgspec has no
            # fields of such names), the tolerant path counts.
            with suppress(TypeError, ValueError):
                fast = FastModel(model, versions, self._segments)
                self._models[fast.struct] = fast
        # Never one struct alone: msgspec then takes an event that names no model for that one's.
        kind: Any = Union[(_Nothing, _NothingElse, *self._models)]
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(kind).decode

    def decode_all(
        self, values: Sequence[bytes | None], limit: int
    ) -> tuple[list[Any], Sequence[int]]:
        """Decode what fits; return the events, and the rows of all other values, in order.

        A value longer than ``limit`` bytes doesn't fit.
        """
        events: list[Any] = []
        odd: list[int] = []
        if not _are_sound(values, limit):
            for row, value in enumerate(values):
                if not _are_sound((value,), limit):
                    odd.append(row)
                    continue
                try:
                    events.append(self._decode(value))  # type: ignore[arg-type]
                except Exception:
                    odd.append(row)
            return events, odd
        # A loop in C. When a value raises, the iterator goes on after it, and the list has what
        # came before: so the row that raised is the number of rows so far.
        decoded = map(self._decode, cast("Sequence[bytes]", values))
        while True:
            try:
                events.extend(decoded)
                return events, odd
            except Exception:  # of any shape, nested to any depth, with half a surrogate pair
                odd.append(len(events) + len(odd))

    def model_of(self, struct: type) -> str:
        """Name the model whose events decode to ``struct``."""
        return self._models[struct].model

    def extract(self, struct: type, plan: Plan, events: Sequence[Any]) -> Columns:
        """Return the columns of ``plan`` from events of ``struct``."""
        extractor = self._extractors.get((struct, plan))
        if extractor is None:
            extractor = make_extractor(plan, self._models[struct])
            self._extractors[struct, plan] = extractor
        return extractor(events)

    def segments(self, events: Sequence[Any]) -> list[SegmentColumn]:
        """Return the segments of events, by dimension."""
        if self._segments is None:
            return []
        none = self._segments()
        named = [event.segments or none for event in events]
        return [
            SegmentColumn.of(dimension, list(map(attrgetter(f"s{i}"), named)))
            for i, dimension in enumerate(self._dimensions)
        ]


def _segments_of(dimensions: Sequence[str]) -> type:
    """Make the struct of an event's segments; those that nobody monitors are no fields of it."""
    return msgspec.defstruct(
        "Segments",
        [(f"s{i}", str | None, None) for i in range(len(dimensions))],
        rename={f"s{i}": dimension for i, dimension in enumerate(dimensions)},
        gc=False,
    )


class _Nothing(msgspec.Struct, tag_field="model", tag=""):
    """What no event can be: with no model known, every event takes the tolerant path."""

    def __post_init__(self) -> None:
        raise ValueError("model is empty")


class _NothingElse(_Nothing, tag_field="model", tag="x" * 201):
    """Likewise: a name longer than any model's."""
