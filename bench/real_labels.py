"""A real model on real data, day by day: accuracy as estimated before labels, and as realised.

    python bench/real_labels.py [--seed 1] [--write]

Flights that left New York in 2013 are replayed: the model is trained on January, its baseline is
made of February, and from March on each flight is an event when it leaves, and a label six days
after it has landed. Then the same flights are replayed with their times exchanged at random. The
last line is JSON. ``--write`` draws docs/real-labels.png and puts the table into docs/real-data.md.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from _detection_document import table
from _environments import ROOT, python_environment
from _markers import replace_part
from _real_labels_flights import Flights, flights
from _real_labels_site import Day, Site
from tidegauge.baseline import Baseline
from tidegauge.contract import Figure
from tidegauge.outcomes import baseline_counts, figures_of, share_held

DOCUMENT = ROOT / "docs" / "real-data.md"
PLOT = ROOT / "docs" / "real-labels.png"
BEGIN = "<!-- bench/real_labels.py --write: begin -->"
END = "<!-- bench/real_labels.py --write: end -->"


def main() -> None:
    """Replay the flights and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=1, help="of the random order")
    parser.add_argument("--write", action="store_true", help="draw, and put it into docs")
    options = parser.parse_args()
    began = time.monotonic()
    data = flights()
    baseline = data.baseline()
    assert baseline.outcomes
    own = figures_of(baseline_counts(baseline.outcomes))["accuracy"]
    site, control = (_replayed(its, baseline) for its in (data, data.in_random_order(options.seed)))
    days = site.days()
    text = _table(days, control.days(), own)
    print(text)
    if options.write:
        _draw(days, own)
        DOCUMENT.write_text(replace_part(DOCUMENT.read_text(), BEGIN, END, f"\n{text}\n"))
    found = {
        "days": len(days),
        "predictions": sum(day.predicted for day in days),
        "labels": sum(day.labelled for day in days),
        "band_held": _track_record(site),
        "band_held_in_random_order": _track_record(control),
        "seconds": round(time.monotonic() - began),
    }
    print(json.dumps(found))


def _replayed(data: Flights, baseline: Baseline) -> Site:
    site = Site(baseline)
    for day in data.days():
        site.send(*day)
    return site


def _track_record(site: Site) -> dict[str, float | None]:
    """Return in which share of the days the band of each figure held, by the product's record."""
    figures = {name: share_held(site.record, name).value for name in site.record.cohorts}
    return {name: None if value is None else round(value, 3) for name, value in figures.items()}


def _table(days: Sequence[Day], control: Sequence[Day], own: Figure) -> str:
    """Return the means of days by month, the days with the lowest accuracy, and the control."""
    by_month: dict[str, list[Day]] = {}
    for day in days:
        by_month.setdefault(_date(day)[:7], []).append(day)
    rows = [["2013-02, the baseline", "", "", f"{own.value:.3f}", ""]]
    rows += [[month, *_means(its)] for month, its in by_month.items()]
    worst = sorted(days, key=lambda day: day.realised["accuracy"].value or 0)[:5]
    rows += [[_date(day), *_means([day])] for day in sorted(worst)]
    rows += [["all days", *_means(days)], ["all days in random order", *_means(control)]]
    return table(["", "predictions a day", "estimated", "realised", "days within the band"], rows)


def _means(days: Sequence[Day]) -> list[str]:
    held = sum(_held(day) for day in days)
    return [
        f"{sum(day.predicted for day in days) / len(days):,.0f}",
        *(
            f"{sum(its['accuracy'].value or 0 for its in figures) / len(days):.3f}"
            for figures in ([day.estimated for day in days], [day.realised for day in days])
        ),
        f"{held} of {len(days)}",
    ]


def _held(day: Day) -> bool:
    estimated, realised = day.estimated["accuracy"], day.realised["accuracy"].value
    assert estimated.low is not None and estimated.high is not None and realised is not None
    return estimated.low <= realised <= estimated.high


def _draw(days: Sequence[Day], own: Figure) -> None:
    given = {
        "days": [_date(day) for day in days],
        "baseline": own.value,
        **{
            kind: [
                [figure.value, figure.low, figure.high]
                for figure in (getattr(day, kind)["accuracy"] for day in days)
            ]
            for kind in ("estimated", "realised")
        },
    }
    python = python_environment(ROOT / "bench" / "plot.requirements.txt")
    command = [python, ROOT / "bench" / "_real_labels_plot.py", PLOT]
    subprocess.run(command, input=json.dumps(given), text=True, check=True)


def _date(day: Day) -> str:
    return f"{datetime.fromtimestamp(day.start, UTC):%Y-%m-%d}"


if __name__ == "__main__":
    main()
