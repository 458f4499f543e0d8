"""The parts that measure what the detector does without a drift."""

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence

from _detection_cases import FIXED, QUICK as QUICK_CASES, Case
from _detection_first_day import DAYS, QUICK as QUICK_DAYS, first_day
from _detection_hours import WORLDS as BY_HOUR, hours
from _detection_null import Cell, achieved
from _detection_part import Figure, Found, Options, Part
from _detection_peers import USUAL, usual
from _detection_phases import Phase, phases
from _detection_seasonal import DRIFTS as SEASONAL_DRIFTS, QUICK, WORLDS, Month, month, zone_delays
from _detection_tails import ALL as ALL_TAILS, LEVELS, QUICK as QUICK_TAILS, tails
from tidegauge.sequential import SCORES

KINDS = ("numeric", "heavy-tailed", "categorical")
SIZES = (200, 1_000, 5_000)

#: Baselines of more rows than this take as long to make as all windows to judge.
_MANY_ROWS = 10_000

#: Where fewer starts than this are allowed, what was achieved of it tells nothing but violations.
_TELLS = 0.5


def false_alarms(part: Part, options: Options) -> Found:
    """Yield false alarms beside those that are allowed, of signals of three kinds."""
    baselines = (10_000,) if options.quick else (1_000, 10_000, 100_000)
    events = (200, 5_000) if options.quick else SIZES
    found: list[Figure] = []

    def rows() -> Iterator[list[str]]:
        for it in itertools.product(KINDS, (1, 20, 200), events, baselines):
            cell = Cell(*it)
            nominal = 30.0 if options.quick else 120.0
            seen = achieved(cell, nominal=nominal, seed=options.seed)
            found.append(("achieved_over_nominal", str(cell), round(seen.ratio, 3)))
            found.append(("in_alarm_share", str(cell), round(seen.in_alarm, 5)))
            ratio = f"{seen.ratio:.2f} ± {seen.standard_error:.2f}"
            share = f"{seen.in_alarm:.2%}"
            yield [str(cell), str(seen.seen), f"{seen.nominal:.0f}", ratio, share]

    part.show(["setting", "false alarms", "allowed", "ratio", "windows in alarm"], rows())
    yield from found


def of_tails(part: Part, options: Options) -> Found:
    """Yield how often scores are beyond 15 to 16 nats; the worst of all scores and memories."""
    cases, spans = (QUICK_TAILS, (0, 1)) if options.quick else (ALL_TAILS, (0, 1, 2))
    samples = 10_000 if options.quick else 80_000
    ratios: dict[str, float] = {}
    shares: dict[str, float] = {}

    def rows() -> Iterator[list[str]]:
        for it in tails(cases, seed=options.seed, samples=samples, spans=spans):
            name = f"{it.case}, at 15 to 16 nats"
            ratios[name] = max(ratios.get(name, 0.0), *it.ratios.values())
            shares[name] = shares.get(name, 0.0) + it.in_alarm
            columns = [
                f"{it.ratios[score]:.2f} ± {it.errors[score]:.2f}" if score in it.ratios else ""
                for score in SCORES
            ]
            yield [it.case, str(it.span), *columns, f"{it.in_alarm:.1e}"]

    scores = [f"{it} ÷ nominal" for it in SCORES]
    beyond = f"windows beyond {LEVELS[0]:.0f} nats"
    part.show(["setting", "memory, windows", *scores, beyond], rows())
    yield from (("achieved_over_nominal", name, it) for name, it in ratios.items())
    yield from (("in_alarm_share", name, it) for name, it in shares.items())


def usual_rules(part: Part, options: Options) -> Found:
    """Show what the usual rules do without a drift."""
    shares = {n: usual(n, seed=options.seed) for n in SIZES}
    rows = ([rule, *(f"{shares[n][rule]:.3g}" for n in SIZES)] for rule in USUAL)
    part.show(["rule", *(f"n = {n:,}" for n in SIZES)], rows)
    yield from ()


def cases(part: Part, options: Options) -> Found:
    """Yield false alarms of everyday data, in the first windows and in the steady state."""

    def signals(case: Case) -> int:
        return 100 if options.quick else 800 if case.each == 1 and case.rows <= _MANY_ROWS else 200

    windows = 64 if options.quick else 256
    its = (
        (str(case), it)
        for case in (QUICK_CASES if options.quick else FIXED)
        for it in phases(case, signals=signals(case), windows=windows, seed=options.seed)
    )
    yield from _of_phases(part, its)


def by_hour(part: Part, options: Options) -> Found:
    """Yield false alarms on the first day of baselines with hours."""
    signals, windows = (3, 128) if options.quick else (32, 1_440)
    its = (
        (world.name, it)
        for world in (BY_HOUR[:1] if options.quick else BY_HOUR)
        for it in hours(world, signals=signals, windows=windows, seed=options.seed)
    )
    yield from _of_phases(part, its)


def _of_phases(part: Part, found: Iterator[tuple[str, Phase]]) -> Found:
    figures: list[Figure] = []

    def rows() -> Iterator[list[str]]:
        for case, it in found:
            name = f"{case}, windows {it.name}"
            figures.append(("achieved_over_nominal", name, round(it.ratio, 3)))
            figures.append(("in_alarm_share", name, round(it.in_alarm, 6)))
            many = "" if it.many is None else f"{it.many}, {it.many_in_alarm:.2%}"
            yield [
                case, it.name, f"{it.starts} of {it.allowed:.2g}",
                f"{it.ratio:.1f} ± {it.standard_error:.1f}" if it.allowed > _TELLS else "",
                f"{it.in_alarm:.2%}",
                f"{it.ever:.1%}", many, _reasons(it.reasons),
            ]  # fmt: skip

    head = ["case", "windows", "starts", "achieved ÷ promised", "windows in alarm"]
    head += ["models ever in alarm", "as one of 50 signals", "reasons of the budget"]
    part.show(head, rows())
    yield from figures


def _reasons(reasons: Sequence[str]) -> str:
    """All baselines of the cases are without hours: their data has none."""
    return ", ".join(it for it in reasons if it != "without_hours")


def of_first_day(part: Part, options: Options) -> Found:
    """Yield what the default rules send without a drift, or with small ones."""
    found: list[Figure] = []

    def rows() -> Iterator[list[str]]:
        for day in QUICK_DAYS if options.quick else DAYS:
            it = first_day(day, seed=options.seed)
            found.append(("alerts_on_first_day", it.name, dict(it.sent)))
            sent = ", ".join(f"{rule} {number}" for rule, number in it.sent.items()) or "none"
            yield [it.name, str(it.windows), sent, _reasons(it.reasons)]

    part.show(["case", "windows", "alerts sent", "reasons of the budget"], rows())
    yield from found


def daily_cycles(part: Part, options: Options) -> Found:
    """Yield incidents of months with a daily cycle."""
    found: list[Figure] = []

    def rows() -> Iterator[list[str]]:
        for world in QUICK if options.quick else WORLDS:
            seen = month(world, seed=options.seed)
            found.append(("incidents", world.name, seen.by_hour))
            fixed = f"{seen.fixed_share:.0%} of minutes"
            name = f"{world.name}, d={world.signals}"
            yield [name, str(seen.by_hour), fixed, *_found(seen)]

    head = ["month", "incidents by hour of day", "by a fixed baseline", "0.25 sd found", "delay"]
    part.show(head, rows())
    yield from found


def _found(seen: Month) -> list[str]:
    delays = [it for it in seen.delays if math.isfinite(it)]
    median = f"{statistics.median(delays):.0f} (at most {max(delays):.0f})" if delays else "none"
    return [f"{len(delays)} of {SEASONAL_DRIFTS}", median]


def of_time_zone(part: Part, options: Options) -> Found:
    """Yield delays by hours of the day with and without a time zone."""
    found: list[Figure] = []

    def rows() -> Iterator[list[str]]:
        for it in zone_delays(runs=5 if options.quick else 40, seed=options.seed):
            name = f"mean {it.off:g} sd, a cycle of 0.2 sd"
            both = it.zone_named, it.no_zone
            known = [None if math.isinf(delay) else delay for delay in both]
            found.append(
                ("zone_delay", name, dict(zip(("named", "not named"), known, strict=True)))
            )
            yield [name, *("> 1,440" if math.isinf(delay) else f"{delay:g}" for delay in both)]

    part.show(["drift", "time zone named", "no time zone named"], rows())
    yield from found
