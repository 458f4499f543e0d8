"""What is held of one partition of outcomes: predictions, labels, and what came of them."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from tidegauge.outcomes.names import NO_TEXT, Actuals, Strata
from tidegauge.outcomes.packed import CARRIED, RETRACTED, Indices, Rows, as_rows
from tidegauge.outcomes.sorted_rows import Seconds, SortedRows
from tidegauge.stats import Bools, Floats

#: What became of a label. An ``early`` one is counted once more: when it is joined, or refused.
Result = Literal[
    "joined",
    "duplicate",
    "corrected",
    "retracted",
    "early",
    "unknown",
    "expired",
    "invalid_class",
    "stale_revision",
]
RESULTS: tuple[Result, ...] = get_args(Result)

#: A prediction that waits for labels, beside its id: with that, 26 bytes.
PENDING = np.dtype([("value", "<f8"), ("time", "<u4"), ("stratum", "<u4"), ("predicted", "<u2")])

#: One that a label has brought along; kept for the retention after ``base``, not after its time.
KEPT = np.dtype([*PENDING.descr, ("base", "<i8")])

#: What is held of a label as it came, with what it is of as ``scope``.
LABEL_COLUMNS = [
    ("scope", "<u8"),
    ("actual", "<f8"),
    ("arrived", "<f8"),
    ("offset", "<u8"),
    ("order", "<i8"),
    ("revision", "<u4"),
    ("partition", "<u4"),
    ("text", "<u4"),
    ("flags", "u1"),
]

#: A label. ``until`` is up to when its predictions may have another one, or how long it waits for
#: them.
LABEL_ROW = np.dtype([*LABEL_COLUMNS, ("until", "<i8"), ("waiting", "?")])

#: Up to when a label waits for its predictions.
DEADLINE = np.dtype([("until", "<i8"), ("id", "<u8"), ("order", "<i8")])

#: One label that counts for one prediction, or no longer does (``sign`` -1). ``actual`` is the code
#: of a class, or the number.
CONTRIBUTION = np.dtype([*PENDING.descr, ("actual", "<f8"), ("arrived", "<f8"), ("sign", "i1")])


class UnusedLabel(NamedTuple):
    """A label that counts for nothing, the place of its record on the topic of labels, and why."""

    partition: int
    offset: int
    reason: Result
    detail: str


@dataclass(frozen=True)
class JoinLimits:
    """What bounds the state of a partition.

    Times in seconds. ``early_seconds`` and ``early_labels`` are how long, and how many, labels wait
    for predictions; ``lag_seconds`` is how long after it arrived a label may be read: predictions
    are held so much longer than the retention of their model.
    """

    early_seconds: int = 3600
    early_labels: int = 100_000
    lag_seconds: int = 24 * 3600


class Pairs(NamedTuple):
    """Labels with the predictions in their scope, each as a row; ``of`` is the label of each."""

    of: Indices
    predictions: Rows
    base: Seconds
    until: Seconds


class Verdicts(NamedTuple):
    """Whether labels count for predictions, and else why not; ``codes`` of their actuals."""

    counts: Bools
    is_invalid: Bools
    codes: Floats


class Held:
    """The state of one partition, and what came of the events since the caller last asked."""

    def __init__(self, strata: Strata, limits: JoinLimits) -> None:
        self.strata = strata
        self.limits = limits
        self.actuals = Actuals(strata)
        self.pending = SortedRows(PENDING, "time", lambda rows: self.until(rows, rows["time"]))
        self.kept = SortedRows(KEPT, "base", lambda rows: self.until(rows, rows["base"]))
        self.labels = SortedRows(LABEL_ROW, "until", lambda rows: rows["until"])
        #: How many labels wait for their predictions, and up to when: until, id, order.
        self.waiting = 0
        self.deadlines: list[Rows] = []
        self.results: Counter[Result] = Counter()
        self.duplicate_predictions = 0
        self.late_predictions = 0
        self.unused: list[UnusedLabel] = []

    @property
    def nbytes(self) -> int:
        """Memory of what is held."""
        return self.pending.nbytes + self.kept.nbytes + self.labels.nbytes

    def forget_counts(self) -> None:
        """Begin anew to count what comes of events."""
        self.results.clear()
        self.unused.clear()
        self.duplicate_predictions = self.late_predictions = 0

    def until(self, predictions: Rows, base: Indices | Seconds) -> Seconds:
        """Return up to when predictions are held, kept from ``base`` on."""
        retention = self.strata.columns.retention[predictions["stratum"]]
        found: Seconds = base.astype(np.int64) + retention + self.limits.lag_seconds
        return found

    def pairs(self, labels: Rows) -> Pairs:
        """Return the predictions of labels, which come by id, each id once.

        Predictions that labels have brought along are kept by now: others don't wait for those.
        """
        ids, scopes, clocks = labels["id"], labels["scope"], labels["clock"]
        alone = np.flatnonzero(labels["flags"] & CARRIED == 0)
        found = [self.pending.find(ids[alone]), self.kept.find(ids)]
        of = np.concatenate([alone[found[0].of], found[1].of])
        rows = np.concatenate([it.rows[list(PENDING.names or ())] for it in found])
        base = np.concatenate([found[0].rows["time"].astype(np.int64), found[1].rows["base"]])
        until = self.until(rows, base)
        its = (until >= clocks[of]) & self.strata.columns.in_scope(rows["stratum"], scopes[of])
        return Pairs(of[its], rows[its], base[its], until[its])

    def verdicts(self, labels: Rows, predictions: Rows, base: Seconds) -> Verdicts:
        """Return whether labels count for predictions, one for each."""
        columns, stratum = self.strata.columns, predictions["stratum"]
        codes = self.actuals.codes(columns.target[stratum], labels["actual"], labels["text"])
        is_invalid = np.isnan(codes) & (labels["flags"] & RETRACTED == 0)
        in_time = labels["arrived"] <= base + columns.retention[stratum]
        in_time |= labels["flags"] & CARRIED != 0
        return Verdicts(in_time & ~is_invalid, is_invalid, codes)

    def refuse(self, labels: Rows, reason: Result) -> None:
        """Refuse labels; see :meth:`refuse_one`."""
        columns = ("partition", "offset", "actual", "text")
        for partition, offset, actual, text in labels[list(columns)].tolist():
            self.refuse_one(partition, offset, actual, text, reason)

    def refuse_one(
        self, partition: int, offset: int, actual: float, text: int, reason: Result
    ) -> None:
        """Count a label that is of no use, and note the place of its record and why."""
        self.results[reason] += 1
        match reason:
            case "unknown":
                why = (
                    "no prediction with its id came before it, nor within "
                    f"{self.limits.early_seconds} s after it"
                )
            case "expired":
                why = "it arrived later than its prediction waits for it"
            case _:
                found = actual if text == NO_TEXT else self.actuals.text(text)
                why = f"actual {found!r} is no class, or no number, of its model"
        self.unused.append(UnusedLabel(partition, offset, reason, why))

    def wait(self, labels: Rows) -> None:
        """Note that labels, with the columns of events, wait for their predictions."""
        self.waiting += len(labels)
        deadlines = np.zeros(len(labels), DEADLINE)
        deadlines["id"], deadlines["order"] = labels["id"], labels["order"]
        deadlines["until"] = labels["clock"] + self.limits.early_seconds
        if len(labels):
            self.deadlines.append(deadlines)

    def give_up(self, clock: int) -> None:
        """Refuse the labels that have waited too long, by the time of the log."""
        due = [it[it["until"] < clock] for it in self.deadlines if it["until"].min() < clock]
        if not due:
            return
        over = np.concatenate(due)
        left = (it[it["until"] >= clock] for it in self.deadlines)
        self.deadlines = [it for it in left if len(it)]
        found = self.labels.find(np.unique(over["id"]))
        orders = np.sort(over["order"])
        at = np.minimum(np.searchsorted(orders, found.rows["order"]), len(orders) - 1)
        its = found.rows["waiting"] & (orders[at] == found.rows["order"])
        its &= found.rows["until"] > 0
        self.waiting -= int(np.count_nonzero(its))
        in_order = np.argsort(found.rows["order"][its])
        self.refuse(found.rows[its][in_order], "unknown")
        self.labels.remove(found.only(its))


def label_rows(events: Rows, until: Seconds, waiting: Bools) -> Rows:
    """Return rows to hold of labels."""
    rows = as_rows(LABEL_ROW, events)
    rows["until"], rows["waiting"] = until, waiting
    return rows


def contributions(predictions: Rows, actual: Floats, arrived: Floats, sign: int = 1) -> Rows:
    """Return what labels contribute for predictions, one for each."""
    rows = as_rows(CONTRIBUTION, predictions)
    rows["actual"], rows["arrived"], rows["sign"] = actual, arrived, sign
    return rows
