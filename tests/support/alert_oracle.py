"""Which alerts the default rules must lead to, worked out from the oracle's own counts."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from support.oracle import Baselines, Cell, CellKey, current_bins, kl_nats, reference_bins


class ExpectedAlert(NamedTuple):
    """One alert: what identifies it, and the window in which it was raised."""

    rule: str
    model: str
    version: str
    variant: str
    signal: str | None
    state: str
    starts_at: int
    window_start: int


@dataclass(frozen=True)
class WatchedRule:
    """A rule of the default rule file, written down a second time."""

    name: str
    metric: str
    threshold: float
    minimum_events: int
    action: str | None


DEFAULT_RULES = [
    WatchedRule("drift", "kl", 0.05, 1000, None),
    WatchedRule("drift-retrain", "kl", 0.07, 1000, "retrain"),
    WatchedRule("latency-rollback", "latency_mean_ms", 200.0, 100, "rollback"),
]


class Figure(NamedTuple):
    """One figure that a rule is about, in one window."""

    cell: CellKey
    rule: WatchedRule
    signal: str | None
    value: float
    events: int


def figures(cells: dict[CellKey, Cell], baselines: Baselines) -> Iterator[Figure]:
    """Yield everything that the default rules look at, window by window of each slice."""
    for key in sorted(cells):
        cell = cells[key]
        latency = cell.signals["latency_ms"]
        if sum(latency.counts):
            count = sum(latency.counts)
            yield Figure(key, DEFAULT_RULES[2], None, latency.mean, count)
        for name, signal in baselines.get(key[:2], {"signals": {}})["signals"].items():
            if name in ("latency_ms", "status"):
                continue
            value = kl_nats(current_bins(cell.signals[name]), reference_bins(signal))
            for rule in DEFAULT_RULES[:2]:
                yield Figure(key, rule, name, value, cell.events)


def expected_alerts(cells: dict[CellKey, Cell], baselines: Baselines) -> set[ExpectedAlert]:
    """Fold the figures over the windows: firing where a rule begins to hold, then resolved.

    Fails if a judged figure lies so close to its threshold that a late event could decide it: then
    the traffic is no test of the alerts.
    """
    found: set[ExpectedAlert] = set()
    began: dict[tuple[str, str, str, str, str | None], int] = {}
    by_window: dict[int, list[Figure]] = defaultdict(list)
    for figure in figures(cells, baselines):
        by_window[figure.cell[3]].append(figure)
    for window in sorted(by_window):
        for figure in by_window[window]:
            rule = figure.rule
            if figure.events < rule.minimum_events:
                assert figure.events < 0.9 * rule.minimum_events, f"too close: {figure}"
                continue
            assert figure.events > 1.1 * rule.minimum_events, f"too close: {figure}"
            assert not 0.9 < figure.value / rule.threshold < 1.1, f"too close: {figure}"
            watched = (rule.name, *figure.cell[:3], figure.signal)
            holds = figure.value > rule.threshold
            if holds and watched not in began:
                began[watched] = window
                found.add(ExpectedAlert(*watched, "firing", window, window))
            elif not holds and watched in began:
                found.add(ExpectedAlert(*watched, "resolved", began.pop(watched), window))
    return found
