"""Records of the topic of outcomes on which the join fails because of a bug: they are set aside."""

from collections.abc import Iterator, Sequence

from tidegauge.kafka import Message, SessionError, is_of_a_record, place_of
from tidegauge.telemetry import RecordFaults


class JoinBackstop:
    """What sessions of a worker know of such records; it outlives them.

    A join that has failed holds part of a batch, so its session ends, and nothing of it is
    committed. The next one reads the partition back and goes record by record, to the one that
    fails; those after it leave that one out. The join doesn't depend on batches, so every worker
    finds the same records.
    """

    def __init__(self, faults: RecordFaults) -> None:
        self.faults = faults
        self._one_by_one = False
        self._aside: set[tuple[str, int | None, int | None]] = set()

    def batches(self, topic_id: str, messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
        """Yield the messages to be joined, as many at once as may be."""
        if self._aside:
            messages = [it for it in messages if _name(topic_id, it) not in self._aside]
        if not self._one_by_one:
            yield messages
            return
        for at in range(len(messages)):
            yield messages[at : at + 1]

    def failed(self, topic_id: str, messages: Sequence[Message], error: Exception) -> SessionError:
        """Note that joining messages failed; return what ends the session.

        Raises ``error`` if no record can be the reason.
        """
        if not messages or isinstance(error, MemoryError) or not is_of_a_record(error):
            raise error
        place = place_of(messages[0])
        if self._one_by_one:
            self._one_by_one = False
            self._aside.add(_name(topic_id, messages[0]))
            self.faults.quarantined(place, error)
        else:
            self._one_by_one = True
        return SessionError(f"joining from {place} on failed: {type(error).__name__}: {error}")


def _name(topic_id: str, message: Message) -> tuple[str, int | None, int | None]:
    return topic_id, message.partition(), message.offset()
