"""The topics that the source has been, one after the other under one name, and their partitions.

Offsets begin anew in each, so wherever a run is judged partitions of the later ones have numbers of
their own. Kafka's id tells which topic a report or a dead letter speaks of.
"""

from collections.abc import Sequence

#: Beyond any partition of a run.
_STEP = 1_000


def numbered(partition: int, topic: int) -> int:
    """Return the number that stands for a partition of the n-th topic, from 0 on.

    >>> numbered(3, 0), numbered(3, 1)
    (3, 1003)
    """
    return partition + _STEP * topic


def partition_name(number: int) -> str:
    """Say which partition a number stands for.

    >>> partition_name(3), partition_name(1003)
    ('partition 3', 'partition 3 of the topic made again')
    """
    topic, partition = divmod(number, _STEP)
    return f"partition {partition}{' of the topic made again' if topic else ''}"


def number_by_id(partition: int, topic_id: str, topic_ids: Sequence[str]) -> int | None:
    """Return the number of a partition by the id of its topic; None if there is no such topic.

    Without any ``topic_ids`` there is one topic, whatever its id.

    >>> number_by_id(3, "b", ["a", "b"]), number_by_id(3, "c", ["a", "b"]), number_by_id(3, "", [])
    (1003, None, 3)
    """
    if not topic_ids:
        return partition
    if topic_id not in topic_ids:
        return None
    return numbered(partition, topic_ids.index(topic_id))
