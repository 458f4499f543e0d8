"""Finding the one record that ends session after session, so that it can be set aside. Pure.

A backstop: what is known to be wrong with a record is a dead letter or a counted skip. This is for
the exception that nobody thought of, which would otherwise end every session, or the process at
every start, at the same record.
"""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException

#: What brokers and clients say of one record that they will never take, however often it is sent.
_OF_A_RECORD = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
    }
)


def is_of_a_record(error: BaseException) -> bool:
    """Whether a record may have caused an error; an outage of the brokers is of no record.

    >>> is_of_a_record(KeyError("status"))
    True
    >>> is_of_a_record(KafkaException(KafkaError(KafkaError._TRANSPORT)))
    False
    >>> is_of_a_record(KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)))
    True
    """
    if isinstance(error, KafkaException):
        found = error.args[0] if error.args else None
        return isinstance(found, KafkaError) and found.code() in _OF_A_RECORD
    return isinstance(error, Exception) and not isinstance(error, TimeoutError)


class Quarantine:
    """Narrows a batch down to the record at which sessions fail; outlives the sessions.

    A batch that fails twice at the same offsets is halved until one record is left, which is to be
    set aside. ``limit`` is how many records a session may take at once, None for as many as it
    likes. It ends once as many records have passed as were under suspicion.

    >>> quarantine, taken = Quarantine(), []
    >>> while not quarantine.failed({0: 7}, quarantine.limit or 8):
    ...     taken.append(quarantine.limit)
    >>> taken
    [None, 4, 2, 1]
    >>> quarantine.limit is None
    True
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self._begin: Mapping[Any, int] = {}
        #: What the batches that fail there have been halved to.
        self._narrowest: int | None = None
        self._suspects = 0

    def failed(self, begin: Mapping[Any, int], records: int) -> bool:
        """Note that a batch failed; True if its only record is the one to set aside.

        ``begin`` is the first offset of each partition of the batch, which had so many records.
        Call it for errors that :func:`is_of_a_record` alone.
        """
        # Between two failures records of other partitions may pass, so one offset is enough.
        again = bool(begin.items() & self._begin.items())
        self._begin = dict(begin)
        self._suspects = max(self._suspects, records)
        if not again:
            self._narrowest = None
            return False
        if records <= 1:
            self._forget()
            return True
        self.limit = self._narrowest = max(1, min(records, self._narrowest or records) // 2)
        return False

    def passed(self, records: int) -> None:
        """Note that a batch of so many records went through."""
        self._suspects -= records
        if self._suspects <= 0:
            self._suspects, self.limit = 0, None

    def _forget(self) -> None:
        self.limit, self._begin, self._narrowest, self._suspects = None, {}, None, 0
