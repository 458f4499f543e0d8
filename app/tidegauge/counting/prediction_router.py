"""Which predictions labels may find: entries and counts for the topic of outcomes.

All predictions of a model with a target are counted by score and predicted class; those with an id
become entries, a sample of them where the model has a rate.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from typing import Any, Literal, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from tidegauge.config import ModelOutcomeSettings
from tidegauge.contract import (
    BinaryTarget,
    ClassTarget,
    OutcomeTarget,
    RegressionTarget,
    class_code,
)
from tidegauge.counting.awaited import NO_ID, UNUSABLE_ID, AwaitedColumns, ClassValue, id_hash
from tidegauge.counting.cells import as_float
from tidegauge.counting.decode.reference import LooseEvent
from tidegauge.counting.pending import Codes, Entries, GroupNames, PendingPredictions, StratumKey
from tidegauge.counting.plan import ABSENT_VALUE, NAN_VALUE, NULL_VALUE, Plan
from tidegauge.counting.rows import NONE, Rows, SegmentColumn, code
from tidegauge.outcomes import NONE as NO_CLASS, prediction_bins
from tidegauge.stats import Floats, Places

#: What becomes of a prediction that a label may be sent for; ``not_sampled`` by the model's rate,
#: ``no_topic`` without the topic of outcomes.
Routed = Literal["routed", "no_id", "invalid_id", "not_sampled", "no_topic"]
ROUTED: tuple[Routed, ...] = get_args(Routed)

#: What is wrong with a prediction, which is counted all the same. ``disagreeing``: its label is not
#: what its score and the threshold make.
Fault = Literal[
    "no_score", "invalid_score", "score_out_of_range", "unknown_class", "disagreeing",
    "too_many_groups",
]  # fmt: skip
FAULTS: tuple[Fault, ...] = get_args(Fault)

#: Events that were decoded one by one wait until so many can be added by column.
_LOOSE = 16_384

#: Texts of classes whose codes are remembered of a model version.
_CODES = 10_000

#: Combinations of groups are numbered by a table while so many are possible.
_TABLE = 1 << 16

_Loose = tuple[int, int, float, float, int]


class PredictionRouter:
    """Adds predictions to what a tenure has pending.

    ``groups`` are the dimensions whose values make strata; ``settings_of`` returns the settings of
    a model.
    """

    def __init__(
        self,
        groups: Sequence[str] = (),
        settings_of: Callable[[str], ModelOutcomeSettings] = lambda model: ModelOutcomeSettings(),
    ) -> None:
        self.groups = tuple(sorted(groups))
        # It is asked for with every batch, and makes an object each time.
        self._settings_of = cache(settings_of)
        #: Since the start.
        self.routed = Counter[Routed](dict.fromkeys(ROUTED, 0))
        self.faults = Counter[Fault](dict.fromkeys(FAULTS, 0))
        self._codes: dict[Plan, dict[ClassValue, int]] = {}
        self._loose: dict[StratumKey, list[_Loose]] = {}
        self._waiting = 0

    def add(self, rows: Rows, pending: PendingPredictions) -> None:
        """Add rows as decoders give them, if labels are awaited for their model."""
        plan, awaited = rows.plan, rows.awaited
        if plan.target is None or awaited is None:
            return
        entries = Entries(
            numbers=awaited.numbers.astype(np.uint64, copy=False),
            ids=awaited.ids,
            values=rows.numeric[plan.score_column],
            times=rows.times,
            predicted=self._class_codes(plan, awaited),
        )
        for groups, places in self._by_groups(rows.segments):
            key = StratumKey(plan, rows.variant, groups)
            self._add(key, entries if places is None else entries.at(places), pending)

    def add_event(
        self, plan: Plan, event: LooseEvent, number: int, pending: PendingPredictions
    ) -> None:
        """Add one event of any shape, of the message of this number."""
        if plan.target is None:
            return
        found = {name: event.segment(name) for name in self.groups}
        groups = tuple((name, value) for name, value in found.items() if code(value) == 0)
        loose = number, id_hash(event.id), _score(event.prediction), event.epoch
        key = StratumKey(plan, event.variant or "", groups)
        kept = self._loose.setdefault(key, [])
        kept.append((*loose, self._code(plan, event.label)))
        self._waiting += 1
        if self._waiting >= _LOOSE:
            self.settle(pending)

    def settle(self, pending: PendingPredictions) -> None:
        """Add the events that wait."""
        for key, loose in self._loose.items():
            numbers, ids, values, times, predicted = zip(*loose, strict=True)
            entries = Entries(
                np.array(numbers, np.uint64),
                np.array(ids, np.uint64),
                np.array(values, np.float64),
                np.array(times, np.float64),
                np.array(predicted, np.uint16),
            )
            self._add(key, entries, pending)
        self._loose.clear()
        self._waiting = 0

    def _add(self, key: StratumKey, entries: Entries, pending: PendingPredictions) -> None:
        target = key.plan.target
        assert target is not None  # noqa: S101 - or it was not added
        if not pending.has_room(key):
            self.faults["too_many_groups"] += len(entries.ids)
            key = key._replace(groups=())
        stratum = pending.stratum(key)
        finite = np.isfinite(entries.values)
        if finite.all():
            self._count_faults(target, entries)
        else:
            self._count_missing(entries.values)
            self._count_faults(target, entries.at(finite))
            entries = entries._replace(values=np.where(finite, entries.values, np.nan))
        bins = prediction_bins(target, entries.values, entries.predicted)
        for start, places in self._by_cohort(key.plan.model, entries.times):
            counts = np.bincount(bins if places is None else bins[places])
            pending.add_predicted(stratum, start, counts.astype(np.int64, copy=False))
        pending.add(stratum, self._sampled(key.plan.model, entries))

    def _sampled(self, model: str, entries: Entries) -> Entries:
        """Return the entries that a label by id can find."""
        ids = entries.ids
        usable = ids > UNUSABLE_ID
        if not usable.all():
            self.routed["no_id"] += int(np.count_nonzero(ids == NO_ID))
            self.routed["invalid_id"] += int(np.count_nonzero(ids == UNUSABLE_ID))
        rate = self._settings_of(model).rate
        sampled = usable & is_sampled(ids, rate) if rate < 1 else usable
        routed = int(np.count_nonzero(sampled))
        self.routed["not_sampled"] += int(np.count_nonzero(usable)) - routed
        self.routed["routed"] += routed
        return entries if routed == len(ids) else entries.at(sampled)

    def _count_missing(self, values: Floats) -> None:
        absent = np.isnan(values) | (values == ABSENT_VALUE)
        self.faults["no_score"] += int(np.count_nonzero(absent))
        self.faults["invalid_score"] += int(np.count_nonzero(values == NAN_VALUE))

    def _count_faults(self, target: OutcomeTarget, entries: Entries) -> None:
        values, predicted = entries.values, entries.predicted
        if isinstance(target, RegressionTarget) or not len(values):
            return
        if not 0 <= values.min() <= values.max() <= 1:
            outside = (values < 0) | (values > 1)
            self.faults["score_out_of_range"] += int(np.count_nonzero(outside))
        if isinstance(target, BinaryTarget):
            named = predicted != NO_CLASS
            if named.any():
                disagree = named & (predicted != (values >= target.threshold))
                self.faults["disagreeing"] += int(np.count_nonzero(disagree))

    def _class_codes(self, plan: Plan, awaited: AwaitedColumns) -> Codes:
        if isinstance(plan.target, RegressionTarget) or not awaited.texts:
            return np.full(len(awaited.ids), NO_CLASS, np.uint16)
        codes = [self._known(plan, text) for text in awaited.texts]
        unknown = np.array([*(it is None for it in codes), False])[awaited.classes]
        self.faults["unknown_class"] += int(np.count_nonzero(unknown))
        return np.array([*(NO_CLASS if it is None else it for it in codes), NO_CLASS], np.uint16)[
            awaited.classes
        ]

    def _code(self, plan: Plan, value: Any) -> int:
        """Return the code of the class of one event."""
        if isinstance(plan.target, RegressionTarget) or value is None or value is msgspec.UNSET:
            return NO_CLASS
        found = self._known(plan, value) if isinstance(value, str | int | float) else None
        self.faults["unknown_class"] += found is None
        return NO_CLASS if found is None else found

    def _known(self, plan: Plan, value: ClassValue) -> int | None:
        assert isinstance(plan.target, ClassTarget)  # noqa: S101 - by the callers
        codes = self._codes.setdefault(plan, {})
        # A number and a truth value may be equal keys and are different texts.
        if not isinstance(value, str):
            return class_code(plan.target, value)
        found = codes.get(value)
        if found is None:
            found = class_code(plan.target, value)
            if len(codes) >= _CODES:
                codes.clear()
            codes[value] = -1 if found is None else found
        return None if found == -1 else found

    def leave_out(self, pending: PendingPredictions) -> None:
        """Count that no label will find these predictions: there is no topic to write them to."""
        self.routed["routed"] -= pending.entries
        self.routed["no_topic"] += pending.entries

    def keep(self, plans: Collection[Plan]) -> None:
        """Forget what is remembered of all other plans."""
        self._codes = {plan: codes for plan, codes in self._codes.items() if plan in plans}

    def _by_cohort(
        self, model: str, times: Floats
    ) -> Iterator[tuple[int, npt.NDArray[np.bool_] | None]]:
        """Yield the start of each cohort and which predictions are of it, None for all."""
        seconds = self._settings_of(model).cohort_seconds
        first = int(times.min()) // seconds * seconds
        if times.max() < first + seconds:
            yield first, None
            return
        starts = np.floor(times).astype(np.int64) // seconds * seconds
        for start in np.unique(starts).tolist():
            yield start, starts == start

    def _by_groups(
        self, segments: Sequence[SegmentColumn]
    ) -> Iterator[tuple[GroupNames, npt.NDArray[np.bool_] | None]]:
        """Yield each combination of groups and which rows have it, None for all of them.

        What names no slice names no group: both are as if the dimension weren't there.
        """
        columns = sorted(
            (column for column in segments if column.dimension in self.groups),
            key=lambda column: column.dimension,
        )
        if not columns:
            yield (), None
            return
        keys: Places = np.zeros(len(columns[0].codes), np.intp)
        size = 1
        for column in columns:
            width = len(column.values) + 1
            keys = keys * width + np.maximum(column.codes, NONE) + 1
            size *= width
            if size > _TABLE:  # so that numbers stay small, whatever values there are
                _, keys = np.unique(keys, return_inverse=True)
                size = int(keys.max()) + 1
        found = np.flatnonzero(np.bincount(keys))
        for key in found.tolist():
            places = keys == key
            row = int(np.argmax(places))
            named = ((it.dimension, it.codes[row], it.values) for it in columns)
            groups = tuple((name, str(values[at])) for name, at, values in named if at >= 0)
            yield groups, None if len(found) == 1 else places


def is_sampled(ids: npt.NDArray[np.uint64], rate: float) -> npt.NDArray[np.bool_]:
    """Return which ids are among this share of all, 0 to 1: the same ones everywhere.

    >>> is_sampled(np.array([0, 2**62, 2**63, 2**64 - 1], np.uint64), 0.5)
    array([ True,  True, False, False])
    """
    if rate >= 1:
        return np.ones(len(ids), np.bool_)
    return ids < np.uint64(max(rate, 0.0) * 2.0**64)


def _score(value: Any) -> float:
    """Return the score of one event as columns of numbers have it."""
    if value is msgspec.UNSET:
        return ABSENT_VALUE
    if value is None:
        return NULL_VALUE
    if not isinstance(value, int | float):
        return NAN_VALUE
    number = as_float(value)
    return number if np.isfinite(number) else NAN_VALUE
