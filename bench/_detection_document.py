"""The tables of docs/detection.md, between two markers."""

from collections.abc import Sequence
from pathlib import Path

from _markers import replace_part

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "detection.md"
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
