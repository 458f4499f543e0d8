"""What has changed about the signals in alarm: which bins, by how much, and since when. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.alerting import MOST_MOVED
from tidegauge.baseline import (
    NumericSignal,
    Signal,
    bin_labels,
    ordered_bins,
    reference_counts,
    tells_unseen,
    value_bins,
)
from tidegauge.contract import Change, MovedBin, ReportPart, SignalReport
from tidegauge.sequential import Memory, Reference, age_windows, bin_contributions, directions
from tidegauge.stats import histogram_quantile
from tidegauge.windows.ranking import Standing

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

#: By span: a window, up to a quarter of an hour, an hour; of windows of a minute.
_SPAN_WORDS: tuple[Literal["spike", "minutes", "hour"], ...] = (
    "spike", "minutes", "minutes", "hour",
)  # fmt: skip


class Strongest(NamedTuple):
    """Of some signals, by their rows, the span and the score that show a change most."""

    rows: Places
    spans: Places
    scores: Places


@dataclass(frozen=True)
class Bins:
    """A signal of the baseline, and what its bins are called."""

    signal: Signal

    @cached_property
    def labels(self) -> list[str]:
        """Return a label for each bin; most signals are never in alarm, and none is made."""
        return bin_labels(self.signal)

    @cached_property
    def values(self) -> npt.NDArray[np.intp]:
        """Return for each bin which bin of values it is, from 1; 0 if it holds none."""
        bins = value_bins(reference_counts(self.signal), ordered_bins(self.signal))
        return np.array(bins, dtype=np.intp) + 1


def changes(
    names: Sequence[str],
    bins: Mapping[str, Bins],
    reference: Reference,
    memory: Memory,
    strongest: Strongest,
    part: ReportPart,
    window: tuple[int, int],
    standing: Mapping[str, Standing],
) -> dict[str, Change]:
    """Return what has changed, by name.

    ``names`` are those of ``strongest.rows``, all of which are in ``part`` and have been scored.
    ``window`` is the start and the end of the window, epoch seconds.
    """
    rows, spans, scores = strongest
    if not names:
        return {}
    counts = memory.effective()[spans, rows]
    baseline, current, g = bin_contributions(reference.counts[rows], counts)
    most = np.argsort(-np.abs(g), axis=-1, kind="stable")[:, :MOST_MOVED].tolist()
    ages = age_windows(memory, reference, rows, directions(reference, rows, counts, scores))
    # Windows with few events are remembered as one, so that many of them are one step.
    steps = np.maximum(np.round(memory.total[0, rows] / max(part.events, 1)), 1.0)
    start, end = window
    onsets = (end - (ages - 1) * steps.astype(int) * (end - start)).tolist()
    found = {}
    for at, name in enumerate(names):
        its, report = bins[name], part.signals[name]
        missing = len(its.signal.counts)  # the bins of values come before it
        deltas = (current[at] - baseline[at]).tolist()
        place = standing[name]
        found[name] = Change(
            span=_SPAN_WORDS[spans[at]],
            moved=[
                MovedBin(
                    bin=its.labels[i],
                    baseline_share=float(baseline[at, i]),
                    current_share=float(current[at, i]),
                    g=float(g[at, i]),
                )
                for i in most[at]
                if g[at, i]
            ],
            mean_delta=_mean_delta(its.signal, report),
            median_delta=_median_delta(
                its.signal,
                reference.counts[rows[at], :missing].tolist(),
                counts[at, :missing].tolist(),
                report,
            ),
            missing_share_delta=deltas[missing],
            unseen_share_delta=deltas[missing - 1] if tells_unseen(its.signal) else None,
            onset_window_end=onsets[at],
            q_value=place.q_value,
            rank=place.rank,
            importance=place.importance,
        )
    return found


def _mean_delta(signal: Signal, report: SignalReport) -> float | None:
    if not isinstance(signal, NumericSignal) or signal.mean is None or report.mean is None:
        return None
    return report.mean - signal.mean


def _median_delta(
    signal: Signal, baseline: list[float], values: list[float], report: SignalReport
) -> float | None:
    before, now = _median(signal, baseline, None), _median(signal, values, report)
    return None if before is None or now is None else now - before


def _median(signal: Signal, counts: Sequence[float], report: SignalReport | None) -> float | None:
    if not isinstance(signal, NumericSignal):
        return None
    seen = [report.histogram.minimum, report.histogram.maximum] if report else []
    ends = [it for it in (signal.minimum, signal.maximum, *seen) if it is not None]
    return histogram_quantile(
        signal.edges,
        counts,
        0.5,
        minimum=min(ends, default=None),
        maximum=max(ends, default=None),
    )
