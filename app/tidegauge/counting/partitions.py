"""Which source partitions messages are of: thousands at a time, so by numpy. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tidegauge.contract import RawMessage

#: The partitions of messages, one each; -1 for a message that is of none.
Partitions = npt.NDArray[np.integer]


def partitions_of(messages: Sequence[RawMessage]) -> Partitions:
    """Return the partitions of messages, in their order."""
    found = [message.partition() for message in messages]
    try:
        return np.frombuffer(bytes(found), np.uint8)  # a third of the time that np.array takes
    except (ValueError, TypeError):  # one above 255, or an error of the consumer's of none at all
        return np.array([-1 if it is None else it for it in found], np.int64)


def are_one(partitions: Partitions) -> bool:
    """Whether all are the same, and there is one."""
    return len(partitions) > 0 and bool((partitions == partitions[0]).all())


def last_of(partitions: Partitions) -> dict[int, int]:
    """Return by partition the place of its last message.

    >>> last_of(np.array([3, 0, 3, -1, 0]))
    {-1: 3, 0: 4, 3: 2}
    """
    if not len(partitions):
        return {}
    lowest = int(partitions.min())
    last = np.full(int(partitions.max()) - lowest + 1, -1)
    # Where a partition comes again, the later place is kept: so numpy documents it.
    last[partitions.astype(np.intp) - lowest] = np.arange(len(partitions))
    return {int(p) + lowest: int(last[p]) for p in np.flatnonzero(last >= 0)}
