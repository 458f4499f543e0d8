"""Predictions and labels through INGEST's counter, its router of labels and OUTCOMES' join, by day.

Only Kafka and Redis are left out. Cohorts are days of UTC.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tidegauge.baseline import Baseline
from tidegauge.config import Settings
from tidegauge.contract import Figure, TrackRecord
from tidegauge.counting import Counter, LabelRouter, Position, PredictionRouter, Tenure
from tidegauge.outcomes import (
    MATURE,
    JoinLimits,
    OutcomeCells,
    OutcomeCounts,
    OutcomeJoin,
    RealisedRates,
    Strata,
    baseline_counts,
    estimate_held,
    estimated_figures,
    figures_of,
    lag_curve,
    read_input,
    realised_rates,
    with_results,
)

DAY = 86_400

#: As DETECT keeps cohorts.
_KEPT_DAYS = 30


class Message(NamedTuple):
    """What routers use of a Kafka message; ``written`` are milliseconds."""

    payload: bytes
    at: int
    written: int

    def value(self) -> bytes:
        """Return the record."""
        return self.payload

    def partition(self) -> int:
        """Return the only one."""
        return 0

    def offset(self) -> int:
        """Return its place."""
        return self.at

    def timestamp(self) -> tuple[int, int]:
        """Return that it is the time of the writer, and when it was."""
        return 1, self.written

    def error(self) -> None:
        """Return none."""

    def headers(self) -> None:
        """Return none."""


class Day(NamedTuple):
    """A day's figures: as they were estimated at its end, and as its labels have shown them.

    ``estimated`` are of all predictions, from their scores; ``realised`` of those with a label, of
    which there were ``labelled`` when the last had come.
    """

    start: int
    predicted: int
    labelled: int
    estimated: dict[str, Figure]
    realised: dict[str, Figure]


class Site:
    """One model's predictions and labels; days follow each other without a gap."""

    def __init__(self, baseline: Baseline) -> None:
        settings = Settings.model_validate({"outcomes": {"cohort_seconds": DAY}})
        self._now = 0.0
        self._counter = Counter(
            source="predictions",
            settings=settings.ingest,
            window_of=settings.window_of,
            clock=lambda: self._now,
            predictions=PredictionRouter((), settings.outcomes_of),
        )
        self._router = LabelRouter(
            source="labels",
            settings=settings.ingest,
            clock=lambda: self._now,
            settings_of=settings.outcomes_of,
        )
        strata = Strata(lambda model: settings.outcomes_of(model).retention_seconds)
        self._join = OutcomeJoin(strata, JoinLimits())
        self._cells = OutcomeCells(strata, lambda model: DAY, lambda model: DAY)
        self._promoted = {(baseline.model, baseline.version): (baseline.id, baseline)}
        assert baseline.outcomes
        self._own = baseline_counts(baseline.outcomes)
        self._offsets = [0, 0]
        self._cohorts: dict[int, OutcomeCounts] = {}
        self._rates: dict[int, RealisedRates | None] = {}
        self._estimates: dict[int, dict[str, Figure]] = {}
        self._mature: set[int] = set()
        self.record = TrackRecord(cohorts={}, held={})

    def send(
        self, start: int, events: Sequence[bytes], labels: Sequence[tuple[float, bytes]]
    ) -> None:
        """Count a day's events, and route and join the labels of the same day."""
        self._now = float(start + DAY)
        position = Position(origin=0, start=0, since=0, to=0, arrived=self._now)
        tenure = Tenure(began=self._now, positions={0: position})
        self._counter.use(self._promoted, tenure)
        self._router.use(self._promoted, tenure)
        self._counter.count(self._messages(0, ((self._now, it) for it in events)), tenure)
        self._counter.settle(tenure)
        self._router.count(self._messages(1, labels), tenure)
        for refused in (*self._counter.dead_letters, *self._router.dead_letters):
            raise ValueError(f"a record was refused: {refused}")
        values = [value for _, value in tenure.pending.records(1, self._now)]
        values += [value for _, value in tenure.labels.records(1, self._now, "labels")]
        self._cells.add(self._join.take([read_input(value, self._now) for value in values]))
        self._join.settle()
        for cells in self._cells.changed(1).values():
            for cell in cells:
                if cell.kind == "cohort":
                    (stratum,) = cell.strata
                    counts = OutcomeCounts.from_record(cell.targets[0], stratum)
                    self._cohorts[cell.window_start] = counts
        self._cells.flushed()
        self._look(start)

    def _messages(self, topic: int, values: Iterable[tuple[float, bytes]]) -> list[Message]:
        first = self._offsets[topic]
        found = [
            Message(value, first + at, round(1000 * written))
            for at, (written, value) in enumerate(values)
        ]
        self._offsets[topic] += len(found)
        return found

    def _look(self, start: int) -> None:
        """Estimate the day that has ended, and see which days have become mature."""
        kept = {
            day: counts
            for day, counts in self._cohorts.items()
            if day > self._now - (_KEPT_DAYS + 1) * DAY
        }
        ages = {day: self._now - (day + DAY) for day in kept}
        curve = lag_curve((ages[day], counts.lags) for day, counts in kept.items())
        for day in sorted(kept.keys() - self._mature):
            if curve is not None and curve.share_by(ages[day]) >= MATURE:
                self._mature.add(day)
                held = estimate_held(kept[day], self._rates[day])
                self.record = with_results(self.record, held)
        # Without earlier cohorts, the rows of the baseline are what is known of scores.
        earlier = [kept[day] for day in sorted(kept.keys() & self._mature)] or [self._own]
        total = OutcomeCounts(self._own.target)
        for counts in earlier:
            total.merge(counts)
        if start in self._cohorts:
            self._rates[start] = realised_rates(total)
            self._estimates[start] = estimated_figures(self._cohorts[start], self._rates[start])

    def days(self) -> list[Day]:
        """Return every day, with all labels that have come."""
        return [
            Day(
                start=start,
                predicted=int(counts.predicted.sum()),
                labelled=int(counts.lags.sum()),
                estimated=self._estimates[start],
                realised=figures_of(counts),
            )
            for start, counts in sorted(self._cohorts.items())
        ]
