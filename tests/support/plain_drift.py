"""The drift figures of one signal in plain Python, bin by bin: the oracle of the table."""

from collections.abc import Sequence
from math import log

from tidegauge.contract.report import Drift

PSEUDOCOUNT = 0.5


def plain_drift(
    reference: Sequence[int], current: Sequence[int], ordered_bins: int
) -> Drift | None:
    """Return what ``tidegauge.stats.drift`` is to return, but for rounding."""
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
