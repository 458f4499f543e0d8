"""Many models through a month, by the detector and the default rules: who is woken, and how often.

All models' signals are stepped together; what is told comes from the rules, judging reports of the
windows in which anything of a model is in alarm, and of those after them.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from _detection_worlds import draw
from tidegauge.alerting import DEFAULT_RULES, AlertState, evaluate
from tidegauge.contract import (
    AlarmBudget,
    Alert,
    Evidence,
    ReportPart,
    SignalHistogram,
    SignalReport,
    WindowReport,
    deterministic_id,
)
from tidegauge.sequential import LAMBDAS, SCORES, Budget, Memory, WindowBatch, counts_since, size_of
from tidegauge.windows import pattern_of
from tidegauge.windows.changes import sizes_of_values

#: A month of windows of an hour.
WINDOWS = 30 * 24
WINDOW_SECONDS = 3600

#: Windows at a time: what is remembered of each is kept until all are judged.
_TOGETHER = 24

_BASELINE_EVENTS = 20_000


class Month(NamedTuple):
    """Incidents told by all models but the drifting one, and those of that one after its drift.

    ``promised`` is the budget of all undisturbed models together: false alarms at most, on average.
    ``woken`` of them told any; ``fired`` counts from the first window with the drift, which is 1.
    """

    models: int
    told: int
    promised: float
    woken: int
    fired: list[int]

    @property
    def ratio(self) -> float:
        """Told ÷ promised."""
        return self.told / self.promised

    @property
    def standard_error(self) -> float:
        """Of the ratio, by Poisson's law."""
        return float(np.sqrt(max(self.told, 1))) / self.promised


def quiet_month(
    models: int, *, signals: int, events: int, drift: float, alarms: float = 1.0, seed: int = 1
) -> Month:
    """Watch models for a month; the first drifts from its middle on, all others never do.

    Each has so many signals, the last of them its prediction, and windows of so many events, fewer
    than what rules on KL judge. ``drift`` is the share of the events that are a bin further up.
    """
    rng = np.random.default_rng(seed)
    world = draw("numeric", models * signals, _BASELINE_EVENTS, rng)
    shares = world.shares.copy()
    names = [*(f"f{number}" for number in range(signals - 1)), "prediction"]
    # All models together have what each of them is allowed: the threshold of each is the same.
    budget = Budget(models * alarms, float(WINDOWS))
    memory = Memory.empty(*shares.shape)
    states = [AlertState() for _ in range(models)]
    before = np.zeros(models, dtype=bool)
    alerts: list[tuple[int, Alert]] = []
    for start in range(0, WINDOWS, _TOGETHER):
        if start == WINDOWS // 2:
            shares[:signals] += drift * (np.roll(shares[:signals], 1, axis=1) - shares[:signals])
        drawn = [rng.multinomial(events, shares) for _ in range(_TOGETHER)]
        batch = WindowBatch(world.reference, memory, np.array(drawn, dtype=np.float64), [budget])
        memory = batch.memory
        alarms_at = batch.beyond(1.0).reshape(_TOGETHER, models, signals).any(axis=2)
        follows = np.concatenate([before[None], alarms_at[:-1]])
        before = alarms_at[-1]
        asked = alarms_at | follows
        for window, model, part in _parts(batch, asked, names, events, world.reference.counts):
            report = _report(model, start + window, events, part)
            verdict = evaluate(DEFAULT_RULES, report, states[model], distribution=lambda *_: None)
            states[model] = verdict.state
            alerts += [(model, alert) for alert in verdict.alerts]
    firing = [(model, alert) for model, alert in alerts if alert.event == "firing"]
    false = [model for model, _ in firing if model]
    first = WINDOWS // 2 * WINDOW_SECONDS
    return Month(
        models,
        len(false),
        (models - 1) * alarms,
        len(set(false)),
        [
            (alert.window_end - first) // WINDOW_SECONDS
            for model, alert in firing
            if not model and alert.window_end > first
        ],
    )


def _parts(
    batch: WindowBatch,
    judged: "np.ndarray[tuple[int, int], np.dtype[np.bool_]]",
    names: list[str],
    events: int,
    references: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
) -> Iterator[tuple[int, int, ReportPart]]:
    """Yield window, model and what its signals show, in the order of the windows."""
    windows, models = np.nonzero(judged)
    rows = models[:, None] * len(names) + np.arange(len(names))
    at = np.repeat(windows, len(names))
    strongest = batch.strongest(at, rows.ravel())
    for number, (window, model) in enumerate(zip(windows.tolist(), models.tolist(), strict=True)):
        threshold = float(batch.thresholds[window, 0])
        found, drifts = {}, {}
        for place, name in enumerate(names):
            row = number * len(names) + place
            size = float(strongest.sizes[row])
            if strongest.surprises[row] > threshold:
                its = rows.ravel()[row : row + 1]
                ages = strongest.ages[row : row + 1]
                counts = counts_since(batch.after(window).of(its), references[its], ages)
                [of_values] = sizes_of_values(counts, references[its])
                if of_values is not None:
                    drifts[name] = of_values
            evidence = Evidence(
                score=SCORES[strongest.scores[row]],
                span_windows=round(1 / LAMBDAS[strongest.spans[row]]),
                surprise_nats=float(strongest.surprises[row]), events=float(strongest.events[row]),
                baseline_events=_BASELINE_EVENTS, bins=batch.events.shape[-1],
                psi_corrected=size, size=size_of(size),
            )  # fmt: skip
            found[name] = SignalReport(
                kind="numeric", histogram=SignalHistogram(counts=[]), mean=None, missing_share=0.0,
                unseen_share=None, drift=None, evidence=evidence,
            )  # fmt: skip
        yield window, model, ReportPart(
            baseline="b", baseline_age_seconds=0.0, events=events, signals=found,
            alarm_budget=AlarmBudget(
                threshold_nats=threshold, looks=float(batch.looks[window, 0]) / len(judged[0]),
                alarms_per_month=1.0, windows_per_month=float(WINDOWS),
            ),
            pattern=pattern_of(names, drifts),
        )  # fmt: skip


def _report(model: int, window: int, events: int, part: ReportPart) -> WindowReport:
    start = window * WINDOW_SECONDS
    return WindowReport(
        id=deterministic_id("report", model, window), model=f"m{model}", version="1", variant="",
        segment={}, window_start=start, window_end=start + WINDOW_SECONDS, revision=0,
        closed_by=float(start), events=events, errors=0, counted=[], prediction_mean_5m=None,
        latency=None, parts=[part],
    )  # fmt: skip
