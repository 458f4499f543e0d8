"""What becomes of a record that counting fails on in a way that nobody foresaw.

Whatever decoding raises is a dead letter already. This is for what is raised later, by counts of
many records at once: the batch is narrowed down until the record is known, and that one becomes a
dead letter, committed with the offsets as any other.
"""

import traceback
from collections.abc import Mapping, Sequence

from tidegauge.contract import RawMessage
from tidegauge.counting import Position, RefusedError, as_refused
from tidegauge.kafka import Quarantine, is_of_a_record
from tidegauge.telemetry import RecordFaults

#: Of the traceback, from its end: a letter's detail is short.
_TRACE_CHARACTERS = 700


class Backstop:
    """The records of ``topic`` that a worker can't count, over all of its sessions."""

    def __init__(self, topic: str, faults: RecordFaults) -> None:
        self._topic = topic
        self._faults = faults
        self._quarantine = Quarantine()
        #: Why records are set aside, by partition and offset, until that is committed.
        self._aside: dict[tuple[int, int], RefusedError] = {}
        #: Records since the last flush, those of the batch that is being counted included.
        self._records = 0
        self._batch: Sequence[RawMessage] = ()

    @property
    def limit(self) -> int | None:
        """How many records may be counted before a flush, if there is a suspicion."""
        return self._quarantine.limit

    def batch(self, most: int) -> int:
        """Return how many records to take at once."""
        return most if self.limit is None else min(most, self.limit)

    @property
    def flush_is_due(self) -> bool:
        """Whether records wait that should be committed by themselves."""
        return self.limit is not None and self._records > 0

    def take(
        self, messages: Sequence[RawMessage], records: int
    ) -> tuple[Sequence[RawMessage], list[tuple[RawMessage, RefusedError]]]:
        """Note the messages that come next, about so many; return them and those to refuse instead.

        Without a suspicion nothing is asked of each of them: they come by millions.
        """
        if self.limit is not None:
            records = sum(1 for message in messages if message.error() is None)
        self._records += records
        if records:
            self._batch = messages
        if not self._aside:
            return messages, []
        counted, refused = [], []
        for message in messages:
            why = self._aside.get((message.partition(), message.offset()))
            if why is None or message.error() is not None:
                counted.append(message)
            else:
                refused.append((message, why))
        return counted, refused

    def counted(self) -> None:
        """Note that the messages were counted: their memory is needed for the next ones.

        A record that is alone since the last flush may still have to be set aside.
        """
        alone = self._records == 1
        self._batch = [it for it in self._batch if it.error() is None] if alone else ()

    def failed(self, error: Exception, positions: Mapping[int, Position]) -> bool:
        """Note what counting or a flush raised; False if no record can be the reason."""
        records, batch = self._records, self._batch
        self.dropped()
        if not records or not is_of_a_record(error):
            return False
        # A partition that nothing comes of stays where it is, and would make any two failures one.
        read = {message.partition() for message in batch}
        begin = {p: at.since for p, at in positions.items() if at.to > at.since or p in read}
        if self._quarantine.failed(begin, records):
            self._set_aside(next(it for it in batch if it.error() is None), error)
        return True

    def dropped(self) -> None:
        """Note that what was counted since the last flush is dropped, to be counted again."""
        self._records, self._batch = 0, ()

    def committed(self, positions: Mapping[int, Position]) -> None:
        """Note that a flush was committed."""
        if self._records:
            self._quarantine.passed(self._records)
        self.dropped()
        if self._aside:  # a topic that is made anew has these offsets again
            self._aside = {
                (partition, offset): why
                for (partition, offset), why in self._aside.items()
                if partition not in positions or offset >= positions[partition].to
            }

    def _set_aside(self, message: RawMessage, error: Exception) -> None:
        partition, offset = message.partition(), message.offset()
        trace = "".join(traceback.format_exception(error))[-_TRACE_CHARACTERS:]
        refused = as_refused(error, message.value() or b"")
        detail = f"set aside, since counting it failed twice: {refused.detail}\n{trace}"
        self._aside[partition, offset] = RefusedError(refused.reason, detail)
        self._faults.quarantined(f"{self._topic}/{partition} at offset {offset}", error)
