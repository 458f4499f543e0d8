"""Records of the topic of outcomes as they are read: checked, and their entries unpacked."""

from typing import NamedTuple

from tidegauge.contract import (
    SCORE_BINS,
    DecodingError,
    LabelsRecord,
    OutcomeInput,
    PredictionsRecord,
    RegressionTarget,
    decode,
)
from tidegauge.outcomes.packed import PackedLabels, Rows, unpack_labels, unpack_predictions

#: Times of the log, epoch seconds. Rows in memory have the time 0 once they are of no use, which is
#: longer ago than any retention.
EARLIEST_TIME, LATEST_TIME = 1e9, 4_102_444_800

#: How far ahead of the log an event may be beyond what INGEST accepts: clocks of workers and of
#: brokers differ. Half of what DETECT grants: of windows that are yet to come it takes no cell, nor
#: the others of the record.
_CLOCKS_SECONDS = 12 * 3600.0

#: More predictions than a writer counts in a bin between two flushes; many of them fit 64 bits.
_MOST_PREDICTED = 1 << 40


class ReadPredictions(NamedTuple):
    """A record of predictions with its entries, and when the log got it, epoch seconds."""

    time: float
    record: PredictionsRecord
    entries: Rows


class ReadLabels(NamedTuple):
    """A record of labels with them, and when the log got it, epoch seconds."""

    time: float
    record: LabelsRecord
    labels: PackedLabels


ReadRecord = ReadPredictions | ReadLabels


def read_input(value: bytes | None, time: float, *, max_ahead_seconds: float = 300.0) -> ReadRecord:
    """Read a record that the log got at ``time``; raises :class:`DecodingError`.

    ``max_ahead_seconds`` is how far ahead of a worker's clock INGEST takes events.
    """
    if not EARLIEST_TIME <= time <= LATEST_TIME:
        raise DecodingError(f"its time of the log, {time}, is not between 2001 and 2100")
    latest = min(LATEST_TIME, time + max_ahead_seconds + _CLOCKS_SECONDS)
    record = decode(value, OutcomeInput)
    for at, stratum in enumerate(record.strata):
        if stratum.target >= len(record.targets):
            raise DecodingError(
                f"strata[{at}] has target {stratum.target} of {len(record.targets)}"
            )
    if isinstance(record, PredictionsRecord):
        _check_predicted(record, latest)
        entries = unpack_predictions(record.entries, strata=len(record.strata), latest=latest)
        return ReadPredictions(time, record, entries)
    return ReadLabels(
        time,
        record,
        unpack_labels(
            record.labels,
            record.predictions,
            record.model_index,
            strata=len(record.strata),
            texts=len(record.texts),
            models=len(record.models),
            latest=latest,
        ),
    )


def _check_predicted(record: PredictionsRecord, latest: float) -> None:
    for at, counted in enumerate(record.predicted):
        if counted.stratum >= len(record.strata):
            raise DecodingError(
                f"predicted[{at}] has stratum {counted.stratum} of {len(record.strata)}"
            )
        target = record.targets[record.strata[counted.stratum].target]
        scores = 1 if isinstance(target, RegressionTarget) else SCORE_BINS + 1
        bins = counted.counts.bins
        if bins and bins[-1] >= scores * target.predicted_codes:
            raise DecodingError(f"predicted[{at}] has bin {bins[-1]}, beyond those of its target")
        if not all(0 <= count <= _MOST_PREDICTED for count in counted.counts.counts):
            raise DecodingError(f"predicted[{at}] has a count below zero, or beyond 2^40")
        if counted.cohort_start > latest:
            raise DecodingError(f"predicted[{at}] has a cohort that is yet to come")
