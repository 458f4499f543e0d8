"""Kullback-Leibler divergence."""

from numpy.typing import ArrayLike

from tidegauge.stats._shares import FloatArray, relative_entropy, shares


def kl(p: ArrayLike, q: ArrayLike, *, pseudocount: float = 0.5) -> FloatArray:
    """Return the Kullback-Leibler divergence KL(p‖q) = Σ p·ln(p / q), in nats.

    The direction matters: ``kl(current, reference)`` weighs bins by what is seen now,
    ``kl(reference, current)`` by what was seen then. 0 = the same shares in every bin; ∞ (only
    without a pseudocount) = p has counts where q has none; NaN = a side counted nothing.

    ``p`` and ``q`` are counts in the same bins along the last axis, leading axes broadcast;
    ``pseudocount`` is added to every bin that either side has hit. One figure for each leading
    index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't pair up or a count
    is negative.

    Source: Kullback & Leibler 1951, "On Information and Sufficiency".

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(kl(current, reference, pseudocount=0)), 6)
    0.037869
    >>> round(float(kl(reference, current, pseudocount=0)), 6)
    0.039964
    """
    return relative_entropy(*shares(p, q, pseudocount))
