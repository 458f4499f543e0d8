"""What labels count for, worked out one by one from the log of outcomes. Plain Python, no columns.

It follows the rules at the top of ``tidegauge.outcomes.join`` in another way than that does: what
counts for a prediction is written down anew with each event of its id, never added and taken back.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

from tidegauge.contract import RegressionTarget, actual_number, class_code


@dataclass
class Guess:
    """A prediction: of a stratum (model, version, variant, groups) by a target."""

    id: str | None
    stratum: tuple
    target: object
    value: float
    predicted: int
    time: int


@dataclass
class Truth:
    """A label: by id, of a model alone if it names one, or with its prediction."""

    id: str | None
    actual: object
    arrived: float
    place: tuple[int, int]
    revision: int = 0
    retracted: bool = False
    model: str | None = None
    guess: Guess | None = None


@dataclass
class _Life:
    guess: Guess
    base: float
    until: float
    brought: bool
    counted: tuple | None = None


@dataclass
class _Register:
    truth: Truth
    number: int
    until: float
    waiting: bool


@dataclass
class Oracle:
    early_seconds: int
    early_labels: int
    lag_seconds: int
    retention: dict[str, int]
    clock: int = 0
    results: Counter = field(default_factory=Counter)
    unused: list = field(default_factory=list)
    joinable: Counter = field(default_factory=Counter)
    duplicates: int = 0
    late: int = 0
    _lives: dict = field(default_factory=dict)
    _ended: list = field(default_factory=list)
    _labels: dict = field(default_factory=dict)
    alone: list = field(default_factory=list)
    _number: int = 0

    def take(self, time: float, events: list) -> None:
        """Take the events of one record."""
        self.clock = max(self.clock, int(time))
        for id in set(self._lives) | set(self._labels):
            self._forget(id)
        for event in events:
            if isinstance(event, Guess):
                self._predict(event, brought=False)
            else:
                self._label(event)

    def counted(self) -> Counter:
        """Return what counts: for each prediction the label that it has."""
        lives = [*self._ended, *(life for lives in self._lives.values() for life in lives)]
        return Counter([*self.alone, *(life.counted for life in lives if life.counted)])

    def _forget(self, id: str) -> None:
        lives = self._lives.get(id, [])
        self._ended += [life for life in lives if life.until < self.clock]
        self._lives[id] = [life for life in lives if life.until >= self.clock]
        for scope, register in list(self._labels.get(id, {}).items()):
            if register.until < self.clock:
                del self._labels[id][scope]
                if register.waiting:
                    self._refuse(register.truth, "unknown")

    def _predict(self, guess: Guess, *, brought: bool) -> None:
        lives = self._lives.setdefault(guess.id, [])
        base = self.clock if brought else guess.time
        until = base + self.retention[guess.stratum[0]] + self.lag_seconds
        if until < self.clock:
            self.late += 1
            return
        for life in lives:
            if life.guess.stratum[:3] == guess.stratum[:3]:
                if brought and not life.brought:
                    life.base, life.until, life.brought = base, until, True
                self.duplicates += not brought
                return
        if not brought:
            self.joinable[guess.stratum, guess.time] += 1
        life = _Life(guess, base, until, brought)
        lives.append(life)
        registers = self._labels.setdefault(guess.id, {})
        its = [
            (it, self._refusal(it.truth, life)) for s, it in registers.items() if _is_of(s, guess)
        ]
        for register, why in its:
            if not why and not register.waiting and register.until < life.until:
                life.base -= life.until - register.until
                life.until, life.brought = register.until, True
        for scope, register in list(registers.items()):
            why = dict((id(it), reason) for it, reason in its).get(id(register))
            if not _is_of(scope, guess) or not register.waiting:
                continue
            if why:
                del registers[scope]
                self._refuse(register.truth, why)
            else:
                self.results["retracted" if register.truth.retracted else "joined"] += 1
                register.waiting, register.until = False, life.until
        self._count(guess.id)

    def _label(self, truth: Truth) -> None:
        self._number += 1
        truth.arrived = max(truth.arrived, self.clock - self.lag_seconds)
        if truth.id is None:
            self._take_alone(truth)
            return
        if truth.guess is not None:
            truth.guess.id = truth.id
            self._predict(truth.guess, brought=True)
        scope = truth.guess.stratum[:3] if truth.guess else truth.model
        registers = self._labels.setdefault(truth.id, {})
        before = registers.get(scope)
        if before and truth.revision <= before.truth.revision:
            same = truth.revision == before.truth.revision
            self.results["duplicate" if same else "stale_revision"] += 1
            return
        lives = [it for it in self._lives.get(truth.id, []) if _is_of(scope, it.guess)]
        if not lives:
            if not before and self.waiting() >= self.early_labels:
                self._refuse(truth, "unknown")
                return
            self.results["corrected" if before else "early"] += 1
            until = self.clock + self.early_seconds
            registers[scope] = _Register(truth, self._number, until, waiting=True)
            return
        reasons = {self._refusal(truth, life) for life in lives}
        if None not in reasons:
            self._refuse(truth, "invalid_class" if "invalid_class" in reasons else "expired")
            return
        until = max(life.until for life in lives)
        had = [self._effective(life) for life in lives]
        registers[scope] = _Register(truth, self._number, until, waiting=False)
        self._count(truth.id)
        if any(self._effective(life) is truth for life in lives):
            result = "joined" if None in had else "corrected"
            self.results["retracted" if truth.retracted else result] += 1
        else:
            same = truth.revision in [it.revision for it in had if it]
            self.results["duplicate" if same else "stale_revision"] += 1

    def _take_alone(self, truth: Truth) -> None:
        life = _Life(truth.guess, math.inf, math.inf, brought=True)
        why = self._refusal(truth, life)
        if why:
            self._refuse(truth, why)
        else:
            self.results["retracted" if truth.retracted else "joined"] += 1
            if not truth.retracted:
                self.alone.append(_entry(truth, truth.guess))

    def waiting(self) -> int:
        """How many labels wait for their predictions."""
        return sum(it.waiting for held in self._labels.values() for it in held.values())

    def _refuse(self, truth: Truth, why: str) -> None:
        self.results[why] += 1
        self.unused.append((*truth.place, why))

    def _refusal(self, truth: Truth, life: _Life) -> str | None:
        if not truth.retracted and _code(life.guess.target, truth.actual) is None:
            return "invalid_class"
        if (
            truth.guess is None
            and truth.arrived > life.base + self.retention[life.guess.stratum[0]]
        ):
            return "expired"
        return None

    def _count(self, id: str) -> None:
        for life in self._lives[id]:
            truth = self._effective(life)
            use = truth and not truth.retracted and not self._refusal(truth, life)
            life.counted = _entry(truth, life.guess) if use else None

    def _effective(self, life: _Life) -> Truth | None:
        """Return the label that a prediction has."""
        its = [
            (register.truth.revision, -register.number, register.truth)
            for scope, register in self._labels.get(life.guess.id, {}).items()
            if _is_of(scope, life.guess) and not register.waiting
        ]
        return max(its, key=lambda it: it[:2])[2] if its else None


def _is_of(scope, guess: Guess) -> bool:
    return scope in (None, guess.stratum[0], guess.stratum[:3])


def _code(target, actual) -> float | None:
    if isinstance(target, RegressionTarget):
        return actual_number(actual)
    return class_code(target, actual)


def _entry(truth: Truth, guess: Guess) -> tuple:
    code = float(_code(guess.target, truth.actual))
    return (guess.stratum, guess.value, guess.predicted, guess.time, code, truth.arrived)
