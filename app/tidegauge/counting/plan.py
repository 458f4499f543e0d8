"""The counting plan of one model version: signals, bins and their places.

A plan follows from a baseline (or from none) and never changes; a new baseline is a new plan.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Literal

import numpy as np

from tidegauge.baseline import (
    NO_VALUE,
    Baseline,
    BaselineOutcomes,
    JointSums,
    NumericSignal,
    features_of,
)
from tidegauge.contract import (
    LATENCY_EDGES_MS,
    NON_FINITE,
    OUTPUT_SIGNALS,
    STATUS_CATEGORIES,
    OutcomeTarget,
)
from tidegauge.stats import Floats, Places

#: What a signal's counts end with, after its value bins: absent, null, nan, invalid.
SPECIALS = 4
ABSENT, NULL, NAN, INVALID = range(SPECIALS)

#: How a float column marks what is not a JSON number: those are always finite.
ABSENT_VALUE = NO_VALUE
NAN_VALUE = -math.inf
NULL_VALUE = math.nan

#: Columns of rows by a plan: its numeric signals, then its categorical ones.
Columns = tuple[list[Floats], list[Places]]


@dataclass(frozen=True, eq=False)
class NumericPlan:
    """A numeric signal: ``counts[offset : offset + bins]``, then the four specials."""

    name: str
    edges: Floats
    offset: int

    @property
    def bins(self) -> int:
        """Value bins."""
        return len(self.edges) + 1

    @cached_property
    def edge_list(self) -> list[float]:
        """The edges for ``bisect``, which is slow on an array."""
        return [float(edge) for edge in self.edges]


Dtype = Literal["string", "integer", "boolean"]

_TRUTHS = ("true", "false")


@dataclass(frozen=True, eq=False)
class CategoricalPlan:
    """A categorical signal: categories, other, unseen; then the four specials.

    ``bin_of`` has the categories, and the names of what is not finite, whose place is a special.
    """

    name: str
    dtype: Dtype
    bin_of: Mapping[str, int]
    default_bin: int
    bins: int
    offset: int

    def bins_of_values(self) -> Mapping[str, int] | Mapping[int, int] | Mapping[bool, int]:
        """Return the bins by the value as JSON has it, of those that fit the type."""
        if self.dtype == "string":
            return self.bin_of
        if self.dtype == "boolean":
            return {
                text == "true": self.bin_of[text]
                for text in ("true", "false")
                if text in self.bin_of
            }
        found: dict[int, int] = {}
        for text, index in self.bin_of.items():
            with suppress(ValueError):
                found[int(text)] = index
        return found


@dataclass(frozen=True, eq=False)
class Plan:
    """How to count the events of one model version. ``baseline`` is "" where there is none.

    The last of the ``numeric`` signals are joint ones, which no event has: they are computed of
    others by ``joint``.
    """

    model: str
    version: str
    baseline: str
    numeric: Sequence[NumericPlan]
    categorical: Sequence[CategoricalPlan]
    size: int
    by_name: Mapping[str, NumericPlan | CategoricalPlan] = field(default_factory=dict)
    joint: JointSums | None = None
    #: What labels are compared with, where they are awaited.
    target: OutcomeTarget | None = None

    @cached_property
    def in_events(self) -> Sequence[NumericPlan]:
        """The numeric signals that events have."""
        return self.numeric[: -len(self.joint.weights)] if self.joint else self.numeric

    @cached_property
    def joint_inputs(self) -> list[int]:
        """Which numeric signals the joint ones are computed of, in the order of their names."""
        places = {signal.name: at for at, signal in enumerate(self.in_events)}
        return [places[name] for name in self.joint.features] if self.joint else []

    @cached_property
    def edges(self) -> list[Floats]:
        """Edges of the numeric signals."""
        return [signal.edges for signal in self.numeric]

    @cached_property
    def numeric_offsets(self) -> list[int]:
        """Where the bins of the numeric signals begin."""
        return [signal.offset for signal in self.numeric]

    @cached_property
    def categorical_offsets(self) -> list[int]:
        """Where the bins of the categorical signals begin."""
        return [signal.offset for signal in self.categorical]

    @cached_property
    def score_column(self) -> int:
        """Which numeric signal is the prediction."""
        return [signal.name for signal in self.numeric].index("prediction")

    @cached_property
    def features(self) -> list[NumericPlan | CategoricalPlan]:
        """Signals that come from the event's ``features``."""
        return [plan for name, plan in self.by_name.items() if name not in OUTPUT_SIGNALS]


def make_plan(model: str, version: str, baseline_id: str, baseline: Baseline | None) -> Plan:
    """Lay out the counts for a baseline; without one, only the outputs are counted."""
    if baseline is None:  # thousands of them take little more than their names
        return replace(_outputs_only(), model=model, version=version)
    return _make_plan(model, version, baseline_id, baseline)


@cache
def _outputs_only() -> Plan:
    return _make_plan("", "", "", None)


def _make_plan(model: str, version: str, baseline_id: str, baseline: Baseline | None) -> Plan:
    numeric: list[NumericPlan] = []
    categorical: list[CategoricalPlan] = []
    size = 0

    def add_numeric(name: str, edges: Sequence[float]) -> None:
        nonlocal size
        plan = NumericPlan(name, np.asarray(edges, dtype=np.float64), size)
        numeric.append(plan)
        size += plan.bins + SPECIALS

    def add_categorical(
        name: str, dtype: Dtype, categories: Sequence[str], known: Sequence[str], complete: bool
    ) -> None:
        nonlocal size
        other = len(categories)
        # By these names a number that isn't finite travels; a frame's row has NaN for missing text.
        # Where the baseline has none of that name, such a value is not an unknown category.
        bin_of = {value: other + 2 + NAN for value in sorted(NON_FINITE)}
        bin_of |= {value: other for value in known} | {v: i for i, v in enumerate(categories)}
        default = other + 1 if complete else other
        categorical.append(CategoricalPlan(name, dtype, bin_of, default, other + 2, size))
        size += other + 2 + SPECIALS

    joint = None if baseline is None else JointSums.of(baseline)
    signals = {} if baseline is None else dict(baseline.signals)
    prediction = signals.pop("prediction", None)
    for name, signal in signals.items():
        if features_of(signal):
            continue
        if isinstance(signal, NumericSignal):
            add_numeric(name, signal.edges)
        else:
            add_categorical(
                name, signal.dtype, signal.categories, signal.known, signal.known_complete
            )
    # Without a reference a prediction still has a mean, so it gets a single bin.
    add_numeric("prediction", prediction.edges if isinstance(prediction, NumericSignal) else [])
    add_numeric("latency_ms", LATENCY_EDGES_MS)
    add_categorical("status", "string", STATUS_CATEGORIES, (), complete=True)
    # Without the joint ones: a feature of an event that is called like one of them is none.
    by_name: dict[str, NumericPlan | CategoricalPlan] = {
        **{plan.name: plan for plan in numeric},
        **{plan.name: plan for plan in categorical},
    }
    for name in joint.weights if joint else ():
        signal = signals[name]
        add_numeric(name, signal.edges if isinstance(signal, NumericSignal) else [])
    target = None if baseline is None else target_of(baseline)
    return Plan(model, version, baseline_id, numeric, categorical, size, by_name, joint, target)


def target_of(baseline: Baseline) -> OutcomeTarget | None:
    """Return what labels of a model version are compared with; None if none are awaited."""
    outcomes = baseline.outcomes
    return outcomes.target if isinstance(outcomes, BaselineOutcomes) else None
