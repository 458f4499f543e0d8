"""The clock of a source partition: how far its event time has come. One producer can't push it.

Why it is made like this, and what else was tried: docs/adr/0001-clock-of-a-source-partition.md.
"""

from collections import deque
from typing import NamedTuple

import numpy as np

from tidegauge.stats import Floats, Places

#: The latest events that are sampled, and how many of one batch. The events of one producer lie
#: next to each other in a batch, so the last few hundred may all be by one clock.
EVENTS = 1024
BATCH_EVENTS = 32

#: Events that were read so long before the latest batch are left out if there are others: after a
#: backlog, its events are no guide to those that follow.
SECONDS = 10.0
LEAST_EVENTS = 4

#: If a quarter of the events are no older than this when they are read, the traffic is live, and
#: older events are late. An event ahead of the wall is no sign of live traffic: a clock that is
#: ahead writes such events into a backlog as well.
LIVE_SECONDS = 15.0
AHEAD_SECONDS = 1.0

#: The skew is the largest of the last one to two times so many seconds: a scrape may miss less.
SKEW_SECONDS = 60.0

#: Where samples are taken of a batch, by turns. Not at regular places: of nodes that take turns,
#: those might all be one node's.
_PLACES = np.random.default_rng(0).random((64, BATCH_EVENTS))


class _Batch(NamedTuple):
    """A sample of the events of a batch, of which each stands for ``weight`` events."""

    read_at: float
    ages: Floats
    weight: float


class EventClock:
    """Takes in the event times of one source partition; all times are epoch seconds.

    :meth:`note` takes event times, :meth:`read` ends a batch of them, and :meth:`time` returns how
    far event time has come: in live traffic, to the latest event, but not beyond the wall; in a
    backlog or a replay, to a time that three quarters of the latest events have come to. It never
    goes back, and moves with events only. So a clock that is ahead can't push it, unless more than
    three quarters of the events are by such clocks, and then not beyond the wall.
    """

    def __init__(self) -> None:
        #: The largest event time so far, by whatever clock; None before the first event.
        self.latest: float | None = None
        self._time: float | None = None
        self._unread: list[Floats] = []
        #: Times that many events have, and how many.
        self._unread_equal: list[tuple[float, int]] = []
        self._batches: deque[_Batch] = deque()
        self._events = 0
        self._changed = False
        self._turn = 0
        self._skew = self._skew_before = self._skew_since = 0.0

    def note(self, times: Floats) -> None:
        """Take in event times, at least one, of the batch that :meth:`read` ends."""
        self._unread.append(times)

    def note_equal(self, time: float, events: int) -> None:
        """Take in so many events of one time, at least one, as :meth:`note` would."""
        self._unread_equal.append((time, events))

    def read(self, at: float) -> None:
        """End a batch, which was read at ``at`` by the wall; it may be empty."""
        if not (self._unread or self._unread_equal):
            return
        times, ends = self._take_unread()
        newest = float(times.max())
        if self.latest is None or newest > self.latest:
            self.latest = newest
        self._note_skew(newest - at, at)
        events = len(times) if ends is None else int(ends[-1])
        places = self._places(events)
        ages = at - times[places if ends is None else ends.searchsorted(places, side="right")]
        self._batches.append(_Batch(at, ages, events / len(ages)))
        self._events += len(ages)
        self._drop_old(at)
        self._changed = True

    def _take_unread(self) -> tuple[Floats, Floats | None]:
        """Take out what was noted: times, and how many events are of them up to each; None: one.

        They are not laid out by event: a batch of columns has any number of rows in a few bytes.
        """
        parts, ends = self._unread, None
        self._unread = []
        if self._unread_equal:
            equal, counts = zip(*self._unread_equal, strict=True)
            self._unread_equal.clear()
            ones = np.ones(sum(map(len, parts)))
            parts.append(np.array(equal))
            ends = np.concatenate([ones, counts]).cumsum()
        return parts[0] if len(parts) == 1 else np.concatenate(parts), ends

    def _places(self, events: int) -> Places:
        """Return the numbers of the events to sample, of so many."""
        if events <= BATCH_EVENTS:
            return np.arange(events)
        self._turn = (self._turn + 1) % len(_PLACES)
        places: Places = (_PLACES[self._turn] * events).astype(np.intp)
        return places

    def _drop_old(self, at: float) -> None:
        while self._batches:
            oldest = self._batches[0]
            left = self._events - len(oldest.ages)
            is_old = oldest.read_at < at - SECONDS
            if left < (LEAST_EVENTS if is_old else EVENTS):
                return
            self._batches.popleft()
            self._events = left

    def time(self) -> float | None:
        """Return how far event time has come; None before the first event."""
        if self._changed and self.latest is not None:
            self._changed = False
            time = min(self.latest, self._batches[-1].read_at - self._age())
            self._time = time if self._time is None else max(self._time, time)
        return self._time

    def _age(self) -> float:
        """Return how far event time was behind the wall when the latest batch was read."""
        ages = np.concatenate([it.ages for it in self._batches])
        # A batch of ten thousand events has no more samples than one of 32.
        weights = np.repeat(
            [it.weight for it in self._batches], [len(it.ages) for it in self._batches]
        )
        all_events = weights.sum()
        if 4 * weights[(ages >= -AHEAD_SECONDS) & (ages <= LIVE_SECONDS)].sum() >= all_events:
            age = ages.min()
        else:
            order = np.argsort(ages)
            younger = np.cumsum(weights[order])
            at = np.searchsorted(younger, 0.75 * all_events, side="right")
            age = ages[order[min(at, len(ages) - 1)]]
        return max(float(age), 0.0)

    def _note_skew(self, skew: float, at: float) -> None:
        if not 0.0 <= at - self._skew_since < SKEW_SECONDS:
            is_recent = 0.0 <= at - self._skew_since < 2 * SKEW_SECONDS
            self._skew_before = self._skew if is_recent else 0.0
            self._skew, self._skew_since = 0.0, at
        self._skew = max(self._skew, skew)

    def skew(self, now: float) -> float:
        """Return how far event times were ahead of the wall in the last minute or two, seconds."""
        self._note_skew(0.0, now)
        return max(self._skew, self._skew_before)
