"""Where counting of a source partition begins when it is assigned. Pure.

A committed offset shows what was counted only if no other program writes it and the topic is the
same. So the metadata of the offset name the topic and how far it was counted. Anything that
contradicts them has a name, a counter and a line in the log.
"""

from typing import Literal, NamedTuple, get_args

import msgspec

from tidegauge.contract import DecodingError, decode

#: What may have happened to the offsets of a source partition.
Break = Literal["recreated", "truncated", "moved_back", "moved_on", "moved_beyond"]
BREAKS: tuple[Break, ...] = get_args(Break)

#: What a broker that has just started may also report for a moment.
DOUBTFUL: frozenset[Break] = frozenset({"recreated", "truncated", "moved_beyond"})

#: DETECT takes no larger offset, nor series, and no longer id of a topic.
LARGEST_OFFSET = 2**62
ID_CHARACTERS = 200


class Counted(msgspec.Struct, kw_only=True, frozen=True):
    """What is known of a source partition: metadata of its committed offset, or its last record.

    ``to`` is the offset up to which it was counted, ``end`` where it ended by then; the rest as in
    ``contract.SourceRange``.
    """

    origin: int
    to: int
    topic_id: str = ""
    series: int = 0
    end: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether a worker can have counted so."""
        largest = max(self.origin, self.to, self.end, self.series)
        return (
            0 <= self.origin <= self.to
            and min(self.end, self.series) >= 0
            and largest < LARGEST_OFFSET
            and len(self.topic_id) <= ID_CHARACTERS
        )

    def metadata(self) -> str:
        """Return what goes with the committed offset."""
        return msgspec.json.encode(self).decode()


def from_metadata(metadata: str | None, offset: int) -> Counted | None:
    """Read what was committed with an offset; None if it is none of ours.

    >>> from_metadata('{"origin": 3, "to": 9, "topic_id": "a"}', 9)
    Counted(origin=3, to=9, topic_id='a', series=0, end=0)
    >>> from_metadata("3", 9)  # of older versions: the origin alone
    Counted(origin=3, to=9, topic_id='', series=0, end=0)
    >>> from_metadata("", 9), from_metadata('{"by": "a tool"}', 9)
    (None, None)
    """
    try:
        found = decode(metadata, Counted | int)
    except DecodingError:
        return None
    counted = found if isinstance(found, Counted) else Counted(origin=found, to=offset)
    return counted if counted.is_sound else None


class Beginning(NamedTuple):
    """Where to begin: at ``begin``, of which what lies before ``low`` is not there any more.

    ``lost`` events were never counted and can't be; ``overlap`` would have been counted twice.
    """

    origin: int
    begin: int
    series: int
    low: int
    lost: int = 0
    overlap: int = 0
    happened: Break | None = None
    detail: str = ""


def last_known(committed: Counted | None, logged: Counted | None, topic_id: str) -> Counted | None:
    """Return what was known last: of the committed offset, or of the log of histograms.

    Both are written in one transaction. But offsets may be restored with their metadata from a
    copy, and brokers have lost the offsets of a transaction whose records they kept.

    >>> before, after = (Counted(origin=0, to=to, topic_id="a") for to in (5, 9))
    >>> last_known(before, after, "a").to, last_known(after, before, "a").to
    (9, 9)
    """

    def order(one: Counted) -> tuple[bool, int, int]:
        return one.topic_id == topic_id, one.series, one.to

    return max((one for one in (committed, logged) if one is not None), key=order, default=None)


def begin_at(
    counted: Counted | None, *, committed: int | None, topic_id: str, low: int, high: int
) -> Beginning:
    """Decide where to begin: ``committed`` is the group's offset, [``low``, ``high``) is there.

    Whatever the group's offset is, nothing that was counted is counted again. What lies beyond
    may be left out by setting the offset forward.
    """
    if counted is None:
        begin = low if committed is None or committed > high else committed
        return _kept(Beginning(begin, begin, 0, low))
    if counted.topic_id and topic_id and counted.topic_id != topic_id:
        return _recreated(counted, low, "is another topic of the same name")
    if counted.to > high:
        if not counted.topic_id:
            detail = f"ends at {high} and was counted to {counted.to}: it must be another topic"
            return _recreated(counted, low, detail)
        # What comes now has offsets that were counted before. An offset below the end contradicts
        # that: the record that says so may be forged, and what lies between is reported as lost.
        left = high - committed if committed is not None and committed < high else 0
        between = f"; {committed} to {high} may never have been counted" if left else ""
        return Beginning(
            high, high, counted.series + 1, low,
            lost=left,
            happened="truncated",
            detail=f"ends at {high}, and was counted to {counted.to}: "
            f"the brokers lost its end{between}",
        )  # fmt: skip
    go_on = Beginning(counted.origin, counted.to, counted.series, low)
    if committed is not None and committed > high:
        go_on = go_on._replace(
            happened="moved_beyond",
            detail=f"the group's offset {committed} is beyond its end {high}; "
            f"counting goes on at {counted.to}",
        )
    elif committed is None or committed < counted.to:
        at = low if committed is None else max(committed, low)
        where = "is gone" if committed is None else f"was set back to {committed}"
        go_on = go_on._replace(
            overlap=max(counted.to - at, 0),
            happened="moved_back",
            detail=f"the group's offset {where}, and records up to {counted.to} were counted; "
            f"counting goes on there",
        )
    elif committed > counted.to:
        return _kept(
            Beginning(
                committed, committed, counted.series + 1, low,
                lost=committed - counted.to,
                happened="moved_on",
                detail=f"the group's offset was set forward by somebody: {counted.to} to "
                f"{committed} are not counted",
            )
        )  # fmt: skip
    return _kept(go_on)


def known_end(counted: Counted | None, its: Beginning, high: int) -> int:
    """Return where a partition ends at least: at ``high``, or as far as a worker has seen it.

    The next owner must pass on what was known: once the topic is gone, the brokers have no answer.
    """
    if counted is None or its.happened in ("recreated", "truncated"):
        return high
    return max(counted.end, high)


def _recreated(counted: Counted, low: int, why: str) -> Beginning:
    lost = max(counted.end - counted.to, 0)
    left = f"; {lost} records of the one before were never counted" if lost else ""
    return _kept(
        Beginning(
            0, 0, counted.series + 1, low,
            lost=lost,
            happened="recreated",
            detail=f"{why}; it is counted from its beginning{left}",
        )
    )  # fmt: skip


def _kept(its: Beginning) -> Beginning:
    """Add what retention has deleted to what is lost."""
    gone = its.low - its.begin
    if gone <= 0:
        return its
    deleted = f"offsets {its.begin} to {its.low} were deleted by retention before they were counted"
    return its._replace(
        lost=its.lost + gone,
        detail=f"{its.detail}; {deleted}" if its.detail else deleted,
    )
