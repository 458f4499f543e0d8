"""Delays by drift, and false alarms beside the budget; runs in an environment of its own.

``python _detection_plot.py <file.png>`` with ``{"delays": [{"drift": …, "tidegauge": …,
"oracle": …, "peers": {name: windows}}, …], "ratios": {"numeric, d=1, n=200, m=1000": …}}`` as its
input.
"""

import json
import sys

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

OURS, ORACLE = "#0b7285", "#212529"
PEERS = ["#e8590c", "#f08c00", "#868e96", "#adb5bd", "#748ffc", "#b197fc", "#f783ac"]
MARKERS = ["s", "D", "^", "v", "<", ">", "P"]
#: By the baseline's events.
SIZES = {"1000": "#99d8e0", "10000": "#3bb0c0", "100000": OURS}


def main() -> None:
    """Draw both panels."""
    given = json.load(sys.stdin)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 5), width_ratios=[1.5, 1], layout="constrained"
    )
    delays(left, given["delays"])
    ratios(right, given["ratios"])
    for axis in (left, right):
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#e9ecef", linewidth=0.8)
        axis.set_axisbelow(True)
    figure.savefig(sys.argv[1], dpi=110, metadata={"Software": None})


def delays(axis: plt.Axes, rows: list[dict]) -> None:
    """Draw a line a drift, with everyone who saw it."""
    names = sorted({name for row in rows for name in row["peers"]})
    for name, colour, marker in zip(names, PEERS, MARKERS, strict=False):
        points = [(row["peers"][name], i) for i, row in enumerate(rows) if name in row["peers"]]
        axis.scatter(*zip(*points, strict=True), s=34, color=colour, marker=marker, label=name)
    places = range(len(rows))
    axis.scatter(
        [row["oracle"] for row in rows], places, s=110, color=ORACLE, marker="|", label="oracle"
    )
    axis.scatter(
        [row["tidegauge"] for row in rows], places, s=60, color=OURS, label="tidegauge", zorder=3
    )
    axis.set_yticks(places, [row["drift"] for row in rows])
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.set_xlabel(
        "windows until the alarm, all with as many false alarms; logarithmic", fontsize=8
    )
    axis.set_title("How long a drift goes unseen", loc="left", fontsize=9, fontweight="bold")
    axis.legend(fontsize=8, frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.4, -0.1))


def ratios(axis: plt.Axes, by_cell: dict[str, float]) -> None:
    """Draw a line for each kind of signal and number of them, a point for each setting."""
    lines: list[str] = []
    points: dict[str, list[tuple[float, int]]] = {size: [] for size in SIZES}
    for cell, ratio in by_cell.items():
        kind, signals, _, baseline = cell.split(", ")
        line = f"{kind}, {signals.removeprefix('d=')} signals".replace(" 1 signals", " 1 signal")
        if line not in lines:
            lines.append(line)
        points[baseline.removeprefix("m=")].append((ratio, lines.index(line)))
    axis.axvline(1.0, color=ORACLE, linewidth=1)
    for size, its in points.items():
        if its:
            label = f"baseline of {int(size):,}"
            axis.scatter(*zip(*its, strict=True), s=26, color=SIZES[size], label=label)
    axis.set_yticks(range(len(lines)), lines)
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.set_xlabel("false alarms ÷ the number allowed", fontsize=8)
    axis.set_title("False alarms beside the budget", loc="left", fontsize=9, fontweight="bold")
    axis.legend(fontsize=8, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.4, -0.1))


main()
