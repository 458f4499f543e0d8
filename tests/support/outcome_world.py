"""Two OUTCOMES workers over two partitions, with real tenures, and what DETECT reads of them.

What they should have counted is kept apart from what they say, for comparison.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from support.counting import NOW
from support.world import Logged, decoded
from tidegauge.contract import LAG_EDGES, BinaryTarget, OutcomeCell
from tidegauge.windows.outcome_values import OutcomeWindow
from tidegauge.windows.partition import PartitionState

SOURCE = "tidegauge.outcomes"
MODEL = "credit"
TARGET = BinaryTarget(positive="1", negative="0", threshold=0.5)
COHORT_SECONDS = 3600
WINDOW_SECONDS = 60


class Axes(NamedTuple):
    """What a count is of, within a window."""

    version: str
    variant: str
    groups: tuple[tuple[str, str], ...]


class Seen(NamedTuple):
    """A prediction, and the label that counts, with when it arrived."""

    model: str
    axes: Axes
    time: float
    score: float
    actual: int | None = None
    arrived: float = 0.0


#: By window, axes and place: histogram and bin.
Totals = Counter[tuple[OutcomeWindow, Axes, str, int]]


@dataclass
class _Tenure:
    id: str
    positions: dict[int, list[int]]
    seq: int = 0
    counts: Totals = field(default_factory=Counter)
    changed: set[OutcomeWindow] = field(default_factory=set)


class OutcomeWorld:
    """Partition 0 is worker a's at first, 1 is worker b's; ``log`` is what DETECT reads."""

    def __init__(self, source: str = SOURCE, baselines: Mapping[str, str] | None = None) -> None:
        """``baselines`` are the ids of baselines by version."""
        self.source, self._baselines = source, baselines or {}
        self.now = NOW
        self.log: list[Logged] = []
        self.owner = {0: "a", 1: "b"}
        self._to = {0: 0, 1: 0}
        self._idle = False
        self._tenures = 0
        self.tenures = {name: self._tenure(p) for p, name in self.owner.items()}
        self.seen: dict[str, Seen] = {}

    def _tenure(self, *partitions: int) -> _Tenure:
        self._tenures += 1
        return _Tenure(f"t{self._tenures}", {p: [self._to[p], self._to[p]] for p in partitions})

    def predict(
        self,
        id: str,
        score: float,
        *,
        time: float | None = None,
        model: str = MODEL,
        version: str = "1",
        variant: str = "",
        **groups: str,
    ) -> None:
        """Make a prediction."""
        axes = Axes(version, variant, tuple(sorted(groups.items())))
        one = Seen(model, axes, self.now if time is None else time, score)
        self.seen[id] = one
        self._count(id, {(*_cohort(one), "predicted", _score_bin(one)): 1})

    def label(self, id: str, actual: int) -> None:
        """Label it, or correct its label, now."""
        before = self.seen[id]
        after = before._replace(actual=actual, arrived=self.now)
        self.seen[id] = after
        counts = _contributions(after)
        counts.subtract(_contributions(before))
        self._count(id, counts)

    def _count(self, id: str, counts: Mapping[Any, int]) -> None:
        partition = sum(id.encode()) % 2
        tenure = self.tenures[self.owner[partition]]
        self._to[partition] += 1
        for key, count in counts.items():
            tenure.counts[key] += count
            tenure.changed.add(key[0])

    def move(self, partition: int) -> None:
        """Rebalance: the other worker takes a partition over."""
        self.flush()
        self.owner[partition] = "b" if self.owner[partition] == "a" else "a"
        for name in "ab":
            self.tenures[name] = self._tenure(*(p for p, by in self.owner.items() if by == name))

    def flush(self, *names: str, idle: bool = True) -> None:
        """Have workers write what they have counted."""
        for name in names or "ab":
            tenure = self.tenures[name]
            if tenure.positions:
                self.log.append((2 * len(self.log), self._record(tenure, idle)))

    def _record(self, tenure: _Tenure, idle: bool) -> Any:
        tenure.seq += 1
        ranges, clocks = {}, {}
        for p, (start, since) in tenure.positions.items():
            to = self._to[p]
            ranges[p] = {"origin": 0, "start": start, "since": since, "to": to}
            clocks[p] = {"latest": self.now, "caught_up": True, "idle": idle}
            tenure.positions[p][1] = to
        cells = [_cell(window, tenure.counts, self._baselines) for window in sorted(tenure.changed)]
        tenure.changed = set()
        record = {
            "tenure": tenure.id,
            "seq": tenure.seq,
            "time": self.now,
            "source": self.source,
            "source_partitions": 2,
            "ranges": ranges,
            "clocks": clocks,
            "cells": [],
            "outcomes": cells,
        }
        return decoded(msgspec.json.encode(record))

    def expected(self) -> Totals:
        """Return what all tenures together should have counted."""
        found: Totals = Counter()
        for one in self.seen.values():
            found[*_cohort(one), "predicted", _score_bin(one)] += 1
            found.update(_contributions(one))
        return found


def _cohort(one: Seen) -> tuple[OutcomeWindow, Axes]:
    start = int(one.time // COHORT_SECONDS * COHORT_SECONDS)
    return OutcomeWindow(one.model, "cohort", start, COHORT_SECONDS), one.axes


def _score_bin(one: Seen) -> int:
    return min(int(one.score * 128), 127) * 3 + (one.score >= 0.5)


def _contributions(one: Seen) -> Totals:
    found: Totals = Counter()
    if one.actual is None:
        return found
    lag = sum(edge <= one.arrived - one.time for edge in LAG_EDGES)
    at = int(one.arrived // WINDOW_SECONDS * WINDOW_SECONDS)
    arrival = OutcomeWindow(one.model, "arrival", at, WINDOW_SECONDS)
    score_bin = min(int(one.score * 128), 127)
    place = (score_bin * 2 + one.actual) * 3 + (one.score >= 0.5)
    for window in (_cohort(one)[0], arrival):
        found[window, one.axes, "outcomes", place] += 1
        found[window, one.axes, "lags", lag] += 1
    return found


def _sparse(counts: Mapping[int, int]) -> dict[str, list[int]]:
    bins = sorted(counts)
    return {"bins": bins, "counts": [counts[it] for it in bins]}


def _cell(window: OutcomeWindow, counts: Totals, baselines: Mapping[str, str]) -> dict[str, Any]:
    by_axes: dict[Axes, dict[str, dict[int, int]]] = {}
    for (of, axes, name, place), count in counts.items():
        if of == window:
            by_axes.setdefault(axes, {}).setdefault(name, {})[place] = count
    strata = [
        {
            "version": axes.version,
            "variant": axes.variant,
            "groups": dict(axes.groups),
            "baseline": baselines.get(axes.version, f"of-{axes.version}"),
            "target": 0,
            "labelled": {"problem": "binary", "outcomes": _sparse(its.get("outcomes", {}))},
            "lags": _sparse(its.get("lags", {})),
            "predicted": _sparse(its.get("predicted", {})),
        }
        for axes, its in sorted(by_axes.items())
    ]
    return {
        "model": window.model,
        "kind": window.kind,
        "window_start": window.start,
        "window_seconds": window.seconds,
        "targets": [TARGET],
        "strata": strata,
    }


def totals(state: PartitionState) -> Totals:
    """Return what a state holds, added up over tenures."""
    found: Totals = Counter()
    for window, tenures in state.outcomes.cells.items():
        for one in tenures.values():
            found.update(_of_cell(window, one.cell(window)))
    return found


def _of_cell(window: OutcomeWindow, cell: OutcomeCell) -> Totals:
    found: Totals = Counter()
    for one in cell.strata:
        axes = Axes(one.version, one.variant, tuple(sorted(one.groups.items())))
        named: dict[str, Any] = {
            "outcomes": one.labelled.outcomes, "lags": one.lags, "predicted": one.predicted,
        }  # fmt: skip
        for name, sparse in named.items():
            for place, count in zip(sparse.bins, sparse.counts, strict=True):
                found[window, axes, name, place] += count
    return found


def nonzero(found: Totals) -> dict[Any, int]:
    """Drop what corrections have taken back."""
    return {key: count for key, count in found.items() if count}


def of_kinds(found: Totals, *kinds: str) -> dict[Any, int]:
    """Return what is not zero in windows of these kinds."""
    return {key: count for key, count in nonzero(found).items() if key[0].kind in kinds}


def shifted(log: Iterable[Logged], by: int) -> list[Logged]:
    """Return the same records at later offsets."""
    return [(offset + by, record) for offset, record in log]
