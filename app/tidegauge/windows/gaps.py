"""Gaps between histogram records: which are worth counting again for, and what is lost. No I/O.

A record that no worker wrote may leave a gap that is none. To count a partition again is dear, and
whoever can write to the topic could have it done for ever; so it is done once for a gap, and a few
times only within some time. A gap that stays is lost, unless what is said to be missing comes
after all: the worker whose records tile goes on where it was, as if nothing had been said.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tidegauge.windows.partition import Gap
from tidegauge.windows.values import RawRecord

#: A partition is counted again so often within so many seconds. It takes seconds to minutes, in
#: which nothing else of it is reported.
MOST_RECOUNTS = 3
RECOUNT_SECONDS = 600.0

#: So long, by the clocks of the records, what a gap lacks may come after all: every worker flushes
#: several times in it, also one that has just taken over partitions.
PATIENCE_SECONDS = 30.0

#: Gaps that are remembered, of all partitions.
_MOST = 1_000

#: Which record showed a gap: tenure and number.
_Shown = tuple[str, int]


class _Passed(NamedTuple):
    """A gap that was passed over, by which tenure's record it was shown, and when."""

    gap: Gap
    series: int
    tenure: str
    at: float


class GapBook:
    """What this process knows of the gaps of its partitions."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` is in seconds."""
        self._clock = clock
        #: By partition, when it was counted again.
        self._recounts: dict[int, deque[float]] = {}
        #: By partition, up to where it had been read by then.
        self._read_to: dict[int, int] = {}
        self._counted_again: OrderedDict[_Shown, None] = OrderedDict()
        self._told: OrderedDict[_Shown, None] = OrderedDict()
        self._passed: dict[int, list[_Passed]] = {}
        #: By partition, those that there was no room for.
        self._lost: dict[int, int] = {}

    def read_to(self, partition: int) -> int:
        """Return up to where the partition had been read when it was last counted again, or 0."""
        return self._read_to.get(partition, 0)

    def may_count_again(self, partition: int, record: RawRecord) -> bool:
        """Whether to count a partition again for the gap before a record."""
        if (record.tenure, record.seq) in self._counted_again:
            return False
        recounts = self._recounts.get(partition, deque())
        since = self._clock() - RECOUNT_SECONDS
        return sum(at > since for at in recounts) < MOST_RECOUNTS

    def counts_again(self, partition: int, record: RawRecord) -> None:
        """Note that a partition is counted again for the gap before a record."""
        _keep(self._counted_again, (record.tenure, record.seq))
        self._recounts.setdefault(partition, deque(maxlen=MOST_RECOUNTS)).append(self._clock())

    def begins_again(self, partition: int, next_offset: int) -> None:
        """Note that a partition, which was read to ``next_offset``, is read from its beginning."""
        self._read_to[partition] = max(next_offset, self.read_to(partition))
        self._passed.pop(partition, None)

    def passed(self, partition: int, record: RawRecord, gaps: Sequence[Gap], now: float) -> None:
        """Note that a record is taken though it leaves gaps; ``now`` is by the log's clocks."""
        if (record.tenure, record.seq) in self._told:
            return
        _keep(self._told, (record.tenure, record.seq))
        series = {p: at.series for p, at in record.ranges.items()}
        waiting = self._passed.setdefault(partition, [])
        waiting += [_Passed(gap, series[gap.partition], record.tenure, now) for gap in gaps]
        if len(waiting) > _MOST:  # what is too much to wait for is lost
            self._lost[partition] = self._lost.get(partition, 0) + len(waiting) - _MOST
            del waiting[:-_MOST]

    def heard(self, partition: int, record: RawRecord, now: float) -> int:
        """Return how many gaps are lost for good by now, after a record that was taken.

        Those that it fills, or that another tenure had shown whose place it holds still, are none.
        """
        lost = self._lost.pop(partition, 0)
        waiting = self._passed.get(partition)
        if not waiting:
            return lost
        waiting = [one for one in waiting if not _is_none(one, record)]
        lost += sum(now - one.at >= PATIENCE_SECONDS for one in waiting)
        self._passed[partition] = [one for one in waiting if now - one.at < PATIENCE_SECONDS]
        return lost


def _is_none(passed: _Passed, record: RawRecord) -> bool:
    """Whether a record shows that a gap was none.

    It begins where that does or before, or is of a series before: no worker goes on with what
    another one has gone beyond.
    """
    gap = passed.gap
    at = record.ranges.get(gap.partition)
    if at is None or record.source != gap.source or record.tenure == passed.tenure:
        return False
    return at.series < passed.series or (at.series == passed.series and at.since <= gap.start)


def _keep(known: OrderedDict[_Shown, None], shown: _Shown) -> None:
    known[shown] = None
    if len(known) > _MOST:
        known.popitem(last=False)
