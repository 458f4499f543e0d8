"""Collected columns turned into signals, with a summary of each. Pure; row order has no effect."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from tidegauge.baseline import (
    CategoricalSignal,
    Clusters,
    NumericSignal,
    Signal,
    canonical_category,
    numeric_counts,
    numeric_edges,
    rare_values,
)
from tidegauge.baseline.io.column import Column, Kind
from tidegauge.baseline.io.table import Holders
from tidegauge.stats import Floats

#: Categories with a bin of their own.
TOP_CATEGORIES = 20

#: Further values remembered, so that one never seen before can be told from a rare one.
KNOWN_CATEGORIES = 10_000

#: The values of both kinds are kept as far as they fit: 20 categories of 1,600 letters, 10,000
#: known values of 26. Labels of bins are in every alert, and every worker holds the known values.
CATEGORIES_BYTES = 32 * 1024
KNOWN_BYTES = 256 * 1024

#: Of a column with more different values than this, those seen once are not kept: they are ids,
#: texts and typing errors, and the next rows have others.
MANY_VALUES = 1_000

_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?")


def numeric_signal(ordered: Floats, *, missing: int, nan: int) -> NumericSignal:
    """Make a signal of sorted, finite values. ``std`` is that of a population."""
    edges = numeric_edges(ordered)
    mean, std = mean_and_std(ordered)
    return NumericSignal(
        edges=edges,
        counts=numeric_counts(ordered, edges).tolist(),
        missing=missing,
        nan=nan,
        mean=mean,
        std=std,
        minimum=float(ordered[0]) if ordered.size else None,
        maximum=float(ordered[-1]) if ordered.size else None,
    )


def mean_and_std(values: Floats) -> tuple[float | None, float | None]:
    """Return mean and population standard deviation; (None, None) of no values.

    Sums are rounded once, at their end, so that neither the order of the values nor the machine's
    vector width shows in the result; a power of two keeps squares of large values in range.

    >>> mean_and_std(np.array([1e308, 1e308]))
    (1e+308, 0.0)
    """
    if values.size == 0:
        return None, None
    exponent = math.frexp(float(np.abs(values).max()))[1]
    scaled = np.ldexp(values, -exponent)
    mean = math.fsum(scaled) / values.size
    std = math.sqrt(math.fsum((scaled - mean) ** 2) / values.size)
    return math.ldexp(mean, exponent), math.ldexp(std, exponent)


def categorical_signal(
    counts: Counter[str], *, kind: Kind, are_text: bool, missing: int
) -> CategoricalSignal:
    """Make a signal of category counts, commonest first, ties by name.

    ``are_text``: the categories are spelled as in a text file, where the kind of the column decides
    whether ``1.0`` is the number 1 or a name.
    """
    if are_text:
        counts = canonical_texts(counts, kind)
    least = 2 if len(counts) > MANY_VALUES else 1
    recurring = [name for name, count in counts.items() if count >= least]
    ranked = sorted(recurring, key=lambda name: (-counts[name], name))
    categories, rest = _fitting(ranked, TOP_CATEGORIES, CATEGORIES_BYTES)
    known, _ = _fitting(rest, KNOWN_CATEGORIES, KNOWN_BYTES)
    in_categories = [counts[name] for name in categories]
    complete = len(categories) + len(known) == len(counts)
    others = counts.keys() - set(categories)
    return CategoricalSignal(
        dtype=_dtype(counts, kind),
        categories=categories,
        known=sorted(known),
        known_complete=complete,
        counts=[*in_categories, counts.total() - sum(in_categories), 0],
        missing=missing,
        rare=rare_values(
            np.array(in_categories, dtype=np.int64),
            np.array([counts[name] for name in others], dtype=np.int64),
            tells_unseen=complete,
        ),
    )


def in_clusters(
    signal: CategoricalSignal, held: Mapping[str, Holders], kind: Kind, effect: float
) -> CategoricalSignal:
    """Return the signal with what to expect of new entities, by which of them have each value.

    ``kind`` is that of a column of text, as in :func:`categorical_signal`; ``effect`` is its design
    effect.
    """
    found: dict[str, Holders] = {}
    for name, spelling in text_spellings(held, kind).items():
        found[spelling] = held[name].plus(found[spelling]) if spelling in found else held[name]
    others = [its.rows for name, its in found.items() if name not in signal.categories]
    entities, rows, squares = (np.array(its) for its in zip(*sorted(found.values()), strict=True))
    rare = rare_values(
        np.array(signal.counts[:-2], dtype=np.int64),
        np.array(others, dtype=np.int64),
        tells_unseen=signal.known_complete,
        clusters=Clusters.of(entities, rows, squares),
        effect=effect,
    )
    return msgspec.structs.replace(signal, rare=rare)


def of_size(counts: Mapping[str, int], size: float) -> dict[str, Holders]:
    """Return which entities have values with so many rows, if each has about ``size`` rows.

    >>> of_size({"a": 10, "b": 6, "c": 1}, 5.0)["a"]
    Holders(entities=2, rows=10, squares=50.0)
    """
    entities = [max(round(rows / size), 1) for rows in counts.values()]
    return {
        name: Holders(its, rows, rows**2 / its)
        for (name, rows), its in zip(counts.items(), entities, strict=True)
    }


def _fitting(ranked: Sequence[str], most: int, most_bytes: int) -> tuple[list[str], list[str]]:
    """Part the names that are kept, the first ones that fit, from all others.

    >>> _fitting(["a", "a long one", "b", "c"], 2, 5)
    (['a', 'b'], ['a long one', 'c'])
    """
    kept: list[str] = []
    left: list[str] = []
    size = 0
    for name in ranked:
        its = len(name.encode())
        if len(kept) < most and size + its <= most_bytes:
            kept.append(name)
            size += its
        else:
            left.append(name)
    return kept, left


def seen_once(counts: Counter[str]) -> int:
    """Return how many values never came again."""
    return sum(count == 1 for count in counts.values())


def mostly_numbers(counts: Counter[str]) -> bool:
    """Whether the values of a column of text are numbers, but for some.

    >>> mostly_numbers(Counter({"1.5": 1, "2": 1, "?": 1})), mostly_numbers(Counter({"01": 1}))
    (True, False)
    """
    some = list(counts)[:MANY_VALUES]
    return sum(map(_is_plain_number, some)) > len(some) / 2


def canonical_texts(counts: Counter[str], kind: Kind) -> Counter[str]:
    """Spell the categories of a text file as their typed counterparts are spelled in events.

    A column of numbers in which one has a leading zero is a column of codes: it stays text.

    >>> sorted(canonical_texts(Counter({"1.0": 2, "1": 1, "2.5": 1}), "numeric").items())
    [('1', 3), ('2.5', 1)]
    >>> sorted(canonical_texts(Counter({"01": 2, "1": 1}), "numeric").items())
    [('01', 2), ('1', 1)]
    """
    canonical: Counter[str] = Counter()
    for name, spelling in text_spellings(counts, kind).items():
        canonical[spelling] += counts[name]
    return canonical


def text_spellings(names: Iterable[str], kind: Kind) -> dict[str, str]:
    """Return how each category of a text file is spelled in events."""
    names = list(names)
    if kind == "boolean":
        return {name: name.lower() for name in names}
    if kind == "numeric" and all(map(_is_plain_number, names)):
        return {name: _spell_number(name) for name in names}
    return {name: name for name in names}


def _is_plain_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _spell_number(text: str) -> str:
    if _INTEGER.fullmatch(text):
        return "0" if text == "-0" else text  # integers as they are: a float would round long ids
    return canonical_category(float(text))


def _dtype(counts: Counter[str], kind: Kind) -> Literal["string", "integer", "boolean"]:
    if kind == "boolean":
        return "boolean"
    if kind == "numeric" and all(map(_INTEGER.fullmatch, counts)):
        return "integer"
    return "string"


class ColumnSummary(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One column: what it is called, what it became, and what that was decided by.

    ``kind`` is numeric, string, integer, boolean, time or left out; ``signal`` the name of the
    signal, empty if it is none. ``missing`` and ``distinct`` are counts of rows and of values,
    ``not_finite`` of numbers that are NaN or infinite in the file.
    """

    column: str
    kind: str
    signal: str = ""
    missing: int | None = None
    not_finite: int = 0
    distinct: int | None = None
    examples: tuple[str, ...] = ()

    @classmethod
    def left_out(cls, column: Column, why: str) -> "ColumnSummary":
        """Return that of a column which is no signal."""
        return cls(column=column.name, kind=why, examples=column.examples)


def summary_of(column: Column, name: str, signal: Signal, distinct: int) -> ColumnSummary:
    """Return what a column became."""
    if isinstance(signal, NumericSignal):
        kind, not_finite = "numeric", signal.nan
    else:
        kind, not_finite = signal.dtype, 0
    return ColumnSummary(
        column=column.name,
        kind=kind,
        signal=name,
        missing=signal.missing,
        not_finite=not_finite,
        distinct=distinct,
        examples=column.examples,
    )
