"""The results as a table, as the last line of output, and as a part of docs/performance.md."""

import datetime
import json
import os
import platform
import re
import subprocess
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import confluent_kafka
import psutil

from _environments import PEERS, ROOT, python_environment
from _markers import replace_part
from _tally import Figures, ratios

DOCUMENT = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "performance.png"
BEGIN, END = "<!-- bench/compare.py --write: begin -->", "<!-- bench/compare.py --write: end -->"

_HEAD = ("", "events/s", "lowest to highest", "events/CPU s", "peak MB", "tidegauge ÷ it")


@dataclass(frozen=True)
class Row:
    """A contestant's medians on a workload, and the runs that they are of."""

    name: str
    title: str
    events: int
    figures: Figures
    runs: Sequence[Figures]


@dataclass(frozen=True)
class Section:
    """A workload's rows; ``bytes_per_event`` is of the record's value, uncompressed."""

    name: str
    title: str
    bytes_per_event: float
    compression: str
    runs: int
    rows: Sequence[Row]

    @property
    def rates(self) -> dict[str, float]:
        """Events a second by contestant."""
        return {row.name: row.figures.per_second for row in self.rows}


def summary(sections: Sequence[Section], missing: Mapping[str, str]) -> dict[str, Any]:
    """Return the last line of output; ``ratios`` and ``rates`` are the first section's."""
    each = {
        section.name: {
            "ratios": ratios(section.rates),
            "rates": {name: round(rate) for name, rate in section.rates.items()},
            "per_cpu_second": {r.name: round(r.figures.per_cpu_second) for r in section.rows},
            "peak_mb": {r.name: round(r.figures.megabytes) for r in section.rows},
            "bytes_per_event": round(section.bytes_per_event),
        }
        for section in sections
    }
    first = each[sections[0].name]
    return {
        "ratios": first["ratios"],
        "rates": first["rates"],
        "runs": sections[0].runs,
        "counts_equal": True,  # a contestant that counts otherwise ends the benchmark
        "missing": dict(missing),
        "workloads": each,
    }


def cells(section: Section) -> list[tuple[str, ...]]:
    """Return the rows of a section's table as text."""
    ours = next((row for row in section.rows if row.name.startswith("tidegauge")), None)
    table = []
    for row in section.rows:
        rates = [run.per_second for run in row.runs]
        ratio = "" if ours is None or ours is row else _ratio(ours.figures, row.figures)
        table.append(
            (
                row.title,
                f"{row.figures.per_second:,.0f}",
                f"{min(rates):,.0f} to {max(rates):,.0f}",
                f"{row.figures.per_cpu_second:,.0f}",
                f"{row.figures.megabytes:,.0f}",
                ratio,
            )
        )
    return table


def _ratio(ours: Figures, theirs: Figures) -> str:
    ratio = ours.per_second / theirs.per_second
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2f}"


def as_text(sections: Sequence[Section]) -> str:
    """Return all tables for a terminal."""
    lines = []
    for section in sections:
        lines += ["", f"{section.title} ({_about(section)})"]
        table = [_HEAD, *cells(section)]
        widths = [max(len(line[i]) for line in table) for i in range(len(_HEAD))]
        for line in table:
            first, *others = line
            lines.append(
                "  ".join(
                    [
                        first.ljust(widths[0]),
                        *(text.rjust(w) for text, w in zip(others, widths[1:], strict=True)),
                    ]
                )
            )
    return "\n".join(lines)


def as_markdown(sections: Sequence[Section], missing: Mapping[str, str], about: str) -> str:
    """Return the generated part of the document, without its markers."""
    lines = [textwrap.fill(about, 100), "", f"![Events a second of every contestant]({PLOT.name})"]
    for section in sections:
        title = section.title[0].upper() + section.title[1:]
        lines += ["", f"### {title}", "", f"{_about(section)}.", ""]
        lines += [f"| {' | '.join(_HEAD)} |", "|---" + "|---:" * (len(_HEAD) - 1) + "|"]
        lines += [f"| {' | '.join(line)} |" for line in cells(section)]
    for title, why in missing.items():
        lines += ["", f"Not run: {title}: {why.splitlines()[0]}"]
    return "\n".join(lines)


def _about(section: Section) -> str:
    events = sorted({row.events for row in section.rows}, reverse=True)
    fewer = {row.events: row.title.split(",")[0] for row in section.rows}
    parts = [f"{events[0]:,} events"] + [f"{n:,} for {fewer[n]}" for n in events[1:]]
    return (
        f"{', '.join(parts)}; {section.bytes_per_event:,.0f} bytes an event, "
        f"{section.compression}; "
        + (f"medians of {section.runs} runs" if section.runs > 1 else "one run")
    )


def write(sections: Sequence[Section], missing: Mapping[str, str], *, command: str) -> None:
    """Put tables and plot into docs/; raises ``ValueError`` without the markers."""
    document = replace_part(
        DOCUMENT.read_text(), BEGIN, END, as_markdown(sections, missing, about_machine(command))
    )
    bars = [
        {"title": section.title, "bars": [[r.title, r.figures.per_second] for r in section.rows]}
        for section in sections
    ]
    python = python_environment(ROOT / "bench" / "plot.requirements.txt")
    subprocess.run(
        [python, ROOT / "bench" / "_plot.py", PLOT], input=json.dumps(bars), text=True, check=True
    )
    DOCUMENT.write_text(document)


def about_machine(command: str) -> str:
    """Say what was measured with, where and when."""
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    names = ("quix_streams", "faust_naive", "bytewax_flow")
    peers = [_pinned(name) for name in names] + [f"Kafka Streams {_streams_version()}"]
    return (
        f"Measured on {datetime.datetime.now(datetime.UTC):%Y-%m-%d} by `{command}`: "
        f"{os.cpu_count()} cores ({_processor()}), "
        f"{psutil.virtual_memory().total / 2**30:.0f} GB, {platform.system()} "
        f"{platform.release()}, shared with the broker (Kafka {_broker_version()}); "
        f"Python {platform.python_version()}, librdkafka {confluent_kafka.libversion()[0]}, "
        f"numpy {version('numpy')}, msgspec {version('msgspec')}, {java.splitlines()[0]}; "
        f"{', '.join(peers)}."
    )


def _processor() -> str:
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()


def _pinned(script: str) -> str:
    """Name a peer with its version: the one requirement that the script is about."""
    package = {"faust_naive": "faust-streaming", "bytewax_flow": "bytewax"}.get(
        script, "quixstreams"
    )
    text = (PEERS / f"{script}.requirements.txt").read_text()
    found = re.search(rf"^{package}==(\S+)$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{script}.requirements.txt names no version of {package}")
    return f"{package} {found[1]}"


def _streams_version() -> str:
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    # The file is the project's own.
    pom = ElementTree.parse(PEERS / "kafka-streams" / "pom.xml")  # noqa: S314
    for dependency in pom.iterfind(".//m:dependency", space):
        if dependency.findtext("m:artifactId", namespaces=space) == "kafka-streams":
            return dependency.findtext("m:version", default="", namespaces=space)
    raise ValueError("kafka-streams/pom.xml names no kafka-streams")


def _broker_version() -> str:
    (jar,) = (ROOT / ".cache").glob("kafka-*/kafka_2.13-*.jar")
    return jar.stem.rpartition("-")[2]
