"""Counting the source again: any rows of one window, by any baseline's bins."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from chaos.site.topics import partition_name
from chaos.source import (
    ABSENT_NUMBER,
    INVALID,
    INVALID_NUMBER,
    NOT_FINITE,
    NOT_FINITE_NUMBER,
    Source,
    WindowKey,
    place,
    position,
)
from support.oracle import ABSENT, LATENCY_EDGES_MS, Histogram

Rows = NDArray[np.intp]
Signals = Mapping[str, Mapping[str, Any]]

#: The signals that are binned alike for every model, whatever its baseline says of them.
FIXED: Signals = {
    "latency_ms": {"kind": "numeric", "edges": LATENCY_EDGES_MS},
    "status": {
        "kind": "categorical", "categories": ["ok", "error"], "known": [], "known_complete": True,
    },
}  # fmt: skip

#: Sums of floats depend on their order, and the order on who counted what; this much at most.
SUM_TOLERANCE = 1e-9

#: The index of a special in what :func:`_bin_of_values` returns, after the value bins.
_ABSENT, _NULL, _NAN, _INVALID = range(4)


def baseline_id(document: Mapping[str, Any]) -> str:
    """Name a baseline document as its reports name it: the hash of its compact JSON."""
    return hashlib.sha256(msgspec.json.encode(document)).hexdigest()


def signals_of(baseline: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Return everything that is counted by a baseline, or without one."""
    own: Signals = baseline["signals"] if baseline else {}
    return {"prediction": {"kind": "numeric", "edges": []}, **own, **FIXED}


class Recounter:
    """Counts rows of the source; what was worked out of a baseline is kept."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._bins: dict[tuple[str, str], NDArray[np.intp]] = {}

    def rows(self, window: WindowKey, ranges: Iterable[tuple[int, int, int]]) -> Rows:
        """Return the window's rows in (partition, start, to) ranges; none twice."""
        lo, hi = self.source.windows.get(window, (0, 0))
        positions = self.source.positions[lo:hi]
        inside = np.zeros(hi - lo, dtype=bool)
        for partition, start, to in ranges:
            first, last = np.searchsorted(
                positions, [position(partition, start), position(partition, max(start, to))]
            )
            inside[first:last] = True
        return lo + np.flatnonzero(inside)

    def all_rows(self, window: WindowKey) -> Rows:
        """Return every row of the window."""
        return np.arange(*self.source.windows[window])

    def others(self, window: WindowKey, rows: Rows) -> Rows:
        """Return the window's rows that are not among ``rows``."""
        return np.setdiff1d(self.all_rows(window), rows, assume_unique=True)

    def histograms(
        self, rows: Rows, baseline: Mapping[str, Any] | None, name: str
    ) -> dict[str, Histogram]:
        """Count all signals of rows by a baseline; ``name`` is its id, "" for none."""
        return {
            signal: self._numbers(rows, signal, spec["edges"])
            if spec["kind"] == "numeric"
            else self._categories(rows, signal, spec, name)
            for signal, spec in signals_of(baseline).items()
        }

    def _numbers(self, rows: Rows, signal: str, edges: list[float]) -> Histogram:
        column = self.source.numbers[signal][rows]
        real = np.isfinite(column) & (column != INVALID_NUMBER)
        x = column[real]
        # Bin i holds edges[i-1] <= x < edges[i].
        bins = np.searchsorted(np.asarray(edges, dtype=np.float64), x, side="right")
        found = Histogram(np.bincount(bins, minlength=len(edges) + 1).tolist())
        if len(x) < len(column):
            found.absent = int(np.count_nonzero(column == ABSENT_NUMBER))
            found.null = int(np.count_nonzero(np.isnan(column)))
            found.nan = int(np.count_nonzero(column == NOT_FINITE_NUMBER))
            found.invalid = int(np.count_nonzero(column == INVALID_NUMBER))
        if len(x):
            found.sum = float(x.sum())
            found.sum_of_magnitudes = float(np.abs(x).sum())
            found.sumsq = float(np.square(x).sum())
            found.minimum, found.maximum = float(x.min()), float(x.max())
        return found

    def _categories(self, rows: Rows, signal: str, spec: Mapping[str, Any], name: str) -> Histogram:
        key = ("", signal) if signal in FIXED else (name, signal)
        if key not in self._bins:
            self._bins[key] = _bin_of_values(self.source.values[signal], spec)
        width = len(spec["categories"]) + 2
        counts = np.bincount(
            self._bins[key][self.source.codes[signal][rows]], minlength=width + 4
        ).tolist()
        specials = counts[width:]
        return Histogram(
            counts[:width],
            absent=specials[_ABSENT],
            null=specials[_NULL],
            nan=specials[_NAN],
            invalid=specials[_INVALID],
        )

    def describe(self, rows: Rows) -> str:
        """Say where rows are: by partition, how many between which offsets."""
        partitions, offsets = place(self.source.positions[rows])
        said = []
        for partition in np.unique(partitions).tolist():
            of = offsets[partitions == partition]
            where = f"offset {of[0]}" if len(of) == 1 else f"offsets {of[0]} to {of[-1]}"
            said.append(f"{len(of)} in {partition_name(partition)} at {where}")
        return ", ".join(said)


def _bin_of_values(values: list[object], spec: Mapping[str, Any]) -> NDArray[np.intp]:
    """Return the bin of each value there is: categories in order, other, never seen, specials."""
    categories: list[str] = spec["categories"]
    other = len(categories)
    bins = {category: i for i, category in enumerate(categories)}
    known = set(spec["known"])
    special = {ABSENT: _ABSENT, None: _NULL, NOT_FINITE: _NAN, INVALID: _INVALID}

    def bin_of(value: object) -> int:
        if value in special:
            return other + 2 + special[value]
        if value in bins:
            return bins[str(value)]
        return other if value in known or not spec["known_complete"] else other + 1

    return np.array([bin_of(value) for value in values], dtype=np.intp)


def differences(found: Histogram, expected: Histogram) -> list[str]:
    """Say in what a histogram differs from what was counted again."""
    said = [
        f"{field} {getattr(found, field)} instead of {getattr(expected, field)}"
        for field in ("counts", "absent", "null", "nan", "invalid", "minimum", "maximum")
        if getattr(found, field) != getattr(expected, field)
    ]
    for field, scale in (("sum", expected.sum_of_magnitudes), ("sumsq", expected.sumsq)):
        difference = abs(getattr(found, field) - getattr(expected, field))
        if not difference <= SUM_TOLERANCE * scale:
            said.append(
                f"{field} {getattr(found, field)!r} instead of {getattr(expected, field)!r}"
            )
    return said


def total(histograms: list[Histogram]) -> Histogram:
    """Add histograms up; counts bin by bin if all have the same number of bins, else as one."""
    widths = {len(h.counts) for h in histograms}
    rows = [h.counts if len(widths) == 1 else [sum(h.counts)] for h in histograms]
    minima = [h.minimum for h in histograms if h.minimum is not None]
    maxima = [h.maximum for h in histograms if h.maximum is not None]
    return Histogram(
        [sum(column) for column in zip(*rows, strict=True)],
        absent=sum(h.absent for h in histograms),
        null=sum(h.null for h in histograms),
        nan=sum(h.nan for h in histograms),
        invalid=sum(h.invalid for h in histograms),
        sum=math.fsum(h.sum for h in histograms),
        sum_of_magnitudes=math.fsum(h.sum_of_magnitudes for h in histograms),
        sumsq=math.fsum(h.sumsq for h in histograms),
        minimum=min(minima, default=None),
        maximum=max(maxima, default=None),
    )
