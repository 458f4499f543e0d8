"""Predictions that labels may come for, as a tenure has them since its last flush.

They are committed with the tenure's cells, or dropped with them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.contract import (
    MOST_GROUPS,
    OutcomeTarget,
    PredictedCounts,
    PredictionsRecord,
    SparseCounts,
    Stratum,
    encode,
    outcome_partition,
)
from tidegauge.counting.awaited import Hashes
from tidegauge.counting.plan import Plan
from tidegauge.outcomes import PREDICTION, pack
from tidegauge.stats import Floats, Places

#: Entries of a record: with them it has some 400 kB.
ENTRIES = 12_000

#: Bins of predicted counts in a record, at some 10 bytes each.
_BINS = 30_000

#: Dimension and value of each group that predictions are of.
GroupNames = tuple[tuple[str, str], ...]

Codes = npt.NDArray[np.uint16]


class StratumKey(NamedTuple):
    """What predictions of a stratum share."""

    plan: Plan
    variant: str
    groups: GroupNames


class Entries(NamedTuple):
    """Predictions of one stratum by column, and the numbers of the messages that they came in.

    ``values`` are scores or numbers, NaN without one; ``times`` are epoch seconds.
    """

    numbers: Hashes
    ids: Hashes
    values: Floats
    times: Floats
    predicted: Codes

    def at(self, places: npt.NDArray[np.bool_]) -> "Entries":
        """Return some of them."""
        return Entries._make(column[places] for column in self)


class PendingPredictions:
    """Entries and counts of predictions by stratum, until they are committed."""

    def __init__(self) -> None:
        self._strata: dict[StratumKey, int] = {}
        self._combinations: Counter[str] = Counter()
        #: Strata, numbers of messages, and rows of :data:`PREDICTION` without their stratum. They
        #: are made at once: what comes by column holds all columns of its batch in memory.
        self._entries: list[tuple[int, Hashes, npt.NDArray[np.void]]] = []
        #: By stratum and start of the cohort.
        self._predicted: dict[tuple[int, int], npt.NDArray[np.int64]] = {}

    def __bool__(self) -> bool:
        return bool(self._strata)

    @property
    def entries(self) -> int:
        """How many predictions labels may find."""
        return sum(len(rows) for _, _, rows in self._entries)

    def has_room(self, key: StratumKey) -> bool:
        """Whether a combination of groups has a stratum of its own, or may get one."""
        return (
            key in self._strata
            or not key.groups
            or self._combinations[key.plan.model] < MOST_GROUPS
        )

    def stratum(self, key: StratumKey) -> int:
        """Return the number of a stratum."""
        found = self._strata.get(key)
        if found is None:
            found = self._strata[key] = len(self._strata)
            self._combinations[key.plan.model] += bool(key.groups)
        return found

    def add(self, stratum: int, entries: Entries) -> None:
        """Add predictions that labels may find."""
        if not len(entries.ids):
            return
        rows = np.empty(len(entries.ids), PREDICTION)
        rows["id"], rows["value"], rows["predicted"] = (
            entries.ids,
            entries.values,
            entries.predicted,
        )
        rows["time"] = entries.times  # cut, which is rounded down: no time is before 1970
        self._entries.append((stratum, entries.numbers.copy(), rows))

    def add_predicted(self, stratum: int, cohort_start: int, counts: npt.NDArray[np.int64]) -> None:
        """Add the counts of predictions by bin; ``outcomes.prediction_bins`` numbers the bins."""
        key = (stratum, cohort_start)
        held = self._predicted.get(key)
        self._predicted[key] = counts if held is None else _sum(held, counts)

    def records(self, partitions: int, now: float) -> Iterator[tuple[int, bytes]]:
        """Yield (partition, record) of everything; the same each time.

        Entries of a partition are in the order in which their messages were read, so that of two
        predictions with the same id the first one of a source partition comes first.
        """
        if self._entries:
            yield from self._entry_records(partitions, now)
        yield from self._count_records(partitions, now)

    def _entry_records(self, partitions: int, now: float) -> Iterator[tuple[int, bytes]]:
        names, numbers_of, rows_of = zip(*self._entries, strict=True)
        strata = np.repeat(np.array(names, np.intp), [len(rows) for rows in rows_of])
        numbers, rows = np.concatenate(numbers_of), np.concatenate(rows_of)
        if (numbers[1:] < numbers[:-1]).any():
            order = np.argsort(numbers, kind="stable")
            strata, rows = strata[order], rows_at(rows, order)
        ids, size = rows["id"], np.uint64(partitions)
        # The remainder by numpy takes three times as long.
        destinations = (ids - ids // size * size).astype(np.uint16)
        order = np.argsort(destinations, kind="stable")
        rows, strata = rows_at(rows, order), strata[order]
        ends = np.cumsum(np.bincount(destinations, minlength=partitions)).tolist()
        keys = list(self._strata)
        for partition, (first, end) in enumerate(pairwise([0, *ends])):
            for begin in range(first, end, ENTRIES):
                some = slice(begin, min(begin + ENTRIES, end))
                used, rows["stratum"][some] = named_places(strata[some])
                record = _record(now, [keys[stratum] for stratum in used])
                record.entries = pack(rows[some])
                yield partition, encode(record)

    def _count_records(self, partitions: int, now: float) -> Iterator[tuple[int, bytes]]:
        keys = list(self._strata)
        by_partition: dict[int, list[tuple[int, int]]] = {}
        for stratum, cohort in self._predicted:
            partition = outcome_partition(keys[stratum].plan.model, partitions)
            by_partition.setdefault(partition, []).append((stratum, cohort))
        for partition, its in sorted(by_partition.items()):
            for some in self._split(its):
                strata = list(dict.fromkeys(stratum for stratum, _ in some))
                record = _record(now, [keys[stratum] for stratum in strata])
                record.predicted = [
                    PredictedCounts(
                        stratum=strata.index(stratum),
                        cohort_start=cohort,
                        counts=_sparse(self._predicted[stratum, cohort]),
                    )
                    for stratum, cohort in some
                ]
                yield partition, encode(record)

    def _split(self, its: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        some: list[tuple[int, int]] = []
        size = 0
        for one in its:
            bins = int(np.count_nonzero(self._predicted[one]))
            if some and size + bins > _BINS:
                yield some
                some, size = [], 0
            some.append(one)
            size += bins
        if some:
            yield some


def rows_at(rows: npt.NDArray[np.void], places: Places) -> npt.NDArray[np.void]:
    """Return rows of named columns at these places, as a whole: by column takes ten times as long.

    >>> rows_at(np.array([(1, 2.0), (3, 4.0)], "i4,f8"), np.array([1]))["f1"]
    array([4.])
    """
    whole = rows.view(np.dtype((np.void, rows.dtype.itemsize)))
    return whole.take(places).view(rows.dtype)


def named_places(places: Places) -> tuple[list[int], Places]:
    """Return the places that are named, ascending, and the index among these for each.

    >>> named_places(np.array([7, 2, 7]))
    ([2, 7], array([1, 0, 1]))
    """
    if len(places) and places.min() == places.max():
        return [int(places[0])], np.zeros(len(places), np.intp)
    # By a table: there are few places, and np.unique sorts.
    found = np.flatnonzero(np.bincount(places))
    index = np.zeros(int(found[-1]) + 1 if len(found) else 0, np.intp)
    index[found] = np.arange(len(found))
    return found.tolist(), index[places]


def _record(now: float, keys: Sequence[StratumKey]) -> PredictionsRecord:
    """Make a record with these strata, and no entries yet."""
    targets: list[OutcomeTarget] = []
    strata = []
    for plan, variant, groups in keys:
        assert plan.target is not None  # noqa: S101 - or its predictions were not here
        if plan.target not in targets:
            targets.append(plan.target)
        strata.append(
            Stratum(
                model=plan.model,
                version=plan.version,
                baseline=plan.baseline,
                target=targets.index(plan.target),
                variant=variant,
                groups=dict(groups),
            )
        )
    return PredictionsRecord(time=now, strata=strata, targets=targets)


def _sum(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    if len(one) < len(other):
        one, other = other, one
    one[: len(other)] += other
    return one


def _sparse(counts: npt.NDArray[np.int64]) -> SparseCounts:
    bins = np.flatnonzero(counts)
    return SparseCounts(bins=bins.tolist(), counts=counts[bins].tolist())
