"""Rows by id in memory: millions of them, found by whole batches.

Rows lie in runs that are sorted by id, as in a log-structured merge tree: what comes makes a run,
small runs of about the same size are merged, large ones are left alone, and a run is written anew
once half of its rows are of no use any more. A look-up is a binary search for all ids of a batch
in each run; memory is what the rows take, and two runs more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.outcomes.packed import Indices, Rows
from tidegauge.stats import Bools

Ids = npt.NDArray[np.uint64]

#: Times in whole seconds.
Seconds = npt.NDArray[np.int64]

#: Rows of the largest run that a merge makes: 13 MB of predictions, which twenty runs have of ten
#: million. Larger ones are found no faster, and a merge takes as much memory again.
LARGEST_RUN = 1 << 19


@dataclass
class _Run:
    ids: Ids
    rows: Rows
    #: When it is to be looked at for rows of no use: half of them are, by then.
    due: int
    removed: int = 0


class Found(NamedTuple):
    """Rows that were found: copies, for which of the ids that were looked for, and where they are.

    A place is good until rows are added or expire.
    """

    of: Indices
    rows: Rows
    run: Indices
    place: Indices

    def only(self, its: Bools) -> "Found":
        """Return some of them."""
        return Found(self.of[its], self.rows[its], self.run[its], self.place[its])


class SortedRows:
    """Rows of type ``kind``, each of an id; several may have the same.

    ``until`` returns up to which time rows are of use, inclusive; it must be in the past for rows
    whose ``base`` is 0. ``base`` is the column to remove them by.
    """

    def __init__(
        self, kind: np.dtype[np.void], base: str, until: Callable[[Rows], Seconds]
    ) -> None:
        self.kind = kind
        self._base = base
        self._until = until
        self._runs: list[_Run] = []

    def __len__(self) -> int:
        return sum(len(run.ids) for run in self._runs)

    @property
    def nbytes(self) -> int:
        """Memory of the rows and their ids."""
        return sum(run.ids.nbytes + run.rows.nbytes for run in self._runs)

    def add(self, ids: Ids, rows: Rows) -> None:
        """Add rows; ``ids`` are in ascending order."""
        if not len(ids):
            return
        self._runs.append(self._run(ids, rows))
        while len(self._runs) > 1:
            older, newer = self._runs[-2:]
            if len(older.ids) > 2 * len(newer.ids):
                break
            if len(older.ids) + len(newer.ids) > LARGEST_RUN:
                break
            del self._runs[-2:]
            self._runs.append(self._merged(older, newer))

    def find(self, ids: Ids) -> Found:
        """Return the rows of ids, which are in ascending order and each there once."""
        parts = [_in_run(at, run, ids) for at, run in enumerate(self._runs)]
        parts = [part for part in parts if len(part.of)]
        if len(parts) == 1:
            return parts[0]
        none = np.zeros(0, np.intp)
        empty = Found(none, np.zeros(0, self.kind), none, none)
        return Found(*map(np.concatenate, zip(empty, *parts, strict=True)))

    def of_use(self, found: Found, clock: int) -> Found:
        """Return those of the rows found that are of use at ``clock``."""
        return found.only(self._until(found.rows) >= clock)

    def remove(self, found: Found) -> None:
        """Have rows that were found be of no use."""
        for at in np.unique(found.run).tolist():
            run, places = self._runs[at], found.place[found.run == at]
            run.rows[self._base][places] = 0
            run.removed += len(places)

    def expire(self, clock: int) -> None:
        """Drop rows of no use after ``clock``, once they are many."""
        kept: list[_Run] = []
        for run in self._runs:
            if run.due < clock or 2 * run.removed > len(run.ids):
                useful = self._until(run.rows) >= clock
                if not useful.any():
                    continue
                run = self._run(run.ids[useful], run.rows[useful])
            kept.append(run)
        self._runs = kept

    def columns(self, name: str) -> list[npt.NDArray[np.generic]]:
        """Return a column, by run, to read or to write."""
        return [run.rows[name] for run in self._runs]

    def oldest(self, clock: int) -> int | None:
        """Return the least base of the rows that are of use at ``clock``; None without any."""
        least = [
            int(run.rows[self._base][useful].min())
            for run in self._runs
            if (useful := self._until(run.rows) >= clock).any()
        ]
        return min(least, default=None)

    def _run(self, ids: Ids, rows: Rows) -> _Run:
        until = self._until(rows)
        half = len(until) // 2
        return _Run(ids, rows, int(np.partition(until, half)[half]))

    def _merged(self, older: _Run, newer: _Run) -> _Run:
        ids = np.concatenate([older.ids, newer.ids])
        order = np.argsort(ids, kind="stable")
        rows = np.concatenate([older.rows, newer.rows])
        return self._run(ids[order], rows[order])


def _in_run(number: int, run: _Run, ids: Ids) -> Found:
    first = np.searchsorted(run.ids, ids)
    held = np.flatnonzero(run.ids[np.minimum(first, len(run.ids) - 1)] == ids)
    place = first[held]
    # Most ids are of one row.
    ends = place + 1
    several = np.flatnonzero(run.ids[np.minimum(ends, len(run.ids) - 1)] == ids[held])
    several = several[ends[several] < len(run.ids)]
    if len(several):
        ends[several] = np.searchsorted(run.ids, ids[held[several]], side="right")
        counts = ends - place
        held = np.repeat(held, counts)
        starts = np.repeat(place - np.cumsum(counts) + counts, counts)
        place = starts + np.arange(len(held))
    return Found(held, run.rows[place], np.full(len(held), number), place)
