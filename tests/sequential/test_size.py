"""How big a change is said to be, however long ago it began."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import ndtr, ndtri

from tidegauge.sequential.budget import Budget
from tidegauge.sequential.engine import BatchInput, StrongestScores, judge_batch
from tidegauge.sequential.ewma import Memory
from tidegauge.sequential.onset import since_onset
from tidegauge.sequential.reference import Reference, SignalReference

Floats = npt.NDArray[np.float64]

EDGES = ndtri(np.array([0.01, 0.05, *np.arange(1, 10) / 10, 0.95, 0.99]))
AGES = (1, 2, 4, 8, 16, 32, 64)
STEPS = (0.25, 0.5, 1.0)

#: As one of 20 signals of a model with windows of a minute has it.
BUDGET = Budget(1.0, 20 * 43_200.0)

EVENTS, BASELINE = 1_000, 10_000


def shares(mean: float) -> Floats:
    """Of a normal signal, the share of each bin; nothing is missing."""
    return np.append(np.diff(ndtr(EDGES - mean), prepend=0.0, append=1.0), 0.0)


def true_psi(mean: float) -> float:
    before, after = shares(0.0)[:-1], shares(mean)[:-1]
    return float(((after - before) * np.log(after / before)).sum())


def sizes(
    reference: Reference, step: float, rng: np.random.Generator | None, events: int = EVENTS
) -> dict[int, StrongestScores]:
    """Return by age what is said of the signals; ``rng``: None counts what is expected."""
    signals = len(reference.counts)
    memory, budget = Memory.empty(signals, 15), BUDGET
    budget = Budget(budget.alarms * signals, budget.windows)
    found = {}
    for number in range(100 + AGES[-1]):
        now = shares(step if number >= 100 else 0.0)
        window = np.tile(events * now, (signals, 1))
        if rng is not None:
            window = rng.multinomial(events, now, size=signals).astype(np.float64)
        [(verdict, strongest)] = judge_batch([BatchInput(reference, memory, window, budget)])
        memory = verdict.memory
        found[number - 99] = strongest
    return {age: found[age] for age in AGES}


@pytest.mark.parametrize("step", STEPS)
def test_of_the_counts_that_are_expected_the_size_is_that_of_the_step_at_any_age(
    step: float,
) -> None:
    # So many that what noise adds on average, which is taken off, is nothing.
    expected = list(10_000_000 * shares(0.0))
    reference = Reference.of([SignalReference(expected, 14)])  # type: ignore[arg-type]
    for age, its in sizes(reference, step, None, events=1_000_000).items():
        assert its.ages[0] == pytest.approx(age, rel=0.05)
        assert its.sizes[0] == pytest.approx(true_psi(step), rel=0.06), age


@pytest.mark.parametrize("step", STEPS)
def test_the_size_is_that_of_the_step_from_the_alarm_on(step: float) -> None:
    rng = np.random.default_rng(5)
    counts = rng.multinomial(BASELINE, shares(0.0), size=40).tolist()
    reference = Reference.of([SignalReference(its, 14) for its in counts])
    for age, its in sizes(reference, step, rng).items():
        in_alarm = its.ages > 0
        assert in_alarm.mean() > 0.9
        found = its.sizes[in_alarm] / true_psi(step)
        assert np.median(found) == pytest.approx(1.0, abs=0.1), age
        # One window of 1,000 events says no more of 0.25 standard deviations than that.
        least = 0.6 if step == 0.25 and age < 8 else 0.85
        assert (np.abs(found - 1) <= 0.25).mean() >= least, (age, np.sort(found))


def test_what_is_not_in_alarm_has_the_size_of_its_span() -> None:
    rng = np.random.default_rng(6)
    reference = Reference.of([SignalReference([500, 300, 200], 3)] * 5)
    window = rng.multinomial(500, [0.5, 0.3, 0.2], size=5).astype(np.float64)
    memory = Memory.empty(5, 3)
    [(_, found)] = judge_batch([BatchInput(reference, memory, window, BUDGET)])
    assert found.ages.tolist() == [0] * 5 and found.since.tolist() == [1.0] * 5


def test_a_change_as_old_as_the_memory_is_not_diluted() -> None:
    counts = np.array([[30.5, 69.5]])
    assert since_onset(counts, np.array([[50.0, 50.0]]), np.ones(1)).tolist() == counts.tolist()


def test_no_share_is_below_nothing() -> None:
    counts = since_onset(np.array([[50.0, 50.0]]), np.array([[90.0, 10.0]]), np.array([0.4]))
    assert counts[0, 0] == 0 and counts.sum() > 0


def test_all_of_a_span_or_nearly_has_no_more_events_than_the_span() -> None:
    counts, baseline = np.array([[1e17, 2e17]]), np.array([[2.0, 1.0]])
    for share in (1.0, 1 - 2**-53, 1 - 1e-12):
        found = since_onset(counts, baseline, np.array([share]))
        assert found.sum() <= counts.sum() * (1 + 1e-12)
