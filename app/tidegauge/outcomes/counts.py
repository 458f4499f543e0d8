"""What is counted of the predictions of one target and of their labels: exact and mergeable.

Adding, merging and taking back are sums of integers, so that every order gives the same bytes.
"""

from typing import Self

import numpy as np

from tidegauge.contract import (
    LAG_EDGES,
    SCORE_BINS,
    BinaryCounts,
    BinaryTarget,
    DecodingError,
    MulticlassCounts,
    MulticlassTarget,
    OutcomeTally,
    OutcomeTarget,
    RegressionCounts,
    RegressionTarget,
    ScoreSums,
    SparseCounts,
    StratumCounts,
)
from tidegauge.outcomes.exact import exact_of, exact_sums, exact_text
from tidegauge.outcomes.labelled_rows import (
    Codes,
    Integers,
    LabelledRows,
    NumberRows,
    labelled_rows,
)
from tidegauge.stats import Floats, Places

#: Rows at once: bounds the memory.
_CHUNK = 1 << 20

#: More than a tenure counts in a bin, and than its scores add up to, in units of 2^-30: sums of
#: tenures fit 64 bits.
_MOST_COUNTED, _MOST_SUM = 1 << 40, 1 << 60

#: The sums of a regression, in the order of the fields of ``RegressionCounts``. e is prediction
#: minus actual, d the actual minus the target's centre; higher powers are for intervals alone.
REGRESSION_SUMS = (
    "error", "absolute", "squared", "fourth", "relative", "relative_squared",
    "actual", "actual_squared", "actual_cubed", "actual_fourth",
    "squared_by_actual", "squared_by_actual_squared",
)  # fmt: skip


class OutcomeCounts:
    """Counts of the predictions of one target, and of those with a label.

    ``labelled`` has the labelled ones by bins, of the shape

    - binary: (129 score bins, 2 actual, 3 predicted); the last score bin has no score in [0, 1],
      the last predicted class is none
    - multiclass, k classes: (k + 1 actual, k + 2 predicted); k is another class, k + 1 none
    - regression: (residual bins,)

    ``score_counts``, ``score_sums`` and ``score_squares`` are of shape (128, 2): by score bin and
    actual, or, of several classes, whether the predicted one was right. ``log_loss`` has the sum
    and that of the squares. ``sums`` has those of a regression, of ``n`` and ``relative_n`` rows.
    ``lags`` counts all labelled predictions, ``predicted`` all predictions by ``prediction_bins``,
    ``joinable`` those that a label can find by id.
    """

    def __init__(self, target: OutcomeTarget) -> None:
        self.target = target
        self.lags: Integers = np.zeros(len(LAG_EDGES) + 1, dtype=np.int64)
        self.joinable = 0
        self.log_loss = [0, 0]
        self.n = self.relative_n = 0
        self.sums = [0] * len(REGRESSION_SUMS)
        shape: tuple[int, ...]
        codes = target.predicted_codes
        scores = SCORE_BINS
        if isinstance(target, BinaryTarget):
            shape = (SCORE_BINS + 1, 2, codes)
        elif isinstance(target, MulticlassTarget):
            shape = (target.actual_codes, codes)
        else:
            shape, scores = (len(target.residual_edges) + 1,), 0
        self.labelled: Integers = np.zeros(shape, dtype=np.int64)
        self.score_counts: Integers = np.zeros((scores, 2), dtype=np.int64)
        self.score_sums: Integers = np.zeros((scores, 2), dtype=np.int64)
        self.score_squares: Integers = np.zeros((scores, 2), dtype=np.int64)
        self.predicted: Integers = np.zeros(((scores + 1) if scores else 1, codes), dtype=np.int64)

    def add(
        self,
        value: Floats,
        predicted: Codes,
        actual: Floats,
        lag: Floats,
        sign: int = 1,
    ) -> None:
        """Add labelled predictions, or take them back with ``sign`` -1.

        ``value``: score or number, NaN if there is none; ``predicted``: code of the class, or
        ``NONE``; ``actual``: code of the class, or the number; ``lag``: seconds from
        prediction to label. One entry each, arrays of one length.
        Raises ``ValueError`` if the lengths differ, or an actual is no code of the target.
        """
        if not len(value) == len(predicted) == len(actual) == len(lag):
            raise ValueError(
                f"found {len(value)} values, {len(predicted)} predicted classes, {len(actual)} "
                f"actuals and {len(lag)} lags, expected as many of each"
            )
        for begin in range(0, len(value), _CHUNK):
            some = slice(begin, begin + _CHUNK)
            columns = (value[some], predicted[some], actual[some], lag[some])
            self.add_rows(labelled_rows(self.target, *columns), sign)

    def add_rows(self, rows: LabelledRows, sign: int = 1) -> None:
        """Add labelled predictions of the target, or take them back, as :meth:`add` does."""
        np.add.at(self.lags, rows.lags, sign)
        if isinstance(rows, NumberRows):
            self.n += sign * int(np.count_nonzero(rows.usable))
            self.relative_n += sign * int(np.count_nonzero(rows.relative))
            np.add.at(self.labelled, rows.places, sign * rows.usable)
            for at, each in enumerate(exact_sums(rows.terms)):
                self.sums[at] += sign * each
            return
        np.add.at(self.labelled.reshape(-1), rows.places, sign)
        for held, units in (
            (self.score_counts, rows.scored),
            (self.score_sums, rows.scores),
            (self.score_squares, rows.squares),
        ):
            np.add.at(held.reshape(-1), rows.score_places, sign * units)
        self.log_loss[0] += sign * int(rows.losses.sum())
        self.log_loss[1] += sign * int(rows.squared_losses.sum())

    def add_predicted(self, bins: Places, counts: Integers, sign: int = 1) -> None:
        """Add predictions, labelled or not: how many of each of ``prediction_bins``.

        Raises ``ValueError`` for a bin that the target doesn't have.
        """
        if len(bins) and not 0 <= bins.min() <= bins.max() < self.predicted.size:
            raise ValueError(f"bins: expected 0 to {self.predicted.size - 1}")
        np.add.at(self.predicted.reshape(-1), bins, sign * np.asarray(counts, dtype=np.int64))

    def merge(self, other: "OutcomeCounts", sign: int = 1) -> Self:
        """Add the counts of another of the same target, or subtract them with ``sign`` -1.

        Raises ``ValueError`` if the target is another.
        """
        if other.target != self.target:
            raise ValueError("counts of different targets can't be added up")
        for mine, its in zip(self._arrays(), other._arrays(), strict=True):
            mine += sign * its
        self.joinable += sign * other.joinable
        self.n += sign * other.n
        self.relative_n += sign * other.relative_n
        self.log_loss = [a + sign * b for a, b in zip(self.log_loss, other.log_loss, strict=True)]
        self.sums = [a + sign * b for a, b in zip(self.sums, other.sums, strict=True)]
        return self

    def _arrays(self) -> tuple[Integers, ...]:
        return (
            self.labelled, self.score_counts, self.score_sums, self.score_squares,
            self.lags, self.predicted,
        )  # fmt: skip

    def __bool__(self) -> bool:
        # Whether there is anything to write: a correction may leave nothing.
        scalars = (self.joinable, self.n, self.relative_n, *self.log_loss, *self.sums)
        return any(scalars) or any(map(np.any, self._arrays()))

    def to_tally(self) -> OutcomeTally:
        """Return the counts of labelled predictions as they stand in a record."""
        if isinstance(self.target, RegressionTarget):
            return RegressionCounts(
                n=self.n,
                relative_n=self.relative_n,
                residuals=_sparse(self.labelled),
                **dict(zip(REGRESSION_SUMS, map(exact_text, self.sums), strict=True)),
            )
        # After a correction a bin may have sums and no counts.
        bins = np.flatnonzero(self.score_counts | self.score_sums | self.score_squares)
        scores = ScoreSums(
            bins=bins.tolist(),
            counts=self.score_counts.reshape(-1)[bins].tolist(),
            sums=self.score_sums.reshape(-1)[bins].tolist(),
            squares=self.score_squares.reshape(-1)[bins].tolist(),
        )
        loss, squared = self.log_loss
        labelled = _sparse(self.labelled)
        if isinstance(self.target, BinaryTarget):
            return BinaryCounts(
                outcomes=labelled, scores=scores, log_loss=loss, log_loss_squared=squared
            )
        return MulticlassCounts(
            confusion=labelled, confidence=scores, log_loss=loss, log_loss_squared=squared
        )

    def to_record(
        self,
        *,
        version: str,
        baseline: str,
        target: int,
        variant: str = "",
        groups: dict[str, str] | None = None,
    ) -> StratumCounts:
        """Return the counts as one stratum of a cell; ``target`` is the index of the target."""
        return StratumCounts(
            version=version,
            baseline=baseline,
            target=target,
            variant=variant,
            groups=groups or {},
            labelled=self.to_tally(),
            lags=_sparse(self.lags),
            predicted=_sparse(self.predicted),
            joinable=self.joinable,
        )

    @classmethod
    def from_record(cls, target: OutcomeTarget, record: StratumCounts) -> Self:
        """Return the counts of a stratum; raises ``DecodingError`` if it doesn't fit the target."""
        found = cls.from_tally(target, record.labelled)
        _filled(found.lags, record.lags, "lags")
        _filled(found.predicted, record.predicted, "predicted")
        found.joinable = _within(record.joinable, _MOST_COUNTED, "joinable")
        return found

    @classmethod
    def from_tally(cls, target: OutcomeTarget, tally: OutcomeTally) -> Self:
        """Return the counts of labelled predictions alone; raises ``DecodingError`` likewise."""
        found = cls(target)
        kinds = (target.problem, tally.__struct_config__.tag)
        match target, tally:
            case BinaryTarget(), BinaryCounts():
                labelled, scores = tally.outcomes, tally.scores
            case MulticlassTarget(), MulticlassCounts():
                labelled, scores = tally.confusion, tally.confidence
            case RegressionTarget(), RegressionCounts():
                found.n = _within(tally.n, _MOST_COUNTED, "n")
                found.relative_n = _within(tally.relative_n, _MOST_COUNTED, "relative_n")
                found.sums = [exact_of(getattr(tally, name)) for name in REGRESSION_SUMS]
                _filled(found.labelled, tally.residuals, "residuals")
                return found
            case _:
                raise DecodingError(f"the target is {kinds[0]}, and the counts are {kinds[1]}")
        found.log_loss = [tally.log_loss, tally.log_loss_squared]
        _filled(found.labelled, labelled, "outcomes")
        for held, counts, most in (
            (found.score_counts, scores.counts, _MOST_COUNTED),
            (found.score_sums, scores.sums, _MOST_SUM),
            (found.score_squares, scores.squares, _MOST_SUM),
        ):
            _filled(held, SparseCounts(bins=scores.bins, counts=counts), "scores", most)
        return found


def _sparse(counts: Integers) -> SparseCounts:
    flat = counts.reshape(-1)
    bins = np.flatnonzero(flat)
    return SparseCounts(bins=bins.tolist(), counts=flat[bins].tolist())


def _within(count: int, most: int, name: str) -> int:
    if abs(count) > most:
        raise DecodingError(f"{name}: found {count}, expected at most {most}")
    return count


def _filled(held: Integers, sparse: SparseCounts, name: str, most: int = _MOST_COUNTED) -> None:
    if sparse.bins and sparse.bins[-1] >= held.size:
        raise DecodingError(
            f"{name}: found bin {sparse.bins[-1]}, and the target has {held.size} of them"
        )
    for count in sparse.counts:
        _within(count, most, name)
    held.reshape(-1)[sparse.bins] = sparse.counts
