"""From records of window reports to what rules would have made of them."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from tidegauge.alerting import METRICS, Rule, RuleSet
from tidegauge.backtest.inject import Injection, Injector
from tidegauge.backtest.records import ReportsInOrder
from tidegauge.backtest.replay import Replay, ScoreObserver
from tidegauge.backtest.result import (
    InjectionResult,
    MissingBaseline,
    PastEpisode,
    Result,
    Sighting,
    SliceSpan,
    count_rules,
)
from tidegauge.baseline import Baseline
from tidegauge.config import WindowSettings
from tidegauge.contract import Alert, WindowReport
from tidegauge.kafka import KafkaRecord, Skipped, refuse
from tidegauge.windows import Slice

#: Windows of a slice that are judged together.
_TOGETHER = 256

#: Signals of the windows that are held in memory, over all slices; each takes about 2 KB.
_SIGNALS_HELD = 200_000


class NoWindows(ValueError):
    """There is nothing to replay."""


@dataclass(frozen=True)
class BacktestPlan:
    """What to try on the windows of models that match the glob ``model``.

    Windows count that ended in (``since``, ``until``], epoch seconds. ``alarms_of`` is the budget
    of false alarms a month by model, ``window_of`` how long its windows are waited for. With an
    injection each signal is judged by itself, whatever the rules group or inhibit: the question is
    whether a rule sees it.
    """

    rules: RuleSet
    alarms_of: Callable[[str], float]
    since: float
    until: float
    model: str = "*"
    injection: Injection | None = None
    window_of: Callable[[str], WindowSettings] = lambda model: WindowSettings()


def backtest(
    plan: BacktestPlan,
    records: Iterable[KafkaRecord],
    baseline_of: Callable[[str], Baseline | None],
    in_force: Iterable[Alert] = (),
    skipped: Skipped = refuse,
) -> Result:
    """Replay window reports, given in the order of their log.

    ``in_force`` are alerts that fired in that time by the rules in force. Memories of the detector
    and of the alerts are empty at first.

    ``skipped`` is called with what is no report; by default it raises ``ValueError``. Raises
    ``NoWindows`` if there is none, and ``ValueError`` if there is no window to put the injection
    into.
    """
    if plan.injection is not None:
        plan = replace(plan, rules=_each_signal_apart(plan.rules))
    run = ReplayRun(plan, baseline_of)
    # Into which of the events that came late a drift would be put, nobody can say.
    with_revisions = plan.injection is None
    reports = ReportsInOrder(plan.since, plan.until, skipped, with_revisions=with_revisions)
    with no_collector():
        for report in reports.of(records):
            if fnmatchcase(report.model, plan.model):
                run.take(report)
        run.judge()
    if not run.replays:
        raise NoWindows(f"no window of a model that matches {plan.model!r} ended in this time")
    slices = [replay.span for replay in run.replays.values()]
    # Up to there somebody counted, so what has no window by then had no events.
    through = max(one.last_window_end for one in slices)
    episodes = [one for replay in run.replays.values() for one in replay.end(through)]
    models = sorted({one.model for one in slices})
    watched = [
        (one.rule.name, model)
        for one in plan.rules.compiled
        for model in models
        if any(it.model == model and one.watches(it) for it in slices)
    ]
    fired = [alert for alert in in_force if fnmatchcase(alert.model, plan.model)]
    return Result(
        since=plan.since,
        until=plan.until,
        windows=sum(one.windows for one in slices),
        revisions_passed_over=reports.revisions,
        repeated_passed_over=reports.repeated,
        rules=count_rules(watched, episodes, slices, fired),
        episodes=sorted(
            episodes, key=lambda it: (it.starts_at, it.model, it.rule, it.signal or "")
        ),
        slices=slices,
        missing_baselines=[
            MissingBaseline(id=id, model=model, windows=windows)
            for (id, model), windows in sorted(run.missing.items())
        ],
        injection=run.injection_result(),
    )


@contextmanager
def no_collector() -> Iterator[None]:
    """Let Python not look for cycles: reports have none, and a third of the time went there."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class ReplayRun:
    """All slices: their reports wait here until there are enough to judge together."""

    def __init__(
        self,
        plan: BacktestPlan,
        baseline_of: Callable[[str], Baseline | None],
        observer_of: Callable[[Slice], ScoreObserver] | None = None,
    ) -> None:
        """``observer_of`` a slice sees its scores; then nothing is made of evidence by rules."""
        self._plan = plan
        self._observer_of = observer_of
        self._baseline_of = baseline_of
        self._baselines: dict[str, Baseline] = {}
        self._unknown: set[str] = set()
        self._waiting: dict[Slice, list[WindowReport]] = {}
        self._held = 0
        self._injectors: dict[Slice, Injector] = {}
        self._injected: Counter[Slice] = Counter()
        self.replays: dict[Slice, Replay] = {}
        #: Windows by baseline id and model.
        self.missing: Counter[tuple[str, str]] = Counter()

    def take(self, report: WindowReport) -> None:
        """Take in the next report."""
        for part in report.parts:
            self._bring(part.baseline, report)
        key = Slice.of(report)
        if key not in self.replays:
            self.replays[key] = Replay(
                self._plan.rules,
                self._plan.alarms_of,
                report,
                drift_at=self._plan.injection.at if self._plan.injection else None,
                windows=self._plan.window_of(report.model),
                whole=self.replays.get(key.whole) if self._plan.injection is None else None,
                observer=self._observer_of and self._observer_of(key),
            )
        waiting = self._waiting.setdefault(key, [])
        waiting.append(report)
        self._held += _signals(report)
        if self._held > _SIGNALS_HELD:
            self.judge()
        elif len(waiting) == _TOGETHER:
            # Of a segment only once all the traffic has come as far, which it is judged by.
            for one in dict.fromkeys((key.whole, key)):
                if reports := self._waiting.pop(one, None):
                    self._held -= sum(map(_signals, reports))
                    self._replay(one, reports)

    def judge(self) -> None:
        """Judge what waits, all the traffic before its segments."""
        for key in sorted(self._waiting, key=lambda it: bool(it.segment)):
            self._replay(key, self._waiting[key])
        self._waiting, self._held = {}, 0

    def _replay(self, key: Slice, reports: list[WindowReport]) -> None:
        if self._plan.injection is not None:
            injector = self._injectors.setdefault(key, Injector(self._plan.injection))
            reports, injected = injector.apply(reports, self._baselines)
            self._injected[key] += injected
        self.replays[key].take(reports, self._baselines)

    def _bring(self, baseline: str, report: WindowReport) -> None:
        if baseline and baseline not in self._baselines:
            found = None if baseline in self._unknown else self._baseline_of(baseline)
            if found is None:
                self._unknown.add(baseline)
                self.missing[baseline, report.model] += not report.revision  # windows, not reports
            else:
                self._baselines[baseline] = found

    def injection_result(self) -> InjectionResult | None:
        """Say what was injected and who saw it; raises ``ValueError`` if nothing was."""
        injection = self._plan.injection
        if injection is None:
            return None
        if not self._injected.total():
            self._nothing_injected(injection)
        return InjectionResult(
            **{name: getattr(injection, name) for name in ("signal", "kind", "size", "at")},
            windows=self._injected.total(),
            seen=[
                _sighting(rule.name, injection.signal, replay)
                for key, replay in self.replays.items()
                if self._injected[key]
                for rule in _concerned(self._plan.rules, replay.span, injection.signal)
            ],
        )

    def _nothing_injected(self, injection: Injection) -> None:
        if all(replay.drift_from is None for replay in self.replays.values()):
            raise ValueError(
                "no window begins after the drift is to begin; give an earlier time, as in "
                f"{injection.signal}:{injection.kind}:{injection.size:g}@TIME"
            )
        known = sorted({name for it in self._baselines.values() for name in it.signals})
        raise ValueError(
            f"no window has a signal {injection.signal!r} with a baseline; known are "
            f"{', '.join(known) or 'none, since no baseline of these windows is in the store'}"
        )


def _signals(report: WindowReport) -> int:
    return sum(len(part.signals) for part in report.parts)


def _each_signal_apart(rules: RuleSet) -> RuleSet:
    alone = {"group": "none", "inhibited_by": [], "signal_inhibited_by": []}
    made = [rule.model_copy(update=alone) for rule in rules.rules]
    return RuleSet(made, source=rules.source, sha256=rules.sha256)


def _concerned(rules: RuleSet, span: SliceSpan, signal: str) -> Iterable[Rule]:
    """Yield the rules that a drift of the signal in a slice may reach."""
    for one in rules.compiled:
        of_signal = METRICS[one.rule.metric].of_signal
        reached = of_signal and one.matches_signal(signal)
        if signal == "prediction" and one.rule.metric == "prediction_mean_5m":
            reached = True
        if one.watches(span) and reached:
            yield one.rule


def _sighting(rule: str, signal: str, replay: Replay) -> Sighting:
    began = replay.drift_from
    assert began is not None  # noqa: S101 - there was something to put the drift into
    own = [it for it in replay.episodes if it.rule == rule and it.signal in (signal, None)]
    before = any(_covers(one, began) for one in own)
    first = min((it for it in own if it.window_end > began), key=_fired, default=None)
    seen = None if before else first
    return Sighting(
        rule=rule,
        **{name: getattr(replay.span, name) for name in ("model", "version", "variant", "segment")},
        windows=replay.drifted_when_fired[seen.window_end] if seen else None,
        minutes=(seen.window_end - began) / 60 if seen else None,
        fired_before=before,
    )


def _fired(episode: PastEpisode) -> int:
    return episode.window_end


def _covers(episode: PastEpisode, at: int) -> bool:
    return episode.window_end <= at and (episode.ends_at is None or episode.ends_at > at)
