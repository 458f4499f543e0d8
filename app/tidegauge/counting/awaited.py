"""What the decoders keep of events whose labels are awaited, beside the signals.

The native decoder (``native/src/outcomes.rs``) keeps the same; the tests compare them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import xxhash

from tidegauge.stats import Places

#: What stands for no id, and for one that is no text. No text has these hashes, but for a chance of
#: one in 2^63.
NO_ID, UNUSABLE_ID = 0, 1

#: Hashes of ids, and numbers of messages.
Hashes = npt.NDArray[np.uint64]

#: What a class may be in an event.
ClassValue = str | float | bool


def id_hash(id: Any) -> int:
    """Return the hash by which a label finds its prediction: XXH3, 64 bits, of the UTF-8.

    Absent, null and "" are no id. An id that is no text, or of half a surrogate pair, is unusable.

    >>> id_hash("a") == xxhash.xxh3_64_intdigest(b"a"), id_hash(None), id_hash(7)
    (True, 0, 1)
    """
    if id is None or id is msgspec.UNSET or id == "":
        return NO_ID
    if not isinstance(id, str):
        return UNUSABLE_ID
    try:
        return xxhash.xxh3_64_intdigest(id.encode())
    except UnicodeEncodeError:
        return UNUSABLE_ID


class AwaitedColumns(NamedTuple):
    """Of some rows: hashes of ids, the classes in ``label``, and numbers of messages.

    ``classes`` are places in ``texts``, -1 where there is none. The numbers of messages rise as
    they were read, which is the order of each source partition.
    """

    ids: Hashes
    classes: Places
    texts: Sequence[ClassValue]
    numbers: Hashes

    def at(self, places: npt.NDArray[np.bool_]) -> "AwaitedColumns":
        """Return the columns of some of the rows."""
        return AwaitedColumns(
            self.ids[places], self.classes[places], self.texts, self.numbers[places]
        )
