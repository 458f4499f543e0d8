"""Traffic of a model with six features, sound or broken, through INGEST's and DETECT's pure halves.

Events as producers send them are counted by a real counter, and folded as DETECT folds them; so
what comes out is what a worker would publish.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from support.counting import NOW, promote
from support.world import World, a_state, advance, restored, saved
from tidegauge.baseline.document import Baseline, Signal
from tidegauge.baseline.io.signals import categorical_signal, numeric_signal
from tidegauge.contract.alert import Action, Alert
from tidegauge.contract.audit import AuditFact
from tidegauge.contract.report import WindowReport

Row = dict[str, Any]

#: What is done to the event number ``at`` of window ``window``; in place.
Change = Callable[[Row, int, int], None]

NUMBERS = ["income", "age", "tenure", "debt", "rate"]
REGIONS = ["EU", "US", "APAC"]
EVENTS = 3600
START = int(NOW) // 60 * 60


def rows(number: int, seed: int) -> list[Row]:
    """Events without any drift; a fifth of the incomes is missing, as in the baseline."""
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(size=number).round(6).tolist() for name in NUMBERS}
    missing = rng.random(number) < 0.2
    found = []
    for at in range(number):
        features: Row = {name: values[name][at] for name in NUMBERS}
        if missing[at]:
            features["income"] = None
        features["region"] = REGIONS[int(rng.integers(3))]
        found.append(
            {
                "features": features,
                "segments": {"region": features["region"]},
                "prediction": float(rng.beta(2, 5)),
                "latency_ms": 40.0,
            }
        )
    return found


def baseline(number: int = 10_000, seed: int = 99) -> Baseline:
    """Return the baseline of so many such rows."""
    made = rows(number, seed)
    columns = {name: [row["features"][name] for row in made] for name in (*NUMBERS, "region")}
    columns["prediction"] = [row["prediction"] for row in made]
    signals = {name: _signal(values) for name, values in columns.items()}
    return Baseline(model="m", version="1", rows=number, source="test", signals=signals)


def _signal(values: Sequence[Any]) -> Signal:
    there = [value for value in values if value is not None]
    missing = len(values) - len(there)
    if all(isinstance(value, str) for value in there):
        return categorical_signal(Counter(there), kind="text", are_text=False, missing=missing)
    return numeric_signal(np.sort(np.array(there)), missing=missing, nan=0)


class Outcome(NamedTuple):
    """All that was published of a run, in its order."""

    alerts: list[Alert]
    actions: list[Action]
    audit: list[AuditFact]
    reports: list[WindowReport]

    @property
    def fired(self) -> list[tuple[str, str, list[str]]]:
        """Return rule, segment and signals of each alert that fired."""
        return [
            (it.rule, ",".join(it.segment.values()), sorted(one.signal for one in it.signals))
            for it in self.alerts
            if it.event == "firing"
        ]

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Return kind and segment of each action."""
        return [(it.kind, ",".join(it.segment.values())) for it in self.actions]

    @property
    def withheld(self) -> list[str]:
        """Return why actions were not asked for."""
        return [it.inputs["withheld"] for it in self.audit if it.event == "action.withheld"]


def run(
    change: Change,
    *,
    windows: int = 5,
    known: Baseline | None = None,
    events: int = EVENTS,
    dies: bool = False,
) -> Outcome:
    """Send windows of a minute, and return what DETECT makes of them.

    If it ``dies``, its worker does after every record, and a successor reads the state back.
    """
    known = baseline() if known is None else known
    world = World(promote(known), partitions=1, segments=["region"])
    state = a_state()
    state.baselines[known.id] = known
    found = Outcome([], [], [], [])
    joined = 0
    for window in range(windows + 1):
        values = list(_values(window, change, events if window < windows else 1))
        world.events(0, values, START + 60 * (window + 1))
        world.flush("a")
        log, joined = world.log[joined:], len(world.log)
        for offset, record in log:
            state.join(record, offset)
            closed = advance(state)
            found.alerts.extend(closed.alerts)
            found.actions.extend(closed.actions)
            found.reports.extend(closed.reports)
            outputs = state.take_outputs()
            found.audit.extend(it.record for it in outputs if isinstance(it.record, AuditFact))
            if dies:
                state = restored(saved(state))
    return found


def _values(window: int, change: Change, events: int) -> Iterator[bytes]:
    for at, row in enumerate(rows(events, 1000 + window)):
        change(row, window, at)
        row |= {"model": "m", "version": "1", "time": START + 60 * window + at * 60 / events}
        yield json.dumps(row).encode()
