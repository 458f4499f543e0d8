"""Whether there is input that DETECT does not take: what makes a standing worker a stalled one."""

from collections.abc import Mapping


class InputLag:
    """Compares how far the input reaches with how far it has been joined. Pure.

    The end of a partition lies behind the last record by the markers of transactions, so it never
    equals the next offset to join. But if the end moves on and the joining does not, there is lag.
    """

    def __init__(self) -> None:
        #: By partition, the next offset to join and the end as they were when joining last moved.
        self._seen: dict[int, tuple[int, int]] = {}

    def of(self, ends: Mapping[int, int], joined: Mapping[int, int]) -> dict[int, int]:
        """Return by partition how many offsets came since its joining last moved, if any did.

        >>> lag = InputLag()
        >>> lag.of({0: 10}, {0: 8}), lag.of({0: 12}, {0: 10}), lag.of({0: 20}, {0: 10})
        ({}, {}, {0: 8})
        """
        self._seen = {
            p: seen if (seen := self._seen.get(p)) and seen[0] == joined[p] else (joined[p], end)
            for p, end in ends.items()
        }
        waiting = {p: end - self._seen[p][1] for p, end in ends.items()}
        return {p: n for p, n in waiting.items() if n > 0}


def shortened(ends: Mapping[int, int], joined: Mapping[int, int]) -> list[str]:
    """Say which partitions end before what was joined of them: made anew, or their end was lost.

    >>> shortened({0: 7, 1: 12}, {0: 7, 1: 40})
    ['partition 1 ends at 12 and was read to 40']
    """
    return [
        f"partition {p} ends at {end} and was read to {joined[p]}"
        for p, end in sorted(ends.items())
        if end < joined[p]
    ]
