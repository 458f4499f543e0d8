"""Labels and their predictions: the state of one partition of outcomes, a fold of its log.

What is counted follows from the log alone, not from how it is cut into batches:

- of predictions of one id, model, version and variant the first in the log counts;
- of labels of one id and scope (all predictions with the id, those of a model, one of them) the
  one with the largest revision counts, of several the first in the log; a retracted one counts
  nothing; of several scopes that hold for a prediction, likewise;
- a label counts for a prediction if it arrived within the retention of its model; one that brings
  its prediction along always does, and is remembered for the retention after it came;
- a label whose predictions haven't come waits for them for ``early_seconds``; once it has found
  one, it counts for those that come later too.

The time of the log is the largest of its records so far. Nothing is asked of a clock, and a row
that is of no use any more at that time does no harm, whenever its memory is freed.

Batches go by columns; ids of which a batch has anything but new predictions and a first label are
folded one by one (:mod:`tidegauge.outcomes.by_id`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tidegauge.contract import PredictedCounts
from tidegauge.outcomes.by_id import fold_ids
from tidegauge.outcomes.events import Events, events_of
from tidegauge.outcomes.held import (
    CONTRIBUTION,
    KEPT,
    PENDING,
    Held,
    JoinLimits,
    Result,
    contributions,
    label_rows,
)
from tidegauge.outcomes.inputs import ReadLabels, ReadPredictions, ReadRecord
from tidegauge.outcomes.names import Strata
from tidegauge.outcomes.packed import RETRACTED, Rows, as_rows
from tidegauge.outcomes.sorted_rows import Ids
from tidegauge.stats import Bools


class Predicted(NamedTuple):
    """Counts of predictions of a stratum, by its number."""

    stratum: int
    counted: PredictedCounts


class Joined(NamedTuple):
    """What records add: labels that count or no longer do, predictions held, and all predictions.

    ``joinable`` are the predictions that labels may find by id from now on.
    """

    labelled: Rows
    joinable: Rows
    predicted: list[Predicted]


class OutcomeJoin:
    """The state of one partition. ``strata`` may be shared by several."""

    def __init__(self, strata: Strata, limits: JoinLimits) -> None:
        self.held = Held(strata, limits)
        #: The time of the log, epoch seconds.
        self.clock = 0
        self._order = 0

    def take(self, records: Sequence[ReadRecord]) -> Joined:
        """Fold records, which follow on those before, and return what they add."""
        entries = sum(len(it.labels.labels) for it in records if isinstance(it, ReadLabels))
        if self.held.waiting + entries <= self.held.limits.early_labels:
            parts = [self._take(records)]
        else:  # who has to leave must not depend on the batches
            parts = [self._take([record]) for record in records]
        return Joined(
            np.concatenate([np.zeros(0, CONTRIBUTION), *(it.labelled for it in parts)]),
            np.concatenate([np.zeros(0, PENDING), *(it.joinable for it in parts)]),
            [one for it in parts for one in it.predicted],
        )

    def settle(self) -> None:
        """Refuse labels that have waited too long, and free the memory of what is of no use."""
        held = self.held
        held.give_up(self.clock)
        for rows in (held.pending, held.kept, held.labels):
            rows.expire(self.clock)
        held.actuals.forget_unused(held.labels.columns("text"))

    def _take(self, records: Sequence[ReadRecord]) -> Joined:
        held = self.held
        events = events_of(
            records,
            held.strata,
            held.actuals,
            clock=self.clock,
            order=self._order,
            most_lag=held.limits.lag_seconds,
        )
        if len(records) == 1:
            held.give_up(max(self.clock, int(records[0].time)))
        several = self._several(events)
        mine, theirs = _apart(events.predictions, several), _apart(events.labels, several)
        joinable = self._add_predictions(mine[0])
        labelled = [self._count_alone(events), self._add_labels(theirs[0])]
        if len(several):
            folded = fold_ids(held, several, mine[1], theirs[1], self.clock)
            labelled.append(folded.labelled)
            joinable = np.concatenate([joinable, folded.joinable])
        predicted: list[Predicted] = []
        for read in records:
            self.clock = max(self.clock, int(read.time))
            if isinstance(read, ReadPredictions):
                self._order += len(read.entries)
                numbers = held.strata.numbers(read.record.strata, read.record.targets)
                predicted += [
                    Predicted(int(numbers[it.stratum]), it) for it in read.record.predicted
                ]
            else:
                self._order += len(read.labels.labels)
        return Joined(np.concatenate(labelled), joinable, predicted)

    def _several(self, events: Events) -> Ids:
        """Return the ids of which there is more than new predictions and then a first label."""
        predictions, labels = events.predictions, events.labels
        own = self.held.strata.columns.own_scope[predictions["stratum"]]
        order = np.lexsort((predictions["order"], own, predictions["id"]))
        of, own = predictions["id"][order], own[order]
        found = [of[1:][(of[1:] == of[:-1]) & (own[1:] == own[:-1])]]
        its = np.lexsort((labels["order"], labels["id"]))
        ids, orders = labels["id"][its], labels["order"][its]
        found.append(ids[1:][ids[1:] == ids[:-1]])
        if len(ids):
            place = np.minimum(np.searchsorted(ids, predictions["id"]), len(ids) - 1)
            is_late = (ids[place] == predictions["id"]) & (orders[place] < predictions["order"])
            found.append(predictions["id"][is_late])
        if len(self.held.labels):
            both = np.unique(np.concatenate([of, ids]))
            labelled = self.held.labels.of_use(self.held.labels.find(both), self.clock)
            found.append(both[labelled.of])
        return np.unique(np.concatenate(found))

    def _add_predictions(self, events: Rows) -> Rows:
        """Hold predictions that aren't held yet, and return those that came by themselves."""
        held = self.held
        base = np.where(events["carried"], events["clock"], events["time"])
        is_new = held.until(events, base) >= events["clock"]
        held.late_predictions += len(events) - int(np.count_nonzero(is_new))
        own = held.strata.columns.own_scope
        ids, first = np.unique(events["id"], return_index=True)
        counts = np.diff(np.append(first, len(events)))
        for rows, base_name in ((held.pending, "time"), (held.kept, "base")):
            found = rows.find(ids)
            for at in range(int(counts[found.of].max()) if len(found.of) else 0):
                # The event number ``at`` of the id of each row.
                its = np.flatnonzero(counts[found.of] > at)
                event, row = first[found.of[its]] + at, found.rows[its]
                same = own[row["stratum"]] == own[events["stratum"][event]]
                same &= held.until(row, row[base_name]) >= events["clock"][event]
                same &= is_new[event]
                its, event, row = its[same], event[same], row[same]
                carried = events["carried"][event]
                held.duplicate_predictions += int(np.count_nonzero(~carried))
                is_new[event] = False
                if rows is held.pending:
                    # With its label it is kept for longer: as it first came, by the label's time.
                    is_new[event[carried]] = True
                    rows.remove(found.only(its[carried]))
                    for name in PENDING.names or ():
                        events[name][event[carried]] = row[name][carried]
        new = events[is_new]
        plain, brought = new[~new["carried"]], new[new["carried"]]
        held.pending.add(plain["id"], as_rows(PENDING, plain))
        kept = as_rows(KEPT, brought)
        kept["base"] = brought["clock"]
        held.kept.add(brought["id"], kept)
        return as_rows(PENDING, plain)

    def _count_alone(self, events: Events) -> Rows:
        """Count labels without id, each of which has its prediction."""
        labels, predictions = events.alone, events.alone_predictions
        held = self.held
        verdicts = held.verdicts(labels, predictions, predictions["time"].astype(np.int64))
        is_back = labels["flags"] & RETRACTED != 0
        held.refuse(labels[verdicts.is_invalid], "invalid_class")
        held.results["retracted"] += int(np.count_nonzero(is_back))
        its = verdicts.counts & ~is_back
        held.results["joined"] += int(np.count_nonzero(its))
        return contributions(predictions[its], verdicts.codes[its], labels["arrived"][its])

    def _add_labels(self, labels: Rows) -> Rows:
        """Hold labels that are the first of their ids, and count them."""
        held, n = self.held, len(labels)
        pairs = held.pairs(labels)
        verdicts = held.verdicts(labels[pairs.of], pairs.predictions, pairs.base)
        is_found = np.bincount(pairs.of, minlength=n) > 0
        counts = np.bincount(pairs.of[verdicts.counts], minlength=n) > 0
        is_invalid = np.bincount(pairs.of[verdicts.is_invalid], minlength=n) > 0
        in_order = np.argsort(labels["order"])
        waiting = np.zeros(n, np.bool_)
        room = held.limits.early_labels - held.waiting
        waiting[in_order[~is_found[in_order]][: max(room, 0)]] = True
        refused: tuple[tuple[Bools, Result], ...] = (
            (~is_found & ~waiting, "unknown"),
            (is_found & ~counts & is_invalid, "invalid_class"),
            (is_found & ~counts & ~is_invalid, "expired"),
        )
        for its, reason in refused:
            held.refuse(labels[in_order[its[in_order]]], reason)
        until = labels["clock"] + held.limits.early_seconds
        until[is_found] = 0
        np.maximum.at(until, pairs.of, pairs.until)
        kept = counts | waiting
        held.labels.add(labels["id"][kept], label_rows(labels, until, waiting)[kept])
        held.wait(labels[waiting])
        held.results["early"] += int(np.count_nonzero(waiting))
        is_back = labels["flags"] & RETRACTED != 0
        held.results["retracted"] += int(np.count_nonzero(counts & is_back))
        held.results["joined"] += int(np.count_nonzero(counts & ~is_back))
        its = verdicts.counts & ~is_back[pairs.of]
        return contributions(
            pairs.predictions[its], verdicts.codes[its], labels["arrived"][pairs.of[its]]
        )


def _apart(events: Rows, ids: Ids) -> tuple[Rows, Rows]:
    """Return the events of other ids, and those of ``ids``; each by id in the order of the log."""
    events = events[np.lexsort((events["order"], events["id"]))]
    if not len(ids):
        return events, events[:0]
    place = np.minimum(np.searchsorted(ids, events["id"]), len(ids) - 1)
    its: Bools = ids[place] == events["id"]
    return events[~its], events[its]
