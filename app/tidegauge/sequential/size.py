"""How big a change is since it began, though a span also remembers what came before it.

Of a span's weight, the windows since the onset have the share f (``onset.share_since``). What the
span shows of the change is diluted by as much: with the shares p of the baseline, those since the
onset are p + (span - p) / f. Their noise is 1/f times as large, so that they are as certain as
those of a sample of n' events, 1/n' = (1/n + 1/m) / f² - 1/m.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.sequential.ewma import KEEP, Memory
from tidegauge.sequential.onset import age_windows, directions, remembered_windows, share_since
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.scores import bin_g, g_terms
from tidegauge.stats import Floats, Places


class Onsets(NamedTuple):
    """For how many windows signals have been changed, and the share f of the span's weight."""

    ages: npt.NDArray[np.int_]
    shares: Floats


def onsets(
    memory: Memory,
    reference: Reference,
    spans: Places,
    scores: Places,
    expected: Floats | None = None,
) -> Onsets:
    """Estimate when the changes of signals began; ``memory`` and ``reference`` are theirs alone.

    ``spans`` and ``scores`` are what shows each of them most. ``expected`` (4, signals, bins) are
    the counts that the spans are compared with, if not those of the reference.
    """
    rows = np.arange(len(spans))
    seen_by = directions(reference, rows, memory.effective_at(spans, rows), scores)
    ages = age_windows(memory, reference, rows, seen_by, expected)
    windows = np.maximum(remembered_windows(memory, rows), ages)
    return Onsets(ages, share_since(ages, KEEP[spans], windows))


def since_onset(counts: Floats, reference: Floats, shares: Floats) -> Floats:
    """Return the effective counts of the windows since the onset: see the module.

    ``counts`` and those of the ``reference`` are (…, bins), ``shares`` (…); a share of 1 gives the
    counts as they are. What noise has brought below 0 is 0.

    >>> span, baseline = np.array([[130.0, 70.0]]), np.array([[5000.0, 5000.0]])
    >>> found = since_onset(span, baseline, np.array([0.5]))
    >>> (found / found.sum()).round(3).tolist(), float(found.sum().round(1))
    ([[0.8, 0.2]], 49.3)
    """
    n, m = counts.sum(axis=-1, keepdims=True), reference.sum(axis=-1, keepdims=True)
    f = np.asarray(shares, dtype=np.float64)[..., None]
    diluted = f < 1
    f = np.where(diluted & (f > 0), f, 1.0)
    before, span = reference / m, counts / n
    after = np.maximum(before + (span - before) / f, 0.0)
    after /= after.sum(axis=-1, keepdims=True)
    # Never more than the span has, but for rounding, of which there is more than 1/n if n >> m.
    events = 1 / np.maximum((1 / n + 1 / m) / f**2 - 1 / m, 1 / n)
    return np.where(diluted, after * events, counts)


#: A change is one of a single bin if the table of that bin and the rest has this share of G.
_OF_ONE_BIN = 0.25


def size_of_bin(counts: Floats, reference: Floats) -> Floats:
    """Return how much the bin that changed most has changed in terms of its own share, nats; (…).

    (x - 1) ln x, with x its share ÷ its baseline's, half a count added to both: the PSI of a change
    by that factor, if it were of everything. 0.01 is a tenth more or less. 0 where no single bin
    stands out: where less than a quarter of the likelihood ratio G is of one.

    >>> counts, baseline = np.array([[430.0, 9570.0]]), np.array([[330.0, 9670.0]])
    >>> size_of_bin(counts, baseline).round(3).tolist()
    [0.08]
    """
    n, m = counts.sum(axis=-1), reference.sum(axis=-1)
    tables = bin_g(counts, reference)
    place = tables.argmax(axis=-1)[..., None]
    largest = np.take_along_axis(tables, place, axis=-1)[..., 0]
    terms = g_terms(counts, n[..., None], reference, m[..., None]).sum(axis=-1)
    now, before = (np.take_along_axis(it, place, axis=-1)[..., 0] for it in (counts, reference))
    ratio = (now + 0.5) / (n + 1) / ((before + 0.5) / (m + 1))
    return np.where(largest >= _OF_ONE_BIN * terms, (ratio - 1) * np.log(ratio), 0.0)
