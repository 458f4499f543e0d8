"""From what was seen of a run to its figures; pure, so that it can be tested without a broker."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median

from _job import Counts

#: This share of the events, at the beginning, warms everybody up and is not in any rate.
WARM_UP = 0.4

#: Names in the last line of output, of what our rate is divided by.
RATIOS = {
    "kafka_streams": "kafka_streams",
    "naive_faust": "naive_faust",
    "quix_streams": "quix_streams",
    "bytewax": "bytewax",
    "limit": "decode_only",
}


#: A stretch of less time has so few marks, of which ours come once a second, that its rate says
#: little.
LEAST_SECONDS = 4.0


class TooShortError(ValueError):
    """A run was over before there was enough of it to measure."""


class WrongCountsError(Exception):
    """A contestant didn't count what numpy counts: its time means nothing."""


@dataclass(frozen=True)
class Mark:
    """So many events were counted at this time, epoch seconds."""

    events: int
    time: float


@dataclass(frozen=True)
class Sample:
    """What the operating system said of a process at a time: CPU seconds and peak memory so far."""

    time: float
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Figures:
    """One run, or the medians of several: events a second, a CPU second, and peak megabytes."""

    per_second: float
    per_cpu_second: float
    cpu_seconds: float
    megabytes: float

    @property
    def seconds(self) -> float:
        """How long the stretch took that the rates are of."""
        return self.cpu_seconds * self.per_cpu_second / self.per_second


def longer(found: Figures | None) -> int:
    """Return how many times as many events are needed, after a first run; None: it was too short.

    >>> longer(Figures(per_second=800, per_cpu_second=400, cpu_seconds=3, megabytes=90))
    3
    """
    if found is None:
        return 4
    return math.ceil(LEAST_SECONDS / found.seconds)


def figures(marks: Sequence[Mark], samples: Sequence[Sample], events: int) -> Figures:
    """Return the figures of a run over the stretch between warm-up and the end of ``events``.

    The stretch ends at the last mark before the end of the stream: who reports once a second would
    otherwise be charged for waiting until it says that it is done. Raises :class:`TooShortError`
    where there are too few marks, ``ValueError`` where samples don't span it.
    """
    within = [mark for mark in marks if WARM_UP * events <= mark.events < events]
    if len(within) < 2 or within[0].events == within[-1].events:
        raise TooShortError(
            f"{len(within)} marks between {WARM_UP:.0%} and the end of {events} events, "
            "2 are needed; use more events"
        )
    first, last = within[0], within[-1]
    done, seconds = last.events - first.events, last.time - first.time
    cpu = _cpu_at(samples, last.time) - _cpu_at(samples, first.time)
    if seconds <= 0 or cpu <= 0:
        raise TooShortError(f"{done} events in {seconds} s and {cpu} s of CPU; use more events")
    return Figures(
        per_second=done / seconds,
        per_cpu_second=done / cpu,
        cpu_seconds=cpu,
        megabytes=max(sample.peak_bytes for sample in samples) / 1e6,
    )


def _cpu_at(samples: Sequence[Sample], time: float) -> float:
    """CPU seconds at a time between two samples, on the straight line that joins them."""
    if len(samples) < 2 or not samples[0].time <= time <= samples[-1].time + 1:
        raise ValueError(f"no sample of the process around {time}")
    for before, after in pairwise(samples):
        if time <= after.time:
            share = (time - before.time) / (after.time - before.time)
            return before.cpu_seconds + share * (after.cpu_seconds - before.cpu_seconds)
    return samples[-1].cpu_seconds


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return Figures(**{name: median(asdict(run)[name] for run in runs) for name in asdict(runs[0])})


def check_counts(found: Counts, expected: Counts, who: str) -> None:
    """Raise :class:`WrongCountsError` unless every window of every model is counted as expected.

    Windows after the last expected one are of the closing events and are not compared.
    """
    end = max(start for _, start in expected)
    for key in sorted(expected.keys() | found.keys()):
        if key[1] > end:
            continue
        ours, theirs = expected.get(key), found.get(key)
        if ours == theirs:
            continue
        model, start = key
        if ours is None or theirs is None or len(ours) != len(theirs):
            raise WrongCountsError(
                f"{who}: window {start} of {model} has {theirs and len(theirs)} counts, "
                f"expected {ours and len(ours)}"
            )
        at = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
        raise WrongCountsError(
            f"{who}: window {start} of {model}, count {at}: {theirs[at]}, expected {ours[at]}; "
            f"all of the window: {sum(theirs)}, expected {sum(ours)}"
        )


def ratios(rates: Mapping[str, float], ours: str = "tidegauge_json") -> dict[str, float]:
    """Return our rate divided by each other's that was measured.

    >>> ratios({"tidegauge_json": 300.0, "kafka_streams": 150.0, "decode_only": 600.0})
    {'kafka_streams': 2.0, 'limit': 0.5}
    """
    if ours not in rates:
        return {}
    return {
        name: round(rates[ours] / rates[who], 3) for name, who in RATIOS.items() if who in rates
    }
