"""What it costs to allow for a change of clocks: three ways, by the mean score of one signal.

    python bench/clock_changes.py

A cycle of 0.2 standard deviations, windows of a minute with 1,000 events; what to expect is known
but for an hour. Memories as in the detector, one threshold of 5.3 standard errors. Seeded.
"""

import argparse

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

import _harness  # noqa: F401 - puts the product on the path
from tidegauge.sequential import LAMBDAS

Floats = npt.NDArray[np.float64]

#: What is added to the variance, in squares of the difference that an hour makes; NEAREST is none,
#: and the nearest mixture of hours in its place.
NEAREST = -1.0
WAYS = {
    "none": 0.0, "a quarter of the difference as dispersion": 1 / 16,
    "a third of it": 1 / 9, "half of it": 1 / 4, "the nearest mixture of hours": NEAREST,
}  # fmt: skip
DRIFTS = (0.1, 0.25)

_CYCLE, _EVENTS, _MINUTES, _THRESHOLD = 0.2, 1_000, 1440, 5.3
_BASELINE_EVENTS = 14 * 60 * _EVENTS * 1.5
_MONTH, _WARM_UP = 43_200, 300


def _level(minutes: Floats) -> Floats:
    return np.asarray(_CYCLE * np.sin(2 * np.pi * minutes / _MINUTES))


def alarms(way: float, off: float, clock: int, runs: int, windows: int) -> npt.NDArray[np.bool_]:
    """Return which windows are in alarm, (runs, windows), from the one on in which clocks change.

    By ``clock`` minutes; then the mean is ``off`` too.
    """
    rng = np.random.default_rng(1)
    minutes = rng.integers(0, _MINUTES, runs)[:, None] + np.arange(_WARM_UP + windows, dtype=float)
    after = np.arange(_WARM_UP + windows) >= _WARM_UP
    noise = rng.normal(size=minutes.shape) / np.sqrt(_EVENTS)
    means = _level(minutes + clock * after) + off * after + noise
    found = np.zeros(minutes.shape, bool)
    for weight in LAMBDAS:
        keep, ones = 1 - weight, np.ones(minutes.shape[1])

        def remembered(values: Floats, keep: float = keep) -> Floats:
            return np.asarray(lfilter([1.0], [1.0, -keep], values))

        total = remembered(ones)
        variance = remembered(ones, keep**2) / total**2 / _EVENTS + 1 / _BASELINE_EVENTS
        seen, own, before, later = (
            remembered(it) / total
            for it in (means, _level(minutes), _level(minutes - 60), _level(minutes + 60))
        )
        hours = np.stack([own, before, later]) - own
        low, high, deviation = hours.min(axis=0), hours.max(axis=0), seen - own
        if way == NEAREST:
            deviation = deviation - np.clip(deviation, low, high)
        else:
            variance = variance + way * np.maximum(-low, high) ** 2
        found |= np.abs(deviation) > _THRESHOLD * np.sqrt(variance)
    return found[:, _WARM_UP:]


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0]).parse_args()
    head = [f"windows to find {it:g}" for it in DRIFTS]
    print(" | ".join(["way", "starts a month after a change of clocks", *head]))
    for name, way in WAYS.items():
        changed = alarms(way, 0.0, 60, 1_000, 2_580)
        starts = int((changed[:, 1:] & ~changed[:, :-1]).sum()) / changed.size * _MONTH
        medians = []
        for off in DRIFTS:
            late = alarms(way, off, 0, 400, _MINUTES)
            delays = np.where(late.any(axis=1), late.argmax(axis=1) + 1, np.inf)
            medians.append(f"{np.median(delays):g}")
        print(" | ".join([name, f"{starts:.2g}", *medians]), flush=True)


if __name__ == "__main__":
    main()
