"""What the detector's promise is worth: false alarms beside the budget, delays beside an oracle.

    python bench/detection.py [--quick] [--seed 1] [--write]

Seeded; the last line is JSON. ``--write`` puts the tables into docs/detection.md.
"""

import argparse
import itertools
import json
import math
import statistics
import time
from collections.abc import Iterator

from _detection_delay import of_detector, of_oracle
from _detection_document import plot, table, write
from _detection_null import Cell, achieved
from _detection_packages import Row, beside_packages, prepare
from _detection_peers import FIGURES, USUAL, delays, usual
from _detection_seasonal import DRIFTS as SEASONAL_DRIFTS, QUICK, WORLDS, Month, month
from _detection_tails import ALL as ALL_TAILS, QUICK as QUICK_TAILS, tails
from _detection_worlds import DRIFTS
from tidegauge.sequential import SCORES

KINDS = ("numeric", "heavy-tailed", "categorical")
SIZES = (200, 1_000, 5_000)


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer settings, and no peers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put it into docs/detection.md")
    options = parser.parse_args()
    if not options.quick:
        prepare()
    began = time.monotonic()
    parts: list[str] = []

    def show(head: list[str], rows: Iterator[list[str]], about: str = "") -> None:
        """Print each row as it is found, and keep the table, with a paragraph about it."""
        if about:
            parts.append(about)
        print("\n" + " | ".join(head), flush=True)
        kept = []
        for row in rows:
            print(" | ".join(row), flush=True)
            kept.append(row)
        parts.append(table(head, kept))

    ratios: dict[str, float] = {}
    shares: dict[str, float] = {}
    show(
        ["setting", "false alarms", "allowed", "ratio", "windows in alarm"],
        _false_alarms(ratios, shares, quick=options.quick, seed=options.seed),
    )
    by_tail: dict[str, float] = {}
    show(
        ["setting", "memory, windows", *(f"{it} ÷ nominal" for it in SCORES)],
        _tails(by_tail, quick=options.quick, seed=options.seed),
    )
    if not options.quick:
        show(["rule", *(f"n = {n:,}" for n in SIZES)], _usual_rules(options.seed))
    late: dict[str, float] = {}
    peers = [] if options.quick else list(FIGURES)
    show(
        ["drift", "detector", "oracle", "ratio", "bar", *peers],
        _delays(late, peers=bool(peers), runs=200 if options.quick else 400, seed=options.seed),
    )
    beside: list[Row] = [] if options.quick else beside_packages(show, options.seed)
    months: dict[str, int] = {}
    show(
        ["month", "incidents by hour of day", "by a fixed baseline", "0.25 sd found", "delay"],
        _daily_cycles(months, quick=options.quick, seed=options.seed),
    )
    if options.write:
        write(parts)
        plot(ratios, beside)
    result = {
        "achieved_over_nominal": {**ratios, **by_tail},
        "in_alarm_share": shares,
        "delay_over_oracle": late,
        "incidents": months,
        "seed": options.seed,
        "best_peer_over_detector": {row.drift: row.ratio for row in beside},
    }
    print(json.dumps({**result, "seconds": round(time.monotonic() - began)}))


def _false_alarms(
    found: dict[str, float], in_alarm: dict[str, float], *, quick: bool, seed: int
) -> Iterator[list[str]]:
    baselines = (10_000,) if quick else (1_000, 10_000, 100_000)
    events = (200, 5_000) if quick else SIZES
    for it in itertools.product(KINDS, (1, 20, 200), events, baselines):
        cell = Cell(*it)
        seen = achieved(cell, nominal=60.0 if quick else 120.0, seed=seed)
        found[str(cell)] = round(seen.ratio, 3)
        in_alarm[str(cell)] = round(seen.in_alarm, 5)
        ratio = f"{seen.ratio:.2f} ± {seen.standard_error:.2f}"
        share = f"{seen.in_alarm:.2%}"
        yield [str(cell), str(seen.seen), f"{seen.nominal:.0f}", ratio, share]


def _tails(found: dict[str, float], *, quick: bool, seed: int) -> Iterator[list[str]]:
    """Of each setting the worst of all scores and memories is kept."""
    cases, spans = (QUICK_TAILS, (0, 1)) if quick else (ALL_TAILS, (0, 1, 2))
    for it in tails(cases, seed=seed, samples=20_000 if quick else 80_000, spans=spans):
        name = f"{it.case}, at 15 to 16 nats"
        found[name] = max(found.get(name, 0.0), *it.ratios.values())
        columns = [
            f"{it.ratios[score]:.2f} ± {it.errors[score]:.2f}" if score in it.ratios else ""
            for score in SCORES
        ]
        yield [it.case, str(it.span), *columns]


def _usual_rules(seed: int) -> Iterator[list[str]]:
    shares = {n: usual(n, seed=seed) for n in SIZES}
    for rule in USUAL:
        yield [rule, *(f"{shares[n][rule]:.3g}" for n in SIZES)]


def _delays(found: dict[str, float], *, peers: bool, runs: int, seed: int) -> Iterator[list[str]]:
    for drift in DRIFTS:
        mine, oracle = (of(drift, runs=runs, seed=seed) for of in (of_detector, of_oracle))
        found[drift.name] = round(mine.mean / oracle.mean, 3)
        others = delays(drift, seed=seed).values() if peers else ()
        yield [
            drift.name,
            str(mine),
            str(oracle),
            f"{mine.mean / oracle.mean:.2f}",
            str(drift.bar),
            *(f"{it:,.1f}" if math.isfinite(it) else "> 20,000" for it in others),
        ]


def _daily_cycles(found: dict[str, int], *, quick: bool, seed: int) -> Iterator[list[str]]:
    for world in QUICK if quick else WORLDS:
        seen = month(world, seed=seed)
        found[world.name] = seen.by_hour
        fixed = f"{seen.fixed_share:.0%} of minutes"
        yield [f"{world.name}, d={world.signals}", str(seen.by_hour), fixed, *_found(seen)]


def _found(seen: Month) -> list[str]:
    delays = [it for it in seen.delays if math.isfinite(it)]
    median = f"{statistics.median(delays):.0f} (at most {max(delays):.0f})" if delays else "none"
    return [f"{len(delays)} of {SEASONAL_DRIFTS}", median]


if __name__ == "__main__":
    main()
