"""Windows of several slices judged together are judged as each is alone, to the bit."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings, strategies as st

from support.signals import Floats, some_memory, worlds
from tidegauge.sequential import engine
from tidegauge.sequential.budget import Budget
from tidegauge.sequential.engine import BatchInput, BatchResult, StrongestScores, judge, judge_batch
from tidegauge.sequential.ewma import Memory
from tidegauge.sequential.reference import Reference, SignalReference

BUDGETS = (Budget(1.0, 43_200.0), Budget(2.0, 8_640.0, slices=7), Budget(0.1, 43_200.0, slices=2))


def _alone(turn: BatchInput) -> BatchResult:
    verdict = judge(turn.reference, turn.memory, turn.window, turn.budget)
    limits = np.full(len(turn.reference.counts), verdict.threshold)
    return BatchResult(
        verdict,
        StrongestScores.of(verdict.surprises, verdict.memory, limits, turn.reference),
    )


def _same(found: BatchResult, expected: BatchResult) -> bool:
    memory, other = found.verdict.memory, expected.verdict.memory
    pairs: list[tuple[Floats, Floats]] = [
        (memory.counts, other.counts),
        (memory.total, other.total),
        (memory.squared, other.squared),
        (memory.pooled, other.pooled),
        (found.verdict.surprises, expected.verdict.surprises),
        (found.verdict.events, expected.verdict.events),
        *zip(found.strongest, expected.strongest, strict=True),
    ]
    figures = [(it.verdict.threshold, it.verdict.looks) for it in (found, expected)]
    return figures[0] == figures[1] and all(np.array_equal(*pair) for pair in pairs)


@settings(max_examples=30)
@given(st.lists(st.tuples(worlds(), st.sampled_from(BUDGETS)), min_size=1, max_size=4))
def test_each_window_is_judged_as_it_is_alone(
    slices: list[tuple[tuple[Reference, Floats], Budget]],
) -> None:
    turns = [
        BatchInput(reference, some_memory(reference), windows[-1], budget)
        for (reference, windows), budget in slices
    ]
    expected = [_alone(turn) for turn in turns]
    found = judge_batch(turns)
    assert all(_same(*pair) for pair in zip(found, expected, strict=True))
    again = [
        turn._replace(memory=it.verdict.memory)
        for turn, it in zip(turns, found, strict=True)
        if it.verdict.memory.total.any()
    ]
    assert all(_same(*pair) for pair in zip(judge_batch(again), map(_alone, again), strict=True))


def test_slices_of_many_signals_are_judged_a_few_at_a_time() -> None:
    rng = np.random.default_rng(3)
    turns = []
    for number in range(7):
        bins, signals = 20 + number % 3, 150
        counts = rng.multinomial(5_000, np.full(bins, 1 / bins), signals)
        reference = Reference.of([SignalReference(row.tolist(), bins) for row in counts])
        window = rng.multinomial(200 + number, np.full(bins, 1 / bins), signals)
        empty = Memory.empty(signals, bins)
        turns.append(BatchInput(reference, empty, window.astype(np.float64), BUDGETS[0]))
    blocks = list(engine._joinable(turns))
    assert blocks == [[0, 3], [6], [1, 4], [2, 5]]
    found = judge_batch(turns)
    assert all(_same(*pair) for pair in zip(found, map(_alone, turns), strict=True))


def test_what_follows_from_a_joined_reference_is_what_follows_from_its_parts() -> None:
    some = [
        Reference.of([SignalReference([500, 300, 200], 3), SignalReference([10, 0, 90], 0)]),
        Reference.of([SignalReference([1, 2, 3], 2)]),
    ]
    joined = Reference.joined(some)
    alone = replace(joined)  # the same fields, and nothing known of what follows from them
    for name in ("total", "rest", "log_bins", "in_order", "ordered_total", "is_ordered"):
        assert np.array_equal(getattr(joined, name), getattr(alone, name))
    np.testing.assert_allclose(joined.third_moments, alone.third_moments)
