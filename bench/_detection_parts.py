"""The parts of the benchmark of detection, and those that measure drifts."""

import math
from collections.abc import Callable, Iterator, Mapping

import _detection_null_parts as null
from _detection_alerts import rows as small_drifts
from _detection_cumulative import CHARTS, delays as of_charts
from _detection_delay import of_detector, of_oracle
from _detection_joint import joint_delays, joint_starts
from _detection_packages import beside_packages
from _detection_part import Figure, Found, Options, Part
from _detection_peers import FIGURES, delays as of_figures
from _detection_power import NEW, compared, power, unseen
from _detection_sizes import sizes
from _detection_worlds import DRIFTS, SMALL, Moved


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
        moved = (SMALL, *(it for it in DRIFTS if isinstance(it.change, Moved)))
        for drift in (it for it in moved if not options.quick or it.events == SMALL.events):
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


def _joint(part: Part, options: Options) -> Found:
    """Features that change together and not alone; JSON has no infinity: null is never."""
    found: list[Figure] = []

    def rows() -> Iterator[list[str]]:
        for it in joint_delays(quick=options.quick, seed=options.seed):
            never = math.isinf(it.median)
            found.append(("joint_delay", it.case, None if never else it.median))
            yield [it.case, "> 30" if never else f"{it.median:g}", f"{it.seen:.0%}"]

    part.show(["dependence that is lost", "median delay, windows", "seen within 30"], rows())

    def undisturbed() -> Iterator[list[str]]:
        for it in joint_starts(quick=options.quick, seed=options.seed):
            name = f"joint signals, {it.case}"
            found.append(("achieved_over_nominal", name, round(it.starts / it.allowed, 3)))
            yield [it.case, f"{it.starts} of {it.allowed:.0f}", it.ratio]

    part.show(["nothing is lost", "starts", "achieved ÷ promised"], undisturbed())
    yield from found


#: By name, which is also that of its place in the document.
PARTS: Mapping[str, Callable[[Part, Options], Found]] = {
    "false-alarms": null.false_alarms,
    "tails": null.of_tails,
    "cases": null.cases,
    "hours": null.by_hour,
    "first-day": null.of_first_day,
    "usual-rules": null.usual_rules,
    "delays": _delays,
    "charts": _charts,
    "alerts": _alerts,
    "sizes": _sizes,
    "small-baselines": _power,
    "missed-values": _unseen,
    "packages": _packages,
    "daily-cycles": null.daily_cycles,
    "time-zone": null.of_time_zone,
    "joint": _joint,
}
