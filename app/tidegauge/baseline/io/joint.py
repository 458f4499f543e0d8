"""Which joint signals a baseline gets, and their values in the rows of a table."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.baseline import (
    BaselineError,
    FeatureScale,
    JointSums,
    NumericSignal,
    Weights,
    draw_projections,
    joint_name,
)
from tidegauge.baseline.io.column import Role
from tidegauge.baseline.io.signals import numeric_signal
from tidegauge.baseline.io.table import Table
from tidegauge.stats import Floats

#: Joint signals of either kind that can be asked for: they share the budget of false alarms.
MOST_JOINT = 256

#: A feature of which more than this share is missing would leave few rows with a sum.
_MOST_MISSING = 0.2

#: Rows with a value that a joint signal must have, where the table has as many.
_LEAST_ROWS = 100

#: Ranks of the ends of what a scale is half of, per cent; the first that are apart.
_ENDS = ((16, 84), (5, 95), (1, 99))

#: Rows that pairs are compared by, and values of all features in them.
_PAIR_ROWS = 16_384
_PAIR_VALUES = 2**23

#: Parts of a scale as integers, whose sums are exact in any order.
_PARTS = 16.0
_NONE = -128
_COLUMNS_AT_ONCE = 200
_SIGNALS_AT_ONCE = 32

Progress = Callable[[str, float], None]


class JointOptions(NamedTuple):
    """How many joint signals are wanted: sums of random features, and strongest pairs."""

    projections: int = 0
    pairs: int = 0

    def check(self) -> None:
        """Raise ``BaselineError`` for numbers that can't be meant."""
        for option, number in (("--joint", self.projections), ("--pairs", self.pairs)):
            if not 0 <= number <= MOST_JOINT:
                raise BaselineError(f"{option} is {number}, expected 0 to {MOST_JOINT}")


class Feature(NamedTuple):
    """A numeric feature: its scale, None if it hardly varies, and the share of rows without it."""

    scale: FeatureScale | None
    missing: float


class Joint(NamedTuple):
    """Joint signals by name, and how they are computed."""

    signals: dict[str, NumericSignal]
    sums: JointSums


def scale_of(ordered: Floats) -> FeatureScale | None:
    """Return the scale of a feature by its sorted values; None if hardly any differ.

    >>> scale_of(np.arange(101.0))
    FeatureScale(centre=50.0, scale=34.0)
    >>> scale_of(np.array([0.0] * 99 + [7.0])) is None
    True
    """
    last = len(ordered) - 1
    for low, high in _ENDS:
        lower, upper = (float(ordered[(last * it + 50) // 100]) for it in (low, high))
        scale = upper / 2 - lower / 2  # twice as much may be no float
        if scale > 0:
            return FeatureScale(centre=float(ordered[last // 2]), scale=scale)
    return None


def joint_signals(
    table: Table,
    features: Mapping[str, Feature],
    roles: Mapping[str, Role],
    options: JointOptions,
    *,
    memory_bytes: int,
    progress: Progress,
    warn: Callable[[str], None],
) -> Joint:
    """Choose joint signals, and compute them of the rows.

    Raises ``BaselineError`` if there are no two features for one. ``warn`` gets what is left out.
    """
    scales = _usable(features, warn)
    weights: dict[str, Weights] = {}
    pairs = _strongest_pairs(table, scales, roles, options.pairs, progress)
    for number, its in enumerate(pairs, start=1):
        weights[joint_name("pair", number, its)] = its
    drawn = draw_projections(list(scales), options.projections, pairs)
    for number, its in enumerate(drawn, start=1):
        weights[joint_name("projection", number, its)] = its
    for what, wanted, found in (
        ("--pairs", options.pairs, pairs),
        ("--joint", options.projections, drawn),
    ):
        if len(found) < wanted:
            warn(f"{what} {wanted}: {len(scales)} numeric features make only {len(found)} of them")
    for name in weights:
        if name in table.columns:
            raise BaselineError(f"column {name!r} is called like a joint signal: rename it")
    signals = _signals(table, JointSums(scales, weights), roles, memory_bytes, progress)
    least = min(_LEAST_ROWS, table.rows)
    few = [name for name, its in signals.items() if sum(its.counts) < least]
    if few:
        warn(
            f"{len(few)} joint signals are left out, such as {few[0]!r}: fewer than {least} rows "
            "have all of its features"
        )
    kept = {name: its for name, its in signals.items() if name not in few}
    if not kept:
        raise BaselineError("no joint signal has enough rows that have all of its features")
    sums = JointSums(scales, {name: weights[name] for name in kept})
    return Joint(kept, JointSums({it: scales[it] for it in sums.features}, sums.weights))


def _usable(
    features: Mapping[str, Feature], warn: Callable[[str], None]
) -> dict[str, FeatureScale]:
    """Return the scales of the features that joint signals may be made of."""
    found, sparse, constant = {}, [], []
    for name, (scale, missing) in sorted(features.items()):
        if missing > _MOST_MISSING:
            sparse.append(name)
        elif scale is None:
            constant.append(name)
        else:
            found[name] = scale
    if len(found) < 2:
        raise BaselineError(
            "--joint and --pairs take two numeric features or more that vary and are seldom "
            f"missing, and there {'is' if len(found) == 1 else 'are'} {_listed(list(found))}: "
            "categories and true or false are none"
        )
    for names, why in (
        (sparse, f"more than {_MOST_MISSING:.0%} of it is missing"),
        (constant, "hardly any of its values differ"),
    ):
        if names:
            warn(f"in no joint signal: {_listed(names)}, because {why}")
    return found


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    return f"{names[0]!r}{more}"


def _strongest_pairs(
    table: Table,
    scales: Mapping[str, FeatureScale],
    roles: Mapping[str, Role],
    number: int,
    progress: Progress,
) -> list[Weights]:
    """Return differences of the features that are most correlated; sums, if negatively.

    Of two with a correlation r the difference has a variance of 2 (1 - r), which becomes 2 when
    that is lost: the more they have in common, the more it tells.
    """
    if not number:
        return []
    names = list(scales)
    found = _correlations(_scaled_rows(table, scales, roles, progress))
    places = list(combinations(range(len(names)), 2))
    by_size = sorted(places, key=lambda it: (-abs(float(found[it])), it))[:number]
    return [{names[i]: 1.0, names[j]: -1.0 if found[i, j] > 0 else 1.0} for i, j in by_size]


def _scaled_rows(
    table: Table,
    scales: Mapping[str, FeatureScale],
    roles: Mapping[str, Role],
    progress: Progress,
) -> NDArray[np.int8]:
    """Return some rows, spread over the table, as integers (features, rows)."""
    names = list(scales)
    rows = max(1, min(_PAIR_ROWS, _PAIR_VALUES // len(names)))
    step = max(1, table.rows // rows)
    found = []
    for first in range(0, len(names), _COLUMNS_AT_ONCE):
        some = names[first : first + _COLUMNS_AT_ONCE]
        alone = JointSums(scales, {name: {name: 1.0} for name in some})
        parts, seen = [], 0
        for batch in table.timed(None, {name: roles[name] for name in some}):
            kept = slice(-seen % step, None, step)
            columns = [_numbers(batch.columns[name])[kept] for name in alone.features]
            sums = np.array(alone.columns(columns))
            parts.append(np.where(np.isfinite(sums), np.rint(sums * _PARTS), _NONE))
            seen += len(batch.seconds)
        found.append(np.concatenate(parts, axis=1).astype(np.int8))
        progress("Comparing pairs", (first + len(some)) / len(names))
    return np.concatenate(found)


def _correlations(rows: NDArray[np.int8]) -> Floats:
    """Return the correlations of integers (features, rows), of the rows where both have one.

    All sums are of integers and exact, so no machine's last bit decides which pair is stronger.
    """
    there = (rows != _NONE).astype(np.float64)
    values = np.where(rows != _NONE, rows, 0).astype(np.float64)
    n, total, square = there @ there.T, values @ there.T, values**2 @ there.T
    covariance = n * (values @ values.T) - total * total.T
    spread = n * square - total**2
    size = np.sqrt(spread) * np.sqrt(spread.T)
    return np.asarray(np.divide(covariance, size, out=np.zeros_like(size), where=size > 0))


def _numbers(rows: object) -> Floats:
    assert isinstance(rows, np.ndarray)  # noqa: S101 - numeric columns are no categories
    return rows


def _signals(
    table: Table,
    sums: JointSums,
    roles: Mapping[str, Role],
    memory_bytes: int,
    progress: Progress,
) -> dict[str, NumericSignal]:
    """Compute joint signals of all rows, as many at a time as the memory holds."""
    names, found = list(sums.weights), dict[str, NumericSignal]()
    at_once = max(1, min(_SIGNALS_AT_ONCE, memory_bytes // (16 * max(table.rows, 1))))
    for first in range(0, len(names), at_once):
        some = JointSums(
            sums.scales, {it: sums.weights[it] for it in names[first : first + at_once]}
        )
        parts: dict[str, list[Floats]] = {name: [] for name in some.weights}
        for batch in table.timed(None, {name: roles[name] for name in some.features}):
            columns = some.columns([_numbers(batch.columns[name]) for name in some.features])
            for name, column in zip(parts, columns, strict=True):
                parts[name].append(column[np.isfinite(column)])
        for name, its in parts.items():
            values = np.sort(np.concatenate(its))
            signal = numeric_signal(values, missing=table.rows - len(values), nan=0)
            signal.sum_of = dict(sums.weights[name])
            found[name] = signal
        progress("Adding features", len(found) / len(names))
    return found
