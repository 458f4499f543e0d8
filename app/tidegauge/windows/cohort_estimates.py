"""Estimates of cohorts before their labels have come, and how often such estimates held. Pure.

A cohort is estimated by the cohorts of its model that were mature when it ended: what came later
could not be known. So the estimate of a cohort that is over changes with the counts of these alone,
and its track record compares what could be known with what the labels showed.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegauge.contract import (
    EstimatedPerformance,
    OutcomeTarget,
    RegressionTarget,
    TrackRecord,
)
from tidegauge.outcomes import (
    OutcomeCounts,
    RealisedRates,
    estimate_held,
    estimate_of,
    labelled_scores,
    merged,
    rates_of,
    with_results,
)
from tidegauge.windows.cohort_parts import CohortPart
from tidegauge.windows.outcome_values import CohortState, OutcomeWindow, TenureOutcomes

#: Cohorts by whose labels another one is estimated, the latest: a week of hours.
MOST_EARLIER = 168

_Cells = dict[str, TenureOutcomes]
_Rows = NDArray[np.int32]


class EarlierPart(NamedTuple):
    """A version and variant in an earlier cohort; ``rows`` are the labelled ones by target."""

    labelled: int
    predicted: int
    rows: list[tuple[OutcomeTarget, _Rows]]


class _Known(NamedTuple):
    """What is known of a cohort, and the cells that it was read from."""

    cells: _Cells
    parts: dict[CohortPart, EarlierPart]


class CohortEstimates:
    """Estimates by the cells and the states of cohorts, which are those of the store."""

    def __init__(
        self,
        cells: Mapping[OutcomeWindow, _Cells],
        cohorts: Mapping[OutcomeWindow, CohortState],
        windows: Mapping[str, set[OutcomeWindow]],
    ) -> None:
        self._cells, self._cohorts, self._windows = cells, cohorts, windows
        self._known: dict[OutcomeWindow, _Known] = {}

    def estimate(
        self, window: OutcomeWindow, part: CohortPart, counts: OutcomeCounts
    ) -> EstimatedPerformance | msgspec.UnsetType:
        """Return the estimate of a part of a cohort with its track record; none of groups."""
        if part.group or isinstance(counts.target, RegressionTarget):
            return msgspec.UNSET
        record = TrackRecord()
        for earlier in self._earlier(window):
            record = with_results(record, self._cohorts[earlier].held.get(part.name, {}))
        return estimate_of(counts, self._rates(window, part, counts.target), record)

    def held(self, window: OutcomeWindow) -> dict[str, dict[str, bool]]:
        """Return whether the estimates of a cohort hold what its labels show, by part and figure.

        Left out is what has no estimate.
        """
        if next(self._earlier(window), None) is None:
            return {}
        found = {}
        for part, its in _counted(window, self._cells.get(window, {})).items():
            counts = max(its, key=lambda one: int(one.lags.sum()))
            rows = labelled_scores(counts)
            if rows is not None and rows.min() >= 0:
                rates = self._rates(window, part, counts.target)
                if results := estimate_held(counts, rates):
                    found[part.name] = results
        return found

    def earlier(
        self, window: OutcomeWindow, part: CohortPart
    ) -> Iterator[tuple[OutcomeWindow, EarlierPart]]:
        """Yield the cohorts by which a part of one is estimated, the latest first."""
        for one in islice(self._earlier(window), MOST_EARLIER):
            if part in (parts := self._parts(one)):
                yield one, parts[part]

    def forget(self, window: OutcomeWindow) -> None:
        """Forget a cohort that was deleted."""
        self._known.pop(window, None)

    def _earlier(self, window: OutcomeWindow) -> Iterator[OutcomeWindow]:
        """Yield the cohorts of a model that were mature when ``window`` ended, the latest first."""
        found = []
        for one in self._windows.get(window.model, ()):
            state = self._cohorts.get(one)
            if state is not None and 0 < state.matured <= window.end and one != window:
                found.append(one)
        yield from sorted(found, key=lambda it: (-it.end, it))

    def _rates(
        self, window: OutcomeWindow, part: CohortPart, target: OutcomeTarget
    ) -> RealisedRates | None:
        total = None
        for _, its in self.earlier(window, part):
            for of, rows in its.rows:
                if of == target:
                    total = rows.astype(np.float64) if total is None else total + rows
        return None if total is None else rates_of(target, total)

    def _parts(self, window: OutcomeWindow) -> dict[CohortPart, EarlierPart]:
        cells, known = self._cells.get(window, {}), self._known.get(window)
        # The cells of a window are replaced, never changed.
        if known is None or known.cells is not cells:
            parts = {part: _part(its) for part, its in _counted(window, cells).items()}
            known = self._known[window] = _Known(cells, parts)
        return known.parts


def _part(by_target: list[OutcomeCounts]) -> EarlierPart:
    found = [(one.target, labelled_scores(one)) for one in by_target]
    return EarlierPart(
        sum(int(one.lags.sum()) for one in by_target),
        sum(int(one.predicted.sum()) for one in by_target),
        # Below 0 until the cell comes of which a correction has taken back.
        [
            (target, rows.astype(np.int32))
            for target, rows in found
            if rows is not None and rows.min() >= 0 and rows.max() < 1 << 31
        ],
    )


def _counted(window: OutcomeWindow, cells: _Cells) -> dict[CohortPart, list[OutcomeCounts]]:
    """Return what tenures have counted of each version and variant, by target."""
    strata = []
    for _, one in sorted(cells.items()):
        try:
            cell = one.cell(window)
            its = [
                (
                    CohortPart(stratum.version, stratum.variant, ()),
                    OutcomeCounts.from_record(cell.targets[stratum.target], stratum),
                )
                for stratum in cell.strata
            ]
        except ValueError:  # left out, and said so, when the cohort is reported
            continue
        strata += its
    return merged(strata)
