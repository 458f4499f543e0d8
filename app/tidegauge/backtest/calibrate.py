"""What the promise of false alarms was worth on past windows, why, and what would restore it.

Windows are replayed by the detector as in every backtest. A second replay tries what may restore
the promise: a design effect, a baseline of later windows, another number of alarms a month.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from msgspec.structs import replace as replace_struct

from tidegauge.alerting import RuleSet
from tidegauge.backtest.observed import ModelHistory, SliceHistory
from tidegauge.backtest.records import ReportsInOrder
from tidegauge.backtest.remade import HoursOfWindows, expects_by_rows, with_counts, with_effects
from tidegauge.backtest.result import (
    Calibration,
    LeftOut,
    MissingBaseline,
    ModelPromise,
    SignalPromise,
    TriedRemedy,
)
from tidegauge.backtest.run import BacktestPlan, NoWindows, ReplayRun, no_collector
from tidegauge.baseline import LEAST_DAYS, Baseline
from tidegauge.contract import WindowReport
from tidegauge.kafka import KafkaRecord, Skipped, refuse
from tidegauge.stats import Floats
from tidegauge.windows import Slice

#: Numbers of alarms a month are tried at these multiples of what they are.
_MULTIPLES = [part * 10.0**-power for power in range(1, 5) for part in (5, 2, 1)]

#: Signals that have so large a share of all windows in alarm are named, if they are few.
_MOST, _FEW = 0.8, 3

#: Counts that it takes to try them as a baseline.
_LEAST_ROWS = 1_000

BaselineOf = Callable[[str], Baseline | None]
Read = Callable[[Skipped], Iterable[KafkaRecord]]


class _Replayed:
    """A replay of one ``model``, or of all, from ``begin`` on, and what was seen of it."""

    def __init__(
        self,
        plan: BacktestPlan,
        baseline_of: BaselineOf,
        model: str | None = None,
        begin: int = 0,
    ) -> None:
        self._model = model
        self._begin = begin
        self.run = ReplayRun(plan, baseline_of, self._observer)
        self.histories: list[SliceHistory] = []

    def _observer(self, key: Slice) -> SliceHistory:
        self.histories.append(SliceHistory(key))
        return self.histories[-1]

    def take(self, report: WindowReport) -> None:
        """Take in the next report, if it is of such a model."""
        if report.window_start >= self._begin and self._model in (None, report.model):
            self.run.take(report)

    def finish(self) -> None:
        """Judge what waits."""
        self.run.judge()

    def by_model(self) -> dict[str, ModelHistory]:
        """Return what was seen of each model, if any of its windows was scored."""
        found: dict[str, list[SliceHistory]] = {}
        for its in self.histories:
            if its.is_scored:
                found.setdefault(its.slice.model, []).append(its)
        return {model: ModelHistory(its) for model, its in sorted(found.items())}


class _Trial(NamedTuple):
    """A remedy that is tried for a model, with the ``multiple`` of its budget."""

    model: str
    replayed: _Replayed
    multiple: float
    remedy: dict[str, Any]


class _Hours(NamedTuple):
    """Hours of the day that are made of the windows of a model, by the id of their baseline."""

    model: str
    of_windows: dict[str, HoursOfWindows]

    def take(self, report: WindowReport) -> None:
        """Count the next report, if it is of the model."""
        if report.model == self.model:
            for its in self.of_windows.values():
                its.take(report)

    def finish(self) -> None:
        """There is nothing that waits."""

    def trial(self, plan: BacktestPlan, baseline_of: BaselineOf) -> _Trial | None:
        """Return what tries them; None if they can't be told."""
        made = {id: its.finish() for id, its in self.of_windows.items()}
        if not all(made.values()):
            return None
        begin = max(its.until for its in self.of_windows.values())
        replayed = _Replayed(plan, lambda id: made.get(id) or baseline_of(id), self.model, begin)
        since = begin - LEAST_DAYS * 86_400
        return _Trial(self.model, replayed, 1, {"remedy": "hours", "since": since, "until": begin})


def calibrate(
    plan: BacktestPlan,
    read: Read,
    baseline_of: BaselineOf,
    excepted: Sequence[tuple[float, float]] = (),
    skipped: Skipped = refuse,
) -> Calibration:
    """Replay window reports and count the alarms; rules and an injection of ``plan`` are not used.

    ``read`` yields the reports in the order of their log, and is called with what is to take what
    can't be read; it is called again if something is tried.
    Windows that overlap one of the times ``excepted``, in which there was a drift, are left out:
    neither memories nor the promise have them. Every other alarm counts as false.

    Raises ``NoWindows`` if no window was scored, ``ValueError`` for what is no report unless
    ``skipped`` takes it.
    """
    plan = replace(plan, rules=RuleSet([]), injection=None)
    left_out = [LeftOut(since=since, until=until, windows=0) for since, until in excepted]
    known: dict[str, Baseline | None] = {}

    def baseline(id: str) -> Baseline | None:
        if id not in known:
            known[id] = baseline_of(id)
        return known[id]

    first = _Replayed(plan, baseline)
    _replay(plan, read, [first], left_out, skipped)
    seen = first.by_model()
    if not seen:
        raise NoWindows(_nothing(plan, first, left_out))
    found = {model: its.promises(plan.alarms_of(model), known) for model, its in seen.items()}
    trials = [
        trial
        for model, its in seen.items()
        for trial in _trials(plan, model, its, found[model][1], baseline)
    ]
    hours = [
        its
        for model, seen_of in seen.items()
        if (its := _hours(model, seen_of, found[model][1], baseline)) is not None
    ]
    again = [replace_struct(it, windows=0) for it in left_out]
    if trials or hours:
        _replay(plan, read, [*(it.replayed for it in trials), *hours], again, _passed)
    by_hours = [it for one in hours if (it := one.trial(plan, baseline)) is not None]
    if by_hours:
        _replay(plan, read, [it.replayed for it in by_hours], again, _passed)
    trials = by_hours + trials
    return Calibration(
        since=plan.since,
        until=plan.until,
        windows=sum(one.span.windows for one in first.run.replays.values()),
        excepted=left_out,
        models=[_result(model, its, *found[model], trials) for model, its in seen.items()],
        missing_baselines=[
            MissingBaseline(id=id, model=model, windows=windows)
            for (id, model), windows in sorted(first.run.missing.items())
        ],
    )


def _passed(place: str, why: str) -> None:
    """Skip what was skipped, and warned of, by the first replay."""


def _replay(
    plan: BacktestPlan,
    read: Read,
    replays: Sequence[_Replayed | _Hours],
    excepted: Sequence[LeftOut],
    skipped: Skipped,
) -> None:
    reports = ReportsInOrder(plan.since, plan.until, skipped)
    with no_collector():
        for report in reports.of(read(skipped)):
            if not fnmatchcase(report.model, plan.model):
                continue
            inside = [
                it
                for it in excepted
                if report.window_start < it.until and report.window_end > it.since
            ]
            for it in inside:
                it.windows += not report.revision
            for one in replays if not inside else ():
                one.take(report)
        for one in replays:
            one.finish()


def _nothing(plan: BacktestPlan, first: _Replayed, excepted: Sequence[LeftOut]) -> str:
    if not first.run.replays:
        if any(it.windows for it in excepted):
            return f"every window of {plan.model!r} is in a time that was excepted"
        return f"no window of a model that matches {plan.model!r} ended in this time"
    if first.run.missing:
        ids = ", ".join(sorted({id for id, _ in first.run.missing}))
        return f"no window was scored, since the baseline {ids} is not in the store"
    return "no window was scored: none has a signal with a baseline and 200 events"


def _result(
    model: str,
    seen: ModelHistory,
    whole: SignalPromise,
    signals: Sequence[SignalPromise],
    trials: Sequence[_Trial],
) -> ModelPromise:
    ours = [it for it in trials if it.model == model]
    broken = any(it.verdict == "not_kept" for it in (whole, *signals))
    return ModelPromise(
        model=model,
        versions=sorted({it.slice.version for it in seen.slices}),
        slices=len(seen.slices),
        window_seconds=max(it.seconds for it in seen.slices),
        reasons=sorted({reason for it in seen.slices for reason in it.reasons}),
        promise=whole,
        signals=list(signals),
        mostly=_mostly(signals) if broken else [],
        remedies=[
            TriedRemedy(
                **trial.remedy,
                alarms_per_month=trial.multiple * whole.own.alarms_per_month,
                promise=again.tried(whole.own.alarms_per_month, 1 / trial.multiple),
            )
            for trial in ours
            if (again := trial.replayed.by_model().get(model)) is not None
        ],
        no_budget_restores=broken and all(it.multiple == 1 for it in ours),
    )


def _mostly(signals: Sequence[SignalPromise]) -> list[str]:
    """Return the signals that have most of the windows in alarm, if these are few."""
    windows = sorted(
        ((it.own.in_alarm * it.windows, it.signal or "") for it in signals), reverse=True
    )
    total, names, so_far = sum(it for it, _ in windows), list[str](), 0.0
    for its, name in windows:
        if so_far >= _MOST * total:
            break
        so_far += its
        names.append(name)
    return names if 0 < len(names) <= min(_FEW, len(signals) - 1) else []


def _trials(
    plan: BacktestPlan,
    model: str,
    seen: ModelHistory,
    signals: Sequence[SignalPromise],
    baseline_of: BaselineOf,
) -> Iterator[_Trial]:
    """Yield what may restore the promise to a model, by what is said of its signals."""
    alarms = plan.alarms_of(model)
    broken = [it for it in signals if it.verdict == "not_kept"]
    causes = [(it.signal or "", cause) for it in broken for cause in it.causes]
    effects = {name: it.design_effect for name, it in causes if it.design_effect is not None}
    if effects and all(it.kind == "clustering" for _, it in causes if it.design_effect):
        yield _of_effects(plan, model, seen, effects, baseline_of)
    moved = {name: it for name, it in causes if it.kind in ("shift", "other_traffic")}
    ids = {id for one in seen.slices for id in one.counts}
    if moved and not any(its.daily for id in ids if (its := baseline_of(id)) is not None):
        since = max(it.since or 0 for it in moved.values())
        until = (since + max(it.until or 0 for it in moved.values())) // 2
        counts = seen.counted(list(moved), since, until)
        if min((its.sum() for its in counts.values()), default=0.0) >= _LEAST_ROWS:
            of = _changed(baseline_of, lambda baseline: with_counts(baseline, counts))
            remedy: dict[str, Any] = {"remedy": "baseline", "signals": sorted(moved)}
            remedy |= {"since": since, "until": until}
            yield _Trial(model, _Replayed(plan, of, model, until), 1, remedy)
    multiple = next((it for it in _MULTIPLES if seen.keeps(it)), None) if broken else None
    if multiple is not None:
        fewer = replace(plan, alarms_of=lambda _: alarms * multiple)
        yield _Trial(
            model, _Replayed(fewer, baseline_of, model), multiple, {"remedy": "alarms_per_month"}
        )


def _of_effects(
    plan: BacktestPlan,
    model: str,
    seen: ModelHistory,
    effects: dict[str, float],
    baseline_of: BaselineOf,
) -> _Trial:
    """Return what tries design effects.

    Of categories, what to expect of entities doesn't follow from how many rows each value has: that
    is as the earlier half of the windows has it, and tried on the later half.
    """
    remedy: dict[str, Any] = {"remedy": "design_effect", "design_effects": effects}
    ids = {id for one in seen.slices for id in one.counts}
    signals = {
        name
        for id in ids
        if (its := baseline_of(id)) is not None
        for name, signal in its.signals.items()
        if name in effects and expects_by_rows(signal)
    }
    counts, until = dict[str, Floats](), 0
    if signals:
        spans = [one.scores[id].span for one in seen.slices for id in one.counts]
        since, end = min(it[0] for it in spans), max(it[1] for it in spans)
        until = (since + end) // 2
        counts = seen.counted(sorted(signals), since, until)
        remedy["signals"] = sorted(signals)
        remedy["since"], remedy["until"] = since, until
    of = _changed(baseline_of, lambda its: with_effects(with_counts(its, counts), effects))
    return _Trial(model, _Replayed(plan, of, model, until), 1, remedy)


def _hours(
    model: str, seen: ModelHistory, signals: Sequence[SignalPromise], baseline_of: BaselineOf
) -> _Hours | None:
    """Return what is to count the hours of the day, if these may restore the promise."""
    kinds = {"daily_cycle", "weekly_cycle", "dependent_windows"}
    broken = [it for it in signals if it.verdict == "not_kept"]
    if not any(cause.kind in kinds for it in broken for cause in it.causes):
        return None
    found = dict[str, HoursOfWindows]()
    for one in seen.slices:
        for id in one.counts:
            baseline = baseline_of(id)
            if baseline is not None:
                its = HoursOfWindows.of(baseline, *one.scores[id].span)
                found |= {id: its} if its else {}
    return _Hours(model, found) if found else None


def _changed(baseline_of: BaselineOf, change: Callable[[Baseline], Baseline]) -> BaselineOf:
    def changed(id: str) -> Baseline | None:
        found = baseline_of(id)
        return None if found is None else change(found)

    return changed
