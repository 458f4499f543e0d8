"""The parts of the benchmark of detection: each prints tables, and yields figures by case."""

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from _detection_alerts import rows as small_drifts
from _detection_cases import FIXED, QUICK as QUICK_CASES
from _detection_cumulative import CHARTS, delays as of_charts
from _detection_delay import of_detector, of_oracle
from _detection_document import table
from _detection_first_day import DAYS, QUICK as QUICK_DAYS, first_day
from _detection_joint import joint_delays
from _detection_null import Cell, achieved
from _detection_packages import Row, beside_packages
from _detection_peers import FIGURES, USUAL, delays as of_figures, usual
from _detection_phases import phases
from _detection_power import NEW, compared, power, unseen
from _detection_seasonal import DRIFTS as SEASONAL_DRIFTS, QUICK, WORLDS, Month, month
from _detection_sizes import sizes
from _detection_tails import ALL as ALL_TAILS, LEVELS, QUICK as QUICK_TAILS, tails
from _detection_worlds import DRIFTS, SMALL, Moved
from tidegauge.sequential import SCORES

KINDS = ("numeric", "heavy-tailed", "categorical")
SIZES = (200, 1_000, 5_000)


class Options(NamedTuple):
    """What was asked for."""

    quick: bool
    seed: int

    @property
    def runs(self) -> int:
        """Return of how many models delays are the mean."""
        return 200 if self.quick else 400


#: A figure, the case that it is of, and its value; or a row of other packages.
Figure = tuple[str, str, float | int | Mapping[str, object] | None]
Found = Iterator[Figure | Row]


class Part:
    """Tables, as they are printed, and as texts for the document."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def show(self, head: Sequence[str], rows: Iterable[list[str]], about: str = "") -> None:
        """Print each row as it is found, and keep the table, with a paragraph about it."""
        if about:
            self.texts.append(about)
        print("\n" + " | ".join(head), flush=True)
        kept = []
        for row in rows:
            print(" | ".join(row), flush=True)
            kept.append(row)
        self.texts.append(table(head, kept))


def _false_alarms(part: Part, options: Options) -> Found:
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


def _tails(part: Part, options: Options) -> Found:
    """Of each setting the worst of all scores and memories is kept."""
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


def _usual_rules(part: Part, options: Options) -> Found:
    shares = {n: usual(n, seed=options.seed) for n in SIZES}
    rows = ([rule, *(f"{shares[n][rule]:.3g}" for n in SIZES)] for rule in USUAL)
    part.show(["rule", *(f"n = {n:,}" for n in SIZES)], rows)
    yield from ()


def _cases(part: Part, options: Options) -> Found:
    """Everyday data without a drift, in the first windows and in the steady state."""
    found: list[Figure] = []

    def rows() -> Iterator[list[str]]:
        signals, windows = (100, 64) if options.quick else (200, 256)
        for case in QUICK_CASES if options.quick else FIXED:
            for it in phases(case, signals=signals, windows=windows, seed=options.seed):
                name = f"{case}, {it.name} windows"
                found.append(("achieved_over_nominal", name, round(it.ratio, 3)))
                found.append(("in_alarm_share", name, round(it.in_alarm, 6)))
                yield [
                    str(case), it.name, f"{it.starts} of {it.allowed:.1f}",
                    f"{it.ratio:.1f} ± {it.standard_error:.1f}", f"{it.in_alarm:.2%}",
                    f"{it.ever:.1%}", f"{it.many}, {it.many_in_alarm:.2%}", _reasons(it.reasons),
                ]  # fmt: skip

    head = ["case", "windows", "starts", "achieved ÷ promised", "windows in alarm"]
    head += ["models ever in alarm", "as one of 50 signals", "reasons of the budget"]
    part.show(head, rows())
    yield from found


def _reasons(reasons: Sequence[str]) -> str:
    """All baselines of the cases are without hours: their data has none."""
    return ", ".join(it for it in reasons if it != "without_hours")


def _first_day(part: Part, options: Options) -> Found:
    found: list[Figure] = []

    def rows() -> Iterator[list[str]]:
        for day in QUICK_DAYS if options.quick else DAYS:
            it = first_day(day, seed=options.seed)
            found.append(("alerts_on_first_day", it.name, dict(it.sent)))
            sent = ", ".join(f"{rule} {number}" for rule, number in it.sent.items()) or "none"
            yield [it.name, str(it.windows), sent, _reasons(it.reasons)]

    part.show(["case", "windows", "alerts sent", "reasons of the budget"], rows())
    yield from found


def _delays(part: Part, options: Options) -> Found:
    found: list[Figure] = []
    peers = [] if options.quick else list(FIGURES)

    def rows() -> Iterator[list[str]]:
        for drift in (SMALL, *DRIFTS):
            given = {"runs": options.runs, "seed": options.seed}
            mine, oracle = of_detector(drift, **given), of_oracle(drift, **given)
            ratio = mine.evidence.mean / oracle.mean
            found.append(("delay_over_oracle", drift.name, round(ratio, 3)))
            found.append(("alert_delay", drift.name, round(mine.alert.mean, 3)))
            others = of_figures(drift, seed=options.seed).values() if peers else ()
            yield [
                drift.name, str(mine.evidence), str(mine.alert), str(oracle), f"{ratio:.2f}",
                str(drift.bar),
                *(f"{it:,.1f}" if math.isfinite(it) else "> 20,000" for it in others),
            ]  # fmt: skip

    head = ["drift", "evidence", "alert", "oracle", "evidence ÷ oracle", "bar"]
    part.show([*head, *peers], rows())
    yield from found


def _charts(part: Part, options: Options) -> Found:
    found: list[Figure] = []

    def rows() -> Iterator[list[str]]:
        for drift in (SMALL, *(it for it in DRIFTS if isinstance(it.change, Moved))):
            given = {"runs": options.runs, "seed": options.seed}
            mine, oracle = of_detector(drift, **given).evidence, of_oracle(drift, **given)
            charts = of_charts(drift, runs=2_000, seed=options.seed)
            its = {name: round(it.mean, 2) for name, it in charts.items()}
            found.append(("chart_delay", drift.name, {"tidegauge": round(mine.mean, 2), **its}))
            yield [drift.name, str(mine), str(oracle), *map(str, charts.values())]

    part.show(["drift", "tidegauge", "oracle", *map(str, CHARTS)], rows())
    yield from found


def _alerts(part: Part, options: Options) -> Found:
    found: list[Figure] = []

    def rows() -> Iterator[list[str]]:
        baselines = (100_000,) if options.quick else (100_000, 10_000)
        runs = 50 if options.quick else options.runs
        for baseline in baselines:
            for it in small_drifts(runs=runs, seed=options.seed, baseline=baseline):
                evidence, alert, _ = it.found
                name = f"{it.drift}, m = {baseline:,}"
                found.append(("alert_delay", name, round(alert.mean, 3)))
                found.append(("delay_over_oracle", name, round(evidence.mean / it.oracle.mean, 3)))
                ratio = f"{alert.mean / it.oracle.mean:.2f}"
                yield [name, str(evidence), str(alert), str(it.oracle), ratio]

    part.show(["drift", "evidence", "alert", "oracle", "alert ÷ oracle"], rows())
    yield from found


def _sizes(part: Part, options: Options) -> Found:
    found: list[Figure] = []

    def rows() -> Iterator[list[str]]:
        for it in sizes(runs=100 if options.quick else 400, seed=options.seed):
            name = f"mean {it.step:g} sd, {it.age} windows"
            found.append(("size_over_true", name, round(it.median, 3)))
            yield [
                f"{it.step:g} sd, PSI {it.true_psi:.3f}", str(it.age), f"{it.median:.2f}",
                f"{it.near:.0%}", f"{it.oracle_median:.2f}", f"{it.oracle_near:.0%}",
            ]  # fmt: skip

    head = ["step", "windows since", "median ÷ true", "within 25 %"]
    part.show([*head, "oracle: median ÷ true", "oracle: within 25 %"], rows())
    yield from found


def _power(part: Part, options: Options) -> Found:
    rows = (
        [it.drift, f"{it.baseline:,}", str(it.delay), f"{it.visible:.0%}"]
        for it in power(runs=100 if options.quick else 400, seed=options.seed)
    )
    part.show(["drift", "rows of the baseline", "windows", "visible at all"], rows)
    yield from ()


def _unseen(part: Part, options: Options) -> Found:
    both = (
        [it.case, f"{it.by_counts:.2f}", f"{it.by_expected:.2f}"]
        for it in compared(signals=10 if options.quick else 50, seed=options.seed)
    )
    part.show(["baseline", "compared with its counts", "with what is expected"], both)
    rows = (
        [it.case, f"{it.expected:.1%}", *map(str, it.delays)]
        for it in unseen(runs=100 if options.quick else 200, seed=options.seed)
    )
    head = [f"windows until a new value with {it:.0%} is detected" for it in NEW]
    part.show(["baseline", "share of values that it missed", *head], rows)
    yield from ()


def _packages(part: Part, options: Options) -> Found:
    yield from beside_packages(part.show, options.seed)


def _daily_cycles(part: Part, options: Options) -> Found:
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


def _joint(part: Part, options: Options) -> Found:
    """Features that change together and not alone; JSON has no infinity: null is never."""
    found: list[Figure] = []

    def rows() -> Iterator[list[str]]:
        for it in joint_delays(quick=options.quick, seed=options.seed):
            never = math.isinf(it.median)
            found.append(("joint_delay", it.case, None if never else it.median))
            yield [it.case, "> 30" if never else f"{it.median:g}", f"{it.seen:.0%}"]

    part.show(["dependence that is lost", "median delay, windows", "seen within 30"], rows())
    yield from found


#: By name, which is also that of its place in the document.
PARTS: Mapping[str, Callable[[Part, Options], Found]] = {
    "false-alarms": _false_alarms,
    "tails": _tails,
    "cases": _cases,
    "first-day": _first_day,
    "usual-rules": _usual_rules,
    "delays": _delays,
    "charts": _charts,
    "alerts": _alerts,
    "sizes": _sizes,
    "small-baselines": _power,
    "missed-values": _unseen,
    "packages": _packages,
    "daily-cycles": _daily_cycles,
    "joint": _joint,
}
