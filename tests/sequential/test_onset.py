"""The guess of when a change began, in the window in which the detector first sees it."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import ndtr, ndtri

from tidegauge.sequential.budget import Budget
from tidegauge.sequential.engine import Verdict, judge
from tidegauge.sequential.ewma import Memory
from tidegauge.sequential.onset import AGES, age_windows, directions
from tidegauge.sequential.reference import Reference, SignalReference
from tidegauge.sequential.scores import SCORES

Floats = npt.NDArray[np.float64]

EDGES = ndtri(np.array([0.01, 0.05, *np.arange(1, 10) / 10, 0.95, 0.99]))

#: Signals that are watched at once, each of which makes one guess.
SIGNALS = 60


def shares(mean: float = 0.0, deviation: float = 1.0, missing: float = 0.0) -> Floats:
    """Of a normal signal, the share of each bin; the last one is for what is missing."""
    within = np.diff(ndtr((EDGES - mean) / deviation), prepend=0.0, append=1.0)
    return np.append(within * (1 - missing), missing)


def references(rng: np.random.Generator) -> Reference:
    counts = rng.multinomial(100_000, shares(), size=SIGNALS).tolist()
    return Reference.of([SignalReference(its, 14) for its in counts])


def guesses(reference: Reference, verdict: Verdict, rows: npt.NDArray[np.intp]) -> list[int]:
    flat = verdict.surprises.transpose(1, 0, 2).reshape(SIGNALS, -1)[rows]
    spans, scores = np.divmod(flat.argmax(axis=1), len(SCORES))
    counts = verdict.memory.effective()[spans, rows]
    ages = age_windows(verdict.memory, reference, rows, directions(reference, rows, counts, scores))
    return [int(age) for age in ages]


def first_guesses(changed: Floats, *, events: int, before: int) -> tuple[list[int], list[int]]:
    """Return the age of each signal's change when it is first in alarm, and what is guessed."""
    rng = np.random.default_rng(7)
    reference, memory = references(rng), Memory.empty(SIGNALS, 15)
    budget = Budget(SIGNALS / 20, 43_200.0)
    waiting, true, guessed = np.ones(SIGNALS, bool), list[int](), list[int]()
    for window in range(before + 200):
        age = window - before + 1
        now = changed if age > 0 else shares()
        counts = rng.multinomial(events, now, size=SIGNALS).astype(float)
        verdict = judge(reference, memory, counts, budget)
        memory = verdict.memory
        seen = np.flatnonzero(verdict.alarms & waiting) if age > 0 else np.array([], int)
        if len(seen):
            true += [age] * len(seen)
            guessed += guesses(reference, verdict, seen)
            waiting[seen] = False
        if not waiting.any():
            return true, guessed
    raise AssertionError(f"{waiting.sum()} changes were never seen")


@pytest.mark.parametrize(
    ("changed", "events", "before", "within"),
    [
        (shares(mean=0.25), 200, 100, 1),
        (shares(mean=0.25), 1000, 100, 1),
        (shares(mean=0.5), 200, 100, 1),
        (shares(mean=0.1), 200, 100, 4),
        (shares(mean=0.1), 1000, 100, 1),
        (shares(mean=0.1), 200, 20, 4),
        (shares(mean=0.25), 200, 0, 1),
        (shares(deviation=1.1), 1000, 100, 1),
        (shares(missing=0.01), 200, 100, 1),
    ],
    ids=[
        "0.25 sd, n=200", "0.25 sd, n=1000", "0.5 sd, n=200", "0.1 sd, n=200", "0.1 sd, n=1000",
        "0.1 sd, n=200, 20 windows before", "from the first window", "spread", "missing 1 %",
    ],
)  # fmt: skip
def test_half_of_the_guesses_are_off_by_no_more_than_a_few_windows(
    changed: Floats, events: int, before: int, within: int
) -> None:
    true, guessed = first_guesses(changed, events=events, before=before)
    errors = np.array(guessed) - true
    assert np.median(np.abs(errors)) <= within, (true, guessed)
    assert abs(errors.mean()) <= within, "neither early nor late on the whole"


@pytest.mark.parametrize("age", [1, 2, 5, 20, 60, 150, 400])
def test_a_guess_stays_right_as_the_change_grows_old(age: int) -> None:
    rng = np.random.default_rng(8)
    reference, memory = references(rng), Memory.empty(SIGNALS, 15)
    for window in range(200 + age):
        now = shares(mean=0.5 * (window >= 200))
        memory = memory.after(rng.multinomial(1000, now, size=SIGNALS).astype(float))
    every = np.arange(SIGNALS)
    found = age_windows(memory, reference, every, reference.linear)
    expected = min(age, AGES[-1])
    assert float(np.median(found)) == pytest.approx(expected, rel=0.05)


def test_a_guess_never_reaches_further_back_than_what_is_remembered() -> None:
    rng = np.random.default_rng(9)
    reference, memory = references(rng), Memory.empty(SIGNALS, 15)
    for window in range(1, 6):
        counts = rng.multinomial(1000, shares(mean=1.0), size=SIGNALS).astype(float)
        memory = memory.after(counts)
        found = age_windows(memory, reference, np.arange(SIGNALS), reference.linear)
        assert found.max() <= window


def test_a_value_that_the_baseline_never_had_is_dated_too() -> None:
    rng = np.random.default_rng(10)
    reference = Reference.of([SignalReference([500, 500, 0], 0)] * 2)
    memory = Memory.empty(2, 3)
    for window in range(60):
        new = 0.03 * (window >= 55)
        now = [0.5 * (1 - new), 0.5 * (1 - new), new]
        memory = memory.after(rng.multinomial(1000, now, size=2).astype(float))
    rows = np.arange(2)
    counts = memory.effective()[1, rows]
    for score in ("shape", "bin"):
        its = directions(reference, rows, counts, np.full(2, SCORES.index(score)))
        assert np.abs(age_windows(memory, reference, rows, its) - 5).max() <= 1
