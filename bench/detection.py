"""What the detector's promise is worth: false alarms beside the budget, delays beside an oracle.

    python bench/detection.py [--quick] [--only PART …] [--seed 1] [--write]

Seeded; the last line is JSON. ``--write`` puts the tables into docs/detection.md, each where its
part is; ``--only`` runs some of the parts.
"""

import argparse
import json
import time
from typing import Any

from _detection_document import plot, write
from _detection_packages import Row, prepare
from _detection_part import Options, Part
from _detection_parts import PARTS


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer settings, and no packages")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="these parts alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put it into docs/detection.md")
    given = parser.parse_args()
    options = Options(given.quick, given.seed)
    names = given.only or [it for it in PARTS if not (given.quick and it == "packages")]
    if "packages" in names:
        prepare()
    began = time.monotonic()
    found: dict[str, Any] = {
        it: {}
        for it in ("achieved_over_nominal", "in_alarm_share", "delay_over_oracle", "alert_delay")
    }
    rows: list[Row] = []
    for name in names:
        part = Part()
        since = time.monotonic()
        for result in PARTS[name](part, options):
            if isinstance(result, Row):
                rows.append(result)
                found.setdefault("best_peer_over_detector", {})[result.drift] = result.ratio
            else:
                figure, case, value = result
                found.setdefault(figure, {})[case] = value
        print(f"\n{name}: {time.monotonic() - since:.0f} s", flush=True)
        if given.write:
            write(name, part.texts)
    cells = {it: ratio for it, ratio in found["achieved_over_nominal"].items() if ", d=" in it}
    if given.write and rows and cells:
        plot(cells, rows)
    seconds = round(time.monotonic() - began)
    print(json.dumps({**found, "seed": options.seed, "seconds": seconds}))


if __name__ == "__main__":
    main()
