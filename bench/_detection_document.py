"""The tables of docs/detection.md, each between two markers, and its plot."""

import json
import subprocess
from collections.abc import Mapping, Sequence

from _detection_calibration import detects
from _detection_packages import EVERY, Row
from _environments import ROOT, python_environment
from _markers import replace_part

DOCUMENT = ROOT / "docs" / "detection.md"
PLOT = ROOT / "docs" / "detection.png"
MARKER = "<!-- bench/detection.py --write, {}: {} -->"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(part: str, texts: Sequence[str]) -> None:
    """Put the tables of a part where the document has it."""
    begin, end = (MARKER.format(part, it) for it in ("begin", "end"))
    inside = "\n\n".join(texts)
    DOCUMENT.write_text(replace_part(DOCUMENT.read_text(), begin, end, f"\n{inside}\n"))


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
