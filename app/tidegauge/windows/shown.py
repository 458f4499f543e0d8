"""Which slices have series of their own on ``/metrics``."""

from collections.abc import Callable, Set

Labels = tuple[str, ...]

#: Slices without a baseline that have series of their own, 33 each. The page is some 8 MB then, and
#: rendered in under a second; scrapers take it.
MOST_WITHOUT_BASELINE = 2_000

#: What the others are counted under, all together: no model, so that sums stay right.
OTHERS: Labels = ("", "", "")


class ShownSlices:
    """Names (model, version, variant) of slices with series of their own, by partition.

    Those that were ever counted by a baseline, and of the rest the first so many. ``take_back`` is
    called with a name whose series go.
    """

    def __init__(
        self, take_back: Callable[[Labels], None], most: int = MOST_WITHOUT_BASELINE
    ) -> None:
        self._take_back = take_back
        self._most = most
        self._based: dict[Labels, int] = {}
        self._rest: dict[Labels, int] = {}
        self._left_out: dict[Labels, int] = {}

    @property
    def left_out(self) -> int:
        """How many slices are counted under :data:`OTHERS`."""
        return len(self._left_out)

    def labels(self, name: Labels, partition: int, *, based: bool) -> Labels:
        """Return what a slice is shown under; ``based``: it was counted by a baseline just now."""
        if name in self._based:
            return name
        if based:
            self._rest.pop(name, None)
            self._left_out.pop(name, None)
            self._based[name] = partition
            return name
        if name in self._rest:
            return name
        if len(self._rest) < self._most:
            self._left_out.pop(name, None)
            self._rest[name] = partition
            return name
        self._left_out[name] = partition
        return OTHERS

    def drop(self, name: Labels) -> None:
        """Take the series of a slice back: it was forgotten."""
        self._left_out.pop(name, None)
        if self._based.pop(name, None) is not None or self._rest.pop(name, None) is not None:
            self._take_back(name)

    def owned(self, partitions: Set[int]) -> None:
        """Make room for others, if there is none, of slices that another worker has now.

        Not before: after most rebalances they come back, and a counter should not begin anew.
        """
        for name in [it for it, of in self._left_out.items() if of not in partitions]:
            del self._left_out[name]
        if len(self._rest) >= self._most:
            for name in [it for it, of in self._rest.items() if of not in partitions]:
                self.drop(name)
