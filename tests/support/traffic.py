"""Seeded prediction traffic of three models, as bytes and calls that a real system would send.

``credit`` has numbers and categories, ``fraud`` a hundred numbers, ``ranker`` no baseline. What is
drawn for one window of event time is split at random between three kinds of sender; one row in a
hundred is held back for up to four windows. Every :class:`Round` is what is sent while the clock
passes one window.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from support.bad_records import bad_records
from support.encodings import Row, arrow_batch, hand_written

WINDOW_SECONDS = 10
WINDOWS = 12
BATCH_ROWS = 500
LATE_SHARE = 0.01
LATE_WINDOWS = 4

EVENTS = {"credit": 4_200, "fraud": 2_400, "ranker": 3_000}
VERSIONS = {"credit": "3", "fraud": "2025-01", "ranker": "1"}
CANARY_SHARE = 0.1

#: Which windows are unlike the others, and how.
AMOUNT_DRIFTS = range(4, 7)  # credit's amounts, of the champion only
NEW_REGION = range(8, 10)  # credit's regions, of both variants
RANKER_IS_SLOW = range(5, 8)

REGIONS = ["north", "south", "east", "west", "isles", "midlands", "coast", "capital"]
CHANNELS = [f"partner-{i:02d}" for i in range(30)]
FRAUD_FEATURES = [f"f{i:03d}" for i in range(100)]


def credit_rows(
    rng: np.random.Generator, n: int, *, amount_shift: float = 0.0, new_region: float = 0.0
) -> list[Row]:
    """Draw ``n`` rows of credit's features and outputs."""
    region = rng.choice(REGIONS, n, p=[0.24, 0.2, 0.15, 0.12, 0.1, 0.09, 0.06, 0.04]).tolist()
    for i in np.flatnonzero(rng.random(n) < new_region):
        region[i] = "atlantis"
    weights = 1 / np.arange(1, len(CHANNELS) + 1)
    age = rng.integers(18, 91, n)
    columns: dict[str, list[Any]] = {
        "amount": rng.lognormal(6 + amount_shift, 0.8, n).tolist(),
        "income": [
            None if gone else value
            for gone, value in zip(
                rng.random(n) < 0.05, rng.normal(5e4, 1e4, n).tolist(), strict=True
            )
        ],
        "age": age.tolist(),
        "dependants": rng.binomial(5, 0.3, n).tolist(),
        "utilisation": rng.beta(2, 5, n).tolist(),
        "balance_change": rng.normal(0, 120, n).tolist(),
        "days_since_last": rng.exponential(40, n).tolist(),
        "rate": (rng.integers(100, 900, n) / 100).tolist(),
        "region": region,
        "channel": rng.choice(CHANNELS, n, p=weights / weights.sum()).tolist(),
        "returning": (rng.random(n) < 0.6).tolist(),
    }
    prediction = rng.beta(2, 3, n).tolist()
    names = list(columns)
    return [
        {"features": dict(zip(names, values, strict=True)), "prediction": score,
         "label": "approve" if score > 0.5 else "decline"}
        for values, score in zip(zip(*columns.values(), strict=True), prediction, strict=True)
    ]  # fmt: skip


def fraud_rows(rng: np.random.Generator, n: int) -> list[Row]:
    """Draw ``n`` rows of fraud's hundred features, each of its own scale, and its score."""
    scale = np.logspace(-3, 4, len(FRAUD_FEATURES))
    values = (rng.normal(0.5, 1, (n, len(FRAUD_FEATURES))) * scale).tolist()
    score = rng.beta(1, 6, n).tolist()
    return [
        {"features": dict(zip(FRAUD_FEATURES, row, strict=True)), "prediction": one}
        for row, one in zip(values, score, strict=True)
    ]


def ranker_rows(rng: np.random.Generator, n: int) -> list[Row]:
    """Draw ``n`` rows of a model that nobody made a baseline for."""
    score = rng.normal(10, 3, n).tolist()
    return [{"features": {"position": i % 40}, "prediction": one} for i, one in enumerate(score)]


@dataclass
class Round:
    """What is sent while event time passes one window."""

    calls: list[Row] = field(default_factory=list)  # arguments of PredictionLogger.log
    texts: list[bytes] = field(default_factory=list)  # hand-written JSON
    batches: list[bytes] = field(default_factory=list)  # Arrow IPC streams
    bad: list[bytes | None] = field(default_factory=list)

    @property
    def rows(self) -> int:
        batched: int = sum(pa.ipc.open_stream(one).read_all().num_rows for one in self.batches)
        return len(self.calls) + len(self.texts) + batched


class Traffic:
    """All rounds, the same for the same seed and start (epoch seconds, a multiple of a window)."""

    def __init__(self, *, seed: int, start: int, now: float, scale: float = 1.0) -> None:
        assert start % WINDOW_SECONDS == 0, f"{start} is not the start of a window"
        self.start = start
        self._now = now
        self._events = {model: round(n * scale) for model, n in EVENTS.items()}
        self._numbers = np.random.default_rng(seed)
        self._dice = random.Random(seed)

    @property
    def events(self) -> int:
        """How many sound events there are in all rounds, the bad batches' sound rows left out."""
        return sum(self._events.values()) * WINDOWS

    def rounds(self) -> Iterator[Round]:
        """Yield one round a window, then those of the rows that are still held back."""
        held: dict[int, list[Row]] = {}
        for number in range(WINDOWS + LATE_WINDOWS):
            rows = held.pop(number, [])
            for row in self._rows_of(number) if number < WINDOWS else []:
                if self._dice.random() < LATE_SHARE:
                    later = number + self._dice.randint(1, LATE_WINDOWS)
                    held.setdefault(later, []).append(row)
                else:
                    rows.append(row)
            sent = self._send(rows)
            if number < WINDOWS:
                time = float(self.start + number * WINDOW_SECONDS)
                sent.bad = bad_records(self._dice, self._now, time)
            yield sent

    def _rows_of(self, window: int) -> list[Row]:
        """All rows whose event time lies in one window, in order of time."""
        rng = self._numbers
        events = self._events
        rows: list[Row] = []
        canaries = round(events["credit"] * CANARY_SHARE)
        new_region = 0.15 if window in NEW_REGION else 0.0
        shift = 0.9 if window in AMOUNT_DRIFTS else 0.0
        slow = 250.0 if window in RANKER_IS_SLOW else 0.0
        for model, variant, drawn, base_ms in (
            ("credit", "", credit_rows(
                rng, events["credit"] - canaries, amount_shift=shift, new_region=new_region
            ), 20.0),
            ("credit", "canary", credit_rows(rng, canaries, new_region=new_region), 30.0),
            ("fraud", "", fraud_rows(rng, events["fraud"]), 5.0),
            ("ranker", "", ranker_rows(rng, events["ranker"]), 60.0 + slow),
        ):  # fmt: skip
            n = len(drawn)
            latency = (base_ms * rng.lognormal(0, 0.3, n)).round(3).tolist()
            # Milliseconds: a time that every way of writing it down can hold.
            offset = np.sort(rng.integers(0, WINDOW_SECONDS * 1000, n)).tolist()
            failed = (rng.random(n) < 0.01).tolist()
            for row, ms, at, error in zip(drawn, latency, offset, failed, strict=True):
                row |= {
                    "model": model,
                    "version": VERSIONS[model],
                    "variant": variant,
                    "time": (self.start + window * WINDOW_SECONDS) + at / 1000,
                    "latency_ms": ms,
                    "status": "error" if error else "ok",
                }
            rows.extend(drawn)
        rows.sort(key=lambda row: row["time"])
        return rows

    def _send(self, rows: list[Row]) -> Round:
        sent = Round()
        to_batch: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            sender = self._dice.randrange(3)
            if sender == 0:
                sent.calls.append(self._call(row))
            elif sender == 1:
                sent.texts.append(hand_written(row, self._dice))
            else:
                to_batch.setdefault((row["model"], row["variant"]), []).append(row)
        for (model, variant), some in to_batch.items():
            for i in range(0, len(some), BATCH_ROWS):
                sent.batches.append(
                    arrow_batch(
                        model, VERSIONS[model], variant, some[i : i + BATCH_ROWS], self._dice
                    )
                )
        self._dice.shuffle(sent.texts)
        return sent

    def _call(self, row: Row) -> Row:
        """Spoil a few values as a serving node in Python might."""
        dice = self._dice
        if dice.random() < 0.05:
            features = dict(row["features"])
            name = dice.choice(list(features))
            what = dice.randrange(4)
            if what == 0:
                del features[name]
            else:
                features[name] = (None, math.nan, math.inf)[what - 1]
            row = row | {"features": features}
        return row
