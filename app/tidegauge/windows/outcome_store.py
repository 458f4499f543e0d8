"""The outcomes of a partition of DETECT: a fold over the records of OUTCOMES in its log. No I/O.

Cells join as those of predictions do: of each tenure the larger ``seq`` wins, so order, repetition
and omission of intermediate records change nothing. When something is reported follows from the
clocks of the records alone: each time that the watermark passes the end of an arrival window, by
the grace of the model's windows, is a *tick* of the model. It makes the cohorts due that have
changed since the tick before.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tidegauge.config import WindowSettings
from tidegauge.contract import LAG_EDGES
from tidegauge.outcomes import MATURE, LagCurve, lag_curve
from tidegauge.windows.cohort_estimates import CohortEstimates
from tidegauge.windows.outcome_values import (
    CohortAlerts,
    CohortAlertsKey,
    CohortKey,
    CohortState,
    OutcomeKey,
    OutcomeWindow,
    TenureOutcomes,
    join_cohort_alerts,
    join_cohorts,
    join_tenures,
    replaced,
)
from tidegauge.windows.records import RawRecord
from tidegauge.windows.values import Journal

#: How long after its prediction a label counts unless something else is set.
RETENTION_SECONDS = 30.0 * 24 * 3600

#: A cohort takes labels that came within the retention, by the clocks of the brokers; so long after
#: it, by the watermark, its cells are deleted. Clocks differ by less.
SLACK_SECONDS = 24 * 3600

#: A minute: how often it is looked whether alerts lack judged cohorts.
LOOK_SECONDS = 60

AnyKey = OutcomeKey | CohortKey | CohortAlertsKey
Delays = npt.NDArray[np.int64]


def _end(window: OutcomeWindow) -> tuple[int, OutcomeWindow]:
    return window.end, window


class Arrivals(NamedTuple):
    """The labels of an arrival window by delay, and the baselines that they were counted by."""

    window: OutcomeWindow
    delays: Delays
    baselines: frozenset[str]


class Passed(NamedTuple):
    """What a step of the watermark has passed: arrival windows, and windows that were deleted.

    ``released`` are baselines of the latter. ``minute`` is the last full one that was passed, epoch
    seconds; None if there was none.
    """

    arrivals: list[Arrivals]
    released: set[str]
    minute: int | None = None


class Latest(NamedTuple):
    """The latest cohorts of a model: that is mature, and that is over by the last tick."""

    mature: OutcomeWindow | None
    over: OutcomeWindow | None


@dataclass(kw_only=True)
class OutcomeStore:
    """Cells of outcomes, and what was reported of cohorts.

    ``retention_of`` is how long after its prediction a label of a model counts, seconds.
    """

    window_of: Callable[[str], WindowSettings]
    retention_of: Callable[[str], float]
    cells: dict[OutcomeWindow, dict[str, TenureOutcomes]] = field(default_factory=dict)
    cohorts: dict[OutcomeWindow, CohortState] = field(default_factory=dict)
    #: What rules have made of mature cohorts.
    alerts: dict[CohortAlertsKey, CohortAlerts] = field(default_factory=dict)
    #: Keys whose value in memory is not in the changelog yet.
    unsaved: set[AnyKey] = field(default_factory=set)
    #: What labels of earlier cohorts say of later ones.
    estimates: CohortEstimates = field(init=False)
    #: Cells that came after their cohort was deleted.
    late_cells: int = 0
    #: The watermark up to which ticks have been taken.
    _passed_to: float = 0.0
    _windows: dict[str, set[OutcomeWindow]] = field(default_factory=dict)
    #: Cohorts that are due, and the latest mature one and the latest that is over of each model:
    #: at every record they are asked for, and a model has hundreds of cohorts.
    _due: set[OutcomeWindow] = field(default_factory=set)
    _latest: dict[str, Latest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.estimates = CohortEstimates(self.cells, self.cohorts, self._windows)

    # -- joining ---------------------------------------------------------------------------------

    def join(self, record: RawRecord, watermark: float, journal: Journal) -> None:
        """Join a record's cells; ``watermark`` is that of outcomes before it."""
        for cell in record.outcome_cells:
            window = cell.window
            if self._expiry(window) <= watermark:
                # Corrections take back what old arrival windows had; those are over.
                self.late_cells += window.kind == "cohort"
                continue
            before = self.cells.get(window, {}).get(record.tenure)
            if before is not None and before.seq >= record.seq:
                continue
            journal.note(self.cells, window)
            journal.note(self._windows, cell.model)
            self._hold(window, record.tenure, cell.kept(record.seq))
            if window.kind == "cohort":
                journal.note(self.cohorts, window)
                known = self.cohorts.get(window, CohortState())
                if not known.changed:
                    self._set(window, replaced(known, changed=True))

    def _hold(self, window: OutcomeWindow, tenure: str, one: TenureOutcomes) -> None:
        """Keep a value. What there was is not changed: it may have to be put back."""
        self.cells[window] = {**self.cells.get(window, {}), tenure: one}
        self._windows[window.model] = self._windows.get(window.model, set()) | {window}
        self.unsaved.add(OutcomeKey(*window, tenure))

    def _set(self, window: OutcomeWindow, state: CohortState) -> None:
        self.cohorts[window] = state
        if state.due:
            self._due.add(window)
        self.unsaved.add(CohortKey(window.model, window.start, window.seconds))

    def _expiry(self, window: OutcomeWindow) -> float:
        settings = self.window_of(window.model)
        if window.kind == "arrival":
            return float(window.end + settings.grace_seconds + settings.late_seconds)
        return window.end + self.retention_of(window.model) + SLACK_SECONDS

    # -- ticks -----------------------------------------------------------------------------------

    def advance(self, watermark: float) -> Passed:
        """Take the ticks that the watermark of outcomes has come to, and delete what is too old."""
        passed = Passed([], set())
        if watermark <= self._passed_to:
            return passed
        for model in sorted(self._windows):
            before, now = (self._tick(model, at) for at in (self._passed_to, watermark))
            if now > before:
                passed.arrivals.extend(self._passed_arrivals(model, before, now))
                passed.released.update(self._expire(model, watermark))
                self._make_due(model, watermark, now)
        minute = math.floor(watermark / LOOK_SECONDS) * LOOK_SECONDS
        if minute > self._passed_to:
            passed = passed._replace(minute=minute)
        self._passed_to = watermark
        return passed

    def _tick(self, model: str, watermark: float) -> int:
        """Return the last tick of a model that the watermark has come to."""
        settings = self.window_of(model)
        ended = math.floor((watermark - settings.grace_seconds) / settings.seconds)
        return ended * settings.seconds

    def _passed_arrivals(self, model: str, before: int, now: int) -> Iterator[Arrivals]:
        for window in sorted(self._windows[model]):
            if window.kind == "arrival" and before < window.end <= now:
                yield Arrivals(window, self.delays(window), self.baselines(window))

    def _make_due(self, model: str, watermark: float, tick: int) -> None:
        curve = self.curve(model, watermark)
        for window in sorted(self._windows.get(model, ())):
            if window.kind != "cohort":
                continue
            state = self.cohorts.get(window, CohortState())
            maturity = self.maturity(window, curve, watermark)
            ripe = not state.mature and maturity is not None and maturity >= MATURE
            if ripe:
                held = self.estimates.held(window)
                state = msgspec.structs.replace(state, changed=True, matured=tick, held=held)
            if state.changed:
                self._set(window, replaced(state, changed=False, due=tick))
        self._find_latest(model, tick)

    def _find_latest(self, model: str, tick: int) -> None:
        cohorts = [it for it in self._windows.get(model, ()) if it in self.cohorts]
        mature = (it for it in cohorts if self.cohorts[it].mature)
        over = (it for it in cohorts if it.end <= tick)
        self._latest[model] = Latest(*(max(its, key=_end, default=None) for its in (mature, over)))

    def delays(self, window: OutcomeWindow) -> Delays:
        """Return the labels of a window by delay, in the bins of ``LAG_EDGES``."""
        found = np.zeros(len(LAG_EDGES) + 1, dtype=np.int64)
        for one in self.cells.get(window, {}).values():
            found += one.delays
        return found

    def curve(self, model: str, watermark: float) -> LagCurve | None:
        """Return which share of the labels of a model comes within what time."""
        return lag_curve(
            (watermark - window.end, self.delays(window))
            for window in self._windows.get(model, ())
            if window.kind == "cohort"
        )

    def maturity(
        self, window: OutcomeWindow, curve: LagCurve | None, watermark: float
    ) -> float | None:
        """Return which share of a cohort's labels is to be expected by now; None if unknown."""
        age = watermark - window.end
        if age >= self.retention_of(window.model):
            return 1.0
        return None if curve is None else curve.share_by(age)

    def due(self) -> list[OutcomeWindow]:
        """Return the cohorts to report, those first that have waited for longest."""
        return sorted(self._due, key=lambda window: (self.cohorts[window].due, window))

    def reported(self, window: OutcomeWindow, **changes: Any) -> None:
        """Note that a cohort was reported."""
        self._set(window, replaced(self.cohorts[window], due=0, **changes))
        self._due.discard(window)

    def leave_out(self, window: OutcomeWindow, tenure: str) -> None:
        """Delete what a tenure has counted of a window."""
        left = {name: one for name, one in self.cells[window].items() if name != tenure}
        self.unsaved.add(OutcomeKey(*window, tenure))
        self.cells[window] = left

    def latest(self, model: str) -> Latest:
        """Return the latest cohorts of a model."""
        return self._latest.get(model, Latest(None, None))

    @property
    def models(self) -> list[str]:
        """The models that have outcomes."""
        return sorted(self._windows)

    def baselines(self, window: OutcomeWindow) -> frozenset[str]:
        """Return the baselines that name the targets of a window."""
        return frozenset().union(*(it.baselines for it in self.cells.get(window, {}).values()))

    @property
    def used_baselines(self) -> Mapping[OutcomeWindow, frozenset[str]]:
        """The baselines of each window."""
        return {window: self.baselines(window) for window in self.cells}

    def _expire(self, model: str, watermark: float) -> Iterator[str]:
        """Delete the windows that take no more labels; yield their baselines."""
        for window in sorted(self._windows[model]):
            if self._expiry(window) <= watermark:
                yield from sorted(self.baselines(window))
                self._delete(window)

    def _delete(self, window: OutcomeWindow) -> None:
        """Delete a window; its keys become tombstones."""
        self.unsaved |= {OutcomeKey(*window, tenure) for tenure in self.cells.pop(window, {})}
        self._due.discard(window)
        self.estimates.forget(window)
        if self.cohorts.pop(window, None) is not None:
            self.unsaved.add(CohortKey(window.model, window.start, window.seconds))
        left = self._windows.get(window.model, set()) - {window}
        if left:
            self._windows[window.model] = left
        else:
            self._windows.pop(window.model, None)
            self._latest.pop(window.model, None)

    def judged(self, where: CohortAlertsKey, value: CohortAlerts | None) -> None:
        """Replace what rules have made of cohorts; None to forget it."""
        if value is None:
            self.alerts.pop(where, None)
        else:
            self.alerts[where] = value
        self.unsaved.add(where)

    def forgets(self, where: CohortAlertsKey, value: CohortAlerts) -> float:
        """Return the watermark at which alerts end, as their last cohort is deleted."""
        return value.end + self.retention_of(where.model) + SLACK_SECONDS

    # -- recovery --------------------------------------------------------------------------------

    def restore_cell(self, key: OutcomeKey, value: TenureOutcomes | None) -> None:
        """Join a value that was read back, or a tombstone."""
        window = key.window
        known = self.cells.get(window, {})
        if value is None:
            known.pop(key.tenure, None)
            if not known:
                self.cells.pop(window, None)
            return
        held = known.get(key.tenure)
        self.cells[window] = known | {
            key.tenure: value if held is None else join_tenures(held, value)
        }

    def restore_cohort(self, key: CohortKey, value: CohortState | None) -> None:
        """Do so with a value of a cohort."""
        if value is None:
            self.cohorts.pop(key.window, None)
            return
        held = self.cohorts.get(key.window)
        self.cohorts[key.window] = value if held is None else join_cohorts(held, value)

    def restore_alerts(self, key: CohortAlertsKey, value: CohortAlerts | None) -> None:
        """Do so with a value of the alerts of cohorts."""
        if value is None:
            self.alerts.pop(key, None)
            return
        held = self.alerts.get(key)
        self.alerts[key] = value if held is None else join_cohort_alerts(held, value)

    def restored(self, watermark: float) -> None:
        """Start work on what was read back; ``watermark`` is that of outcomes."""
        self._passed_to = watermark
        self._windows.clear()
        self._latest.clear()
        # Of a cohort there may be nothing left but what was reported: see leave_out.
        for window in self.cohorts:
            self.cells.setdefault(window, {})
        for window in self.cells:
            self._windows[window.model] = self._windows.get(window.model, set()) | {window}
        for window in list(self.cells):
            if self._expiry(window) <= watermark:  # a worker that lost the partition wrote it again
                self._delete(window)
        self._due = {window for window, state in self.cohorts.items() if state.due}
        for model in self._windows:
            self._find_latest(model, self._tick(model, watermark))

    def everything(self) -> set[AnyKey]:
        """Return every key there is."""
        return {
            *(OutcomeKey(*window, tenure) for window, its in self.cells.items() for tenure in its),
            *(CohortKey(it.model, it.start, it.seconds) for it in self.cohorts),
            *self.alerts,
        }
