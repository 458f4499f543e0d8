"""Why a signal raised more alarms than were promised, as far as its own windows tell. Pure.

Of blocks of 1, 4, 16 and 64 windows, X² about the shares of the whole history is computed, divided
by its degrees of freedom: 1 where events are independent and nothing changes. Where events go
together inside a window (Rao & Scott 1981) all lengths have the same; where windows are alike it
grows with the length. A step and a cycle are told by what they explain of the X² of all blocks.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from scipy.special import fdtrc

from tidegauge.backtest.promise import CLUMP_WINDOWS, Numbers
from tidegauge.baseline import CategoricalSignal, Signal
from tidegauge.stats import Bools, Floats
from tidegauge.windows import SURE_ROWS, BaselineLayout

CauseKind = Literal[
    "clustering",
    "dependent_windows",
    "daily_cycle",
    "weekly_cycle",
    "shift",
    "other_traffic",
    "small_baseline",
    "single_windows",
    "other_days",
    "unknown",
]

_LENGTHS = (1, 4, 16, 64)
_LEAST_BLOCKS = 8
_HOUR_SECONDS, _DAY_SECONDS = 3600, 86_400
_HOURS, _WEEK_HOURS = 24, 168

#: Blocks that steps are looked for between, seconds; those of many bins would take much memory.
_BLOCK_SECONDS = 900
_MANY_BINS = 5_000

#: Standard errors from which on windows vary by more than chance, and that are added to estimates.
_SURE, _ADDED = 5.0, 3.0

#: By how many times more long blocks vary than single windows do, where windows are alike.
_GROWTH = 1.5

#: What a step or a cycle has to explain, and with which probability it may be chance.
_EXPLAINED, _CHANCE = 0.5, 1e-6
_EXPLAINED_BY_WEEK = 0.2

#: A window that varies by so many times more than most do stands out; of those there are few.
_STANDS_OUT, _FEW = 10.0, 0.02

#: In alarm so often before and after a step.
_SELDOM, _OFTEN = 0.1, 0.5


class AlarmCause(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a signal was in alarm, by the windows of a ``version``.

    ``since`` and ``until``, epoch seconds, are those of a shift, or of traffic that is not that of
    the baseline; ``design_effect`` is by how much more than those of independent events counts
    vary; ``windows`` how many stand out; ``explains`` the share of the variation.
    """

    kind: CauseKind
    version: str = ""
    since: int | None = None
    until: int | None = None
    design_effect: float | None = None
    windows: int | None = None
    explains: float | None = None


class _Dispersion(NamedTuple):
    """X² of blocks by its degrees of freedom, and the standard error of that by chance."""

    found: float
    by_chance: float

    @property
    def is_sure(self) -> bool:
        return self.found - 1 > _SURE * self.by_chance

    @property
    def upper(self) -> float:
        return self.found * (1 + _ADDED * self.by_chance)


class _BlockSums:
    """Sums over blocks of so many windows: of counts² / n, which X² follows from at the end."""

    def __init__(self, length: int, shape: tuple[int, int]) -> None:
        self.length = length
        self.squares: Floats = np.zeros(shape)
        self.number: Numbers = np.zeros(shape[0], np.int64)
        self.events: Floats = np.zeros(shape[0])
        self._rest: Floats = np.zeros((0, *shape))

    def add(self, counts: Floats) -> None:
        counts = np.concatenate([self._rest, counts]) if len(self._rest) else counts
        whole = len(counts) // self.length
        self._rest = counts[whole * self.length :].copy()
        blocks = counts[: whole * self.length]
        if self.length > 1:
            blocks = blocks.reshape(whole, self.length, *counts.shape[1:]).sum(axis=1)
        n = blocks.sum(axis=-1)
        self.squares += np.einsum("wsb,wsb,ws->sb", blocks, blocks, 1 / np.maximum(n, 1e-300))
        self.number += (n > 0).sum(axis=0)
        self.events += n.sum(axis=0)

    def dispersion(self, row: int, shares: Floats) -> _Dispersion | None:
        """Return that of a signal; None of too few blocks to tell."""
        number, events = int(self.number[row]), float(self.events[row])
        there = shares > 0
        df = int(there.sum()) - 1
        if number < _LEAST_BLOCKS or df < 1:
            return None
        x2 = float((self.squares[row, there] / shares[there]).sum()) - events
        # Of rare bins X² varies by more than χ² does.
        rare = (float((1 / shares[there]).sum()) - (df + 1) ** 2 - 2 * df) / (events / number)
        variance = (2 * df + max(rare, 0.0)) / (df**2 * (number - 1))
        return _Dispersion(x2 / (df * (number - 1)), float(np.sqrt(variance)))


class CountHistory:
    """What the windows of a slice counted by one baseline, as far as causes are told by it."""

    def __init__(self, layout: BaselineLayout) -> None:
        shape = layout.reference.counts.shape
        self._layout = layout
        self.total: Floats = np.zeros(shape)
        self._sums = [_BlockSums(length, (shape[0], shape[1])) for length in _LENGTHS]
        self._quarters: dict[int, Floats] = {}
        self._seconds = 0
        self._least_seconds = _BLOCK_SECONDS if self.total.size < _MANY_BINS else _HOUR_SECONDS
        rows = layout.reference.counts + 0.5 * layout.reference.exists
        self._expected = rows / rows.sum(axis=-1, keepdims=True)
        self._unlike: list[Floats] = []

    def add(self, starts: Numbers, seconds: int, counts: Floats) -> None:
        """Take in counts (windows, signals, bins) of windows of so many ``seconds``."""
        self._seconds = self._seconds or max(seconds, self._least_seconds)
        self.total += counts.sum(axis=0)
        for sums in self._sums:
            sums.add(counts)
        n = np.maximum(counts.sum(axis=-1, keepdims=True), 1e-300)
        off = np.where(self._expected > 0, (counts / n - self._expected) ** 2, 0.0)
        x2 = (off / np.where(self._expected > 0, self._expected, 1.0)).sum(axis=-1) * n[..., 0]
        self._unlike.append(x2.astype(np.float32))
        blocks = starts // self._seconds
        first = np.flatnonzero(np.diff(blocks, prepend=blocks[0] - 1))
        for block, its in zip(
            blocks[first].tolist(), np.add.reduceat(counts, first, axis=0), strict=True
        ):
            known = self._quarters.get(block)
            self._quarters[block] = its if known is None else known + its

    def counted(self, names: Sequence[str], since: int, until: int) -> dict[str, Floats]:
        """Return the counts of signals in blocks that begin between two epoch seconds, by bin.

        As many as there were before they were divided by a design effect.
        """
        its = [it for at, it in self._quarters.items() if since <= at * self._seconds < until]
        total = np.asarray(sum(its, np.zeros_like(self.total)))
        if self._layout.effects is not None:
            total = total * self._layout.effects[:, None]
        rows = {name: row for row, name in enumerate(self._layout.names) if name in names}
        return {name: total[row, : self._layout.widths[row]] for name, row in rows.items()}

    def causes(
        self, name: str, signal: Signal, starts: Numbers, alarmed: Bools
    ) -> list[AlarmCause]:
        """Return why a signal was ``alarmed`` in windows that began at ``starts``.

        Or would be at a lower threshold; nothing if its counts don't tell.
        """
        row = self._layout.names.index(name)
        found = [
            self._single_windows(row, alarmed),
            self._small(row, signal),
            self._shift(row, starts, alarmed),
        ]
        if self._layout.daily is not None:
            # That the hours differ, and days, is what the baseline expects.
            if not any(found) and alarmed.any():
                found.append(AlarmCause(kind="other_days"))
        elif found[-1] is None:
            varies = self._cycle(row) or self._dispersed(row)
            found.append(varies)
            if varies is None or varies.kind == "clustering":
                found.append(self._other_traffic(row, starts, alarmed))
        return [it for it in found if it is not None]

    def _shares(self, row: int) -> Floats:
        return np.asarray(self.total[row] / max(float(self.total[row].sum()), 1e-300))

    def _single_windows(self, row: int, alarmed: Bools) -> AlarmCause | None:
        unlike = np.concatenate(self._unlike)[:, row]
        out = unlike > _STANDS_OUT * max(float(np.median(unlike)), 1.0)
        begins = alarmed & ~np.concatenate([[False], alarmed[:-1]])
        number, most = int(out.sum()), int((begins & out).sum()) * 2 >= int(begins.sum())
        few = number <= max(_FEW * len(out), 1)
        if not (number and few and most and 0 < alarmed.mean() < _OFTEN):
            return None
        return AlarmCause(kind="single_windows", windows=number)

    def _small(self, row: int, signal: Signal) -> AlarmCause | None:
        rows = sum(signal.counts)
        if isinstance(signal, CategoricalSignal):
            rows += signal.missing
        effect = 1.0 if self._layout.effects is None else float(self._layout.effects[row])
        return AlarmCause(kind="small_baseline") if rows / effect < SURE_ROWS else None

    def _dispersed(self, row: int) -> AlarmCause | None:
        shares = self._shares(row)
        found = [it for sums in self._sums if (it := sums.dispersion(row, shares)) is not None]
        if not found:
            return None
        first, last = found[0], found[-1]
        if last.found > _GROWTH * first.found * (1 + _ADDED * last.by_chance) and last.is_sure:
            return AlarmCause(kind="dependent_windows", design_effect=last.found)
        if first.is_sure:
            return AlarmCause(kind="clustering", design_effect=first.upper)
        return None

    def _table(self, row: int, seconds: int) -> tuple[Numbers, Floats]:
        """Return starts, in ``seconds`` or blocks of the history, and counts of blocks."""
        sums: dict[int, Floats] = {}
        for at, its in sorted(self._quarters.items()):
            block = at * self._seconds // max(seconds, self._seconds)
            sums[block] = sums[block] + its[row] if block in sums else its[row]
        kept = {at: its for at, its in sums.items() if its.sum() > 0}
        starts = np.array(list(kept), dtype=np.int64) * max(seconds, self._seconds)
        return starts, np.array(list(kept.values())).reshape(len(kept), -1)

    def _shift(self, row: int, starts: Numbers, alarmed: Bools) -> AlarmCause | None:
        begins, counts = self._table(row, self._seconds)
        if len(counts) < _LEAST_BLOCKS or not alarmed.any():
            return None
        shares = self._shares(row)
        df, whole = _x2(counts, shares)
        before = counts.cumsum(axis=0)[1:-2, shares > 0]
        n = before.sum(axis=-1)
        off = ((before - n[:, None] * shares[shares > 0]) ** 2 / shares[shares > 0]).sum(axis=-1)
        cuts = off * (1 / n + 1 / (self.total[row].sum() - n))
        best = int(np.argmax(cuts))
        since = int(begins[best + 2])
        excess = whole - df * (len(counts) - 1)
        explains = (cuts[best] - df) / excess if excess > 0 else 0.0
        rest = max((whole - cuts[best]) / max(df * (len(counts) - 2), 1), 1.0)
        sure = cuts[best] / rest > df + _SURE * np.sqrt(2 * df) + 2 * np.log(len(counts))
        earlier = starts < since
        stays = alarmed[~earlier].mean() >= _OFTEN and alarmed[earlier].mean() <= _SELDOM
        if not (explains >= _EXPLAINED and sure and stays):
            return None
        until = int(starts[-1]) + self._seconds
        return AlarmCause(
            kind="shift", since=since, until=until, explains=float(min(explains, 1.0))
        )

    def _cycle(self, row: int) -> AlarmCause | None:
        begins, counts = self._table(row, _HOUR_SECONDS)
        hours = begins // _HOUR_SECONDS
        day = self._explained(counts, hours % _HOURS, np.zeros_like(hours), row)
        week = self._explained(counts, hours % _WEEK_HOURS, hours % _HOURS, row)
        if week >= _EXPLAINED_BY_WEEK:
            return AlarmCause(kind="weekly_cycle", explains=week + max(day, 0.0))
        return AlarmCause(kind="daily_cycle", explains=day) if day >= _EXPLAINED else None

    def _explained(self, counts: Floats, classes: Numbers, within: Numbers, row: int) -> float:
        """Return the share of the variation that classes explain beyond those they are within.

        0 where that may be chance (F test), or where most classes were met only once.
        """
        shares = self._shares(row)
        kinds, met = np.unique(classes, return_counts=True)
        if np.median(met) < 2 or len(kinds) == len(np.unique(within)):
            return 0.0
        df, whole = _x2(counts, shares)
        (few, coarse), (many, fine) = (
            (len(it), _x2(it, shares)[1]) for it in (_by(counts, within), _by(counts, classes))
        )
        more, rest = df * (many - few), df * (len(counts) - many)
        if rest < 1 or whole <= fine:
            return 0.0
        f = (fine - coarse) / more / max((whole - fine) / rest, 1.0)
        excess = whole - df * (len(counts) - 1)
        if fdtrc(more, rest, f) > _CHANCE or excess <= 0:
            return 0.0
        return float(min((fine - coarse - more) / excess, 1.0))

    def _other_traffic(self, row: int, starts: Numbers, alarmed: Bools) -> AlarmCause | None:
        reference = self._layout.reference
        counts = np.stack([self.total[row], reference.counts[row]])
        together = counts.sum(axis=0) / counts.sum()
        df, x2 = _x2(counts, together)
        spread = [it.dispersion(row, self._shares(row)) for it in self._sums]
        effect = max([1.0, *(it.found for it in spread if it is not None)])
        off = x2 / effect > df + _SURE * np.sqrt(2 * df) + 2 * CLUMP_WINDOWS**0.5
        if not (off and alarmed.mean() >= _OFTEN):
            return None
        return AlarmCause(
            kind="other_traffic", since=int(starts[0]), until=int(starts[-1]) + self._seconds
        )


def _x2(counts: Floats, shares: Floats) -> tuple[int, float]:
    """Return degrees of freedom of a block, and X² of all of them about ``shares``."""
    there = shares > 0
    n = counts.sum(axis=-1, keepdims=True)
    expected = n * shares[there]
    off = np.where(expected > 0, (counts[:, there] - expected) ** 2, 0.0)
    x2 = float((off / np.where(expected > 0, expected, 1.0)).sum())
    return max(int(there.sum()) - 1, 1), x2


def _by(counts: Floats, classes: Sequence[int] | Numbers) -> Floats:
    _, place = np.unique(classes, return_inverse=True)
    found = np.zeros((int(place.max()) + 1, counts.shape[1]))
    np.add.at(found, place.reshape(-1), counts)
    return found
