"""Where rules hold in a window or no longer do; what must not be reported, nor requested."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from tidegauge.alerting.cohorts import CohortWindow
from tidegauge.alerting.measure import Measurement, measure
from tidegauge.alerting.metrics import METRICS, OF_COHORTS
from tidegauge.alerting.model import Rule
from tidegauge.alerting.ruleset import CompiledRule, RuleSet
from tidegauge.alerting.state import AlertState, Episode
from tidegauge.baseline import LEAST_BASELINE_ROWS
from tidegauge.contract import WindowReport, clock, counted, duration_text, limit_text

#: A rule by its order in the file, and a signal; None for the whole window.
Watch = tuple[int, str | None]


class Decided(NamedTuple):
    """Where rules hold in a window, and where those that held before don't: the worst of each.

    ``sound``: which of the ``unsettled`` rules were judged and hold nowhere, by their order.
    """

    holding: dict[Watch, Measurement]
    ceased: dict[Watch, Measurement]
    sound: frozenset[int]


def decide(
    rules: RuleSet,
    report: WindowReport,
    known: Mapping[Watch, Episode],
    *,
    unsettled: Set[int] = frozenset(),
) -> Decided:
    """Find the worst measurement wherever a rule holds, and wherever what is known ceased to.

    ``unsettled``: rules, by their order, for which ``sound`` is determined.
    """
    holding: dict[Watch, Measurement] = {}
    ceased: dict[Watch, Measurement] = {}
    judged: set[int] = set()
    of_cohort = isinstance(report, CohortWindow)
    followed = unsettled | {order for order, signal in known if signal is None}
    signals = {signal for _, signal in known}
    for metric, compiled in rules.by_metric.items():
        if (metric in OF_COHORTS) != of_cohort:
            continue
        watching = [one for one in compiled if one.watches(report)]
        if not watching:
            continue
        # Where no rule holds yet, only values beyond a threshold matter, but for known signals.
        everything = of_cohort or any(one.order in followed for one in watching)
        sides = _EVERYTHING if everything else _far_sides(watching)
        for measured in measure(metric, report, outside=sides, always=signals):
            signal = measured.signal
            for one in watching:
                if measured.events < one.events_required_of(measured.noise):
                    continue
                if signal is not None and not one.matches_signal(signal):
                    continue
                if not measured.is_comparable(one.rule):
                    continue
                judged.add(one.order)
                watch = (one.order, signal)
                episode = known.get(watch)
                # A small drift raises no alert, nor does what may be chance; one that is firing
                # lasts as long as its reason.
                firing = episode is not None and episode.phase == "firing"
                if measured.holds(one.rule) and (firing or measured.may_begin(one.rule)):
                    _keep_worst(holding, watch, one, measured)
                elif episode is not None:
                    _keep_worst(ceased, watch, one, measured)
    hold = {order for order, _ in holding}
    return Decided(
        holding,
        {watch: one for watch, one in ceased.items() if watch not in holding},
        frozenset((judged & unsettled) - hold),
    )


_EVERYTHING = (math.inf, -math.inf)


def _far_sides(watching: Sequence[CompiledRule]) -> tuple[float, float]:
    """Return below and above which values a rule may hold."""
    below = [one.rule.threshold for one in watching if one.rule.above is None]
    above = [one.rule.threshold for one in watching if one.rule.above is not None]
    return max(below, default=-math.inf), min(above, default=math.inf)


def _keep_worst(
    found: dict[Watch, Measurement], watch: Watch, one: CompiledRule, measured: Measurement
) -> None:
    known = found.get(watch)
    if known is None or one.badness(measured.value) > one.badness(known.value):
        found[watch] = measured


def place(
    rules: RuleSet,
    watch: Watch,
    holding: Mapping[Watch, Measurement],
    ceased: Mapping[Watch, Measurement],
) -> tuple[int, bool, float, float, str]:
    """Sort what was found: by rule, what holds before what ceased to, and the worst first."""
    order, signal = watch
    measured = holding[watch] if watch in holding else ceased[watch]
    badness = rules.compiled[order].badness(measured.value)
    return order, watch in ceased, measured.rank, -badness, signal or ""


def episode_of(one: CompiledRule, measured: Measurement, starts_at: int) -> Episode:
    """Return what was measured as a new episode."""
    return Episode(
        rule=one.rule.name,
        severity=one.rule.severity_of(measured.evidence.size if measured.evidence else None),
        signal=measured.signal,
        metric=one.rule.metric,
        comparison=one.rule.comparison,
        threshold=measured.limit(one.rule),
        value=measured.value,
        unit=measured.unit,
        events=measured.events,
        minimum_events=int(one.events_required_of(measured.noise)),
        baseline=measured.baseline,
        starts_at=starts_at,
        labels=one.rule.labels,
        receivers=one.rule.receivers,
    )


#: Prefix of a rule that already reports the signal for all the traffic of the version.
ALL_TRAFFIC = "all-traffic:"

#: What stands for the rules that held on a signal until not long ago.
LATELY_BROKEN = "lately-broken"

#: Windows for which the evidence of a drift remembers data that was broken: by then it has a
#: weight of e^-4 in the longest span.
REMEMBERED_WINDOWS = 256


def still_remembered(broken: Mapping[str, int], report: WindowReport) -> dict[str, int]:
    """Return the signals that broke in what the evidence of a window is about."""
    since = report.window_end - REMEMBERED_WINDOWS * (report.window_end - report.window_start)
    return {signal: end for signal, end in broken.items() if end > since}


class QuietSignals:
    """The signals that a rule must not report in a slice.

    A rule doesn't report a signal on which a rule of its ``signal_inhibited_by`` holds, nor one on
    which it holds in all the traffic (``whole``), be it pending, firing or itself not reported.
    The evidence of a drift remembers for hours that a signal was ``broken``. Until then a drift of
    such a signal is reported only if its values drift by the pattern of the report. What holds on a
    feature holds on its joint signals too: what is wrong with a sum is wrong with one of its terms.
    """

    def __init__(
        self, report: WindowReport, broken: Collection[str], whole: AlertState | None
    ) -> None:
        self._holding: dict[str | None, set[str]] = {}
        self._in_whole = {(one.rule, one.signal) for one in whole.episodes} if whole else set()
        self._lately = set[str | None](broken).difference(_drifting(report))
        self._features = {
            name: signal.features.keys()
            for part in report.parts
            for name, signal in part.signals.items()
            if signal.features
        }

    def holds(self, rule: str, signal: str | None) -> None:
        """Note that a rule holds on a signal; None for the window itself."""
        self._holding.setdefault(signal, set()).add(rule)

    def of(self, rule: Rule, signal: str | None) -> list[str]:
        """Return why ``rule`` must not report a signal; empty if it may."""
        names = (signal, *self._features.get(signal or "", ()))
        holding = {rule for name in names for rule in self._holding.get(name, ())}
        found = [name for name in rule.signal_inhibited_by if name in holding]
        if (rule.name, signal) in self._in_whole:
            found.append(ALL_TRAFFIC + rule.name)
        if (
            not found
            and rule.metric == "surprise"
            and rule.signal_inhibited_by
            and not self._lately.isdisjoint(names)
        ):
            found.append(LATELY_BROKEN)
        return found


def _drifting(report: WindowReport) -> Iterable[str]:
    """Return the features whose values drift."""
    return [
        one.signal
        for part in report.parts
        if part.pattern is not None
        for one in part.pattern.drifts
    ]


#: With older baselines than this, no action is requested: Redis has been down for so long that
#: another baseline may be promoted by now.
STALE_SECONDS = 3600.0

DAY_SECONDS = 24 * 3600


class Basis(NamedTuple):
    """The basis of an action.

    ``starts_at`` is when its alert began; ``baseline_rows`` is how many there are of the signal,
    None if none was compared. ``never_sound``: the rule has held in every window of the slice.
    """

    starts_at: int
    baseline_rows: int | None = None
    never_sound: bool = False


def why_withheld(
    rule: Rule,
    request_times: Sequence[int],
    report: WindowReport,
    basis: Basis,
    *,
    now: int | None = None,
) -> str | None:
    """Return why the action must not be requested in the window of ``report``; None if it may.

    ``request_times`` are those of its requests, for this rule and slice, from :func:`remembered`.
    ``now`` is the end of the last window judged, if that is later than the report's.
    """
    now = report.window_end if now is None else now
    ages = [part.baseline_age_seconds for part in report.parts]
    oldest = max((age for age in ages if age is not None), default=0.0)
    if oldest > STALE_SECONDS:
        return f"the baselines were last read {duration_text(oldest)} before"
    if basis.never_sound:
        return (
            f"{rule.metric} has been {rule.comparison} "
            f"{limit_text(rule.threshold, METRICS[rule.metric].unit)} since the first window of "
            f"this version, {clock(basis.starts_at, now)}: nothing is known to have changed that "
            "going back would mend"
        )
    rows = basis.baseline_rows
    if rule.action == "retrain" and rows is not None and rows < LEAST_BASELINE_ROWS:
        return (
            f"its baseline has {rows} rows, and with fewer than {LEAST_BASELINE_ROWS} a "
            "difference may lie in these"
        )
    if request_times and now - request_times[-1] < rule.cooldown:
        ago, cooldown = duration_text(now - request_times[-1]), duration_text(rule.cooldown)
        return f"requested {ago} before, cooldown {cooldown}"
    today = sum(now - at < DAY_SECONDS for at in request_times)
    if rule.max_per_day is not None and today >= rule.max_per_day:
        return f"requested {counted(today, 'time')} in 24 h, max_per_day {rule.max_per_day}"
    return None


def is_of_latency(rule: Rule) -> bool:
    """Whether the rule requests a rollback because of latency."""
    return rule.action == "rollback" and rule.metric.startswith("latency_")


def remembered(rule: Rule, request_times: Sequence[int], now: int) -> list[int]:
    """Return the times of requests, ``now`` the latest, that limit those of later windows."""
    if rule.max_per_day is None and not rule.cooldown:
        return []
    longest = max(rule.cooldown, DAY_SECONDS if rule.max_per_day is not None else 0)
    return [at for at in (*request_times, now) if now - at < longest]
