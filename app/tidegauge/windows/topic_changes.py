"""Whether the topic of histograms is another one by now, or has lost its end. Pure."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

#: ``recreated``: deleted and made again, so that its offsets are of other records. ``truncated``:
#: the brokers lost its end, and what they take now has offsets that were read before.
Change = Literal["recreated", "truncated"]


class Joined(NamedTuple):
    """How far a partition was joined, and the id of the topic that this is of, "" if unknown."""

    next_offset: int
    topic_id: str


class TopicChanges:
    """Compares what the brokers say of a topic with what was joined of it, look after look.

    Kafka's id of a topic never comes back, so another id is proof. A partition that ends before
    what was read of it has to do so twice, and nothing may be read of it in between: a broker that
    has just become its leader may say less for a moment. Brokers that don't tell ids leave it open
    whether it was made anew; the answer is yes then, since that loses nothing.
    """

    def __init__(self) -> None:
        #: By partition that ended before what was read of it at the last look: what was read.
        self._shorter: dict[int, int] = {}
        #: A broker that is behind may still tell the id of a topic that is gone.
        self._past: set[str] = set()

    def of(
        self, topic_id: str, ends: Mapping[int, int], joined: Mapping[int, Joined]
    ) -> dict[int, Change]:
        """Return what happened to which partitions; ``topic_id`` is the present one.

        ``ends`` must have been asked for after ``joined`` was so: an end from before is passed by
        whatever comes meanwhile. A partition that has none is compared by the id alone.

        >>> changes = TopicChanges()
        >>> changes.of("b", {0: 9, 1: 9}, {0: Joined(7, "a"), 1: Joined(7, "b")})
        {0: 'recreated'}
        >>> changes.of("b", {0: 9, 1: 5}, {0: Joined(7, "b"), 1: Joined(7, "b")})
        {}
        >>> changes.of("b", {0: 9, 1: 6}, {0: Joined(7, "b"), 1: Joined(7, "b")})
        {1: 'truncated'}
        """
        shorter = {
            p: it.next_offset
            for p, it in joined.items()
            if ends.get(p, it.next_offset) < it.next_offset
        }
        found: dict[int, Change] = {}
        for partition in sorted(joined):
            known = joined[partition].topic_id
            if topic_id and known and topic_id != known:
                if topic_id not in self._past:
                    self._past.add(known)
                    found[partition] = "recreated"
            elif shorter.get(partition, -1) == self._shorter.get(partition):
                found[partition] = "truncated" if topic_id and known else "recreated"
        self._shorter = {p: read for p, read in shorter.items() if p not in found}
        return found
