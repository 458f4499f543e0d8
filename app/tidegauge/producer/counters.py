"""The outcome of every event: counters that add up exactly, from any number of threads."""

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

DropReason = Literal[
    "queue_full",
    "unencodable",
    "bad_time",
    "too_large",
    "delivery_failed",
    "closed",
    "arrow_missing",
    "unavailable",
]
REASONS: tuple[DropReason, ...] = get_args(DropReason)

#: Why a feature, an output or a segment is left out of events that are sent, or no receipt given.
LeftOutReason = Literal["bad_value", "bad_column", "duplicate_name", "reserved_name", "no_receipt"]
LEFT_OUT_REASONS: tuple[LeftOutReason, ...] = get_args(LeftOutReason)


@dataclass(frozen=True, slots=True)
class ProducerStats:
    """Events (a batch counts its rows) since this process began to log.

    ``logged`` = ``delivered`` + ``dropped_total`` + ``in_flight``, always. ``delivered`` are those
    that the brokers have acknowledged, ``in_flight`` those of which nothing is known yet.
    ``left_out`` counts values (events times columns) that aren't in the events sent, or that INGEST
    passes over, by reason.
    """

    logged: int
    delivered: int
    dropped: Mapping[DropReason, int]
    left_out: Mapping[LeftOutReason, int] = field(default_factory=dict)

    @property
    def dropped_total(self) -> int:
        """Events dropped for any reason."""
        return sum(self.dropped.values())

    @property
    def in_flight(self) -> int:
        """Events waiting in the queue or for the broker's answer."""
        return self.logged - self.delivered - self.dropped_total


#: Columns whose omission is logged.
MOST_NOTICES = 100


class Tally:
    """A counter whose increment takes no lock: ``next`` of a C iterator can't be interrupted.

    So the serving thread never waits for a thread that was suspended while it held a lock, and a
    signal handler may log too. Reading takes numbers from the same iterator, and deducts them.
    """

    def __init__(self) -> None:
        self._ones = itertools.count()
        self.increment = self._ones.__next__
        self._lock = threading.Lock()
        self._reads = 0
        self._bulk = 0

    def add(self, n: int) -> None:
        """Add n at once; takes a lock."""
        with self._lock:
            self._bulk += n

    @property
    def value(self) -> int:
        """The sum of everything added so far."""
        with self._lock:
            ones = next(self._ones) - self._reads
            self._reads += 1
            return ones + self._bulk


class Counters:
    """The tallies behind :class:`ProducerStats`, and the last detail of each reason for a drop."""

    def __init__(self) -> None:
        self.logged = Tally()
        self.delivered = Tally()
        self._dropped = {reason: Tally() for reason in REASONS}
        self.details: dict[DropReason, str] = {}
        self._left_out = {reason: Tally() for reason in LEFT_OUT_REASONS}
        #: What to log once of columns that were left out, and whether it was.
        self.notices: dict[str, bool] = {}

    def drop(self, reason: DropReason, detail: str, events: int = 1) -> None:
        """Count events as dropped; the detail is kept for the log."""
        self.details[reason] = detail
        if events == 1:
            self._dropped[reason].increment()
        else:
            self._dropped[reason].add(events)

    def leave_out(self, reason: LeftOutReason, detail: str, events: int = 1) -> None:
        """Count values that are left out; each column is logged once, a hundred at most."""
        self._left_out[reason].add(events)
        if detail not in self.notices and len(self.notices) < MOST_NOTICES:
            self.notices[detail] = False

    def take_notices(self) -> list[str]:
        """Return the notices that haven't been logged yet."""
        new = [detail for detail, logged in list(self.notices.items()) if not logged]
        self.notices.update(dict.fromkeys(new, True))
        return new

    def snapshot(self) -> ProducerStats:
        """Return the counts; ``logged`` is read last, so that ``in_flight`` is never negative."""
        delivered = self.delivered.value
        dropped = {reason: tally.value for reason, tally in self._dropped.items()}
        return ProducerStats(
            logged=self.logged.value,
            delivered=delivered,
            dropped=MappingProxyType(dropped),
            left_out=MappingProxyType({it: n.value for it, n in self._left_out.items()}),
        )


class DropReport:
    """Log lines on what was dropped since the last one, at most one a minute for each reason."""

    INTERVAL_SECONDS = 60.0

    def __init__(self, counters: Counters, noun: str) -> None:
        self._counters = counters
        self._noun = noun
        self._reported = dict.fromkeys(REASONS, 0)
        self._next: dict[DropReason, float] = {}

    def lines(self, now: float) -> list[str]:
        """Return one line for each reason with new drops at ``now`` (seconds)."""
        found = []
        for reason, total in self._counters.snapshot().dropped.items():
            new = total - self._reported[reason]
            if new and now >= self._next.get(reason, now):
                self._reported[reason] = total
                self._next[reason] = now + self.INTERVAL_SECONDS
                detail = self._counters.details.get(reason, "")
                found.append(
                    f"dropped {new} {self._noun} event(s), {total} in all: {reason} ({detail})"
                )
        return found
