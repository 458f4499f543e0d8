"""A budget says whether it can be relied on, and names every reason why not."""

from typing import Literal

import msgspec
import numpy as np
import pytest

from support.hourly import SIGNAL, baseline, reports
from tidegauge.baseline import Baseline, DayCalendar, Dependence
from tidegauge.baseline.io.signals import numeric_signal
from tidegauge.sequential import MEAN, Budget, Memory, WindowBatch
from tidegauge.windows import SURE_ROWS, BaselineLayout, DriftDetector

HOURLY = baseline()
PLAIN = msgspec.structs.replace(HOURLY, daily=msgspec.UNSET)


def with_fewer(known: Baseline, rows: int) -> Baseline:
    """Return the baseline with about so many rows, and in each hour its part of them."""
    part = rows / sum(known.signals[SIGNAL].counts)
    signal = known.signals[SIGNAL]
    counts = [round(count * part) for count in signal.counts]
    found = msgspec.structs.replace(
        known, signals={SIGNAL: msgspec.structs.replace(signal, counts=counts)}
    )
    if known.daily:
        hours = known.daily.signals[SIGNAL]
        fewer = [[round(count * part) for count in hour] for hour in hours.counts]
        its = msgspec.structs.replace(hours, counts=fewer)
        found.daily = msgspec.structs.replace(known.daily, signals={SIGNAL: its})
    return found


def with_degrees(known: Baseline, degrees: float) -> Baseline:
    """Return the baseline with so many degrees of freedom of the mean of minutes."""
    assert known.daily
    hours = known.daily.signals[SIGNAL]
    changed = [list(its) for its in hours.degrees]
    changed[0][MEAN] = degrees
    its = msgspec.structs.replace(hours, degrees=changed)
    daily = msgspec.structs.replace(known.daily, signals={SIGNAL: its})
    return msgspec.structs.replace(known, daily=daily)


def by_days_of(known: Baseline, **calendar: str) -> Baseline:
    """Return the baseline with what else is known of its days."""
    assert known.daily
    daily = msgspec.structs.replace(known.daily, calendar=DayCalendar(**calendar))
    return msgspec.structs.replace(known, daily=daily)


def with_effect(known: Baseline, found_by: Literal["entity", "rows"], effect: float) -> Baseline:
    """Return the baseline of rows that go together."""
    dependence = Dependence(found_by=found_by, design_effects={SIGNAL: effect})
    return msgspec.structs.replace(known, dependence=dependence)


@pytest.mark.parametrize(
    ("known", "reasons"),
    [
        (HOURLY, []),
        (PLAIN, ["without_hours"]),
        (with_fewer(PLAIN, SURE_ROWS + 10), ["without_hours"]),
        (with_fewer(PLAIN, SURE_ROWS - 10), ["without_hours", "small_baseline"]),
        (with_fewer(PLAIN, 500), ["without_hours", "small_baseline"]),
        (with_fewer(HOURLY, 24 * 500), ["small_baseline"]),
        (with_fewer(HOURLY, 24 * (SURE_ROWS + 10)), []),
        (with_effect(HOURLY, "entity", 1.5), []),
        (with_degrees(HOURLY, 6.0), ["heavy_tails"]),
        (with_degrees(HOURLY, 9.0), []),
        (by_days_of(HOURLY), ["no_time_zone", "no_holidays"]),
        (by_days_of(HOURLY, time_zone="Europe/Berlin"), ["no_holidays"]),
        (by_days_of(HOURLY, holidays_of="DE"), ["no_time_zone"]),
        (by_days_of(with_degrees(HOURLY, 6.0), time_zone="UTC"), ["heavy_tails", "no_holidays"]),
        (with_effect(PLAIN, "entity", 1.5), ["without_hours"]),
        (with_effect(PLAIN, "rows", 1.5), ["without_hours", "clustering"]),
        (
            with_effect(with_fewer(PLAIN, SURE_ROWS + 10), "entity", 1.5),
            [
                "without_hours",
                "small_baseline",
            ],
        ),
    ],
)
def test_a_budget_names_every_reason_not_to_rely_on_it(known: Baseline, reasons: list[str]) -> None:
    [report] = reports([0.0], known.id)
    _, found = DriftDetector(lambda model: 1.0).take(None, report, {known.id: known})
    budget = found.parts[0].alarm_budget
    assert budget is not None
    assert budget.reasons == reasons
    assert budget.guaranteed == (not reasons)
    without = "without_hours" in reasons
    assert budget.reason == ("baseline_without_hours" if without else None)


@pytest.mark.parametrize("events", [200, 1_000, 5_000])
def test_with_as_many_rows_as_are_sure_there_are_no_more_alarms_than_promised(events: int) -> None:
    signals, windows, allowed = 200, 60, 40.0
    rng = np.random.default_rng(events)
    samples = rng.normal(size=(signals, SURE_ROWS))
    known = {
        f"x{at:03d}": numeric_signal(np.sort(its), missing=0, nan=0)
        for at, its in enumerate(samples)
    }
    layout = BaselineLayout.of(
        Baseline(model="m", version="1", rows=SURE_ROWS, source="x", signals=known)
    )
    table = np.zeros((windows, *layout.reference.counts.shape))
    for row, name in enumerate(layout.names):
        counts = np.apply_along_axis(
            lambda values, its=known[name]: np.bincount(
                np.searchsorted(its.edges, values, side="right"), minlength=len(its.counts)
            ),
            1,
            rng.normal(size=(windows, events)),
        )
        table[:, row, : counts.shape[1]] = counts
    # Each signal is a model of its own: so they are as independent as they can be.
    budgets = [Budget(allowed / signals, windows)] * signals
    memory = Memory.empty(*layout.reference.counts.shape)
    beyond = WindowBatch(layout.reference, memory, table, budgets, [1] * signals).beyond(1.0)
    starts = beyond.sum() - (beyond[1:] & beyond[:-1]).sum()
    assert starts <= 1.2 * allowed + 3 * np.sqrt(allowed)
