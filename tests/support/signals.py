"""Signals of all kinds and their windows, for tests of the detector."""

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from tidegauge.sequential.ewma import Memory
from tidegauge.sequential.reference import Reference, SignalReference

Floats = npt.NDArray[np.float64]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Reference, Floats]:
    """Signals of all kinds, some of which drift, in windows of any size, be they empty."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    signals, windows = draw(st.integers(1, 5)), draw(st.integers(1, 30))
    size = draw(st.sampled_from([3, 60, 250, 2_000]))
    references, shares = [], []
    for _ in range(signals):
        bins = draw(st.integers(1, 9))
        share = rng.dirichlet(np.full(bins, draw(st.sampled_from([0.1, 1.0, 20.0]))))
        counts = rng.multinomial(draw(st.sampled_from([1, 900, 100_000])), share)
        references.append(SignalReference(counts.tolist(), draw(st.integers(0, bins))))
        shares.append(share)
    reference = Reference.of(references)
    counted = np.zeros((windows, *reference.counts.shape))
    drift = draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    for signal, share in enumerate(shares):
        moved = (1 - drift) * share + drift * rng.dirichlet(np.ones(len(share)))
        for window in range(windows):
            now = moved if 2 * window > windows else share
            events = rng.poisson(size) * (rng.random() > 0.1)
            counted[window, signal, : len(share)] = rng.multinomial(events, now)
    return reference, counted


def some_memory(reference: Reference) -> Memory:
    """Return a memory that something is in, some of it still waiting for more events."""
    memory = Memory.empty(*reference.counts.shape)
    for number in (300, 40):
        memory = memory.after(
            np.where(reference.exists, number / reference.exists.sum(1)[:, None], 0)
        )
    return memory
