"""A model whose one signal follows the hour, its baseline, and reports of its windows."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from scipy import stats

from support.counting import a_baseline, numeric
from support.days import CUTS, MINUTES, counted, levels
from support.window_reports import part_of, signal_report, window_report
from tidegauge.baseline.daily import DailyCycle, DayCalendar
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.io.daily import signal_hours
from tidegauge.contract.report import WindowReport

DAYS = 14
CYCLE = 0.2
EVENTS = 1_000
SIGNAL = "amount"


@cache
def baseline() -> Baseline:
    """Return a baseline by hour of day, of 14 days."""
    rng = np.random.default_rng(1)
    blocks = counted(levels(DAYS, rng, cycle=CYCLE), EVENTS, rng)
    values = len(CUTS) + 1
    signal = numeric(CUTS.tolist(), blocks.sum(axis=0)[:values].astype(int).tolist())
    minutes = np.zeros((DAYS, MINUTES, values + 3), dtype=np.int64)
    minutes[:, :, :values] = blocks[:, :values].reshape(DAYS, MINUTES, values)
    spans, hours = signal_hours(signal, minutes)
    found = a_baseline(**{SIGNAL: signal})
    calendar = DayCalendar(time_zone="UTC", holidays_of="none")
    found.daily = DailyCycle(
        days=DAYS, spans_seconds=spans, signals={SIGNAL: hours}, calendar=calendar
    )
    return found


def reports(drifts: Sequence[float], baseline_id: str, seed: int = 7) -> list[WindowReport]:
    """Return a report for each minute, whose mean is by so much off what the hour has."""
    rng, found = np.random.default_rng(seed), []
    for number, drift in enumerate(drifts):
        at = window_report(number).window_start % 86_400 / 86_400
        mean = CYCLE * np.sin(2 * np.pi * at) + drift
        ends = [-np.inf, *CUTS, np.inf]
        shares = [stats.norm.cdf(b, mean) - stats.norm.cdf(a, mean) for a, b in pairwise(ends)]
        counts = tuple(rng.multinomial(EVENTS, shares).tolist())
        part = part_of(EVENTS, baseline_id, **{SIGNAL: signal_report(counts=counts)})
        found.append(window_report(number, part))
    return found
