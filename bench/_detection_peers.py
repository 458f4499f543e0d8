"""The usual figures of one window, each with a threshold of its own, at the same false alarms.

What every monitor that looks at a window at a time comes to: PSI, KL, Jensen-Shannon (Evidently's
and NannyML's default), Wasserstein (Evidently's), Kolmogorov-Smirnov, chi-squared. As shipped, a
threshold means another rate of false alarms at each window size; to be fair, each gets the one
that gives it just as many as the detector is allowed.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from _detection_delay import BASELINE, SIGNALS, WINDOWS, after
from _detection_worlds import Drift, Signals, draw
from tidegauge.stats import chi2_two_sample, js_distance, kl, ks_bins, psi, wasserstein_bins

Floats = npt.NDArray[np.float64]
Figure = Callable[[Floats, Floats], Floats]

FIGURES: Mapping[str, Figure] = {
    "PSI": psi,
    "KL": kl,
    "JS distance": lambda current, reference: js_distance(current, reference, unit="nats"),
    "Wasserstein": wasserstein_bins,
    "KS": ks_bins,
    "chi-squared": chi2_two_sample,
}

#: Rules as they are usually set, for the table of what they do with no drift at all.
USUAL: Mapping[str, tuple[str, float]] = {
    "PSI > 0.2": ("PSI", 0.2),
    "PSI > 0.1": ("PSI", 0.1),
    "KL > 0.05": ("KL", 0.05),
    "JS distance > 0.1": ("JS distance", 0.1),
}

#: Undisturbed windows that a threshold is found from: at one alarm in 864,000 a signal's windows,
#: the largest figure of so many is about where it has to be.
_UNDISTURBED = WINDOWS * SIGNALS
_AT_ONCE = 4_000
_DRIFTED = 20_000


def delays(drift: Drift, *, seed: int) -> dict[str, float]:
    """Return the mean windows until each figure alarms; infinite if it did in none of 20,000."""
    rng = np.random.default_rng([seed, 3, *map(ord, drift.name)])
    signals = draw(drift.kind, 40, BASELINE, rng)
    thresholds = {name: -np.inf for name in FIGURES}
    for _ in range(_UNDISTURBED // _AT_ONCE):
        for name, found in _figures(signals, signals.shares, drift.events, rng, _AT_ONCE).items():
            thresholds[name] = max(thresholds[name], float(found.max()))
    changed = after(drift, signals.shares, signals.edges)
    result = {}
    for name, found in _figures(signals, changed, drift.events, rng, _DRIFTED).items():
        share = float((found > thresholds[name]).mean())
        result[name] = 1 / share if share else float("inf")
    return result


def usual(events: int, *, seed: int) -> dict[str, float]:
    """Return the probability that a usual rule alarms on any of twenty undisturbed signals."""
    rng = np.random.default_rng([seed, 4, events])
    signals = draw("numeric", 40, 10_000, rng)
    found = _figures(signals, signals.shares, events, rng, 20_000)
    quiet = {rule: (found[name] <= limit).mean() for rule, (name, limit) in USUAL.items()}
    return {rule: float(1 - share**SIGNALS) for rule, share in quiet.items()}


def _figures(
    signals: Signals, shares: Floats, events: int, rng: np.random.Generator, windows: int
) -> dict[str, Floats]:
    """Draw windows of every signal in turn; return each figure of each window."""
    repeats = windows // len(shares)
    counts = rng.multinomial(events, np.repeat(shares, repeats, axis=0)).astype(np.float64)
    reference = np.repeat(signals.reference.counts, repeats, axis=0)
    return {
        name: np.asarray(figure(*_bins(name, signals, counts, reference)))
        for name, figure in FIGURES.items()
    }


def _bins(name: str, signals: Signals, counts: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """Return the bins that a figure is of: those with an order for two of them."""
    ordered = int(signals.reference.ordered[0].sum())
    if name in ("Wasserstein", "KS") and ordered:
        return counts[:, :ordered], reference[:, :ordered]
    return counts, reference
