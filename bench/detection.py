"""What the detector's promise is worth: false alarms beside the budget, delays beside an oracle.

    python bench/detection.py [--quick] [--seed 1] [--json] [--write]

Seeded, so that it prints the same figures on every machine; the last line is JSON. ``--write`` puts
the tables into docs/detection.md.
"""

import argparse
import itertools
import json
import time

from _detection_delay import of_detector, of_oracle
from _detection_null import Achieved, Cell, achieved
from _detection_worlds import DRIFTS, Drift

KINDS = ("numeric", "heavy-tailed", "categorical")


def cells(*, quick: bool) -> list[Cell]:
    """List the settings in which false alarms are counted."""
    baselines = (10_000,) if quick else (1_000, 10_000, 100_000)
    events = (200, 5_000) if quick else (200, 1_000, 5_000)
    return [Cell(*it) for it in itertools.product(KINDS, (1, 20, 200), events, baselines)]


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer settings, in four minutes")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    nominal, runs = (60.0, 200) if options.quick else (120.0, 400)
    ratios: dict[str, float] = {}
    print(f"{'false alarms':44} {'seen':>6} {'allowed':>8} {'ratio':>14}")
    for cell in cells(quick=options.quick):
        found: Achieved = achieved(cell, nominal=nominal, seed=options.seed)
        ratios[str(cell)] = round(found.ratio, 3)
        print(
            f"{cell!s:44} {found.seen:6} {found.nominal:8.0f} "
            f"{found.ratio:6.2f} ± {found.standard_error:.2f}",
            flush=True,
        )
    delays: dict[str, float] = {}
    print(f"\n{'windows until it is seen':34} {'detector':>14} {'oracle':>14} {'ratio':>6} bar")
    for drift in DRIFTS:
        delays[drift.name] = _print_delays(drift, runs, options.seed)
    seconds = time.monotonic() - began
    result = {"achieved_over_nominal": ratios, "delay_over_oracle": delays}
    print(json.dumps({**result, "seed": options.seed, "seconds": round(seconds)}))


def _print_delays(drift: Drift, runs: int, seed: int) -> float:
    mine, oracle = (of(drift, runs=runs, seed=seed) for of in (of_detector, of_oracle))
    ratio = mine.mean / oracle.mean
    print(
        f"{drift.name:34} {mine.mean:6.2f} ± {mine.standard_error:.2f} "
        f"{oracle.mean:8.2f} ± {oracle.standard_error:.2f} {ratio:6.2f} {drift.bar}",
        flush=True,
    )
    return round(ratio, 3)


if __name__ == "__main__":
    main()
