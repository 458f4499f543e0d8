"""Models whose labels are awaited, and what is routed of their predictions."""

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from support.counting import NOW, a_counter, a_tenure, count
from tidegauge.contract.target import (
    BinaryTarget,
    MulticlassTarget,
    OutcomeTarget,
    RegressionTarget,
)
from tidegauge.counting import label_router, plan
from tidegauge.counting.counter import Promoted
from tidegauge.counting.tenure import Tenure
from tidegauge.outcomes.packed import PREDICTION

YES_NO = BinaryTarget(positive="yes", negative="no", threshold=0.5)
ZERO_ONE = BinaryTarget(positive="1", negative="0", threshold=0.25)
ANIMALS = MulticlassTarget(classes=["cat", "dog", "3"])
A_NUMBER = RegressionTarget(residual_edges=[-1.0, 0.0, 1.0])


@contextmanager
def awaiting(target: OutcomeTarget | None) -> Iterator[None]:
    """All baselines have this target."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (plan, label_router):
            patch.setattr(module, "target_of", lambda baseline: target)
        yield


def records_of(tenure: Tenure, partitions: int = 3) -> list[tuple[int, dict[str, Any]]]:
    found = tenure.pending.records(partitions, NOW)
    return [(partition, json.loads(record)) for partition, record in found]


def stratum_of(record: Mapping[str, Any], index: int) -> str:
    """Name a stratum by all that it says, whatever its place."""
    stratum = dict(record["strata"][index])
    stratum["target"] = record["targets"][stratum["target"]]
    return json.dumps(stratum, sort_keys=True)


def entries_in(records: Sequence[tuple[int, dict[str, Any]]]) -> dict[int, list[tuple[Any, ...]]]:
    """Return (id, value, time, class, stratum) by partition, in their order."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for partition, record in records:
        rows = np.frombuffer(base64.b64decode(record.get("entries", "")), PREDICTION)
        for *row, stratum in rows.tolist():
            value = row[1].hex()  # one NaN is as another
            its = (row[0], value, *row[2:], stratum_of(record, stratum))
            found.setdefault(partition, []).append(its)
    return found


def predicted_in(records: Sequence[tuple[int, dict[str, Any]]]) -> dict[tuple[Any, ...], int]:
    """Return counts by partition, stratum, cohort and bin."""
    found = Counter[tuple[Any, ...]]()
    for partition, record in records:
        for its in record.get("predicted", ()):
            name = partition, stratum_of(record, its["stratum"]), its["cohort_start"]
            for bin_, events in zip(its["counts"]["bins"], its["counts"]["counts"], strict=True):
                assert events > 0
                found[(*name, bin_)] += events
    return dict(found)


def routed(
    values: Sequence[bytes | None], promoted: Promoted, **settings: Any
) -> tuple[Any, Any, Any, Any]:
    """Return entries, predicted counts and counters of values that are counted together."""
    counter, tenure = a_counter(**settings), a_tenure()
    counter.use(promoted, tenure)
    count(counter, tenure, values)
    assert counter.dead_letters == []
    records = records_of(tenure)
    found = counter.predictions
    return entries_in(records), predicted_in(records), dict(found.routed), dict(found.faults)
