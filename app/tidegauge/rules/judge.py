"""Where rules hold in a window, and where what was there ceased to: by the worst measurement."""

from collections.abc import Mapping

from tidegauge.contract import WindowReport
from tidegauge.rules.measure import Measurement, measure
from tidegauge.rules.ruleset import CompiledRule, RuleSet
from tidegauge.rules.state import Episode

#: A rule by its order in the file, and a signal; None for the whole window.
Watch = tuple[int, str | None]


def decide(
    rules: RuleSet, report: WindowReport, known: Mapping[Watch, Episode]
) -> tuple[dict[Watch, Measurement], dict[Watch, Measurement]]:
    """Find the worst measurement wherever a rule holds, and wherever what is known ceased to."""
    holding: dict[Watch, Measurement] = {}
    ceased: dict[Watch, Measurement] = {}
    for metric, compiled in rules.by_metric.items():
        watching = [one for one in compiled if one.watches(report)]
        if not watching:
            continue
        for measured in measure(metric, report):
            signal = measured.signal
            for one in watching:
                if measured.events < one.required_events:
                    continue
                if signal is not None and not one.matches_signal(signal):
                    continue
                watch = (one.order, signal)
                episode = known.get(watch)
                # A small drift raises no alert; one that is firing lasts as long as its reason.
                firing = episode is not None and episode.phase == "firing"
                if one.rule.holds(measured.value) and (
                    firing or measured.psi >= one.rule.required_psi
                ):
                    _keep_worst(holding, watch, one, measured)
                elif episode is not None:
                    _keep_worst(ceased, watch, one, measured)
    return holding, {watch: one for watch, one in ceased.items() if watch not in holding}


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
    """Write down what was measured, as an episode that begins with it."""
    return Episode(
        rule=one.rule.name,
        severity=one.rule.severity_of(measured.evidence.size if measured.evidence else None),
        signal=measured.signal,
        metric=one.rule.metric,
        comparison=one.rule.comparison,
        threshold=one.rule.threshold,
        value=measured.value,
        unit=measured.unit,
        events=measured.events,
        minimum_events=one.required_events,
        baseline=measured.baseline,
        starts_at=starts_at,
        labels=one.rule.labels,
        receivers=one.rule.receivers,
    )
