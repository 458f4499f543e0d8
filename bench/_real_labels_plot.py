"""Accuracy by day, estimated and realised; runs in an environment of its own.

``python _real_labels_plot.py <file.png>`` with ``{"days": ["2013-03-01", …], "baseline": accuracy,
"estimated": [[value, low, high], …], "realised": …}`` as its input.
"""

import json
import sys
from datetime import date

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.dates as mdates
import matplotlib.pyplot as plt

ESTIMATED, REALISED, BASELINE = "#0b7285", "#e8590c", "#212529"


def main() -> None:
    """Draw the figures of days, one panel for both."""
    given = json.load(sys.stdin)
    days = [date.fromisoformat(day) for day in given["days"]]
    figure, axis = plt.subplots(figsize=(13, 4.8), layout="constrained")
    for name, colour, label, marker in (
        ("realised", REALISED, "realised, once the labels had come", "o"),
        ("estimated", ESTIMATED, "estimated at the end of the day, six days before", "s"),
    ):
        value, low, high = zip(*given[name], strict=True)
        axis.fill_between(days, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.plot(days, value, color=colour, linewidth=1, marker=marker, markersize=2, label=label)
    baseline = f"the baseline's own rows, {given['baseline']:.3f}"
    axis.axhline(given["baseline"], color=BASELINE, linewidth=0.8, linestyle="--", label=baseline)
    axis.set_title(
        "Accuracy by day, with intervals of 95 %: will a flight from New York be late?",
        loc="left",
        fontsize=9,
        fontweight="bold",
    )
    axis.xaxis.set_major_locator(mdates.MonthLocator())
    axis.xaxis.set_major_formatter(mdates.DateFormatter("%Y-%m"))
    axis.set_xlim(days[0], days[-1])
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#e9ecef", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.legend(fontsize=8, frameon=False, ncols=3, loc="lower left")
    figure.savefig(sys.argv[1], dpi=110, metadata={"Software": None})


main()
