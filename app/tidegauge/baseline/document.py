"""The baseline document: each signal's binning and reference counts."""

import hashlib
from itertools import pairwise
from math import inf, isfinite
from typing import Annotated, Literal

import msgspec

from tidegauge.baseline.daily import DailyCycle
from tidegauge.baseline.outcomes import BaselineOutcomes
from tidegauge.contract import OUTPUT_SIGNALS, SCHEMA_VERSION, Record, encode

#: A retraining because of a drift from a baseline of fewer rows than this is not asked for. That so
#: few rows look different from the traffic is no evidence about the traffic.
LEAST_BASELINE_ROWS = 500


def small(rows: int) -> str:
    """Say what comes of a baseline with too few rows."""
    return (
        f"the baseline has {rows:,} rows, and it takes {LEAST_BASELINE_ROWS:,} to tell drift from "
        f"chance: no retraining is asked for because of a drift from it"
    )


class BaselineError(ValueError):
    """The file or the options given cannot make a baseline; the message says what to change."""


#: Of a feature in a joint signal.
_MOST_WEIGHT = 8.0


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
    sum_of: Annotated[
        dict[str, float] | msgspec.UnsetType,
        msgspec.Meta(
            description="Of a joint signal: the weights, by feature, of the sum that it is. Absent "
            "of features and outputs."
        ),
    ] = msgspec.UNSET

    def __post_init__(self) -> None:
        if not all(map(isfinite, self.edges)) or any(a >= b for a, b in pairwise(self.edges)):
            raise ValueError("edges must be finite and strictly increasing")
        _check_counts(self.counts, len(self.edges) + 1, "one more than edges")
        for weight in self.sum_of.values() if self.sum_of else ():
            if not 0 < abs(weight) <= _MOST_WEIGHT:
                raise ValueError(f"sum_of has the weight {weight}, expected -8 to 8 and not 0")


class FeatureScale(Record):
    """How a feature is scaled in joint signals: (value - centre) / scale, at most 4 either way."""

    centre: Annotated[float, msgspec.Meta(description="The median of the baseline.")]
    scale: Annotated[
        float,
        msgspec.Meta(
            description="Half of what its values are apart, without the lowest and the highest 16 "
            "% (or 5 or 1 %, if most are the same)."
        ),
    ]

    def __post_init__(self) -> None:
        if not isfinite(self.centre) or not 0 < self.scale < inf:
            raise ValueError("centre must be finite, and scale finite and above 0")


class RareValues(Record):
    """What the rows of a categorical signal say of new ones, beyond their own counts.

    Some values of new rows are never seen before, and the commonest ones of the baseline are less
    common among them.
    """

    seen_once: Annotated[
        int, msgspec.Meta(description="How many different values a single row has.")
    ]
    expected: Annotated[
        list[int],
        msgspec.Meta(
            description="How many of as many new rows are expected in each of the signal's bins."
        ),
    ]
    excess: Annotated[
        list[float],
        msgspec.Meta(
            description="By how much more than that of a count of rows the variance of what is "
            "expected is, by bin."
        ),
    ]

    def __post_init__(self) -> None:
        if min([self.seen_once, *self.expected, *self.excess]) < 0:
            raise ValueError("seen_once, expected and excess must be 0 or more")
        if len(self.excess) != len(self.expected) or not all(map(isfinite, self.excess)):
            raise ValueError("excess must have a finite entry for each of expected")


class CategoricalSignal(Record, tag="categorical", tag_field="kind"):
    """A categorical signal, binned by value: the commonest ``categories``, other, never seen.

    ``counts`` has ``len(categories) + 2`` entries: the categories in order, then "other" (values in
    ``known``), then "unseen" (0 in a baseline by definition). ``known_complete`` is False if the
    data had more values than were kept; then a value that is nowhere listed counts as other, since
    it can't be known to be new.
    """

    dtype: Literal["string", "integer", "boolean"]
    categories: list[str]
    known: list[str]
    known_complete: bool
    counts: list[int]
    missing: int
    rare: Annotated[
        RareValues | msgspec.UnsetType,
        msgspec.Meta(
            description="What is expected of new rows; absent in baselines of release 0.1.0."
        ),
    ] = msgspec.UNSET

    def __post_init__(self) -> None:
        _check_counts(self.counts, len(self.categories) + 2, "two more than categories")
        if self.rare and (
            len(self.rare.expected) != len(self.counts)
            or sum(self.rare.expected) != sum(self.counts)
        ):
            raise ValueError("rare.expected must have the bins of counts, and add up to the same")


def _check_counts(counts: list[int], expected: int, why: str) -> None:
    """Refuse a document whose counts don't follow its binning: every window would be misread."""
    if len(counts) != expected:
        raise ValueError(f"counts has {len(counts)} entries, expected {expected}: {why}")
    if any(count < 0 for count in counts):
        raise ValueError("counts holds a negative number")


Signal = NumericSignal | CategoricalSignal


def features_of(signal: Signal) -> list[str]:
    """Return the features that a joint signal is the sum of, in order; none of any other."""
    return sorted(signal.sum_of) if isinstance(signal, NumericSignal) and signal.sum_of else []


#: Bins of what is no value: missing, not finite, invalid.
_BESIDE = 3

#: Of a joint signal.
_LEAST_FEATURES = 2


class Dependence(Record, omit_defaults=True):
    """How far rows depend on each other, such as those of one user.

    A window of n events tells as much of a signal as n / its design effect independent ones would,
    and so does the baseline (Rao & Scott 1981).
    """

    found_by: Annotated[
        Literal["entity", "rows"],
        msgspec.Meta(
            description="entity: by a column that names what several rows are of. rows: by the "
            "order of the rows in the file, where those near each other are alike."
        ),
    ]
    entity: Annotated[
        str, msgspec.Meta(description="The column; empty if found by the order of rows.")
    ] = ""
    design_effects: Annotated[
        dict[str, float], msgspec.Meta(description="By signal; 1 of those that are not named.")
    ] = msgspec.field(default_factory=dict)
    unknown: Annotated[
        list[str],
        msgspec.Meta(
            description="Signals that are alike over ever longer stretches of the file, so that "
            "its order can't tell which rows go together."
        ),
    ] = msgspec.field(default_factory=list)


class Baseline(Record):
    """An immutable reference for one model and version, named by the hash of its content.

    ``importances`` says how much each feature matters to the model, in any unit, 0 or more; absent
    if none were given. ``daily`` is the same reference by hour of day; absent where the rows had
    no timestamps, or of fewer than 14 days. ``dependence`` is how far rows depend on each other;
    absent where nothing tells that they do.
    Signals with ``sum_of`` are joint signals, see :mod:`tidegauge.baseline.joint`.
    """

    model: str
    version: str
    rows: int
    source: str
    signals: dict[str, Signal]
    # Unset rather than empty: it is left out then, and a baseline without keeps the id it had.
    importances: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    daily: DailyCycle | msgspec.UnsetType = msgspec.UNSET
    dependence: Annotated[
        Dependence | msgspec.UnsetType,
        msgspec.Meta(description="How far rows depend on each other; absent if they don't."),
    ] = msgspec.UNSET
    scales: Annotated[
        dict[str, FeatureScale] | msgspec.UnsetType,
        msgspec.Meta(
            description="Of the features that joint signals are sums of; absent without them."
        ),
    ] = msgspec.UNSET
    outcomes: Annotated[
        BaselineOutcomes | msgspec.UnsetType,
        msgspec.Meta(
            description="What labels are compared with, and the model's outcomes on the rows of "
            "the baseline. Labels of a model count only if its promoted baseline has this."
        ),
    ] = msgspec.UNSET
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        self.importances = self.importances or msgspec.UNSET
        self.scales = self.scales or msgspec.UNSET
        features = self.features
        for name, importance in (self.importances or {}).items():
            if name not in features:
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
        for name, effect in self.dependence.design_effects.items() if self.dependence else ():
            if name not in self.signals:
                raise ValueError(f"dependence names {name!r}, which is no signal of the baseline")
            if not isfinite(effect) or effect < 1:
                raise ValueError(f"dependence has {effect} for {name!r}, expected 1 or more")

        self._check_joint(set(features))

    def _check_joint(self, features: set[str]) -> None:
        known = (self.scales or {}).keys()
        for name, signal in self.signals.items():
            its = features_of(signal)
            if its and (len(its) < _LEAST_FEATURES or name in OUTPUT_SIGNALS):
                raise ValueError(f"{name!r} is a sum of one feature, or is an output")
            for one in its:
                if one not in known:
                    raise ValueError(f"{name!r} is a sum of {one!r}, of which there is no scale")
        for name in known:
            if name not in features or not isinstance(self.signals[name], NumericSignal):
                raise ValueError(f"scales names {name!r}, which is no numeric feature")

    @property
    def features(self) -> list[str]:
        """Names of the signals that are features: neither outputs nor sums of others."""
        return [
            name
            for name, signal in self.signals.items()
            if name not in OUTPUT_SIGNALS and not features_of(signal)
        ]

    def design_effect(self, signal: str) -> float:
        """Return by how much more than those of independent rows the counts of a signal vary."""
        return self.dependence.design_effects.get(signal, 1.0) if self.dependence else 1.0

    def to_json(self) -> bytes:
        """Encode; the same content always gives the same bytes."""
        return encode(self)

    @property
    def id(self) -> str:
        """SHA-256 of :meth:`to_json`, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_json()).hexdigest()
