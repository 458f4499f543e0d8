"""What one tenure has counted of labels: cumulative cells, by model and window."""

from collections import defaultdict
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from tidegauge.contract import OutcomeCell, OutcomeTarget, StratumCounts, outcome_partition
from tidegauge.outcomes.counts import OutcomeCounts
from tidegauge.outcomes.join import Joined
from tidegauge.outcomes.labelled_rows import LabelledRows, labelled_rows
from tidegauge.outcomes.names import Strata
from tidegauge.outcomes.packed import Indices, Rows
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
        for stratum, start, places in self._groups(joined.joinable, "cohort", "time"):
            self._counts(stratum, "cohort", start).joinable += len(places)
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
        for sign in (1, -1):
            self._count_of(labelled[labelled["sign"] == sign], sign)

    def _count_of(self, rows: Rows, sign: int) -> None:
        if not len(rows):
            return
        targets = self._strata.columns.target[rows["stratum"]]
        #: By target: its rows, and by row where it is among these.
        of_target: dict[int, LabelledRows] = {}
        place = np.zeros(len(rows), np.intp)
        for target in np.unique(targets).tolist():
            its = targets == target
            place[its] = np.arange(np.count_nonzero(its))
            of_target[target] = labelled_rows(
                self._strata.targets[target],
                rows["value"][its],
                rows["predicted"][its],
                rows["actual"][its],
                rows["arrived"][its] - rows["time"][its],
            )
        kinds: tuple[tuple[_Kind, str], ...] = (("cohort", "time"), ("arrival", "arrived"))
        for kind, column in kinds:
            groups = self._groups(rows, kind, column)
            order = np.concatenate([places for _, _, places in groups])
            by_target = targets[order]
            its_rows = {t: of_target[t].at(place[order[by_target == t]]) for t in of_target}
            done = dict.fromkeys(of_target, 0)
            for stratum, start, places in groups:
                target = self._strata.names[stratum].target
                begin = done[target]
                done[target] += len(places)
                some = its_rows[target].at(slice(begin, done[target]))
                self._counts(stratum, kind, start).add_rows(some, sign)

    def _groups(self, rows: Rows, kind: _Kind, column: str) -> list[tuple[int, int, Indices]]:
        """Return stratum, start of the window, and places of its rows, for each that has any."""
        if not len(rows):
            return []
        stratum = rows["stratum"].astype(np.int64)
        lengths = self._seconds(kind)[stratum]
        starts = rows[column].astype(np.int64) // lengths * lengths
        order = np.lexsort((starts, stratum))
        stratum, starts = stratum[order], starts[order]
        begins = np.flatnonzero((np.diff(starts) != 0) | (np.diff(stratum) != 0)) + 1
        begins = np.concatenate([[0], begins])
        ends = [*begins[1:].tolist(), len(rows)]
        named = zip(stratum[begins].tolist(), starts[begins].tolist(), strict=True)
        return [
            (*name, order[begin:end])
            for name, begin, end in zip(named, begins.tolist(), ends, strict=True)
        ]

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
