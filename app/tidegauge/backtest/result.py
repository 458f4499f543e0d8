"""What a backtest found: episodes, alarms by rule, how soon an injected drift was seen.

And what a calibration found: what the promise of an alarm budget was worth.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from tidegauge.backtest.diagnosis import AlarmCause
from tidegauge.contract import Alert, Severity
from tidegauge.windows import MONTH_SECONDS


class PastEpisode(msgspec.Struct, kw_only=True):
    """A rule that held from ``starts_at`` on; ``ends_at`` is null if it did up to the end.

    ``seconds`` is how long, as far as there were windows. ``value`` is what it fired with, in the
    window that ended at ``window_end``. An episode of several signals has no ``signal``; those it
    fired with are in ``signals``, worst first.
    """

    rule: str
    severity: Severity
    model: str
    version: str
    variant: str
    segment: dict[str, str]
    signal: str | None
    signals: list[str]
    metric: str
    value: float
    threshold: float
    unit: str
    starts_at: int
    window_end: int
    ends_at: int | None
    seconds: int


class RuleCount(msgspec.Struct, kw_only=True):
    """What one rule did on all slices of one model.

    ``in_force`` is how many episodes of a rule of this name the alert topic has in the same time.
    Both are what receivers are sent: grouped, and without what another rule inhibits. With an
    injection ``alarms`` are of each signal apart and without inhibition.
    """

    rule: str
    model: str
    alarms: int
    alarms_per_month: float
    seconds_firing: int
    first: int | None
    last: int | None
    in_force: int


class SliceSpan(msgspec.Struct, kw_only=True):
    """The windows replayed of one slice.

    The longest memory of the detector holds windows from before ``memory_full_at`` too few to
    matter; null if there were never so many, or if no rule asks for evidence. ``passed_by`` are
    windows that opened after a later one had closed: they are judged as late events are.
    """

    model: str
    version: str
    variant: str
    segment: dict[str, str]
    windows: int
    passed_by: int
    first_window_start: int
    last_window_end: int
    memory_full_at: int | None


class Sighting(msgspec.Struct, kw_only=True):
    """How soon a rule saw the injected drift in one slice: null, if it never did.

    Windows are counted from the first one with the drift, which is 1, to the one that fired;
    ``minutes`` are from the start of the first to the end of the other. ``fired_before`` says that
    the rule was firing already when the drift began, so nothing can be said.
    """

    rule: str
    model: str
    version: str
    variant: str
    segment: dict[str, str]
    windows: int | None
    minutes: float | None
    fired_before: bool


class InjectionResult(msgspec.Struct, kw_only=True):
    """What was injected, into how many windows, and who saw it."""

    signal: str
    kind: str
    size: float
    at: float
    windows: int
    seen: list[Sighting]


class MissingBaseline(msgspec.Struct, kw_only=True):
    """A baseline that is not in the store; ``windows`` were judged without it."""

    id: str
    model: str
    windows: int


class Result(msgspec.Struct, kw_only=True):
    """Everything that a backtest found. Times are epoch seconds.

    ``revisions_passed_over``: of late events, if there is an injection, as none is put into them.
    """

    since: float
    until: float
    windows: int
    revisions_passed_over: int
    repeated_passed_over: int
    rules: list[RuleCount]
    episodes: list[PastEpisode]
    slices: list[SliceSpan]
    missing_baselines: list[MissingBaseline]
    injection: InjectionResult | None = None


Verdict = Literal["kept", "not_kept", "too_little_history"]


class PromiseCount(msgspec.Struct, kw_only=True):
    """Alarms that started at a budget beside those that it promised.

    ``ratio`` is starts ÷ promised, between ``low`` and ``high`` with 95 %; those of signals hold
    all together. Starts came in so many ``clumps``, each within 64 windows. ``in_alarm`` is the
    share of windows.
    """

    alarms_per_month: float
    threshold_nats: float
    starts: int
    clumps: int
    promised: float
    ratio: float
    low: float
    high: float
    in_alarm: float


class SignalPromise(msgspec.Struct, kw_only=True):
    """What the promise was worth for a signal, or for all of a model's: ``signal`` is null.

    ``own`` is by the model's budget, ``wider`` by a larger one, by which a history has more starts.
    ``enough_windows`` is how many windows would tell whether the promise is kept, null if these do.
    """

    signal: str | None
    windows: int
    own: PromiseCount
    wider: PromiseCount
    verdict: Verdict
    enough_windows: int | None
    longest_alarm_windows: int
    causes: list[AlarmCause]


class TriedRemedy(msgspec.Struct, kw_only=True):
    """What a replay with a remedy gave, for all signals of the model: ``promise``.

    ``design_effect``: with these ``design_effects``, by signal; if there are ``signals``, with what
    the windows from ``since`` to ``until`` counted of these, for the windows after ``until``.
    ``baseline``: with that of ``signals`` as baseline, likewise.
    ``hours``: with the hours of the day of those windows, for the windows after ``until``.
    ``alarms_per_month``: with that budget, compared with what the model's own one promised.
    """

    remedy: Literal["design_effect", "baseline", "hours", "alarms_per_month"]
    design_effects: dict[str, float] = msgspec.field(default_factory=dict)
    signals: list[str] = msgspec.field(default_factory=list)
    since: int | None = None
    until: int | None = None
    alarms_per_month: float
    promise: SignalPromise


class ModelPromise(msgspec.Struct, kw_only=True):
    """What the promise to a model was worth; ``signals`` are the worst first.

    ``reasons`` are those of its baselines why the budget is not guaranteed, as in its reports.
    ``mostly`` names signals that have most of the windows in alarm, if they are few. ``remedies``
    are empty where the promise was kept; ``no_budget_restores`` if no number of alarms a month
    does.
    """

    model: str
    versions: list[str]
    slices: int
    window_seconds: int
    reasons: list[str]
    promise: SignalPromise
    signals: list[SignalPromise]
    mostly: list[str]
    remedies: list[TriedRemedy]
    no_budget_restores: bool


class LeftOut(msgspec.Struct, kw_only=True):
    """A time that was left out, epoch seconds, and how many windows that were."""

    since: float
    until: float
    windows: int


class Calibration(msgspec.Struct, kw_only=True):
    """Everything that a calibration found. Times are epoch seconds."""

    since: float
    until: float
    windows: int
    excepted: list[LeftOut]
    models: list[ModelPromise]
    missing_baselines: list[MissingBaseline]


def count_rules(
    rules: Sequence[tuple[str, str]],
    episodes: Iterable[PastEpisode],
    slices: Sequence[SliceSpan],
    in_force: Iterable[Alert],
) -> list[RuleCount]:
    """Add up by (rule, model): those of ``rules`` in their order, then what else was in force.

    A month's alarms are those of the time between the first and the last window of the model.
    """
    by_rule: dict[tuple[str, str], list[PastEpisode]] = defaultdict(list)
    for episode in episodes:
        by_rule[episode.rule, episode.model].append(episode)
    fired: dict[tuple[str, str], int] = defaultdict(int)
    for alert in in_force:
        fired[alert.rule, alert.model] += 1
    return [
        _counted(rule, model, by_rule[rule, model], _seconds(model, slices), fired[rule, model])
        for rule, model in dict.fromkeys([*rules, *sorted(fired)])
    ]


def _counted(
    rule: str, model: str, episodes: list[PastEpisode], seconds: int, in_force: int
) -> RuleCount:
    return RuleCount(
        rule=rule,
        model=model,
        alarms=len(episodes),
        alarms_per_month=len(episodes) * MONTH_SECONDS / seconds if seconds else 0.0,
        seconds_firing=sum(one.seconds for one in episodes),
        first=min((one.starts_at for one in episodes), default=None),
        last=max((one.starts_at for one in episodes), default=None),
        in_force=in_force,
    )


def _seconds(model: str, slices: Sequence[SliceSpan]) -> int:
    of_model = [one for one in slices if one.model == model]
    if not of_model:
        return 0
    return max(one.last_window_end for one in of_model) - min(
        one.first_window_start for one in of_model
    )
