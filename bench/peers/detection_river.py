"""river's drift detectors, fed value by value."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from _answering import answer
from river import drift


def count(streams: str, detector: str, arguments: dict[str, Any]) -> int:
    """Return how many alarms streams give, of a file of (streams, windows, values)."""
    return sum(sum(alarms) for alarms in _alarms(np.load(streams), detector, arguments))


def delays(streams: str, detector: str, arguments: dict[str, Any], before: int) -> list[int | None]:
    """Return in which window after ``before`` each stream's first alarm is; the first is 1."""
    found = []
    for alarms in _alarms(np.load(streams), detector, arguments):
        later = (number for number, here in enumerate(alarms) if number >= before and here)
        first = next(later, None)
        found.append(None if first is None else first - before + 1)
    return found


def _alarms(streams: Any, detector: str, arguments: dict[str, Any]) -> Iterator[Iterator[int]]:
    """Yield of each stream how many alarms there are in each window; missing values are skipped."""
    for windows in streams:
        watching = getattr(drift, detector)(**arguments)
        yield (_of_window(watching, window[~np.isnan(window)].tolist()) for window in windows)


def _of_window(watching: Any, values: list[float]) -> int:
    found = 0
    for value in values:
        watching.update(value)
        found += watching.drift_detected
    return found


answer({"count": count, "delays": delays})
