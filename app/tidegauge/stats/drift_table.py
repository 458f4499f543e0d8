"""The drift figures of a window report, of many signals in one pass.

Every array here has the bins on its first axis and the signals on its last: a sum over bins then
adds row to row, in the same order however many signals there are and however far they are padded.
A signal's figures are the same to the last bit in any company.
"""

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise

import numpy as np

from tidegauge.contract import Drift
from tidegauge.stats._shares import PSEUDOCOUNT, Bools, Floats

Counts = Sequence[Sequence[int]]


def drift(reference: Sequence[int], current: Sequence[int], ordered_bins: int) -> Drift | None:
    """Return the figures of one signal, as ``drift_table`` does of many.

    Raises ``ValueError`` as it does, with the signal's place 0.

    >>> figures = drift([200, 300, 250, 150, 100, 0], [70, 140, 140, 140, 0, 10], 5)
    >>> round(figures.psi, 6)
    0.64002
    """
    return drift_table([reference], [current], [ordered_bins])[0]


def drift_table(
    references: Counts, currents: Counts, ordered_bins: Sequence[int]
) -> list[Drift | None]:
    """Return how far each of ``currents`` is from its reference; ``None`` if a side has no counts.

    The first ``ordered_bins`` bins of a signal are value bins in order (0 for a categorical one);
    the others (missing, not finite, invalid, or the bins of categories) have none. The divergences
    are over all bins, ``wasserstein_bins`` over the ordered ones: ``None`` without them, or if a
    side has no value in them. Half a count is added to every bin that either side has hit. The same
    figures as ``psi``, ``kl``, ``js_divergence`` and ``wasserstein_bins``, but for rounding.

    One place of each argument for each signal, of as many bins as it has. To compare many windows
    with the same references there is ``DriftTable``. Raises ``ValueError`` naming the signal's
    place (from 0) if its bins don't pair up, a count is negative, there are none, or more are
    ordered than there are; or if the three differ in length.

    >>> [figures] = drift_table([[200, 300, 250, 150, 100, 0]], [[70, 140, 140, 140, 0, 10]], [5])
    >>> round(figures.psi, 6)
    0.64002
    """
    return DriftTable(references, ordered_bins).of(currents)


class DriftTable:
    """Baselines of many signals, laid out to compare one window after the other with.

    The signals may differ in their number of bins: they are padded with bins that nobody hit, which
    every figure leaves out.
    """

    def __init__(self, references: Counts, ordered_bins: Sequence[int]) -> None:
        """Lay out the counts of baselines, of which the first ``ordered_bins`` are in order.

        Raises ``ValueError`` naming the signal's place (from 0) if a count is negative, there are
        none, or more are ordered than there are.
        """
        self._widths = list(map(len, references))
        if len(self._widths) != len(ordered_bins):
            raise ValueError(
                f"found {len(self._widths)} references and {len(ordered_bins)} numbers of ordered "
                "bins; expected one of each for every signal"
            )
        for place, (bins, ordered) in enumerate(zip(self._widths, ordered_bins, strict=True)):
            if not bins >= ordered >= 0 < bins:
                raise ValueError(
                    f"signal {place}: reference has {bins} bins, of which {ordered} are ordered; "
                    "expected one at least, and no more ordered ones than that"
                )
        widths = np.array(self._widths, dtype=np.intp)
        #: Where in an array of (bins, signals) the counts of all signals go, one after the other.
        self._signal = np.repeat(np.arange(len(widths)), widths)
        self._bin = np.arange(widths.sum()) - np.repeat(np.cumsum(widths) - widths, widths)
        self._shape = int(widths.max(initial=0)), len(widths)
        self._ordered = np.arange(self._shape[0])[:, np.newaxis] < np.array(ordered_bins)
        self._references = self._padded(references)

    def of(self, currents: Counts) -> list[Drift | None]:
        """Return what ``drift_table`` does of these counts.

        Raises ``ValueError`` naming the signal's place if its bins don't pair up or a count is
        negative.

        >>> table = DriftTable([[200, 300, 250, 150, 100, 0]], [5])
        >>> [figures] = table.of([[70, 140, 140, 140, 0, 10]])
        >>> round(figures.psi, 6)
        0.64002
        """
        return self.together([self], [currents])[0]

    @staticmethod
    def together(
        tables: Sequence["DriftTable"], currents: Sequence[Counts]
    ) -> list[list[Drift | None]]:
        """Return what each table says of its own currents, all in one pass of numpy.

        The same to the last bit as :meth:`of`, which says what is raised.

        >>> one = DriftTable([[200, 300, 250]], [3])
        >>> two = DriftTable([[20, 80], [90, 10]], [2, 0])
        >>> windows = [[70, 140, 140]], [[30, 70], [85, 15]]
        >>> DriftTable.together([one, two], windows) == [one.of(windows[0]), two.of(windows[1])]
        True
        """
        pairs = list(zip(tables, currents, strict=True))
        sizes = [len(table._widths) for table in tables]
        bins, signals = max((it._shape[0] for it in tables), default=0), sum(sizes)
        counts, ordered = np.zeros((bins, 2, signals)), np.zeros((bins, signals), dtype=np.bool_)
        spans = [slice(*ends) for ends in pairwise(accumulate(sizes, initial=0))]
        for (table, current), span in zip(pairs, spans, strict=True):
            table._check(current)
            rows = slice(table._shape[0])
            counts[rows, 0, span], counts[rows, 1, span] = table._padded(current), table._references
            ordered[rows, span] = table._ordered
        if not bins:
            return [[] for _ in tables]
        figures = _figures(counts, ordered)
        return [figures[span] for span in spans]

    def _check(self, currents: Counts) -> None:
        widths = list(map(len, currents))
        if widths == self._widths:
            return
        if len(widths) != len(self._widths):
            raise ValueError(
                f"found {len(widths)} currents and {len(self._widths)} references; expected one of "
                "each for every signal"
            )
        place = next(at for at, bins in enumerate(widths) if bins != self._widths[at])
        raise ValueError(
            f"signal {place}: reference has {self._widths[place]} bins, current {widths[place]}; "
            "expected the same bins in both"
        )

    def _padded(self, sides: Counts) -> Floats:
        """Return counts as (bins, signals)."""
        table = np.zeros(self._shape)
        in_a_row = chain.from_iterable(sides)
        table[self._bin, self._signal] = np.fromiter(in_a_row, np.float64, len(self._bin))
        if table.min(initial=0.0) < 0:
            place = int((table < 0).any(axis=0).argmax())
            raise ValueError(
                f"signal {place}: found a negative count, expected how often each bin was hit"
            )
        return table


def _figures(counts: Floats, ordered: Bools) -> list[Drift | None]:
    """Compare currents with references, (bins, 2, signals), of which some bins are in order."""
    bins, _, signals = counts.shape
    values = counts * ordered[:, np.newaxis]
    c_r, hit = _shares(counts)
    c, r = c_r[:, 0], c_r[:, 1]
    # Where nobody hit a bin, both quotients stay 1, so their logarithms and terms are 0.
    ratio = np.log(np.divide(c, r, out=np.ones((bins, signals)), where=hit))
    middle = ((c + r) / 2)[:, np.newaxis]
    quotient = np.divide(c_r, middle, out=np.ones(counts.shape), where=hit[:, np.newaxis])
    to_middle = c_r * np.log(quotient)
    moved, _ = _shares(values)
    ahead = np.add.accumulate(moved[:, 0] - moved[:, 1])
    terms = np.empty((bins, 4, signals))
    np.multiply(c, ratio, out=terms[:, 0])
    np.multiply(r, -ratio, out=terms[:, 1])
    np.add(to_middle[:, 0], to_middle[:, 1], out=terms[:, 2])
    np.multiply(np.abs(ahead), ordered, out=terms[:, 3])
    # No divergence is below 0; rounding can leave it there when both sides are the same.
    figures = np.maximum(np.add.reduce(terms), 0.0)
    return _records(figures, _both_counted(counts), _both_counted(values))


def _shares(counts: Floats) -> tuple[Floats, Bools]:
    """Return smoothed shares, and which bins either side has hit; shares are 0 in the others."""
    hit = (counts[:, 0] + counts[:, 1]) > 0
    smoothing = PSEUDOCOUNT * hit
    # A signal that nobody hit at all has a total of 0; any other has more than half a count.
    total = np.maximum(np.add.reduce(counts) + np.add.reduce(smoothing), PSEUDOCOUNT)
    return (counts + smoothing[:, np.newaxis]) / total, hit


def _both_counted(counts: Floats) -> Bools:
    return np.asarray(counts.any(axis=0).all(axis=0))


def _records(figures: Floats, has_counts: Bools, has_values: Bools) -> list[Drift | None]:
    rows = zip(*figures.tolist(), has_counts.tolist(), has_values.tolist(), strict=True)
    return [
        Drift(
            psi=forward + backward,
            kl_current_reference_nats=forward,
            kl_reference_current_nats=backward,
            js_nats=js / 2,
            wasserstein_bins=distance if values else None,
        )
        if some
        else None
        for forward, backward, js, distance, some, values in rows
    ]
