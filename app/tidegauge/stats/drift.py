"""All drift figures of a signal at once, as a window report carries them."""

from collections.abc import Sequence
from math import log

from tidegauge.contract import Drift

#: Half a count a bin: the divergences stay finite, and at the sample sizes that are judged
#: (1,000 events and more) it moves them by less than their own noise.
PSEUDOCOUNT = 0.5


def drift(reference: Sequence[int], current: Sequence[int], ordered_bins: int) -> Drift | None:
    """Return how far ``current`` is from ``reference``; ``None`` if a side counted nothing.

    The first ``ordered_bins`` bins are value bins in order (0 for a categorical signal); the others
    (missing, not finite, invalid, or the bins of categories) have none. The divergences are over
    all bins, ``wasserstein_bins`` over the ordered ones: ``None`` without them, or if a side has no
    value in them. Half a count is added to every bin that either side has hit.

    The same figures as ``psi``, ``kl``, ``js_divergence`` and ``wasserstein_bins``, in one pass of
    plain Python: on the twenty or so bins of one signal numpy's overhead for each call makes theirs
    take several times as long. For many signals at once there is ``drift_table``.

    Raises ``ValueError`` if the bins don't pair up, a count is negative, or ``ordered_bins`` is
    more than there are.

    >>> figures = drift([200, 300, 250, 150, 100, 0], [70, 140, 140, 140, 0, 10], 5)
    >>> round(figures.psi, 6)
    0.64002
    """
    bins = len(reference)
    if len(current) != bins or not 0 <= ordered_bins <= bins:
        raise ValueError(
            f"reference has {bins} bins, current {len(current)}, of which {ordered_bins} are "
            "ordered; expected the same bins in both, and no more ordered ones than that"
        )
    if not bins or min(reference) < 0 or min(current) < 0:
        raise ValueError(
            "counts: found none or a negative one, expected how often each bin was hit"
        )
    if not any(reference) or not any(current):
        return None
    pairs = _smoothed(current, reference)
    kl_current_reference = kl_reference_current = js = 0.0
    for c, r in pairs:
        if c:
            ratio = log(c / r)
            kl_current_reference += c * ratio
            kl_reference_current -= r * ratio
            middle = (c + r) / 2
            js += c * log(c / middle) + r * log(r / middle)
    # No divergence is below 0; rounding can leave it there when both sides are the same.
    kl_current_reference = max(kl_current_reference, 0.0)
    kl_reference_current = max(kl_reference_current, 0.0)
    return Drift(
        psi=kl_current_reference + kl_reference_current,
        kl_current_reference_nats=kl_current_reference,
        kl_reference_current_nats=kl_reference_current,
        js_nats=max(js / 2, 0.0),
        wasserstein_bins=_wasserstein(current[:ordered_bins], reference[:ordered_bins]),
    )


def _smoothed(current: Sequence[int], reference: Sequence[int]) -> list[tuple[float, float]]:
    """Pair the shares of both sides, bin by bin; (0, 0) where neither was hit."""
    smoothing = PSEUDOCOUNT * sum(1 for c, r in zip(current, reference, strict=True) if c or r)
    n = sum(current) + smoothing
    m = sum(reference) + smoothing
    return [
        ((c + PSEUDOCOUNT) / n, (r + PSEUDOCOUNT) / m) if c or r else (0.0, 0.0)
        for c, r in zip(current, reference, strict=True)
    ]


def _wasserstein(current: Sequence[int], reference: Sequence[int]) -> float | None:
    if not any(current) or not any(reference):
        return None
    ahead = distance = 0.0
    for c, r in _smoothed(current, reference):
        ahead += c - r
        distance += abs(ahead)
    return distance
