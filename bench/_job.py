r"""What a contestant is asked to do, handed over as a JSON file; the Java one reads the same file.

A contestant reads all ``records`` records of ``topic``, counts every signal into tumbling windows
of event time, prints ``mark <records so far> <time.time()>`` every ``mark_every`` records and after
the last, and writes its counts to ``result``: ``{"<model>\t<window start>": [counts]}``. The
counts of a signal are its value bins, then the events without it, then those in which it was null.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

#: Counts of each (model, window start, epoch seconds): the signals' counts one after the other.
Counts = Mapping[tuple[str, int], list[int]]


class Signal(msgspec.Struct, kw_only=True, frozen=True):
    """A signal and its bins: ``len(edges) + 1`` of them, or one a category and one for the rest.

    Bin k of a number holds ``edges[k-1]`` ≤ x < ``edges[k]``.
    """

    name: str
    is_feature: bool = True
    edges: list[float] | None = None
    categories: list[str] | None = None

    @property
    def bins(self) -> int:
        """Value bins."""
        return len(self.edges if self.edges is not None else self.categories or ()) + 1

    @property
    def width(self) -> int:
        """Counts: the value bins, absent, null."""
        return self.bins + 2


class Job(msgspec.Struct, kw_only=True, frozen=True):
    """One run of one contestant."""

    servers: str
    topic: str
    partitions: int
    group: str
    records: int
    mark_every: int
    window_seconds: int
    grace_seconds: int
    numeric_only: bool
    signals: list[Signal]
    directory: str
    result: str


def write_job(job: Job, file: Path) -> None:
    """Write the file that the contestant is started with."""
    file.write_bytes(msgspec.json.encode(job))


def read_counts(file: Path) -> Counts:
    """Read what a contestant wrote; raises ``ValueError`` if it isn't counts."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, list[int]])
    except (OSError, msgspec.MsgspecError) as error:
        raise ValueError(f"{file} holds no counts of the contestant: {error}") from error
    counts = {}
    for key, values in found.items():
        model, _, start = key.rpartition("\t")
        counts[model, int(start)] = values
    return counts
