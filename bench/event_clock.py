"""Compare rules for a source partition's clock on simulated traffic, with skews and backlogs.

Run: ``python bench/event_clock.py``, about a minute, without a broker, the same result every time.
The last line is JSON: of each rule, the worst over all scenarios. What was decided by it is in
docs/adr/0001-clock-of-a-source-partition.md.

Four partitions get events of many serving nodes, some with a wrong clock. Every second each of them
says how far event time has come; a window closes when the least of the four has passed its end and
the grace. Each rule is held against when windows close by the latest event time of the sound nodes
alone.
"""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.counting.event_clock import EventClock

Floats = npt.NDArray[np.float64]

PARTITIONS = 4
WINDOW, GRACE = 60.0, 10.0
START = 1_700_000_040.0  # the beginning of a minute
SECONDS = 600.0


class Arrivals(NamedTuple):
    """Events of one partition in the order of their offsets, times in epoch seconds.

    ``stamps`` are the records' timestamps, ``appended`` is when the brokers took them, ``sound``
    whether the node's clock is right, and ``true`` the event time by a right clock.
    """

    true: Floats
    times: Floats
    stamps: Floats
    appended: Floats
    sound: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scenario:
    """Traffic of ``rate`` events a second (all partitions), and how it reaches the worker.

    ``skews``: share of the traffic and how far its clock is ahead, seconds. ``delay``: events are
    sent up to so long after their time. ``age`` and ``pace``: old events that are sent anew, so
    many times faster than they came. ``outage``: the worker begins so late, and reads
    ``read_rate`` events a second. ``one_partition``: the skewed nodes send to one partition only.
    ``log_append_time``: records have the brokers' timestamps, not those of the producers' clocks.
    ``burst``: so many events, an hour old, in one second of the middle. ``run``: so many events of
    one node in a row, as producers send them in batches. ``worker_ahead``: the worker's own clock.
    """

    name: str
    rate: float = 200.0
    skews: tuple[tuple[float, float], ...] = ()
    delay: float = 1.0
    age: float = 0.0
    pace: float = 1.0
    outage: float = 0.0
    read_rate: float = 20_000.0
    one_partition: bool = False
    log_append_time: bool = False
    burst: int = 0
    run: int = 1
    worker_ahead: float = 0.0

    @property
    def is_live(self) -> bool:
        """Whether windows must not close before their end by the clock on the wall."""
        return not self.age


def arrivals(scenario: Scenario, seed: int) -> list[Arrivals]:
    """Draw the events of each partition."""
    rng = np.random.default_rng(seed)
    count = int(scenario.rate * SECONDS)
    true = np.sort(START + rng.random(count) * SECONDS)
    sent = true + rng.random(count) * scenario.delay
    if scenario.burst:
        middle = START + SECONDS / 2
        true = np.concatenate([true, middle - 3600 + rng.random(scenario.burst)])
        sent = np.concatenate([sent, middle + rng.random(scenario.burst)])
    order = np.argsort(sent, kind="stable")
    true, sent = true[order], sent[order]
    # Nodes are the shares of a circle; a random node sends each run of events.
    partition = rng.integers(PARTITIONS, size=len(true))
    node = np.repeat(rng.random(len(true) // scenario.run + 1), scenario.run)
    if scenario.run > 1:  # in a row within a partition
        order = np.argsort(partition, kind="stable")
        shuffled = np.empty(len(true))
        shuffled[order] = node[: len(true)]
        node = shuffled
    node = node[: len(true)]
    skew, at = np.zeros(len(true)), 0.0
    for share, ahead in scenario.skews:
        skew[(at <= node) & (node < at + share)] = ahead
        at += share
    if scenario.one_partition:
        partition[skew != 0] = 0
    appended = START + (sent - START) / scenario.pace
    stamps = appended if scenario.log_append_time else appended + skew
    made = (true, true + skew - scenario.age, stamps, appended, skew == 0)
    return [Arrivals(*(it[partition == p] for it in made)) for p in range(PARTITIONS)]


def read_times(scenario: Scenario, one: Arrivals) -> Floats:
    """Return when the worker reads each event: as soon as it can."""
    begin = START + scenario.outage
    step = PARTITIONS / scenario.read_rate
    ready = np.maximum(one.appended + 0.02, begin)
    at = np.arange(len(ready)) * step
    return np.maximum.accumulate(ready - at) + at


class Batch(NamedTuple):
    """What a partition read since its last flush, and the clock on the wall when it was read."""

    times: Floats
    stamps: Floats
    read: Floats


class Rule:
    """A partition's clock: takes batches in, and says how far event time has come."""

    def __init__(self) -> None:
        self.clock = -math.inf

    def take(self, batch: Batch) -> None:
        """Take in a batch."""
        self.clock = max(self.clock, self._after(batch))

    def _after(self, batch: Batch) -> float:
        """Return how far event time has come after a batch, by this rule alone."""
        raise NotImplementedError


class Latest(Rule):
    """The latest event time: as it was."""

    def _after(self, batch: Batch) -> float:
        return float(batch.times.max())


class CappedByWorker(Rule):
    """The latest event time, but not after the worker's clock."""

    def _after(self, batch: Batch) -> float:
        return min(float(batch.times.max()), float(batch.read[-1]))


class CappedByTimestamp(Rule):
    """The latest event time, but not after the timestamp of the batch's last record."""

    def _after(self, batch: Batch) -> float:
        return min(float(batch.times.max()), float(batch.stamps[-1]), float(batch.read[-1]))


class QuantileOfTimes(Rule):
    """A quantile of the last event times, but not after the worker's clock."""

    def __init__(self, quantile: float, count: int = 256) -> None:
        super().__init__()
        self.quantile, self.count = quantile, count
        self.last = np.empty(0)

    def _after(self, batch: Batch) -> float:
        self.last = np.concatenate([self.last, batch.times])[-self.count :]
        return min(float(np.quantile(self.last, self.quantile)), float(batch.read[-1]))


class QuantileOfAges(Rule):
    """When the last record was read, less a quantile of how old the last events were then."""

    def __init__(self, quantile: float, count: int = 256) -> None:
        super().__init__()
        self.quantile, self.count = quantile, count
        self.last = np.empty(0)
        self.latest = -math.inf

    def _after(self, batch: Batch) -> float:
        ages = np.minimum(batch.times - batch.read, 0.0)
        self.last = np.concatenate([self.last, ages])[-self.count :]
        self.latest = max(self.latest, float(batch.times.max()))
        came = float(batch.read[-1]) + float(np.quantile(self.last, self.quantile))
        return min(self.latest, came)


class AsBuilt(Rule):
    """What INGEST does: the latest in live traffic, three quarters of the events in old traffic."""

    def __init__(self) -> None:
        super().__init__()
        self.event_clock = EventClock()

    def _after(self, batch: Batch) -> float:
        # INGEST looks at the clock once for a batch, which is read in some hundredths of a second.
        reads = np.ceil(batch.read * 20) / 20
        for read in np.unique(reads):
            self.event_clock.note(batch.times[reads == read])
            self.event_clock.read(float(read))
        return self.event_clock.time() or -math.inf


RULES: dict[str, Callable[[], Rule]] = {
    "latest": Latest,
    "worker": CappedByWorker,
    "timestamp": CappedByTimestamp,
    "times q25": lambda: QuantileOfTimes(0.25),
    "times q50": lambda: QuantileOfTimes(0.5),
    "ages q75": lambda: QuantileOfAges(0.25),
    "ages q50": lambda: QuantileOfAges(0.5),
    "ages q25": lambda: QuantileOfAges(0.75),
    "built": AsBuilt,
}

TENTH, HUNDREDTH, HALF = ((0.1, 120.0),), ((0.01, 240.0),), ((0.5, 120.0),)

SCENARIOS = [
    Scenario("sound"),
    Scenario("sound, 2 events/s", rate=2),
    Scenario("sound, 40 s delay", delay=40),
    Scenario("sound, 40 s delay, 2 events/s", rate=2, delay=40),
    Scenario("a tenth ahead", skews=TENTH),
    Scenario("a tenth ahead, 2 events/s", rate=2, skews=TENTH),
    Scenario("1 % ahead, in one partition", skews=HUNDREDTH, one_partition=True),
    Scenario("half ahead", skews=HALF),
    Scenario("sound, the worker's clock ahead", worker_ahead=120),
    Scenario("sound, the worker's clock behind", worker_ahead=-120),
    Scenario("all ahead", skews=((1.0, 120.0),)),
    Scenario("a tenth behind", skews=((0.1, -900.0),)),
    Scenario("half behind", skews=((0.5, -900.0),)),
    Scenario("ahead and behind", skews=((0.2, 290.0), (0.2, -900.0))),
    Scenario("burst of old events", burst=20_000),
    Scenario("burst of old events, a tenth ahead", burst=20_000, skews=TENTH),
    Scenario("backlog", outage=400),
    Scenario("backlog, 2 events/s", outage=400, rate=2),
    Scenario("backlog, a tenth ahead", outage=400, skews=TENTH, read_rate=2000),
    Scenario("backlog, half ahead", outage=400, skews=HALF, read_rate=2000),
    Scenario("backlog, broker's timestamps, a tenth ahead", outage=400, skews=TENTH,
             read_rate=2000, log_append_time=True),
    Scenario("backlog, a tenth ahead, in runs of 500", outage=400, skews=TENTH, rate=4000,
             read_rate=40_000, run=500),
    Scenario("backlog, a tenth behind", outage=400, skews=((0.1, -900.0),), read_rate=2000),
    Scenario("short backlog, a tenth ahead", outage=100, skews=TENTH, read_rate=2000),
    Scenario("replay", age=10_000),
    Scenario("replay, a tenth ahead", age=10_000, skews=TENTH),
    Scenario("replay, a tenth ahead, 2 events/s", age=10_000, skews=TENTH, rate=2),
    Scenario("replay 40 times as fast, 1 % ahead", age=1000, pace=40, skews=HUNDREDTH),
    Scenario("replay 40 times as fast, a tenth ahead", age=1000, pace=40, skews=TENTH),
    Scenario("replay, half ahead", age=10_000, skews=HALF),
]  # fmt: skip


@dataclass
class Outcome:
    """Of one scenario by one rule.

    ``early``: how long before its end by the wall a window was closed, at most, seconds.
    ``least`` and ``mean``: share of the sound events in a window when it closed. ``late``: how much
    later than with sound clocks a window closed, at most. ``never``: windows that did not close.
    """

    early: float = 0.0
    shares: list[float] = field(default_factory=list)
    late: float = 0.0
    never: int = 0


def closing_times(
    scenario: Scenario, parts: list[Arrivals], make: Callable[[], Rule], *, sound: bool
) -> dict[float, float]:
    """Return by the window's end when it is closed, if it is."""
    reads = [read_times(scenario, one) for one in parts]
    last = max(float(read[-1]) for read in reads)
    ends = START - scenario.age + WINDOW * np.arange(1, int(SECONDS / WINDOW) + 1)
    rules = [make() for _ in parts]
    closed: dict[float, float] = {}
    for now in np.arange(START, last + 2.0):
        for one, read, rule in zip(parts, reads, rules, strict=True):
            begin, end = np.searchsorted(read, [now - 1.0, now])
            some = slice(begin, end)
            if begin == end:
                continue
            kept = one.sound[some] if sound else np.ones(end - begin, dtype=bool)
            if kept.any():
                clock = read[some][kept] + scenario.worker_ahead
                rule.take(Batch(one.times[some][kept], one.stamps[some][kept], clock))
        come = min(rule.clock for rule in rules)
        for end in ends:
            if end not in closed and come >= end + GRACE:
                closed[float(end)] = float(now)
    return closed


def outcome(scenario: Scenario, parts: list[Arrivals], rule: Callable[[], Rule]) -> Outcome:
    """Hold a rule against the traffic with sound clocks."""
    found = Outcome()
    is_all_wrong = not any(one.sound.any() for one in parts)
    expected = closing_times(scenario, parts, Latest, sound=not is_all_wrong)
    closed = closing_times(scenario, parts, rule, sound=False)
    times = np.concatenate([one.times[one.sound | is_all_wrong] for one in parts])
    read = np.concatenate([read_times(scenario, one)[one.sound | is_all_wrong] for one in parts])
    for end, by in expected.items():
        at = closed.get(end)
        if at is None:
            found.never += 1
            continue
        in_window = (end - WINDOW <= times) & (times < end) & (read <= by)
        if in_window.any():
            found.shares.append(float((read[in_window] <= at).mean()))
        if scenario.is_live:
            found.early = max(found.early, end - at)
        found.late = max(found.late, at - by)
    return found


def main() -> None:
    """Simulate, and print a line for each scenario and rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", nargs="*", default=list(RULES), help="only these")
    given = parser.parse_args()
    print(
        f"{'scenario':45} {'rule':11} {'early s':>8} {'least':>6} {'mean':>6} {'late s':>7} never"
    )
    result: dict[str, dict[str, float]] = {}
    for scenario in SCENARIOS:
        parts = arrivals(scenario, seed=1)
        for name in given.rules:
            found = outcome(scenario, parts, RULES[name])
            least, mean = min(found.shares, default=0.0), float(np.mean(found.shares or [0.0]))
            print(
                f"{scenario.name:45} {name:11} {found.early:8.1f} {least:6.3f} {mean:6.3f} "
                f"{found.late:7.1f} {found.never:5}",
                flush=True,
            )
            worst = result.setdefault(name, {"early": 0.0, "least": 1.0, "late": 0.0, "never": 0})
            worst["early"] = max(worst["early"], round(found.early, 1))
            worst["least"] = round(min(worst["least"], least), 3)
            worst["late"] = max(worst["late"], round(found.late, 1))
            worst["never"] += found.never
    print(json.dumps(result))


if __name__ == "__main__":
    main()
