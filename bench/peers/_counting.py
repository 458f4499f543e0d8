"""What the contestants in Python share: the job, the histograms of an event, marks and results.

Needs the standard library only, so that every contestant's environment has it.
"""

import json
import os
import sys
import time
from bisect import bisect_right
from pathlib import Path
from typing import Any

#: All signals of one model and window: for each its value bins, then absent, then null.
Histograms = list[list[int]]


class Counter:
    """Counts events into lists of lists, as an application of plain Python would."""

    def __init__(self, signals: list[dict[str, Any]]) -> None:
        self._widths = [len(s["edges"] or s["categories"] or ()) + 3 for s in signals]
        self._outputs = [
            (i, s["name"], s["edges"]) for i, s in enumerate(signals) if not s["is_feature"]
        ]
        features = [(i, s) for i, s in enumerate(signals) if s["is_feature"]]
        self._numbers = [(i, s["name"], s["edges"]) for i, s in features if s["edges"] is not None]
        self._categories = [
            (i, s["name"], {name: k for k, name in enumerate(s["categories"])})
            for i, s in features
            if s["categories"] is not None
        ]

    def empty(self) -> Histograms:
        """Return the counts of no events."""
        return [[0] * width for width in self._widths]

    def add_event(self, counts: Histograms, event: dict[str, Any]) -> Histograms:
        """Count an event that was decoded to a dictionary."""
        return self.add(counts, event["prediction"], event["latency_ms"], event["features"])

    def add(
        self, counts: Histograms, prediction: float, latency_ms: float, features: dict[str, Any]
    ) -> Histograms:
        """Count one event; changes and returns ``counts``."""
        for i, name, edges in self._outputs:
            counts[i][bisect_right(edges, prediction if name == "prediction" else latency_ms)] += 1
        for i, name, edges in self._numbers:
            try:
                counts[i][bisect_right(edges, features[name])] += 1
            except KeyError:
                counts[i][-2] += 1
            except TypeError:  # null
                counts[i][-1] += 1
        for i, name, index in self._categories:
            try:
                value = features[name]
            except KeyError:
                counts[i][-2] += 1
                continue
            counts[i][-1 if value is None else index.get(value, len(index))] += 1
        return counts


class Contest:
    """One run: the job from the file named on the command line, its progress and its result."""

    def __init__(self) -> None:
        self.job: dict[str, Any] = json.loads(Path(sys.argv.pop()).read_bytes())
        self.counter = Counter(self.job["signals"])
        self.counts: dict[str, list[int]] = {}
        self.seen = 0
        self._next = self.job["mark_every"]

    def mark(self, records: int = 1) -> bool:
        """Note that records were read; return whether they were the last."""
        self.seen += records
        last = self.seen >= self.job["records"]
        if self.seen >= self._next or last:
            os.write(1, f"mark {self.seen} {time.time()}\n".encode())
            self._next += self.job["mark_every"]
        return last

    def add_window(self, model: str, start: float, counts: Histograms) -> None:
        """Add what one partition counted of one model in one window."""
        flat = [count for signal in counts for count in signal]
        key = f"{model}\t{int(start)}"
        before = self.counts.get(key)
        if before is not None:
            flat = [a + b for a, b in zip(before, flat, strict=True)]
        self.counts[key] = flat

    def finish(self) -> None:
        """Write the counts and end the process; leaving the group is no part of the contest."""
        Path(self.job["result"]).write_text(json.dumps(self.counts))
        os._exit(0)
