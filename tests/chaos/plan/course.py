"""How a run went apart from its counts: when something was away, who left how, what came when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import NamedTuple

import msgspec

#: A window that was due less than this before something is disturbed is taken to be disturbed too:
#: its report could not be expected by then.
ON_ITS_WAY_SECONDS = 3.0


class Span(NamedTuple):
    """How long a fault lasted, epoch seconds: what it hits is away from ``began`` to ``ended``.

    It was asked to go at ``asked``, to come back at ``ended``, and answered at ``back``.
    """

    what: str
    asked: float
    began: float
    ended: float
    back: float


class Left(NamedTuple):
    """How a worker ended that was asked to: ``seconds`` after SIGTERM, with ``code``.

    The code is negative if it was a signal that ended it.
    """

    name: str
    why: str
    code: int
    seconds: float


class Part(msgspec.Struct):
    """A part of a report, as far as it is judged here."""

    baseline: str
    baseline_age_seconds: float | None


class Report(msgspec.Struct):
    """A report, as far as it is judged here."""

    model: str
    version: str
    variant: str
    window_start: int
    window_end: int
    revision: int
    parts: list[Part]

    def __str__(self) -> str:
        where = "/".join(name for name in (self.model, self.version, self.variant) if name)
        return f"{where} {self.window_start} revision {self.revision}"


class Seen(NamedTuple):
    """A report, and when the broker took it, epoch seconds."""

    report: Report
    at: float


class Delay(NamedTuple):
    """When a window was due (its end and the grace), and how much later its first report came."""

    report: Report
    due: float
    seconds: float

    @property
    def at(self) -> float:
        """When the report came."""
        return self.due + self.seconds


@dataclass(frozen=True)
class Course:
    """What a run was like; event time follows the clock from ``began`` to ``ended`` (epoch)."""

    began: float
    ended: float
    grace_seconds: float
    spans: Sequence[Span]
    left: Sequence[Left]
    #: Ends of workers that nobody saw to, by role, since all were ready.
    restarts: Mapping[str, int]
    reports: Sequence[Seen]

    def delays(self) -> list[Delay]:
        """Return the delay of each window's first report, in the order in which they were due.

        Windows due after the traffic are left out: they close as idle partitions do, seconds later.
        """

        def window(seen: Seen) -> tuple[int, str, str, str]:
            report = seen.report
            return report.window_end, report.model, report.version, report.variant

        found = []
        for (end, *_), copies in groupby(sorted(self.reports, key=window), window):
            first = min(copies, key=lambda seen: seen.at)
            due = end + self.grace_seconds
            if due < self.ended - 1:
                found.append(Delay(first.report, due, first.at - due))
        return found

    def split_delays(self) -> tuple[list[Delay], list[Delay]]:
        """Return the delays of windows due before anything was disturbed, and of all others."""
        disturbed = min((span.asked for span in self.spans), default=self.ended)
        before: list[Delay] = []
        after: list[Delay] = []
        for one in self.delays():
            calm = one.due + ON_ITS_WAY_SECONDS <= disturbed
            (before if calm else after).append(one)
        return before, after


def decode_report(value: bytes, at: float) -> Seen:
    """Read a report that the broker took at ``at``; raises ``msgspec.DecodeError``."""
    return Seen(_decoder.decode(value), at)


_decoder = msgspec.json.Decoder(Report)


def spread(delays: Sequence[Delay]) -> dict[str, float]:
    """Return how many delays there are, their median and the largest, seconds."""
    seconds = [one.seconds for one in delays]
    return {
        "windows": len(seconds),
        "median": round(median(seconds), 1),
        "max": round(max(seconds), 1),
    }
