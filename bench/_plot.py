"""Bars of events a second on a logarithmic axis; runs in an environment of its own.

``python _plot.py <file.png>`` with ``[{"title": …, "bars": [[name, rate], …]}, …]`` as its input.
"""

import json
import math
import sys

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

OURS, LIMIT, OTHER = "#0b7285", "#ced4da", "#868e96"


def colour(name: str) -> str:
    """Return the colour of a contestant's bar."""
    if name.startswith("tidegauge"):
        return OURS
    return LIMIT if name.startswith("limit") else OTHER


def main() -> None:
    """Draw one panel a workload."""
    panels = json.load(sys.stdin)
    heights = [len(panel["bars"]) + 1.5 for panel in panels]
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(9, 0.36 * sum(heights)),
        height_ratios=heights,
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    for axis, panel in zip(axes[:, 0], panels, strict=True):
        bars = sorted(panel["bars"], key=lambda bar: bar[1])
        names, rates = zip(*bars, strict=True)
        drawn = axis.barh(names, rates, color=[colour(name) for name in names])
        axis.bar_label(drawn, [f"{rate:,.0f}" for rate in rates], padding=4, fontsize=8)
        axis.set_xscale("log")
        axis.set_title(panel["title"], loc="left", fontsize=9, fontweight="bold")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.12)
    # A logarithmic axis has no beginning for bars to stand on: a round number below the slowest.
    slowest = min(rate for panel in panels for _, rate in panel["bars"])
    axes[-1, 0].set_xlim(left=10 ** math.floor(math.log10(slowest / 2)))
    axes[-1, 0].set_xlabel("events a second, one process; logarithmic", fontsize=8)
    figure.savefig(sys.argv[1], dpi=110, metadata={"Software": None})


main()
