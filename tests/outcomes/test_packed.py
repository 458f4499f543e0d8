"""What is packed into records of the topic of outcomes, and what can't have been."""

import numpy as np
import pytest

from tidegauge.contract import DecodingError
from tidegauge.outcomes import (
    CARRIED,
    LABEL,
    MODEL_INDEX,
    NONE,
    OF_MODEL,
    PREDICTION,
    RETRACTED,
    WITHOUT_ID,
    pack,
    unpack_labels,
    unpack_predictions,
)


def _label(**columns):
    row = np.zeros(1, LABEL)
    row["text"] = NONE
    for name, value in columns.items():
        row[name] = value
    return row


def _prediction(**columns):
    row = np.zeros(1, PREDICTION)
    for name, value in columns.items():
        row[name] = value
    return row


def _unpack(labels, predictions=b"", model_index=b"", *, strata=1, texts=1, models=1):
    return unpack_labels(
        pack(np.concatenate(labels)),
        predictions,
        model_index,
        strata=strata,
        texts=texts,
        models=models,
    )


def test_sizes():
    assert (PREDICTION.itemsize, LABEL.itemsize) == (24, 44)


def test_there_and_back():
    rows = np.concatenate([_prediction(id=7, value=0.5, time=9), _prediction(value=np.nan)])
    assert unpack_predictions(pack(rows), strata=1).tobytes() == rows.tobytes()
    assert len(unpack_predictions(b"", strata=0)) == 0


def test_what_goes_with_a_label_is_found_by_its_order():
    found = _unpack(
        [
            _label(id=1),
            _label(flags=CARRIED | WITHOUT_ID),
            _label(id=3, flags=OF_MODEL),
            _label(id=4, flags=CARRIED | OF_MODEL),
        ],
        pack(np.concatenate([_prediction(value=0.1), _prediction(value=0.2)])),
        pack(np.array([4, 2], MODEL_INDEX)),
        models=5,
    )
    assert found.prediction.tolist() == [-1, 0, -1, 1]
    assert found.model.tolist() == [-1, -1, 4, 2]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (_prediction(stratum=1), "stratum 1 of entry 0 is wrong: of 1"),
        (_prediction(time=2**32 - 1), "after 4102444800"),
        (_prediction(value=np.inf), "value inf"),
    ],
)
def test_no_prediction(row, why):
    with pytest.raises(DecodingError, match=why):
        unpack_predictions(pack(row), strata=1)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (_label(text=1), "text 1 of entry 0"),
        (_label(actual=np.nan), "actual nan"),
        (_label(arrived=np.nan), "arrived nan"),
        (_label(arrived=-1.0), "arrived -1"),
        (_label(arrived=1e12), "arrived"),
        (_label(offset=2**63), "no offset"),
        (_label(partition=2**31), "no partition"),
        (_label(flags=WITHOUT_ID), "neither id nor prediction"),
        (_label(flags=CARRIED), "predictions has 0 entries, and 1 labels have one"),
        (_label(flags=OF_MODEL), "model_index has 0 entries"),
    ],
)
def test_no_label(row, why):
    with pytest.raises(DecodingError, match=why):
        _unpack([row])


def test_what_may_be_without_a_number():
    assert len(_unpack([_label(actual=np.nan, text=0), _label(actual=np.nan, flags=RETRACTED)])[0])


def test_more_beside_the_labels_than_they_have():
    with pytest.raises(DecodingError, match="predictions has 1 entries, and 0 labels"):
        _unpack([_label()], pack(_prediction()))
    with pytest.raises(DecodingError, match="model 1 of entry 0 is wrong: of 1"):
        _unpack([_label(flags=OF_MODEL)], model_index=pack(np.array([1], MODEL_INDEX)))
    with pytest.raises(DecodingError, match="labels has 43 bytes"):
        unpack_labels(b"x" * 43, b"", b"", strata=0, texts=0, models=0)
