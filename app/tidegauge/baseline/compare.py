"""A window's histogram beside the baseline it was binned by, bin by bin.

Value bins come first; three more follow for every signal: missing, not finite and invalid type. So
reference and current always have the same length, and no event is left out.

*Missing* is absent or null. Where the baseline has missing values it is NaN too: frames write a
missing number as NaN, Parquet and JSON as null, and the same rows come by either way. What was
counted stays apart, in the document and in the histogram; only the comparison takes them together.

An event without a value of a joint signal is compared in no bin of it: that it has none follows
from its features, whose own bins show it.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tidegauge.baseline.document import NumericSignal, Signal, features_of
from tidegauge.contract import Distribution, SignalHistogram

#: Labels of the bins after the value bins.
BESIDE = ("missing", "not finite", "invalid type")

#: Label of a bin that only the detector has, of numbers beyond the baseline's smallest and largest.
OUTSIDE = "outside of the baseline's range"

#: Rows of a baseline that a category must have for its share to say something by itself.
RARE_ROWS = 10

_NO_VALUES = (-1,) * len(BESIDE)

_DASH = "\u2013"
_AT_LEAST = "\u2265"


def vectors(
    signal: Signal, histogram: SignalHistogram
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return (reference, current, number of ordered value bins; 0 if the bins have no order).

    Raises ``ValueError`` if the histogram was not binned by this signal.
    """
    _check_bins(signal, histogram)
    return (
        np.array(reference_counts(signal), dtype=np.int64),
        np.array(current_counts(signal, histogram), dtype=np.int64),
        ordered_bins(signal),
    )


def distribution(signal: Signal, histogram: SignalHistogram) -> Distribution:
    """Return both count vectors of :func:`vectors` with a label for each bin, and edges.

    Raises ``ValueError`` if the histogram was not binned by this signal.
    """
    reference, current, _ = vectors(signal, histogram)
    return Distribution(
        bins=bin_labels(signal),
        reference=reference.tolist(),
        current=current.tolist(),
        edges=signal.edges if isinstance(signal, NumericSignal) else None,
        excess=reference_excess(signal) or None,
    )


def nan_is_missing(signal: Signal) -> bool:
    """Whether NaN counts as missing: it does where the baseline itself has values missing or NaN.

    Otherwise values that are not finite have a bin of their own, because they are new.
    """
    return signal.missing > 0 or (isinstance(signal, NumericSignal) and signal.nan > 0)


def reference_counts(signal: Signal) -> list[int]:
    """Return what a window is compared with, in the bins of :func:`bin_labels`.

    That is how many of as many new rows as the baseline has are expected in each: the baseline's
    own counts, but for what these owe to luck; see :class:`RareValues`.
    """
    if isinstance(signal, NumericSignal) or not signal.rare:
        return counted_by_bin(signal)
    return [*signal.rare.expected, signal.missing, 0, 0]


def counted_by_bin(signal: Signal) -> list[int]:
    """Return the counts of the baseline's own rows in the bins of :func:`bin_labels`."""
    if features_of(signal):
        return [*signal.counts, *(0 for _ in BESIDE)]
    nan = signal.nan if isinstance(signal, NumericSignal) else 0
    return [*signal.counts, signal.missing + nan, 0, 0]


def reference_excess(signal: Signal) -> list[float]:
    """Return by how much more than a count of rows what is expected varies, by bin.

    In units of the variance of the count; empty if by nothing.
    """
    if isinstance(signal, NumericSignal) or not (signal.rare and any(signal.rare.excess)):
        return []
    return [*signal.rare.excess, *(0.0 for _ in BESIDE)]


def new_bin(signal: Signal) -> int | None:
    """Return the bin of values that the baseline never had; None of numbers."""
    return None if isinstance(signal, NumericSignal) else len(signal.counts) - 1


def rare_values_unknown(signal: Signal) -> bool:
    """Whether the baseline can't say how many new values to expect, nor which bins were luck.

    So it is with one of release 0.1.0, unless it has a bin for each of its values, all seen twice.
    """
    if isinstance(signal, NumericSignal) or signal.rare:
        return False
    return not signal.known_complete or bool(signal.known) or 1 in signal.counts[:-2]


def current_counts(signal: Signal, histogram: SignalHistogram) -> list[int]:
    """Return a window's counts in the bins of :func:`bin_labels`.

    Where nobody knows how many values never seen are to be expected, they are "other".
    """
    if features_of(signal):
        return [*histogram.counts, *(0 for _ in BESIDE)]
    missing, nan = histogram.absent + histogram.null, histogram.nan
    if nan_is_missing(signal):
        missing, nan = missing + nan, 0
    counts = histogram.counts
    if counts[-1] and rare_values_unknown(signal):
        counts = [*counts[:-2], counts[-2] + counts[-1], 0]
    return [*counts, missing, nan, histogram.invalid]


def ordered_bins(signal: Signal) -> int:
    """Return how many of the bins are values in order: they come first; categories have none."""
    return len(signal.counts) if isinstance(signal, NumericSignal) else 0


def tells_unseen(signal: Signal) -> bool:
    """Whether a value that the baseline never saw can be told from a rare one.

    It can where all values are known; otherwise both count as "other".
    """
    return not isinstance(signal, NumericSignal) and signal.known_complete


def value_bins(reference: Sequence[int], ordered: int) -> list[int]:
    """Return which bin of values each of a baseline's is; -1 if it holds none.

    ``ordered`` bins are of numbers; 0 of categories. Missing, not finite and invalid are no values,
    and never seen is none that the baseline knows. Categories with fewer than ``RARE_ROWS`` rows of
    the baseline share the bin of the others: which of a thousand categories are among the commonest
    of a small baseline is chance.

    >>> value_bins([5, 4, 1, 0, 0], 2)
    [0, 1, -1, -1, -1]
    >>> value_bins([80, 15, 3, 2, 0, 1, 0, 0], 0)
    [1, 2, 0, 0, -1, -1, -1, -1]
    """
    if ordered:
        return [*range(ordered), *_NO_VALUES]
    own = reference[: -2 - len(BESIDE)]
    common = [count >= RARE_ROWS for count in own]
    places = np.cumsum(common).tolist()
    bins = [place if is_common else 0 for place, is_common in zip(places, common, strict=True)]
    return [*bins, 0, -1, *_NO_VALUES]


def bin_labels(signal: Signal) -> list[str]:
    """Return a label for each bin, fit for a person.

    A value with a bin of its own reads "= 3". A category that is called like one of the other bins
    is put in quotes, so that no two labels are the same.
    """
    if isinstance(signal, NumericSignal):
        return [*_numeric_labels(signal.edges), *BESIDE]
    own = ("other", "never seen", *BESIDE)
    named = [f'"{name}"' if name in own else name for name in signal.categories]
    return [*named, *own]


def _check_bins(signal: Signal, histogram: SignalHistogram) -> None:
    if len(histogram.counts) != len(signal.counts):
        raise ValueError(
            f"the histogram has {len(histogram.counts)} bins and the baseline's signal "
            f"{len(signal.counts)}: it was binned by another baseline"
        )


def _numeric_labels(edges: list[float]) -> list[str]:
    if not edges:
        return ["any number"]
    closes_atom = [
        i > 0 and math.nextafter(edges[i - 1], math.inf) == edge for i, edge in enumerate(edges)
    ]
    # The edge that closes an atom differs from the atom in the last bit: it is named after it.
    named = [edges[i - 1] if closed else edges[i] for i, closed in enumerate(closes_atom)]
    text = _distinct_texts(sorted(set(named)))
    labels = [f"< {text[named[0]]}"]
    for i in range(1, len(edges)):
        low, high = text[named[i - 1]], text[named[i]]
        if closes_atom[i] and not closes_atom[i - 1]:
            labels.append(f"= {low}")
        else:
            labels.append(f"{'> ' if closes_atom[i - 1] else ''}{low} {_DASH} {high}")
    labels.append(f"{'>' if closes_atom[-1] else _AT_LEAST} {text[named[-1]]}")
    return labels


def _distinct_texts(values: list[float]) -> dict[float, str]:
    """Write numbers as short as they can be told apart, at least six digits where there are."""
    for digits in range(6, 17):
        texts = {value: f"{value:.{digits}g}" for value in values}
        if len(set(texts.values())) == len(values):
            return texts
    return {value: repr(value) for value in values}
