"""Windows of many slices judged together: what ``judge`` says of each, to the bit.

A slice has some fifty signals, and numpy takes about as long for that many as it takes to be
called. All that is done with a signal is done along its own bins, whatever other signals there are.
Sums over bins depend on how far they are padded, so only references of equal width are joined.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.sequential.budget import Budget, thresholds_together
from tidegauge.sequential.detector import Verdict
from tidegauge.sequential.ewma import Memory
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.scores import surprises
from tidegauge.sequential.strongest_scores import StrongestScores, signs_of

Floats = npt.NDArray[np.float64]

#: Signals at a time: what they need stays in the cache of a core.
_SIGNALS_AT_ONCE = 400


class BatchInput(NamedTuple):
    """A window of a slice, counts by (signals, bins), and what it is to be judged by."""

    reference: Reference
    memory: Memory
    window: Floats
    budget: Budget


class BatchResult(NamedTuple):
    """What a window led to, and the strongest sign of each of its signals."""

    verdict: Verdict
    signs: StrongestScores


def judge_batch(turns: Sequence[BatchInput]) -> list[BatchResult]:
    """Judge a window of each of several slices."""
    found: dict[int, BatchResult] = {}
    for places in _blocks(turns):
        found.update(zip(places, _judge([turns[at] for at in places]), strict=True))
    return [found[at] for at in range(len(turns))]


def _blocks(turns: Sequence[BatchInput]) -> Iterator[list[int]]:
    """Yield the places of turns of equal width, so many that there are signals enough."""
    by_width: dict[int, list[int]] = {}
    for at, turn in enumerate(turns):
        by_width.setdefault(turn.reference.counts.shape[-1], []).append(at)
    for places in by_width.values():
        block, signals = list[int](), 0
        for at in places:
            its = len(turns[at].reference.counts)
            if block and signals + its > _SIGNALS_AT_ONCE:
                yield block
                block, signals = [], 0
            block.append(at)
            signals += its
        yield block


def _judge(turns: Sequence[BatchInput]) -> list[BatchResult]:
    reference = Reference.joined([it.reference for it in turns])
    sizes = [len(it.reference.counts) for it in turns]
    memory = Memory.joined([it.memory for it in turns])
    memory = memory.after(np.concatenate([it.window for it in turns]))
    events = memory.events()
    whose = np.repeat(np.arange(len(turns)), sizes)
    thresholds, looks = thresholds_together([it.budget for it in turns], reference, events, whose)
    found = surprises(reference, memory.effective())
    signs = signs_of(Verdict(memory, found, events, 0.0, 0.0), reference)
    ours = [slice(*ends) for ends in pairwise(accumulate(sizes, initial=0))]
    return [
        BatchResult(
            Verdict(memory.of(some), found[:, some], events[:, some], threshold, look),
            signs.of(some),
        )
        for some, threshold, look in zip(ours, thresholds.tolist(), looks.tolist(), strict=True)
    ]
