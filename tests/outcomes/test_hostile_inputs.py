"""Records of outcomes that no worker of INGEST writes, and settings that differ between workers."""

import numpy as np
import pytest

from support.outcome_log import RETENTION, TARGETS
from tidegauge.contract import (
    DecodingError,
    LabelsRecord,
    PredictedCounts,
    PredictionsRecord,
    SparseCounts,
    Stratum,
    encode,
)
from tidegauge.outcomes import (
    CARRIED,
    LABEL,
    NONE,
    PREDICTION,
    JoinLimits,
    OutcomeCells,
    OutcomeJoin,
    Strata,
    names,
    pack,
    read_input,
)

NOW = 1_800_000_000
HOUR, DAY = 3600, 86_400
MODELS = ("credit", "price")


def _strata(**fields):
    strata = [
        Stratum(model=model, version="1", baseline="b", target=at, **fields)
        for at, model in enumerate(MODELS)
    ]
    return {"strata": strata, "targets": [TARGETS[model] for model in MODELS]}


def _predictions(entries=None, predicted=()):
    entries = np.zeros(0, PREDICTION) if entries is None else entries
    record = PredictionsRecord(
        time=NOW, entries=pack(entries), predicted=list(predicted), **_strata()
    )
    return read_input(encode(record), NOW)


def _rows(kind, n=1, **columns):
    rows = np.zeros(n, kind)
    for name, values in columns.items():
        rows[name] = values
    return rows


def _counted(start, count=1):
    return PredictedCounts(
        stratum=0, cohort_start=start, counts=SparseCounts(bins=[0], counts=[count])
    )


def _labels(labels, predictions=None, texts=()):
    record = LabelsRecord(
        time=NOW,
        topic="labels",
        labels=pack(labels),
        predictions=b"" if predictions is None else pack(predictions),
        texts=list(texts),
        **_strata(),
    )
    return read_input(encode(record), NOW)


def _join():
    return OutcomeJoin(Strata(RETENTION.__getitem__), JoinLimits())


def test_what_is_yet_to_come_is_refused_before_it_is_in_a_cell_that_detect_refuses():
    ahead = NOW + DAY
    with pytest.raises(DecodingError, match=r"time 18000.* of entry 0 is wrong: after"):
        _predictions(_rows(PREDICTION, time=ahead))
    with pytest.raises(DecodingError, match="has a cohort that is yet to come"):
        _predictions(predicted=[_counted(ahead // HOUR * HOUR)])
    with pytest.raises(DecodingError, match="arrived"):
        _labels(_rows(LABEL, arrived=ahead, text=NONE))
    carried = _rows(LABEL, arrived=NOW, text=NONE, flags=CARRIED)
    with pytest.raises(DecodingError, match="time"):
        _labels(carried, _rows(PREDICTION, time=ahead))
    assert len(_predictions(_rows(PREDICTION, time=NOW + 300)).entries) == 1
    assert _predictions(predicted=[_counted(NOW + HOUR)])


def test_counts_that_would_not_fit_64_bits_are_refused():
    with pytest.raises(DecodingError, match="beyond 2"):
        _predictions(predicted=[_counted(NOW, 2**62)])
    assert _predictions(predicted=[_counted(NOW, 2**40)])


def test_a_cohort_of_another_length_is_counted_in_that_which_it_begins_in():
    join = _join()
    cells = OutcomeCells(join.held.strata, lambda _: HOUR, lambda _: 60)
    cells.add(join.take([_predictions(predicted=[_counted(NOW + 7, 3), _counted(NOW + 900)])]))
    (cell,) = cells.changed(1)[0]
    assert cell.window_start == NOW // HOUR * HOUR
    assert cell.strata[0].predicted.counts == [4]


def test_each_text_of_an_actual_is_read_once_and_looked_for_once(monkeypatch):
    compared = 0
    unique = np.unique

    def counting(values, *rest, **options):
        nonlocal compared
        compared += 1
        return unique(values, *rest, **options)

    n = 2_000
    join = _join()
    entries = _rows(PREDICTION, n, id=np.arange(n) + 1, time=NOW, value=5, stratum=1)
    join.take([_predictions(entries)])
    labels = _rows(LABEL, n, id=np.arange(n) + 1, arrived=NOW, text=np.arange(n))
    monkeypatch.setattr(names.np, "unique", counting)
    found = join.take([_labels(labels, texts=[f"{at}.5" for at in range(n)])])
    assert found.labelled["actual"].tolist() == [at + 0.5 for at in range(n)]
    assert compared < 20
