"""Labels on their way to the topic of outcomes: what a tenure has of them since its last flush."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.contract import (
    MOST_GROUPS,
    LabelsRecord,
    OutcomeTarget,
    Stratum,
    encode,
    outcome_partition,
)
from tidegauge.counting.pending import GroupNames, named_places, rows_at
from tidegauge.outcomes import (
    CARRIED,
    LABEL,
    MODEL_INDEX,
    NONE,
    OF_MODEL,
    PREDICTION,
    WITHOUT_ID,
    pack,
)
from tidegauge.stats import Places

#: Labels of a record: with their predictions they have some 450 kB.
LABELS = 5_000


class LabelStratum(NamedTuple):
    """What predictions that came with labels share."""

    model: str
    version: str
    variant: str
    groups: GroupNames
    baseline: str


#: A label as it is routed: hash of the id, actual, arrived, offset, revision, partition, place of
#: the text, flags, place of the stratum, value, time and class of the prediction, place of the
#: model. A place is -1 where there is none.
RoutedLabel = tuple[
    int, float, float, int, int, int, int, int, int, float, float, int, int
]  # fmt: skip

_COLUMNS = np.dtype(
    [
        ("id", "<u8"), ("actual", "<f8"), ("arrived", "<f8"), ("offset", "<u8"),
        ("revision", "<u4"), ("partition", "<u4"), ("text", "<i4"), ("flags", "<u1"),
        ("stratum", "<i4"), ("value", "<f8"), ("time", "<f8"), ("predicted", "<u2"),
        ("model", "<i4"),
    ]
)  # fmt: skip


class PendingLabels:
    """Labels in the order in which they were read, until they are committed."""

    def __init__(self) -> None:
        self._batches: list[npt.NDArray[np.void]] = []
        #: What labels name by their places.
        self.texts: dict[str, int] = {}
        self.models: dict[str, int] = {}
        self.strata: dict[LabelStratum, int] = {}
        self._targets: list[OutcomeTarget] = []
        #: By model, how many strata have groups.
        self._combinations: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._batches)

    def text(self, text: str) -> int:
        """Return the place of an actual that is a text."""
        return self.texts.setdefault(text, len(self.texts))

    def model(self, model: str) -> int:
        """Return the place of a model that a label names beside an id."""
        return self.models.setdefault(model, len(self.models))

    def has_room(self, stratum: LabelStratum) -> bool:
        """Return whether the groups of a stratum are kept; there is a bound for each model."""
        return (
            stratum in self.strata
            or not stratum.groups
            or self._combinations[stratum.model] < MOST_GROUPS
        )

    def stratum(self, stratum: LabelStratum, target: OutcomeTarget) -> int:
        """Return the place of a stratum."""
        found = self.strata.get(stratum)
        if found is None:
            found = self.strata[stratum] = len(self.strata)
            self._targets.append(target)
            self._combinations[stratum.model] += bool(stratum.groups)
        return found

    def add(self, labels: list[RoutedLabel]) -> None:
        """Add labels in the order of the log."""
        if labels:
            self._batches.append(np.array(labels, _COLUMNS))

    def records(self, partitions: int, now: float, topic: str) -> Iterator[tuple[int, bytes]]:
        """Yield (partition, record) of all labels; the same each time."""
        if not self._batches:
            return
        rows = np.concatenate(self._batches)
        destinations = (rows["id"] % np.uint64(partitions)).astype(np.intp)
        nameless = np.flatnonzero(rows["flags"] & WITHOUT_ID)
        if len(nameless):
            by_stratum = np.array([outcome_partition(it.model, partitions) for it in self.strata])
            destinations[nameless] = by_stratum[rows["stratum"][nameless]]
        for partition in range(partitions):
            its = rows_at(rows, np.flatnonzero(destinations == partition))
            for begin in range(0, len(its), LABELS):
                record = self._record(its[begin : begin + LABELS], now, topic)
                yield partition, encode(record)

    def _record(self, rows: npt.NDArray[np.void], now: float, topic: str) -> LabelsRecord:
        labels = np.zeros(len(rows), LABEL)
        for name in ("id", "actual", "arrived", "offset", "revision", "partition", "flags"):
            labels[name] = rows[name]
        texts, labels["text"] = _used(rows["text"])
        of_model = rows["flags"] & OF_MODEL != 0
        models, index = _used(rows["model"][of_model])
        carried = rows_at(rows, np.flatnonzero(rows["flags"] & CARRIED))
        strata, stratum = _used(carried["stratum"])
        predictions = np.zeros(len(carried), PREDICTION)
        for name in ("id", "value", "predicted"):
            predictions[name] = carried[name]
        predictions["time"] = np.floor(carried["time"])
        predictions["stratum"] = stratum
        every_text, every_model = list(self.texts), list(self.models)
        every_stratum = list(self.strata)
        targets: list[OutcomeTarget] = []
        named = []
        for place in strata:
            target, its = self._targets[place], every_stratum[place]
            if target not in targets:
                targets.append(target)
            named.append(
                Stratum(
                    model=its.model,
                    version=its.version,
                    variant=its.variant,
                    groups=dict(its.groups),
                    baseline=its.baseline,
                    target=targets.index(target),
                )
            )
        return LabelsRecord(
            time=now,
            topic=topic,
            strata=named,
            targets=targets,
            texts=[every_text[place] for place in texts],
            models=[every_model[place] for place in models],
            labels=pack(labels),
            predictions=pack(predictions),
            model_index=pack(index.astype(MODEL_INDEX)),
        )


def _used(places: Places) -> tuple[list[int], Places]:
    """Return the places that are named, and for each its index among these; NONE for -1."""
    found, index = named_places(places + 1)
    if found and found[0] == 0:
        return [place - 1 for place in found[1:]], np.where(index == 0, NONE, index - 1)
    return [place - 1 for place in found], index
