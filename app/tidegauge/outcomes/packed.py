"""Entries of the topic of outcomes: thousands of predictions or labels in the bytes of one record.

Little-endian arrays of numpy, which take a fifth of the room of JSON and a hundredth of its time.
What comes from the topic is checked here, once: whoever gets the arrays may use every index.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.contract import DecodingError

#: An array of :data:`PREDICTION`, of :data:`LABEL`, or of any other of named columns.
Rows = npt.NDArray[np.void]
Indices = npt.NDArray[np.intp]

#: A prediction. ``value`` is the score, or the value of a regression, NaN without one; ``time`` is
#: in epoch seconds; ``predicted`` is a class code, :data:`NONE` without one.
PREDICTION = np.dtype(
    [
        ("id", "<u8"),
        ("value", "<f8"),
        ("time", "<u4"),
        ("predicted", "<u2"),
        ("stratum", "<u2"),
    ]
)

#: A label. ``arrived`` is in epoch seconds; ``partition`` and ``offset`` are those of its record on
#: the topic of labels; ``text`` is an index, or :data:`NONE` where ``actual`` is the number.
LABEL = np.dtype(
    [
        ("id", "<u8"),
        ("actual", "<f8"),
        ("arrived", "<f8"),
        ("offset", "<u8"),
        ("revision", "<u4"),
        ("partition", "<u4"),
        ("text", "<u2"),
        ("flags", "<u1"),
        ("pad", "<u1"),
    ]
)

#: Index of a model of a label that names one.
MODEL_INDEX = np.dtype("<u2")

#: No class, no text, no model.
NONE = 65_535

#: Bits of ``flags``: the label takes the outcome back; its prediction comes with it; it has no id;
#: it is of the predictions of one model alone.
RETRACTED, CARRIED, WITHOUT_ID, OF_MODEL = 1, 2, 4, 8

#: The year 2100, epoch seconds.
_LATEST = 4_102_444_800


class PackedLabels(NamedTuple):
    """Labels with what goes with some of them.

    ``prediction`` and ``model`` have an index for each label, -1 where there is none.
    """

    labels: Rows
    predictions: Rows
    prediction: Indices
    model: Indices


def pack(rows: npt.NDArray[np.generic]) -> bytes:
    """Return the bytes of rows of :data:`PREDICTION`, :data:`LABEL` or :data:`MODEL_INDEX`."""
    return rows.tobytes()


def as_rows(kind: np.dtype[np.void], rows: Rows) -> Rows:
    """Return rows of ``kind`` with the columns that ``rows`` have, too; the others are 0.

    >>> as_rows(PREDICTION, np.array([(7, 1)], [("id", "<u8"), ("other", "<u8")]))["id"]
    array([7], dtype=uint64)
    """
    found = np.zeros(len(rows), kind)
    for name in set(kind.names or ()) & set(rows.dtype.names or ()):
        found[name] = rows[name]
    return found


def unpack_predictions(entries: bytes, *, strata: int, latest: float = _LATEST) -> Rows:
    """Return the predictions of a record with so many strata; raises :class:`DecodingError`.

    ``latest`` is the latest time that one can have, epoch seconds.

    >>> unpack_predictions(pack(np.zeros(2, PREDICTION)), strata=1)["id"]
    array([0, 0], dtype=uint64)
    >>> unpack_predictions(b"123", strata=1)
    Traceback (most recent call last):
    tidegauge.contract.record.DecodingError: entries has 3 bytes, no multiple of 24
    """
    rows = _unpacked(entries, PREDICTION, "entries")
    _check(rows["stratum"] < strata, rows["stratum"], "stratum", f"of {strata}")
    _check(rows["time"] <= latest, rows["time"], "time", f"after {latest:.0f}")
    _check(~np.isinf(rows["value"]), rows["value"], "value", "no finite number")
    return rows


def unpack_labels(
    labels: bytes,
    predictions: bytes,
    model_index: bytes,
    *,
    strata: int,
    texts: int,
    models: int,
    latest: float = _LATEST,
) -> PackedLabels:
    """Return the labels of a record with so many strata, texts and models.

    ``latest`` is the latest time that one can have, epoch seconds. Raises :class:`DecodingError`.
    """
    rows = _unpacked(labels, LABEL, "labels")
    carried = unpack_predictions(predictions, strata=strata, latest=latest)
    index = _unpacked(model_index, MODEL_INDEX, "model_index").astype(np.intp)
    flags, text, actual = rows["flags"], rows["text"], rows["actual"]
    prediction = _places(flags & CARRIED != 0, len(carried), "predictions")
    model = _places(flags & OF_MODEL != 0, len(index), "model_index")
    _check(index < models, index, "model", f"of {models}")
    _check((text < texts) | (text == NONE), text, "text", f"of {texts}")
    usable = np.isfinite(actual) | (text != NONE) | (flags & RETRACTED != 0)
    _check(usable, actual, "actual", "no finite number")
    arrived = rows["arrived"]
    in_time = (arrived >= 0) & (arrived <= latest)
    _check(in_time, arrived, "arrived", f"no time before {latest:.0f}")
    _check(rows["offset"] < 2**62, rows["offset"], "offset", "no offset")
    _check(rows["partition"] < 2**31, rows["partition"], "partition", "no partition")
    _check(
        (flags & WITHOUT_ID == 0) | (prediction >= 0), flags, "flags", "neither id nor prediction"
    )
    model[model >= 0] = index
    return PackedLabels(rows, carried, prediction, model)


def _unpacked(data: bytes, kind: np.dtype[np.generic], name: str) -> Rows:
    if len(data) % kind.itemsize:
        raise DecodingError(f"{name} has {len(data)} bytes, no multiple of {kind.itemsize}")
    return np.frombuffer(data, kind)


def _places(has: npt.NDArray[np.bool_], n: int, name: str) -> Indices:
    """Return for each label where in the parallel array it is, -1 for those that have nothing."""
    found = int(np.count_nonzero(has))
    if found != n:
        raise DecodingError(f"{name} has {n} entries, and {found} labels have one")
    return np.where(has, np.cumsum(has) - 1, -1)


def _check(
    sound: npt.NDArray[np.bool_], values: npt.NDArray[np.generic], name: str, why: str
) -> None:
    if not sound.all():
        at = int(np.argmin(sound))
        raise DecodingError(f"{name} {values[at]} of entry {at} is wrong: {why}")
