"""How good predictions without labels are, by the rates that earlier scores came true with.

An estimate (confidence-based, CBPE) is a function of counts: of the predictions by score bin, and
of earlier labelled ones. It holds as long as a score means what it meant: if the same scores come
true less often than they did (concept drift), it can't see that. Its track record shows how often
it held.
"""

from dataclasses import dataclass

import numpy as np

from tidegauge import stats
from tidegauge.contract import (
    SCORE_BINS,
    BinaryTarget,
    EstimatedPerformance,
    Figure,
    MulticlassTarget,
    NoFigure,
    OutcomeTarget,
    TrackRecord,
    no_figure,
)
from tidegauge.outcomes.counts import OutcomeCounts
from tidegauge.outcomes.labelled_rows import Integers
from tidegauge.stats import Floats, Places, normal_interval, wilson

#: Labelled predictions that a pool of neighbouring score bins has at least: of fewer, the rate and
#: its variance are too uncertain for a normal interval.
_LEAST_LABELS = 30

#: Predictions with scores where hardly any label has come, and for whose rate those of the nearest
#: scores would have to stand: with more of them than this share there is no estimate.
_MOST_UNFAMILIAR = 0.02

#: Fewer predictions have no estimate: the figure of so few is mostly chance.
_LEAST_PREDICTIONS = 20

_NAMES = {"binary": ("accuracy", "f1", "auc"), "multiclass": ("accuracy",), "regression": ()}


@dataclass(frozen=True)
class RealisedRates:
    """How often predictions came true, by predicted class and pool of neighbouring score bins.

    Of two classes: how often the actual one was positive; of several: how often the predicted one
    was right. ``pools`` is the pool of each row of score bins by predicted class (one row of all
    classes where there are several), ``hits`` and ``labels`` are those of the pools, and
    ``familiar`` says which score bins had a label within a bin's distance.
    """

    target: OutcomeTarget
    pools: Places
    hits: Floats
    labels: Floats
    familiar: Integers

    @property
    def rate(self) -> Floats:
        """The share of hits, by pool."""
        return np.asarray(self.hits / np.maximum(self.labels, 1))

    @property
    def variance(self) -> Floats:
        """The variance of one row by pool: that of a rate with half a count more of either kind."""
        smooth = (self.hits + 0.5) / (self.labels + 1)
        return np.asarray(smooth * (1 - smooth))


def realised_rates(earlier: OutcomeCounts) -> RealisedRates | None:
    """Return the rates of labelled predictions of mature cohorts, added up; None of numbers.

    Neighbouring bins are pooled until a pool has 30 labels. Immature cohorts would distort them, if
    labels of one class come sooner.
    """
    by_class = labelled_scores(earlier)
    return None if by_class is None else rates_of(earlier.target, by_class)


def rates_of(target: OutcomeTarget, by_class: Floats) -> RealisedRates:
    """Return the rates of ``labelled_scores`` of a target, added up over cohorts."""
    pools, hits, labels, familiar = [], [], [], []
    begin = 0
    for counts in by_class:
        n = counts.sum(axis=1)
        places = _pooled(n)
        size = int(places[-1]) + 1
        hits.append(np.bincount(places, weights=counts[:, 1], minlength=size))
        labels.append(np.bincount(places, weights=n, minlength=size))
        pools.append(places + begin)
        begin += size
        near = n.copy()
        near[1:] += n[:-1]
        near[:-1] += n[1:]
        familiar.append(near > 0)
    return RealisedRates(
        target,
        np.stack(pools),
        np.concatenate(hits),
        np.concatenate(labels),
        np.stack(familiar).astype(np.int64),
    )


def estimated_figures(counts: OutcomeCounts, rates: RealisedRates | None) -> dict[str, Figure]:
    """Estimate figures of all ``predicted``, labelled or not, by the rates of earlier cohorts.

    Of two classes accuracy, f1 and auc, of several accuracy. With n_b predictions in pool b, of
    N_b earlier labels of which the share c_b came true, a figure is a function of Σ a_b n_b c_b,
    and its variance

        Σ_b (a_b n_b)² c_b (1 - c_b) / N_b  +  Σ_b a_b² n_b c_b (1 - c_b)

    : that of the rates, which are known from N_b labels, and that of what will come true. a_b is
    the slope of the figure: of accuracy ±1 / n. The interval is for the figure that the labels of
    these predictions will give.

    Source: Kivimäki et al. 2025, "Confidence-based Estimators for Predictive Performance in Model
    Monitoring", with rates in the place of calibrated scores. (NannyML's CBPE leaves out the first
    term.)
    """
    return _estimated(counts.target, _predicted(counts), rates)


def _estimated(
    target: OutcomeTarget, predicted: Floats | None, rates: RealisedRates | None
) -> dict[str, Figure]:
    names = _NAMES[target.problem]
    if predicted is None:
        return {}
    n = round(float(predicted.sum()))
    if reason := _reason(target, predicted, rates, n):
        return {name: no_figure(reason, n) for name in names}
    assert rates is not None  # noqa: S101 - or there is a reason
    pools = rates.pools
    rate, variance = rates.rate[pools], rates.variance[pools]
    found = {"accuracy": _accuracy(target, predicted, rate)}
    errors = {}
    if isinstance(target, BinaryTarget):
        errors["auc"] = _tied(predicted, rate)
        found |= {"f1": _f1(predicted, rate), "auc": _auc(predicted, rate)}
    figures = {}
    for name, (value, slope) in found.items():
        if value is None:
            figures[name] = no_figure("one_class_only", n)
            continue
        # The rate of a pool is one unknown, whichever of its bins it is used for.
        of_rates = np.bincount(
            pools.reshape(-1), (slope * predicted).reshape(-1), minlength=len(rates.labels)
        )
        spread = float((of_rates**2 * rates.variance / np.maximum(rates.labels, 1)).sum())
        spread += float((slope**2 * predicted * variance).sum())
        low, high = normal_interval(value, spread, 0.0, 1.0)
        figures[name] = Figure(
            n=n, value=value, low=low, high=high, method="cbpe", estimated=True,
            binning_error=errors.get(name, 0.0),
        )  # fmt: skip
    return figures


def _reason(
    target: OutcomeTarget, predicted: Floats, rates: RealisedRates | None, n: int
) -> NoFigure | None:
    if predicted.min() < 0:
        return "counts_incomplete"
    if not n:
        return "no_predictions"
    if n < _LEAST_PREDICTIONS:
        return "too_few"
    if rates is None or rates.target != target or rates.labels.sum() < _LEAST_LABELS:
        return "no_earlier_cohorts"
    strange = predicted[(rates.familiar == 0) | (rates.labels[rates.pools] == 0)].sum()
    return "unfamiliar_scores" if strange > _MOST_UNFAMILIAR * n else None


def _accuracy(target: OutcomeTarget, n: Floats, rate: Floats) -> tuple[float | None, Floats]:
    total = float(n.sum())
    if isinstance(target, MulticlassTarget):
        return float((n * rate).sum()) / total, np.full_like(n, 1 / total)
    # Of those predicted negative, the negatives are right.
    sign = np.array([[-1.0], [1.0]])
    right = np.where(sign > 0, rate, 1 - rate)
    return float((n * right).sum()) / total, np.broadcast_to(sign / total, n.shape)


def _f1(n: Floats, rate: Floats) -> tuple[float | None, Floats]:
    """Return 2 TP / (predicted positive + actual positive)."""
    positives = float((n * rate).sum())
    both = float(n[1].sum()) + positives
    if not both:
        return None, n
    value = 2 * float((n[1] * rate[1]).sum()) / both
    slope = np.full_like(n, -value / both)
    slope[1] += 2 / both
    return value, slope


def _auc(n: Floats, rate: Floats) -> tuple[float | None, Floats]:
    """Return the area of the positives and negatives that are expected in each score bin."""
    positives, negatives = (n * rate).sum(axis=0), (n * (1 - rate)).sum(axis=0)
    p, q = float(positives.sum()), float(negatives.sum())
    if not p or not q:
        return None, n
    below = (np.cumsum(negatives) - negatives / 2) / q
    above = (p - np.cumsum(positives) + positives / 2) / p
    value = float((positives * below).sum()) / p
    slope = (below - value) / p - (above - value) / q
    return value, np.broadcast_to(slope, n.shape)


def _tied(n: Floats, rate: Floats) -> float:
    """Return half the share of pairs in one bin, whose order is unknown; see ``stats.roc_auc``."""
    positives, negatives = (n * rate).sum(axis=0), (n * (1 - rate)).sum(axis=0)
    pairs = float(positives.sum()) * float(negatives.sum())
    return float((positives * negatives).sum()) / pairs / 2 if pairs else 0.0


def labelled_scores(counts: OutcomeCounts) -> Floats | None:
    """Return labelled rows by predicted class, score bin and whether they came true.

    Those with a score and a class; of several classes in one row of all. None of numbers.
    """
    target = counts.target
    if isinstance(target, BinaryTarget):
        return np.moveaxis(counts.labelled[:SCORE_BINS, :, :2], 2, 0).astype(np.float64)
    if isinstance(target, MulticlassTarget):
        return counts.score_counts[np.newaxis].astype(np.float64)
    return None


def _predicted(counts: OutcomeCounts) -> Floats | None:
    """Return all predictions with a score and a class, by predicted class and score bin."""
    predicted = counts.predicted[:-1].astype(np.float64)
    if isinstance(counts.target, BinaryTarget):
        return np.asarray(predicted[:, :2].T)
    if isinstance(counts.target, MulticlassTarget):
        return np.asarray(predicted[np.newaxis, :, :-1].sum(axis=2))
    return None


def _pooled(n: Floats) -> Places:
    """Return the pool of each bin: neighbours together until they have enough labels."""
    places = np.zeros(len(n), dtype=np.intp)
    pool, held = 0, 0.0
    for at, labels in enumerate(n.tolist()):
        if held >= _LEAST_LABELS:
            pool, held = pool + 1, 0.0
        places[at] = pool
        held += labels
    if pool and held < _LEAST_LABELS:
        places[places == pool] = pool - 1
    return places


def estimate_of(
    counts: OutcomeCounts, rates: RealisedRates | None, record: TrackRecord
) -> EstimatedPerformance:
    """Return the estimate of a cohort with its track record beside it."""
    return EstimatedPerformance(figures=estimated_figures(counts, rates), record=record)


def estimate_held(counts: OutcomeCounts, rates: RealisedRates | None) -> dict[str, bool]:
    """Return whether the interval held what the labels of a mature cohort show, by figure.

    Estimated and realised figure are of the same labelled predictions with a score, so that it
    makes no difference for how many others the label is missing. ``rates``: of cohorts before it.
    Figures without an estimate or without a value are left out.
    """
    by_class = labelled_scores(counts)
    if by_class is None:
        return {}
    estimated = _estimated(counts.target, by_class.sum(axis=2), rates)
    realised = _realised(counts.target, by_class)
    found = {}
    for name, figure in estimated.items():
        value, error = realised[name].value, realised[name].binning_error
        if figure.low is not None and figure.high is not None and value is not None:
            # Where the figure is inside its bins can't be told.
            found[name] = figure.low - error <= value <= figure.high + error
    return found


def _realised(target: OutcomeTarget, by_class: Floats) -> dict[str, Figure]:
    if isinstance(target, MulticlassTarget):
        wrong, right = by_class.sum(axis=(0, 1))
        return {"accuracy": stats.accuracy([[right, wrong], [0.0, 0.0]])}
    table = by_class.sum(axis=1).T
    negatives, positives = by_class.sum(axis=0).T
    return {
        "accuracy": stats.accuracy(table),
        "f1": stats.f1(table),
        "auc": stats.roc_auc(positives, negatives),
    }


def with_results(record: TrackRecord, results: dict[str, bool]) -> TrackRecord:
    """Return a track record with one more cohort."""
    cohorts, times = dict(record.cohorts), dict(record.held)
    for name, result in results.items():
        cohorts[name] = cohorts.get(name, 0) + 1
        times[name] = times.get(name, 0) + result
    return TrackRecord(cohorts=cohorts, held=times)


def share_held(record: TrackRecord, name: str) -> Figure:
    """Return in which share of cohorts the interval of an estimate held, 0.95 as promised."""
    cohorts, times = record.cohorts.get(name, 0), record.held.get(name, 0)
    if not cohorts:
        return no_figure("no_earlier_cohorts")
    low, high = wilson(times, cohorts)
    return Figure(n=cohorts, value=times / cohorts, low=low, high=high, method="wilson")
