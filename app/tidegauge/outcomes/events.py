"""What the records of a batch hold, as columns: predictions and labels in the order of the log."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tidegauge.outcomes.held import LABEL_COLUMNS, PENDING
from tidegauge.outcomes.inputs import ReadLabels, ReadPredictions, ReadRecord
from tidegauge.outcomes.names import ANY_SCOPE, NO_TEXT, Actuals, Strata, scope_of
from tidegauge.outcomes.packed import NONE, WITHOUT_ID, Indices, Rows, as_rows

#: A prediction as it comes. ``carried``: a label has brought it along; ``clock`` is the time of
#: the log at its record, and ``order`` its place in the log.
PREDICTION_EVENT = np.dtype(
    [("id", "<u8"), *PENDING.descr, ("carried", "?"), ("clock", "<i8"), ("order", "<i8")]
)

#: A label as it comes.
LABEL_EVENT = np.dtype([("id", "<u8"), *LABEL_COLUMNS, ("clock", "<i8")])


class Events(NamedTuple):
    """The events of some records. Labels without id are apart, with their predictions."""

    predictions: Rows
    labels: Rows
    alone: Rows
    alone_predictions: Rows


def events_of(
    records: Sequence[ReadRecord],
    strata: Strata,
    actuals: Actuals,
    *,
    clock: int,
    order: int,
    most_lag: int,
) -> Events:
    """Return the events of records.

    ``clock`` is the time of the log before them, ``order`` the place of the first event. A label
    that was written longer than ``most_lag`` seconds ago counts as arrived so long ago.
    """
    parts: tuple[list[Rows], ...] = ([], [], [], [])
    for read in records:
        clock = max(clock, int(read.time))
        numbers = strata.numbers(read.record.strata, read.record.targets)
        if isinstance(read, ReadPredictions):
            parts[0].append(_predictions(read.entries, numbers, clock, order))
            order += len(read.entries)
            continue
        labels = _labels(read, actuals, clock, order, most_lag)
        carried = read.labels.prediction >= 0
        predictions = _predictions(
            read.labels.predictions[read.labels.prediction[carried]], numbers, clock, order
        )
        predictions["carried"] = True
        predictions["order"] = labels["order"][carried]
        predictions["id"] = labels["id"][carried]
        own = strata.columns.own_scope
        labels["scope"][carried] = own[predictions["stratum"]]
        alone = labels["flags"] & WITHOUT_ID != 0
        parts[0].append(predictions[~alone[carried]])
        parts[1].append(labels[~alone])
        parts[2].append(labels[alone])
        parts[3].append(predictions[alone[carried]])
        order += len(labels)
    kinds = (PREDICTION_EVENT, LABEL_EVENT, LABEL_EVENT, PREDICTION_EVENT)
    return Events(
        *(
            np.concatenate([np.zeros(0, kind), *part])
            for kind, part in zip(kinds, parts, strict=True)
        )
    )


def _predictions(rows: Rows, strata: Indices, clock: int, order: int) -> Rows:
    events = as_rows(PREDICTION_EVENT, rows)
    if len(rows):
        events["stratum"] = strata[rows["stratum"]]
    events["clock"] = clock
    events["order"] = np.arange(order, order + len(rows))
    return events


def _labels(read: ReadLabels, actuals: Actuals, clock: int, order: int, most_lag: int) -> Rows:
    rows = read.labels.labels
    events = as_rows(LABEL_EVENT, rows)
    events["arrived"] = np.maximum(rows["arrived"], clock - most_lag)
    events["text"] = NO_TEXT
    is_text = rows["text"] != NONE
    if is_text.any():
        events["text"][is_text] = actuals.numbers(read.record.texts)[rows["text"][is_text]]
    events["scope"] = ANY_SCOPE
    named = read.labels.model >= 0
    if named.any():
        scopes = np.array([scope_of(model) for model in read.record.models], np.uint64)
        events["scope"][named] = scopes[read.labels.model[named]]
    events["clock"] = clock
    events["order"] = np.arange(order, order + len(rows))
    return events
