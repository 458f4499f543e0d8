"""What one tenure has counted of labels: cumulative cells, by model and window."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from tidegauge.contract import OutcomeCell, OutcomeTarget, StratumCounts, outcome_partition
from tidegauge.outcomes.counts import OutcomeCounts
from tidegauge.outcomes.join import Joined
from tidegauge.outcomes.names import Strata
from tidegauge.outcomes.packed import Rows
from tidegauge.outcomes.sorted_rows import Seconds

#: Labels are counted at once so many at a time: a call for each window and stratum costs more than
#: its labels.
_AT_ONCE = 200_000

_Kind = Literal["cohort", "arrival"]


class _CellKey(NamedTuple):
    model: str
    kind: _Kind
    window_start: int
    window_seconds: int


class OutcomeCells:
    """The cells of a tenure.

    ``cohort_seconds`` and ``window_seconds`` return the lengths of a model's cohorts and windows.
    """

    def __init__(
        self,
        strata: Strata,
        cohort_seconds: Callable[[str], int],
        window_seconds: Callable[[str], int],
    ) -> None:
        self._strata = strata
        self._lengths = {"cohort": cohort_seconds, "arrival": window_seconds}
        self._cells: defaultdict[_CellKey, dict[int, OutcomeCounts]] = defaultdict(dict)
        self._changed: set[_CellKey] = set()
        self._waiting: list[Rows] = []
        self._rows = 0

    def __len__(self) -> int:
        """How many counts there are, each of a stratum in a window."""
        return sum(map(len, self._cells.values()))

    def add(self, joined: Joined) -> None:
        """Add what records have added to the join."""
        for stratum, counted in joined.predicted:
            # Its writer may have had another length in its settings.
            length = self._lengths["cohort"](self._strata.names[stratum].model)
            start = counted.cohort_start // length * length
            counts = self._counts(stratum, "cohort", start)
            bins = np.array(counted.counts.bins, np.intp)
            counts.add_predicted(bins, np.array(counted.counts.counts, np.int64))
        for stratum, start, rows in self._groups(joined.joinable, "cohort", "time"):
            self._counts(stratum, "cohort", start).joinable += len(rows)
        if len(joined.labelled):
            self._waiting.append(joined.labelled)
            self._rows += len(joined.labelled)
            if self._rows >= _AT_ONCE:
                self._count()

    def _count(self) -> None:
        if not self._waiting:
            return
        labelled = np.concatenate(self._waiting)
        self._waiting, self._rows = [], 0
        kinds: tuple[tuple[_Kind, str], ...] = (("cohort", "time"), ("arrival", "arrived"))
        for sign in (1, -1):
            its = labelled[labelled["sign"] == sign]
            for kind, column in kinds:
                for stratum, start, rows in self._groups(its, kind, column):
                    self._counts(stratum, kind, start).add(
                        rows["value"],
                        rows["predicted"],
                        rows["actual"],
                        rows["arrived"] - rows["time"],
                        sign,
                    )

    def _groups(self, rows: Rows, kind: _Kind, column: str) -> Iterator[tuple[int, int, Rows]]:
        """Yield stratum, start of the window, and rows."""
        if not len(rows):
            return
        lengths = self._seconds(kind)[rows["stratum"]]
        starts = rows[column].astype(np.int64) // lengths * lengths
        order = np.lexsort((starts, rows["stratum"]))
        rows, starts = rows[order], starts[order]
        ends = (np.diff(starts) != 0) | (np.diff(rows["stratum"].astype(np.int64)) != 0)
        bounds = [0, *(np.flatnonzero(ends) + 1).tolist(), len(rows)]
        for begin, end in pairwise(bounds):
            yield int(rows["stratum"][begin]), int(starts[begin]), rows[begin:end]

    def _seconds(self, kind: _Kind) -> Seconds:
        length = self._lengths[kind]
        return np.array([length(name.model) for name in self._strata.names], np.int64)

    def _counts(self, stratum: int, kind: _Kind, start: int) -> OutcomeCounts:
        name = self._strata.names[stratum]
        key = _CellKey(name.model, kind, start, self._lengths[kind](name.model))
        self._changed.add(key)
        counts = self._cells[key].get(stratum)
        if counts is None:
            target = self._strata.targets[name.target]
            counts = self._cells[key][stratum] = OutcomeCounts(target)
        return counts

    def changed(self, destinations: int) -> dict[int, list[OutcomeCell]]:
        """Return by destination the cells that have changed since :meth:`flushed`."""
        self._count()
        found: dict[int, list[OutcomeCell]] = {p: [] for p in range(destinations)}
        for key in sorted(self._changed):
            found[outcome_partition(key.model, destinations)].append(self._cell(key))
        return found

    def _cell(self, key: _CellKey) -> OutcomeCell:
        targets: dict[int, OutcomeTarget] = {}
        strata: list[StratumCounts] = []
        for stratum, counts in self._cells[key].items():
            name = self._strata.names[stratum]
            targets.setdefault(name.target, counts.target)
            strata.append(
                counts.to_record(
                    version=name.version,
                    baseline=name.baseline,
                    target=list(targets).index(name.target),
                    variant=name.variant,
                    groups=dict(name.groups),
                )
            )
        return OutcomeCell(
            model=key.model,
            kind=key.kind,
            window_start=key.window_start,
            window_seconds=key.window_seconds,
            targets=list(targets.values()),
            strata=strata,
        )

    def flushed(self) -> None:
        """Note that what :meth:`changed` gave is committed; until then it gives the same again."""
        self._changed.clear()
