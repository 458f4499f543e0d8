"""The tables of docs/detection.md, between two markers, and its plot."""

import json
import subprocess
from collections.abc import Mapping, Sequence

from _detection_calibration import detects
from _detection_packages import EVERY, Row
from _environments import ROOT, python_environment
from _markers import replace_part

DOCUMENT = ROOT / "docs" / "detection.md"
PLOT = ROOT / "docs" / "detection.png"
BEGIN = "<!-- bench/detection.py --write: begin -->"
END = "<!-- bench/detection.py --write: end -->"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(parts: Sequence[str]) -> None:
    """Put the parts where the document has its tables."""
    inside = "\n\n".join(parts)
    DOCUMENT.write_text(replace_part(DOCUMENT.read_text(), BEGIN, END, f"\n{inside}\n"))


def plot(ratios: Mapping[str, float], rows: Sequence[Row]) -> None:
    """Draw delays by drift, and false alarms by setting."""
    delays = [
        {
            "drift": row.drift,
            "tidegauge": row.ours.mean,
            "oracle": row.oracle.mean,
            "peers": {name: it.windows for name, it in row.peers.items() if detects(it, EVERY)},
        }
        for row in rows
    ]
    python = python_environment(ROOT / "bench" / "plot.requirements.txt")
    command = [python, ROOT / "bench" / "_detection_plot.py", PLOT]
    given = json.dumps({"delays": delays, "ratios": dict(ratios)})
    subprocess.run(command, input=given, text=True, check=True)
