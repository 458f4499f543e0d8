"""The baseline document: the binning of every signal and the reference counts in those bins."""

import hashlib
from itertools import pairwise
from math import isfinite
from typing import Literal

import msgspec

from tidegauge.baseline.hours import DailyCycle
from tidegauge.contract import OUTPUT_SIGNALS, SCHEMA_VERSION, Record, encode


class NumericSignal(Record, tag="numeric", tag_field="kind"):
    """A numeric signal. Bin i holds ``edges[i-1]`` ≤ x < ``edges[i]``; the outer bins are open.

    ``counts`` has ``len(edges) + 1`` entries. ``missing`` and ``nan`` (not finite) have no bin.
    """

    edges: list[float]
    counts: list[int]
    missing: int
    nan: int
    mean: float | None
    std: float | None
    minimum: float | None
    maximum: float | None

    def __post_init__(self) -> None:
        if not all(map(isfinite, self.edges)) or any(a >= b for a, b in pairwise(self.edges)):
            raise ValueError("edges must be finite and strictly increasing")
        _check_counts(self.counts, len(self.edges) + 1, "one more than edges")


class CategoricalSignal(Record, tag="categorical", tag_field="kind"):
    """A categorical signal, binned by value: the commonest ``categories``, other, never seen.

    ``counts`` has ``len(categories) + 2`` entries: the categories in order, then "other" (values in
    ``known``), then "unseen" (0 in a baseline by definition). ``known_complete`` is False if the
    data had more values than were kept; then a value that is nowhere listed counts as other, since
    nobody can say that it is new.
    """

    dtype: Literal["string", "integer", "boolean"]
    categories: list[str]
    known: list[str]
    known_complete: bool
    counts: list[int]
    missing: int

    def __post_init__(self) -> None:
        _check_counts(self.counts, len(self.categories) + 2, "two more than categories")


def _check_counts(counts: list[int], expected: int, why: str) -> None:
    """Refuse a document whose counts don't follow its binning: every window would be misread."""
    if len(counts) != expected:
        raise ValueError(f"counts has {len(counts)} entries, expected {expected}: {why}")
    if any(count < 0 for count in counts):
        raise ValueError("counts holds a negative number")


Signal = NumericSignal | CategoricalSignal

#: Bins of what is no value: missing, not finite, invalid.
_BESIDE = 3


class Baseline(Record):
    """An immutable reference for one model and version, named by the hash of its content.

    ``importances`` says how much each feature matters to the model, in any unit, 0 or more; absent
    where nobody said so. ``daily`` is the same reference by hour of day; absent where the rows had
    no timestamps, or of fewer than 14 days.
    """

    model: str
    version: str
    rows: int
    source: str
    signals: dict[str, Signal]
    # Unset rather than empty: it is left out then, and a baseline without keeps the id it had.
    importances: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    daily: DailyCycle | msgspec.UnsetType = msgspec.UNSET
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        self.importances = self.importances or msgspec.UNSET
        for name, importance in (self.importances or {}).items():
            if name not in self.signals or name in OUTPUT_SIGNALS:
                raise ValueError(f"importances names {name!r}, which is no feature of the baseline")
            if not isfinite(importance) or importance < 0:
                raise ValueError(f"importances has {importance} for {name!r}, expected 0 or more")
        for name, hours in self.daily.signals.items() if self.daily else ():
            if name not in self.signals or len(hours.counts[0]) != (
                len(self.signals[name].counts) + _BESIDE
            ):
                raise ValueError(f"daily names {name!r} with other bins than the baseline's")
        if self.daily and self.daily.signals.keys() != self.signals.keys():
            raise ValueError("daily must have every signal of the baseline")

    def to_json(self) -> bytes:
        """Encode; the same content always gives the same bytes."""
        return encode(self)

    @property
    def id(self) -> str:
        """SHA-256 of :meth:`to_json`, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_json()).hexdigest()
