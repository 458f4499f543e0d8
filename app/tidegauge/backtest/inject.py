"""A drift put into windows of the past, to see how soon it would be seen.

Nobody has the values any more, only their bins, so they are taken to lie in these as the baseline's
quantile function has it: evenly between two edges, and beyond the outermost ones as the tail of a
normal distribution through the two edges next to it, no further than the baseline's smallest and
largest value. What moves inside one bin is not seen, as by DETECT itself.
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, cast, get_args

import msgspec
import numpy as np
from scipy.special import log_ndtr, ndtri

from tidegauge.baseline import Baseline, CategoricalSignal, NumericSignal
from tidegauge.contract import ReportPart, SignalHistogram, WindowReport
from tidegauge.stats import Floats
from tidegauge.windows import SCORE_SECONDS, drifts, signal_report

Kind = Literal["mean", "scale", "missing", "unseen"]

_SPEC = re.compile(r"(?P<signal>.+):(?P<kind>[a-z_]+):(?P<size>[^:@]+)(?:@(?P<at>.+))?")

_FORM = "SIGNAL:KIND:SIZE or SIGNAL:KIND:SIZE@TIME, with a KIND of mean, scale, missing or unseen"

_MEANT = {
    "mean": "standard deviations of the baseline to move by, not 0",
    "scale": "what to multiply the variance by, above 0 and not 1",
    "missing": "a share of the values to lose, above 0 and at most 1",
    "unseen": "a share of the values to replace, above 0 and at most 1",
}


@dataclass(frozen=True)
class Injection:
    """What is done to one signal in windows that begin at ``at`` or later, epoch seconds.

    - ``mean``: values move by ``size`` standard deviations of the baseline;
    - ``scale``: their variance is multiplied by ``size``, about the baseline's mean;
    - ``missing``: a share ``size`` of the events loses the value;
    - ``unseen``: in a share ``size`` of them it becomes a category that the baseline never saw.

    Which events these are is drawn, so that counts stay whole and as noisy as counts are: each bin
    by a multinomial, seeded by the report's id and ``seed``. The same report gives the same counts.
    """

    signal: str
    kind: Kind
    size: float
    at: float
    seed: int = 1

    @staticmethod
    def split(spec: str) -> tuple[str, Kind, float, str | None]:
        """Read signal, kind, size and the text of the time; raises ``ValueError`` saying why."""
        found = _SPEC.fullmatch(spec)
        if found is None:
            raise ValueError(f"found {spec!r}, expected {_FORM}")
        kind = found["kind"]
        if kind not in get_args(Kind):
            raise ValueError(f"found the kind {kind!r} in {spec!r}, expected {_FORM}")
        try:
            size = float(found["size"])
        except ValueError:
            size = math.nan
        sound = {
            "mean": size != 0,
            "scale": size > 0 and size != 1,
            "missing": 0 < size <= 1,
            "unseen": 0 < size <= 1,
        }[kind]
        if not (sound and math.isfinite(size)):
            raise ValueError(
                f"found the size {found['size']!r} in {spec!r}, expected {_MEANT[kind]}"
            )
        return found["signal"], cast(Kind, kind), size, found["at"]


@dataclass
class Injector:
    """Puts an injection into the reports of one slice, given in their order."""

    injection: Injection
    #: Sums of predictions of the last five minutes: (window end, sum, n).
    _scores: list[tuple[int, float, int]] = field(default_factory=list)
    _moves: dict[str, Floats] = field(default_factory=dict)

    def apply(
        self, reports: Sequence[WindowReport], baselines: Mapping[str, Baseline]
    ) -> tuple[list[WindowReport], int]:
        """Return the next reports with the injection, and into how many there was something to put.

        Raises ``ValueError`` if the signal is of a kind that the injection is not for.
        """
        name = self.injection.signal
        changed = {
            (at, place): self._changed(report.id, part, baselines[part.baseline])
            for at, report in enumerate(reports)
            if report.window_start >= self.injection.at
            for place, part in enumerate(report.parts)
            if part.baseline in baselines
            if name in part.signals and name in baselines[part.baseline].signals
        }
        figures = drifts(changed)
        found = list(reports)
        for (at, place), (histogram, reference, effect) in changed.items():
            signal = signal_report(name, histogram, reference, figures[at, place], effect)
            parts = list(found[at].parts)
            signals = {**parts[place].signals, name: signal}
            parts[place] = msgspec.structs.replace(parts[place], signals=signals)
            found[at] = msgspec.structs.replace(found[at], parts=parts)
        injected = {at for at, _ in changed}
        if name == "prediction":
            found = [
                self._mean_of_scores(report, at in injected) for at, report in enumerate(found)
            ]
        return found, len(injected)

    def _changed(
        self, report: str, part: ReportPart, baseline: Baseline
    ) -> tuple[SignalHistogram, NumericSignal | CategoricalSignal, float]:
        it = self.injection
        reference, h = baseline.signals[it.signal], part.signals[it.signal].histogram
        _check(it, reference)
        text = f"{it.seed}:{report}:{part.baseline}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "big"))
        drawn = self._drawn(part.baseline, h, reference, rng)
        return drawn, reference, baseline.design_effect(it.signal)

    def _drawn(
        self,
        baseline: str,
        h: SignalHistogram,
        reference: NumericSignal | CategoricalSignal,
        rng: np.random.Generator,
    ) -> SignalHistogram:
        it = self.injection
        if it.kind in ("mean", "scale"):
            assert isinstance(reference, NumericSignal)  # noqa: S101 - checked above
            return self._moved(baseline, h, reference, rng)
        if it.kind == "missing":
            return _without(h, it.size, rng)
        seen = np.array(h.counts[:-1], dtype=np.int64)
        taken = rng.binomial(seen, it.size)
        counts = [*(seen - taken).tolist(), h.counts[-1] + int(taken.sum())]
        return msgspec.structs.replace(h, counts=counts)

    def _moved(
        self,
        baseline: str,
        h: SignalHistogram,
        reference: NumericSignal,
        rng: np.random.Generator,
    ) -> SignalHistogram:
        mean, std = reference.mean or 0.0, reference.std or 0.0
        by_mean = self.injection.kind == "mean"
        shift = self.injection.size * std if by_mean else 0.0
        stretch = 1.0 if by_mean else math.sqrt(self.injection.size)
        table = self._moves.get(baseline)
        if table is None:
            table = moves(reference, shift=shift, stretch=stretch, centre=mean)
            self._moves[baseline] = table
        counts = rng.multinomial(np.array(h.counts, dtype=np.int64), table).sum(axis=0)
        # x becomes a + b·x, so its sums need no bins.
        a, b, n = mean + shift - stretch * mean, stretch, h.n
        return msgspec.structs.replace(
            h,
            counts=counts.tolist(),
            sum=a * n + b * h.sum,
            sumsq=a * a * n + 2 * a * b * h.sum + b * b * h.sumsq,
            minimum=None if h.minimum is None else a + b * h.minimum,
            maximum=None if h.maximum is None else a + b * h.maximum,
        )

    def _mean_of_scores(self, report: WindowReport, injected: bool) -> WindowReport:
        """Keep the mean prediction of five minutes in step with what was put in."""
        histograms = [
            part.signals["prediction"].histogram
            for part in report.parts
            if "prediction" in part.signals
        ]
        this = report.window_end, sum(h.sum for h in histograms), sum(h.n for h in histograms)
        oldest = report.window_end - SCORE_SECONDS
        self._scores = [*(one for one in self._scores if one[0] > oldest), this]
        n = sum(one[2] for one in self._scores)
        if not injected or not n:
            return report
        mean = sum(one[1] for one in self._scores) / n
        return msgspec.structs.replace(report, prediction_mean_5m=mean)


def _check(injection: Injection, reference: NumericSignal | CategoricalSignal) -> None:
    numeric = isinstance(reference, NumericSignal)
    if injection.kind in ("mean", "scale") and not numeric:
        raise ValueError(
            f"the signal {injection.signal!r} is categorical, so it has no {injection.kind}; "
            "expected the kind missing or unseen"
        )
    if injection.kind == "unseen" and numeric:
        raise ValueError(
            f"the signal {injection.signal!r} is numeric, so no value of it is unseen; expected "
            "the kind mean, scale or missing"
        )
    if isinstance(reference, NumericSignal) and injection.kind != "missing" and not reference.std:
        raise ValueError(
            f"the signal {injection.signal!r} never varied in its baseline, so it has no standard "
            "deviation to move by; expected another signal, or the kind missing"
        )


def _without(h: SignalHistogram, share: float, rng: np.random.Generator) -> SignalHistogram:
    """Lose values, of each bin and beside them alike; sums in proportion."""
    present = np.array([*h.counts, h.nan, h.invalid], dtype=np.int64)
    lost = rng.binomial(present, share)
    *counts, nan, invalid = (present - lost).tolist()
    kept = sum(counts) / h.n if h.n else 0.0
    return msgspec.structs.replace(
        h,
        counts=counts,
        nan=nan,
        invalid=invalid,
        null=h.null + int(lost.sum()),
        sum=h.sum * kept,
        sumsq=h.sumsq * kept,
        minimum=h.minimum if kept else None,
        maximum=h.maximum if kept else None,
    )


def moves(signal: NumericSignal, *, shift: float, stretch: float, centre: float) -> Floats:
    """Return the share of each bin's values that goes to each: rows add up to 1.

    A value x becomes ``centre`` + ``stretch`` · (x - ``centre``) + ``shift``.

    >>> signal = NumericSignal(edges=[0.0, 1.0, 2.0], counts=[25, 25, 25, 25], missing=0, nan=0,
    ...                        mean=1.0, std=1.0, minimum=-1.0, maximum=3.0)
    >>> moves(signal, shift=0.5, stretch=1.0, centre=1.0)[1].tolist()
    [0.0, 0.5, 0.5, 0.0]
    """
    edges = np.array(signal.edges)
    if not len(edges):
        return np.ones((1, 1))
    came_from = centre + (edges - shift - centre) / stretch
    below = np.array([_inside(signal, bin_, came_from) for bin_ in range(len(edges) + 1)])
    ends = np.pad(below, ((0, 0), (1, 1)), constant_values=((0.0, 0.0), (0.0, 1.0)))
    return np.maximum(np.diff(ends, axis=1), 0.0)


def _inside(signal: NumericSignal, bin_: int, x: Floats) -> Floats:
    """Return the share of one bin's values that is below each ``x``, ascending."""
    edges = signal.edges
    if 0 < bin_ < len(edges):
        low, high = edges[bin_ - 1], edges[bin_]
        return (np.clip(x, low, high) - low) / (high - low)
    if bin_ == 0:
        share, end = _tail(signal, edges[0] - x, lowest=True), signal.minimum
        share = np.where(x <= edges[0], share, 1.0)
        return share if end is None else np.where(x <= end, 0.0, share)
    share, end = 1 - _tail(signal, x - edges[-1], lowest=False), signal.maximum
    share = np.where(x >= edges[-1], share, 0.0)
    return share if end is None else np.where(x > end, 1.0, share)


def _tail(signal: NumericSignal, beyond: Floats, *, lowest: bool) -> Floats:
    """Return the share of an outer bin that is more than ``beyond`` outside of its edge."""
    z, scale = _normal_end(signal, lowest=lowest)
    result: Floats = np.exp(log_ndtr(z - np.maximum(beyond, 0.0) / scale) - log_ndtr(z))
    return result


def _normal_end(signal: NumericSignal, *, lowest: bool) -> tuple[float, float]:
    """Return the normal score of the outermost edge, below 0, and what one of them is in x."""
    counts = np.array(signal.counts if lowest else signal.counts[::-1], dtype=np.float64)
    edges = signal.edges if lowest else [-edge for edge in signal.edges[::-1]]
    scores = ndtri(np.cumsum(counts)[:-1] / max(counts.sum(), 1.0))
    atom = 1e-9 * (edges[-1] - edges[0])
    for (a, b), (low, high) in zip(pairwise(scores.tolist()), pairwise(edges), strict=True):
        # The bin of a single value has no slope.
        if np.isfinite([a, b]).all() and b > a and high - low > atom:
            scale = (high - low) / (b - a)
            return a + (edges[0] - low) / scale, scale
    mean, std = signal.mean or 0.0, signal.std or 1.0
    return (edges[0] - (mean if lowest else -mean)) / std, std
