"""Receipts of predictions, made on the serving thread: plain values fast, everything else too."""

import itertools
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import UNSET

from tidegauge.contract import receipt_writer
from tidegauge.producer.events import plain_segments, plain_time
from tidegauge.producer.values import (
    NAME_LIMIT,
    UnencodableError,
    check_time,
    class_label,
    number,
    required_name,
    text,
)

#: As :class:`tidegauge.contract.Receipt` has them. An absent output has no value there.
_NUMBER = frozenset({float, int})
_LABEL = frozenset({int, str, bool})
_STR = frozenset({str})


class ReceiptMaker:
    """Makes the receipts of one process; a prediction without id gets one in its receipt."""

    def __init__(self, key: bytes | None) -> None:
        self._write = receipt_writer(key)
        # Different in every process: the number alone would be that of other predictions too.
        self._process = secrets.token_hex(8)
        self._next = itertools.count().__next__

    def make(self, event: Mapping[str, Any]) -> str:
        """Return the receipt of the arguments of ``encode_event``.

        Raises :class:`UnencodableError`, or whatever a value of the caller's does.
        """
        time, model, version = event["time"], event["model"], event["version"]
        variant, prediction, label = event["variant"], event["prediction"], event["label"]
        segments, id = event["segments"], event["id"]
        if prediction is UNSET:
            prediction = None
        elif isinstance(prediction, float):  # also one of NumPy's
            prediction = float(prediction)
        if label is UNSET:
            label = None
        if not (
            type(time) is float
            and type(model) is str
            and type(version) is str
            and type(variant) is str
            and 0 < len(model) <= NAME_LIMIT
            and 0 < len(version) <= NAME_LIMIT
            and (prediction is None or type(prediction) in _NUMBER)
            and (label is None or type(label) in _LABEL)
            and (id is None or type(id) is str)
            and (
                not segments
                or (type(segments) is dict and _STR.issuperset(map(type, segments.values())))
            )
        ):
            time = plain_time(time)
            time = time.timestamp() if isinstance(time, datetime) else float(time)
            model, version = required_name(model, "model"), required_name(version, "version")
            variant = text(variant, "variant") or ""
            score = number(prediction, "prediction")
            prediction = None if isinstance(score, str) else score  # its name: not finite
            label, id = class_label(label, "label"), text(id, "id")
            segments = plain_segments(segments, None)
        if not id:
            id = f"{self._process}-{self._next()}"
        check_time(time)
        receipt = self._write(model, version, variant, time, prediction, label, segments, id)
        if not receipt:
            raise UnencodableError("the names and segments are too long for a receipt")
        return receipt
