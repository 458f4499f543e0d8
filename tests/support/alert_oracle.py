"""Which alerts judged_rules.yaml must lead to, worked out from the oracle's own counts."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from support.oracle import (
    Baselines,
    Cell,
    CellKey,
    current_bins,
    kl_nats,
    kl_values_nats,
    reference_bins,
    unseen_excess,
)

#: The rule file that an installation must have for its alerts to be judged.
RULES_FILE = Path(__file__).with_name("judged_rules.yaml")


class ExpectedAlert(NamedTuple):
    """One event of an alert: what identifies it, and the window in which it was told."""

    rule: str
    model: str
    version: str
    variant: str
    signal: str | None
    state: str
    starts_at: int
    window_start: int
    reminder: int = 0
    revised: bool = False


@dataclass(frozen=True)
class WatchedRule:
    """A rule of the rule file, written down a second time."""

    name: str
    metric: str
    threshold: float
    minimum_events: int
    action: str | None = None
    pending_windows: int = 1
    keep_firing_for: int = 1
    repeat_interval: int = 0
    #: While this one holds on a signal, nothing is told of it.
    quiet_by: str | None = None


RULES = [
    WatchedRule("drift", "kl", 0.05, 1000),
    WatchedRule("drift-retrain", "kl", 0.07, 1000, "retrain"),
    WatchedRule(
        "drift-lasting", "kl", 0.05, 1000,
        pending_windows=2, keep_firing_for=2, repeat_interval=5,
    ),
    WatchedRule("latency-rollback", "latency_mean_ms", 200.0, 100, "rollback"),
    WatchedRule("slow-lasting", "latency_mean_ms", 200.0, 100, pending_windows=4),
]  # fmt: skip


#: On what broke, and on the values that are there; in a file, as :data:`VALUE_RULES_TEXT`.
VALUE_RULES = [
    WatchedRule("new-values", "unseen_excess", 0.05, 1000),
    WatchedRule("values-drift", "kl_values", 0.07, 1000, quiet_by="new-values"),
    WatchedRule("drift-unless-new", "kl", 0.05, 1000, quiet_by="new-values"),
]

VALUE_RULES_TEXT = "".join(
    f"""
  - name: {rule.name}
    metric: {rule.metric}
    group: none
    flapping_after: 0
    no_data_after: 0
    above: {rule.threshold}
    minimum_events: {rule.minimum_events}
    severity: low
    signal_inhibited_by: [{rule.quiet_by or ""}]
"""
    for rule in VALUE_RULES
)


class Judged(NamedTuple):
    """A report of a window in which a rule was judged, and whether it held.

    ``late``: a revision, or the first report of a window after that of a later one; ``now`` is then
    the end of the last window that was on time. ``quiet``: another rule says it already.
    """

    start: int
    end: int
    holds: bool
    late: bool = False
    now: int = 0
    quiet: bool = False


class Told(NamedTuple):
    """One event of an alert; ``revised``: because of a late report."""

    state: str
    starts_at: int
    window_start: int
    reminder: int = 0
    revised: bool = False


def life(rule: WatchedRule, reports: Sequence[Judged]) -> Iterator[Told]:
    """Yield what there is to tell of one alert, from all the reports that its rule was judged in.

    A late one counts where the rule holds, for the first time in its window, and doesn't fire.
    """
    held_in: set[int] = set()
    begin, held, quiet, said, reminders = 0, 0, 0, 0, 0
    fires = False
    for one in reports:
        is_news = one.holds and one.start not in held_in
        held_in |= {one.start} if one.holds else set()
        if one.late and (fires or not is_news):
            continue
        now = max(one.end, one.now)
        if not one.holds:
            if fires:
                quiet += 1
                if quiet == rule.keep_firing_for:
                    yield Told("resolved", begin, one.start)
                    fires = False
            elif held:
                yield Told("inactive", begin, one.start)
            held = 0
        elif fires:
            quiet = 0
            if 0 < rule.repeat_interval <= now - said:
                said, reminders = now, reminders + 1
                yield Told("firing", begin, one.start, reminders)
        else:
            if not held:
                begin = one.start
                if rule.pending_windows > 1:
                    yield Told("pending", begin, begin, revised=one.late)
            held += 1
            if held == rule.pending_windows:
                yield Told("firing", begin, one.start, revised=one.late)
                fires, quiet, said, reminders, held = True, 0, now, 0, 0


class Figure(NamedTuple):
    """One figure that a rule is about, in one window."""

    cell: CellKey
    rule: WatchedRule
    signal: str | None
    value: float
    events: int


def figures(cells: dict[CellKey, Cell], baselines: Baselines) -> Iterator[Figure]:
    """Yield everything that the rules look at, window by window of each slice."""
    for key in sorted(cells):
        cell = cells[key]
        latency = cell.signals["latency_ms"]
        if sum(latency.counts):
            count = sum(latency.counts)
            for rule in RULES:
                if rule.metric == "latency_mean_ms":
                    yield Figure(key, rule, None, latency.mean, count)
        for name, signal in baselines.get(key[:2], {"signals": {}})["signals"].items():
            if name in ("latency_ms", "status"):
                continue
            value = kl_nats(current_bins(signal, cell.signals[name]), reference_bins(signal))
            for rule in RULES:
                if rule.metric == "kl":
                    yield Figure(key, rule, name, value, cell.events)
            yield from _of_values(key, cell, name, signal)


def _of_values(key: CellKey, cell: Cell, name: str, signal: Mapping[str, Any]) -> Iterator[Figure]:
    current, reference = current_bins(signal, cell.signals[name]), reference_bins(signal)
    numeric = "edges" in signal
    figures = {
        "kl": kl_nats(current, reference),
        "kl_values": kl_values_nats(current, reference, numeric),
    }
    if not numeric and signal["known_complete"]:
        excess = signal["rare"]["excess"][-1]
        figures["unseen_excess"] = unseen_excess(current, reference, excess)
    for rule in VALUE_RULES:
        value = figures.get(rule.metric)
        if value is not None:
            yield Figure(key, rule, name, value, cell.events)


def expected_alerts(
    cells: dict[CellKey, Cell], baselines: Baselines, window_seconds: int
) -> set[ExpectedAlert]:
    """Work out the events of every alert from the figures of all windows.

    Fails if a judged figure lies so close to its threshold that a late event could decide it: then
    the traffic is no test of the alerts.
    """
    judged: dict[tuple[WatchedRule, str, str, str, str | None], list[Judged]] = defaultdict(list)
    for figure in figures(cells, baselines):
        rule = figure.rule
        if figure.events < rule.minimum_events:
            assert figure.events < 0.9 * rule.minimum_events, f"too close: {figure}"
            continue
        assert figure.events > 1.1 * rule.minimum_events, f"too close: {figure}"
        assert not 0.9 < figure.value / rule.threshold < 1.1, f"too close: {figure}"
        start = figure.cell[3]
        holds = figure.value > rule.threshold
        watched = (rule, *figure.cell[:3], figure.signal)
        judged[watched].append(Judged(start, start + window_seconds, holds))
    holds_in = {
        (rule.name, *where, one.start)
        for (rule, *where), windows in judged.items()
        for one in windows
        if one.holds
    }
    expected = set()
    for (rule, *where), windows in judged.items():
        said = [
            one._replace(quiet=(rule.quiet_by, *where, one.start) in holds_in)
            for one in sorted(windows)
        ]
        expected |= {ExpectedAlert(rule.name, *where, *told) for told in spoken(rule, said)}
    return expected


def spoken(rule: WatchedRule, reports: Sequence[Judged]) -> Iterator[Told]:
    """Yield what there is to tell of one alert, none of it while another says it.

    What fires still when it is said no longer is told then; its end is told if it was.
    """
    if not any(one.quiet for one in reports):
        yield from life(rule, reports)
        return
    assert rule.pending_windows == rule.keep_firing_for == 1, "not worked out here"
    begin: int | None = None
    told = False
    for one in reports:
        if not one.holds:
            if told and begin is not None:
                yield Told("resolved", begin, one.start)
            begin, told = None, False
            continue
        begin = one.start if begin is None else begin
        if not one.quiet and not told:
            yield Told("firing", begin, one.start)
            told = True
