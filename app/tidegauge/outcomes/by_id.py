"""Ids of which a batch has several events: labels that are sent twice, corrected, or come early.

Each of these ids is folded by itself, event by event; :mod:`tidegauge.outcomes.join` has the rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from tidegauge.outcomes.held import CONTRIBUTION, DEADLINE, PENDING, Held, Result
from tidegauge.outcomes.names import ANY_SCOPE
from tidegauge.outcomes.packed import CARRIED, RETRACTED, Rows
from tidegauge.outcomes.sorted_rows import Found, Ids, SortedRows


class Folded(NamedTuple):
    """What the events add; as ``join.Joined``."""

    labelled: Rows
    joinable: Rows


#: ``place`` of both is where it was found in memory, -1 if it is to be written there.
@dataclass(eq=False, slots=True)
class _Prediction:
    value: float
    time: int
    stratum: int
    predicted: int
    base: int
    until: int
    is_kept: bool
    place: int


@dataclass(eq=False, slots=True)
class _Label:
    scope: int
    actual: float
    arrived: float
    offset: int
    order: int
    revision: int
    partition: int
    text: int
    flags: int
    until: int = 0
    waiting: bool = False
    place: int = -1

    @property
    def is_back(self) -> bool:
        """Whether it takes the outcome back."""
        return bool(self.flags & RETRACTED)


#: Later than any time of the log.
_NEVER = 2**63 - 1


@dataclass(eq=False, slots=True)
class _State:
    """What is held of one id: its predictions by the scope of each, and its labels by scope.

    Anybody can send thousands of both for one id, so that nothing is looked for among all of them.
    """

    id: int
    predictions: dict[int, _Prediction] = field(default_factory=dict)
    labels: dict[int, _Label] = field(default_factory=dict)
    #: Nothing is of no use before.
    least_until: int = _NEVER


def fold_ids(held: Held, ids: Ids, predictions: Rows, labels: Rows, clock: int) -> Folded:
    """Fold the events of ``ids``, which follow on ``clock``, into what is held."""
    fold = IdFold(held)
    states = {id: _State(id) for id in ids.tolist()}
    stores = (held.pending, held.kept, held.labels)
    found = [rows.of_use(rows.find(ids), clock) for rows in stores]
    for place, (id, (value, time, *rest)) in enumerate(_tuples(ids, found[0])):
        fold.hold(states[id], value, time, *rest, base=time, is_kept=False, place=place)
    for place, (id, (value, time, *rest, base)) in enumerate(_tuples(ids, found[1])):
        fold.hold(states[id], value, time, *rest, base=base, is_kept=True, place=place)
    for place, (id, columns) in enumerate(_tuples(ids, found[2])):
        label = _Label(*(*columns, place))
        fold.hold_label(states[id], label)
    n, of_predictions, of_labels = len(predictions), predictions.tolist(), labels.tolist()
    # A prediction comes before the label that has brought it along.
    orders = np.concatenate([2 * predictions["order"], 2 * labels["order"] + 1])
    for at in np.argsort(orders).tolist():
        if at < n:
            id, *event = of_predictions[at]
            fold.take_prediction(states[id], *event)
        else:
            id, *columns, after = of_labels[at - n]
            fold.take_label(states[id], _Label(*columns), after)
    all_states = states.values()
    for rows, its, is_kept in zip(stores[:2], found, (False, True), strict=False):
        held_now = [(it.id, one) for it in all_states for one in it.predictions.values()]
        _write(rows, its, [it for it in held_now if it[1].is_kept == is_kept])
    _write(held.labels, found[2], [(it.id, one) for it in all_states for one in it.labels.values()])
    fold.note_deadlines()
    return Folded(np.array(fold.labelled, CONTRIBUTION), np.array(fold.joinable, PENDING))


def _write(
    rows: SortedRows, found: Found, held: list[tuple[int, _Prediction]] | list[tuple[int, _Label]]
) -> None:
    """Remove the rows found that aren't held any more, and add new ones, which come by id."""
    is_gone = np.ones(len(found.of), np.bool_)
    is_gone[[one.place for _, one in held if one.place >= 0]] = False
    rows.remove(found.only(is_gone))
    new = [(id, one) for id, one in held if one.place < 0]
    row_of = attrgetter(*(rows.kind.names or ()))
    rows.add(
        np.array([id for id, _ in new], np.uint64),
        np.array([row_of(one) for _, one in new], rows.kind),
    )


def _tuples(ids: Ids, found: Found) -> Iterator[tuple[int, tuple[Any, ...]]]:
    return zip(ids[found.of].tolist(), found.rows.tolist(), strict=True)


class IdFold:
    """Takes the events of ids one by one; what each changes is a row of contributions."""

    def __init__(self, held: Held) -> None:
        self._held = held
        columns = held.strata.columns
        self._retention: list[int] = columns.retention.tolist()
        self._targets = columns.target.tolist()
        self._model_scope = columns.model_scope.tolist()
        self._own_scope = columns.own_scope.tolist()
        self._deadlines: list[tuple[int, int, int]] = []
        #: Rows of contributions, and of new predictions.
        self.labelled: list[tuple[Any, ...]] = []
        self.joinable: list[tuple[Any, ...]] = []

    def hold(
        self,
        state: _State,
        value: float,
        time: int,
        stratum: int,
        predicted: int,
        *,
        base: int,
        is_kept: bool,
        place: int = -1,
    ) -> _Prediction:
        """Add a prediction to the state of an id."""
        until = self._until(base, stratum)
        one = _Prediction(value, time, stratum, predicted, base, until, is_kept, place)
        state.predictions[self._own_scope[stratum]] = one
        state.least_until = min(state.least_until, until)
        return one

    def hold_label(self, state: _State, label: _Label) -> None:
        """Add a label to the state of an id, in place of another one of its scope."""
        state.labels[label.scope] = label
        state.least_until = min(state.least_until, label.until)

    def _until(self, base: int, stratum: int) -> int:
        return base + self._retention[stratum] + self._held.limits.lag_seconds

    def take_prediction(
        self,
        state: _State,
        value: float,
        time: int,
        stratum: int,
        predicted: int,
        carried: bool,
        clock: int,
        _order: int,
    ) -> None:
        """Hold a prediction unless it is held already; count the labels that were there first."""
        self._forget(state, clock)
        base = clock if carried else time
        if self._until(base, stratum) < clock:
            self._held.late_predictions += 1
            return
        own = self._own_scope[stratum]
        before = state.predictions.get(own)
        if before is not None:
            if carried and not before.is_kept:
                # With its label it is kept for longer: as it first came, by the label's time.
                del state.predictions[own]
                row = (before.value, before.time, before.stratum, before.predicted)
                self.hold(state, *row, base=base, is_kept=True)
            self._held.duplicate_predictions += not carried
            return
        one = self.hold(state, value, time, stratum, predicted, base=base, is_kept=carried)
        if not carried:
            self.joinable.append((value, time, stratum, predicted))
        self._meet(state, one)
        self.add(one, self._best(state, one), 1)

    def _meet(self, state: _State, one: _Prediction) -> None:
        """Let a new prediction have the labels that were there first."""
        its = self._labels_of(state, one)
        reasons = [self._refusal(label, one) for label in its]
        held = [
            label.until
            for label, why in zip(its, reasons, strict=True)
            if why is None and not label.waiting
        ]
        if held and min(held) < one.until:
            # For as long as the label: what took its place later could not take it back.
            one.base, one.until, one.is_kept = one.base + min(held) - one.until, min(held), True
            state.least_until = min(state.least_until, one.until)
        for label, why in zip(its, reasons, strict=True):
            if not label.waiting:
                continue
            self._held.waiting -= 1
            if why is None:
                label.until, label.waiting, label.place = one.until, False, -1
                state.least_until = min(state.least_until, label.until)
                self._held.results["retracted" if label.is_back else "joined"] += 1
            else:
                self._refuse(label, why)
                del state.labels[label.scope]

    def take_label(self, state: _State, label: _Label, clock: int) -> None:
        """Hold a label if it is better than the one that is held, and count it instead of that."""
        self._forget(state, clock)
        before = state.labels.get(label.scope)
        if before is not None and label.revision <= before.revision:
            same = label.revision == before.revision
            self._held.results["duplicate" if same else "stale_revision"] += 1
            return
        its = self._predictions_of(state, label)
        if not its:
            self._wait(state, label, before, clock)
            return
        reasons = [self._refusal(label, one) for one in its]
        if None not in reasons:
            self._refuse(label, "invalid_class" if "invalid_class" in reasons else "expired")
            return
        bests = [self._best(state, one) for one in its]
        label.until = max(one.until for one in its)
        self.hold_label(state, label)
        afters = [self._best(state, one) for one in its]
        self._held.results[_result(label, bests, afters)] += 1
        for one, best, after in zip(its, bests, afters, strict=True):
            if after is not best:
                self.add(one, best, -1)
                self.add(one, after, 1)

    def _wait(self, state: _State, label: _Label, before: _Label | None, clock: int) -> None:
        limits = self._held.limits
        if before is None:
            if self._held.waiting >= limits.early_labels:
                self._refuse(label, "unknown")
                return
            self._held.waiting += 1
        self._held.results["early" if before is None else "corrected"] += 1
        label.waiting, label.until = True, clock + limits.early_seconds
        self.hold_label(state, label)
        self._deadlines.append((label.until, state.id, label.order))

    def _forget(self, state: _State, clock: int) -> None:
        """Drop what is of no use at a time of the log."""
        if state.least_until >= clock:
            return
        for own, one in list(state.predictions.items()):
            if one.until < clock:
                del state.predictions[own]
        for label in list(state.labels.values()):
            if label.until < clock:
                del state.labels[label.scope]
                if label.waiting:
                    self._held.waiting -= 1
                    self._refuse(label, "unknown")
        left = [one.until for one in state.predictions.values()]
        left += [label.until for label in state.labels.values()]
        state.least_until = min(left, default=_NEVER)

    def _labels_of(self, state: _State, one: _Prediction) -> list[_Label]:
        """Return the labels that are of a prediction, in any order."""
        scopes = (ANY_SCOPE, self._model_scope[one.stratum], self._own_scope[one.stratum])
        return [state.labels[scope] for scope in scopes if scope in state.labels]

    def _predictions_of(self, state: _State, label: _Label) -> list[_Prediction]:
        """Return the predictions that a label is of."""
        one = state.predictions.get(label.scope)
        if one is not None:
            return [one]
        if label.scope == ANY_SCOPE:
            return list(state.predictions.values())
        return [
            it for it in state.predictions.values() if self._model_scope[it.stratum] == label.scope
        ]

    def _refusal(self, label: _Label, one: _Prediction) -> Result | None:
        """Return why a label can't count for a prediction, None if it can."""
        if not label.is_back and self._code(label, one) is None:
            return "invalid_class"
        late = label.arrived > one.base + self._retention[one.stratum]
        return "expired" if late and not label.flags & CARRIED else None

    def _code(self, label: _Label, one: _Prediction) -> float | None:
        code = self._held.actuals.code(self._targets[one.stratum], label.actual, label.text)
        return None if code != code else code

    def _refuse(self, label: _Label, reason: Result) -> None:
        self._held.refuse_one(label.partition, label.offset, label.actual, label.text, reason)

    def _best(self, state: _State, one: _Prediction) -> _Label | None:
        """Return the label that a prediction has."""
        its = [it for it in self._labels_of(state, one) if not it.waiting]
        return max(its, key=lambda it: (it.revision, -it.order), default=None)

    def add(self, one: _Prediction, label: _Label | None, sign: int) -> None:
        """Count a prediction by its label, or take that back by -1."""
        if label is None or label.is_back or self._refusal(label, one) is not None:
            return
        row = (one.value, one.time, one.stratum, one.predicted)
        self.labelled.append((*row, self._code(label, one), label.arrived, sign))

    def note_deadlines(self) -> None:
        """Have the labels that wait be looked for when they have waited too long."""
        if self._deadlines:
            self._held.deadlines.append(np.array(self._deadlines, DEADLINE))


def _result(label: _Label, before: list[_Label | None], after: list[_Label | None]) -> Result:
    """Return what becomes of a label, by the labels that its predictions had and have."""
    if label in after:
        return "retracted" if label.is_back else "joined" if None in before else "corrected"
    same = any(one is not None and one.revision == label.revision for one in before)
    return "duplicate" if same else "stale_revision"
