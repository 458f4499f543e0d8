"""Reports on cohorts: from the cells of outcomes to figures, for versions and groups. Pure."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from tidegauge.baseline import Baseline
from tidegauge.contract import (
    CountedRange,
    Figure,
    PerformanceReport,
    StratumCounts,
    deterministic_id,
    encode,
)
from tidegauge.outcomes import (
    LagCurve,
    OutcomeCounts,
    arrived_of,
    figures_of,
    performance_of,
    worsening,
)
from tidegauge.windows.cohort_parts import CohortPart, CountedPart, parts_of
from tidegauge.windows.outcome_values import OutcomeWindow, Published
from tidegauge.windows.outputs import Failures, Output, Raising
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.values import Slice

#: Parts of cohorts reported in a second, by the clocks of the records; then they wait for the next
#: one. A burst of old labels changes a month of cohorts, each part takes a millisecond, and windows
#: of predictions must not wait for them.
MOST_A_SECOND = 100

#: Baselines whose figures are remembered.
_MOST_REFERENCES = 1_000


class ReferenceFigures:
    """The figures of the rows that baselines were made of, computed once for each."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Mapping[str, Figure]] = OrderedDict()

    def of(self, baseline_id: str, baseline: Baseline | None) -> Mapping[str, Figure]:
        """Return the figures that have a value; none if it isn't known, or has no labels."""
        if baseline is None or baseline.outcomes is msgspec.UNSET:
            return {}
        if baseline_id not in self._known:
            its = baseline.outcomes
            figures = figures_of(OutcomeCounts.from_tally(its.target, its.performance))
            self._known[baseline_id] = {
                name: figure for name, figure in figures.items() if figure.value is not None
            }
            if len(self._known) > _MOST_REFERENCES:
                self._known.popitem(last=False)
        return self._known[baseline_id]


#: Judges a report on one of the parts of a mature cohort: with how many parts there are, and what
#: rules have held on in it, None if it wasn't judged yet; returns the latter.
Judge = Callable[[PerformanceReport, int, list[str] | None], list[str] | None]

_Strata = list[tuple[StratumCounts, OutcomeCounts]]


class PerformanceClosing:
    """Reports the cohorts of a partition that are due at a place of the log."""

    def __init__(
        self,
        state: PartitionState,
        *,
        topic: str,
        references: ReferenceFigures,
        failures: Failures | None = None,
        judge: Judge | None = None,
    ) -> None:
        self._judge = judge
        self._state = state
        self._topic = topic
        self._references = references
        self._failures = failures or Raising()
        outcomes = state.progress.outcomes
        self._watermark = 0.0 if outcomes is msgspec.UNSET else outcomes.watermark
        self._curves: dict[str, LagCurve | None] = {}

    @property
    def may_go_on(self) -> bool:
        """Whether another cohort may be reported in this second of the log."""
        outcomes = self._state.progress.outcomes
        return outcomes is not msgspec.UNSET and outcomes.reported < MOST_A_SECOND

    def close(self, window: OutcomeWindow) -> list[PerformanceReport]:
        """Report a cohort that is due; publish what differs from its last reports."""
        where = Slice(window.model, "", "", ())
        outcomes = self._state.outcomes
        try:
            strata, misfits = self._strata(window)
            for tenure, why in misfits.items():
                self._failures.failed(where, f"what tenure {tenure} says of a cohort", why)
                outcomes.leave_out(window, tenure)
            reports = self.reports(window, strata)
        except Exception as error:  # it is tried again once its counts change
            self._failures.failed(where, f"the cohort {window.start} to {window.end}", error)
            outcomes.reported(window)
            return []
        progress = self._state.progress
        if progress.outcomes is not msgspec.UNSET:
            more = progress.outcomes.reported + len(reports)
            progress.outcomes = msgspec.structs.replace(progress.outcomes, reported=more)
        published = dict(outcomes.cohorts[window].published)
        for part, report in reports.items():
            before = published.get(part.name)
            digest = _digest(report)
            if before is not None and before.digest == digest:
                report.revision = before.revision
                continue
            if before is not None:
                report.revision = before.revision + 1
            report.id = _id(report)
            self._state.outputs.append(Output(self._topic, report_key(report), report))
            held = None if before is None else before.held
            if report.mature and self._judge is not None:
                held = self._judge(report, len(reports), held)
            published[part.name] = Published(report.revision, digest, held)
        outcomes.reported(window, published=published)
        self._failures.went_well(where)
        return list(reports.values())

    def look(self, window: OutcomeWindow) -> list[PerformanceReport]:
        """Return the reports on a cohort for those who watch; nothing is published."""
        try:
            return list(self.reports(window, self._strata(window)[0]).values())
        except Exception as error:
            what = f"showing the cohort {window.start} to {window.end}"
            self._failures.failed(Slice(window.model, "", "", ()), what, error)
            return []

    def _strata(self, window: OutcomeWindow) -> tuple[_Strata, dict[str, Exception]]:
        """Return what tenures have counted, and those whose cell nobody can have counted."""
        found: _Strata = []
        misfits: dict[str, Exception] = {}
        for tenure, one in sorted(self._state.outcomes.cells[window].items()):
            try:
                cell = one.cell(window)
                found += [
                    (stratum, OutcomeCounts.from_record(cell.targets[stratum.target], stratum))
                    for stratum in cell.strata
                ]
            except ValueError as error:
                misfits[tenure] = error
        return found, misfits

    def reports(
        self, window: OutcomeWindow, strata: _Strata
    ) -> dict[CohortPart, PerformanceReport]:
        """Return the reports on a cohort as it is now, without ids and as of revision 0."""
        outcomes = self._state.outcomes
        cohort = outcomes.cohorts[window]
        if window.model not in self._curves:
            self._curves[window.model] = outcomes.curve(window.model, self._watermark)
        maturity = self._maturity(window)
        counted = list(self._counted())
        return {
            part: self._report(window, part, its, cohort.due, maturity, cohort.mature, counted)
            for part, its in parts_of(strata).items()
        }

    def _maturity(self, window: OutcomeWindow) -> float | None:
        curve = self._curves[window.model]
        return self._state.outcomes.maturity(window, curve, self._watermark)

    def _arrived(self, window: OutcomeWindow, part: CohortPart, counts: OutcomeCounts) -> Figure:
        labelled, predicted = int(counts.lags.sum()), int(counts.predicted.sum())
        earlier = (
            (its.labelled, its.predicted, self._maturity(one))
            for one, its in self._state.outcomes.estimates.earlier(window, part)
        )
        return arrived_of(labelled, predicted, self._maturity(window), earlier)

    def _report(
        self,
        window: OutcomeWindow,
        part: CohortPart,
        its: CountedPart,
        due: int,
        maturity: float | None,
        mature: bool,
        counted: Sequence[CountedRange],
    ) -> PerformanceReport:
        performance = performance_of(its.counts)
        references = self._references.of(its.baseline, self._state.baselines.get(its.baseline))
        worse = {
            name: worsening(name, performance.figures[name], reference)
            for name, reference in references.items()
            if name in performance.figures
        }
        return PerformanceReport(
            id="",
            model=window.model,
            version=part.version,
            variant=part.variant,
            group=dict(part.group),
            cohort_start=window.start,
            cohort_end=window.end,
            revision=0,
            time=due,
            problem=its.counts.target.problem,
            baseline=its.baseline,
            performance=performance,
            joinable=its.counts.joinable,
            maturity=maturity,
            mature=mature,
            baseline_figures={
                name: figure.value
                for name, figure in references.items()
                if figure.value is not None
            },
            worsening={name: one for name, one in worse.items() if one.value is not None},
            arrived=msgspec.UNSET if part.group else self._arrived(window, part, its.counts),
            other_labelled=its.other_labelled,
            estimated=self._state.outcomes.estimates.estimate(window, part, its.counts),
            counted=list(counted),
        )

    def _counted(self) -> Iterator[CountedRange]:
        progress = self._state.progress.outcomes
        if progress is msgspec.UNSET:
            return
        for topic, source in sorted(progress.sources.items()):
            for partition, to in sorted(source.covered.items()):
                topic_id = source.topic_ids.get(partition, "")
                yield CountedRange(
                    topic=topic, partition=partition, start=0, to=to, topic_id=topic_id
                )


def report_key(report: PerformanceReport) -> str:
    """Return the key of a report: of its part of its cohort, the last one stays."""
    name = [report.model, report.version, report.variant, sorted(report.group.items())]
    cohort = [report.cohort_start, report.cohort_end - report.cohort_start]
    return msgspec.json.encode([*name, *cohort]).decode()


def _id(report: PerformanceReport) -> str:
    return deterministic_id("performance", report_key(report), report.time, report.revision)


def _digest(report: PerformanceReport) -> str:
    """Return a digest of what a report says, but for what changes with time alone."""
    lasting = msgspec.structs.replace(
        report, id="", revision=0, time=0, maturity=None, arrived=msgspec.UNSET, counted=[]
    )
    return hashlib.blake2b(encode(lasting), digest_size=8).hexdigest()
