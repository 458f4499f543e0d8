"""Where a receiver's courier begins to deliver."""

from typing import NamedTuple


class Start(NamedTuple):
    """The offset of the first record to deliver, and what is lost by that, if anything."""

    offset: int
    lost: str | None


def starting_offset(committed: int | None, low: int, high: int) -> Start:
    """Return where to begin in a partition with the records [``low``, ``high``).

    A receiver that is new begins with the next record: nobody wants last year's.

    >>> starting_offset(None, 0, 40).offset
    40
    >>> starting_offset(17, 0, 40)
    Start(offset=17, lost=None)
    >>> starting_offset(17, 30, 40)
    Start(offset=30, lost='offsets 17 to 30 were deleted before they were delivered')
    >>> starting_offset(170, 0, 40).offset
    0
    """
    if committed is None:
        return Start(high, None)
    if committed > high:
        return Start(
            low,
            f"the topic was made anew: it ends at {high}, and {committed} was reached; "
            f"delivering from {low} on",
        )
    if committed < low:
        return Start(
            low,
            f"offsets {committed} to {low} were deleted before they were delivered",
        )
    return Start(committed, None)
