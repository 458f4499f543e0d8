"""The baseline document: the binning of every signal and the reference counts in those bins."""

import hashlib
from typing import Literal

import msgspec

from tidegauge.contract import SCHEMA_VERSION, Record, encode


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


Signal = NumericSignal | CategoricalSignal


class Baseline(Record):
    """An immutable reference for one model and version, named by the hash of its content."""

    model: str
    version: str
    rows: int
    source: str
    signals: dict[str, Signal]
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> bytes:
        """Encode; the same content always gives the same bytes."""
        return encode(self)

    @property
    def id(self) -> str:
        """SHA-256 of :meth:`to_json`, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @staticmethod
    def from_json(document: bytes) -> "Baseline":
        """Decode; raises ``msgspec.ValidationError`` naming the field that is wrong."""
        return msgspec.json.decode(document, type=Baseline)
