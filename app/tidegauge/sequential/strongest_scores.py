"""The strongest sign that a signal has changed, of all scores over all spans of windows."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.sequential.detector import Verdict
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.scores import SCORES
from tidegauge.stats import psi_corrected

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


class StrongestScores(NamedTuple):
    """The strongest sign that a signal has changed, for many of them; arrays of one length.

    ``surprises`` is -ln p, nats, of a place in ``SCORES`` over a place in ``LAMBDAS``; it rests on
    the effective number of ``events``, whose corrected PSI, nats, is in ``sizes``.
    """

    surprises: Floats
    spans: Places
    scores: Places
    events: Floats
    sizes: Floats

    def of(self, signals: slice) -> "StrongestScores":
        """Return those of some of the signals."""
        surprises, spans, scores, events, sizes = self
        return StrongestScores(
            surprises[signals], spans[signals], scores[signals], events[signals], sizes[signals]
        )


def signs_of(verdict: Verdict, reference: Reference) -> StrongestScores:
    """Return the strongest sign of each signal that a verdict by ``reference`` is about.

    Where it is by hour of day, that is what its hours lead one to expect.
    """
    rows = np.arange(verdict.surprises.shape[1])
    flat = verdict.surprises.transpose(1, 0, 2).reshape(len(rows), -1)
    strongest = flat.argmax(axis=1)
    spans, scores = np.divmod(strongest, len(SCORES))
    if verdict.expected is not None:
        reference = verdict.expected.at(spans, rows).reference
    return StrongestScores(
        flat[rows, strongest],
        spans,
        scores,
        verdict.events[spans, rows],
        psi_corrected(verdict.memory.effective_at(spans, rows), reference.counts),
    )
