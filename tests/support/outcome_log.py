"""Random logs of outcomes: records as they are on the topic, and their events for the oracle."""

import math
from collections.abc import Iterable

import numpy as np

from support.outcome_oracle import Guess, Oracle, Truth
from tidegauge.contract import (
    BinaryTarget,
    LabelsRecord,
    MulticlassTarget,
    OutcomeCell,
    PredictionsRecord,
    RegressionTarget,
    Stratum,
    encode,
)
from tidegauge.outcomes import (
    CARRIED,
    LABEL,
    MODEL_INDEX,
    NONE,
    OF_MODEL,
    PREDICTION,
    RETRACTED,
    WITHOUT_ID,
    OutcomeCounts,
    pack,
)

#: When a log begins, epoch seconds.
BEGIN = 1_800_000_000

TARGETS = {
    "credit": BinaryTarget(positive="1", negative="0", threshold=0.5),
    "shadow": BinaryTarget(positive="yes", negative="no", threshold=0.5),
    "animal": MulticlassTarget(classes=["cat", "dog"]),
    "price": RegressionTarget(residual_edges=[-1.0, 0.0, 1.0]),
}

#: Lengths of cohorts and windows.
COHORT, WINDOW = 300, 60

#: Seconds that predictions wait for labels.
RETENTION = {"credit": 1000, "shadow": 1500, "animal": 1000, "price": 600}

ACTUALS = (1, 0, 1.0, "1", "yes", "no", "cat", "dog", "bird", "2.5", 7.25, "true", "?")


def record_of(events: list, time: float) -> bytes:
    """Return the record of events of one kind, as INGEST writes it."""
    strata: dict[tuple, int] = {}
    models = list(TARGETS)

    def stratum(guess: Guess) -> int:
        return strata.setdefault(guess.stratum, len(strata))

    def entry(guess: Guess) -> tuple:
        value, id = guess.value, hash_of(guess.id)
        return (id, value, guess.time, guess.predicted, stratum(guess))

    if isinstance(events[0], Guess):
        entries = np.array([entry(it) for it in events], PREDICTION)
        return encode(
            PredictionsRecord(
                time=time,
                strata=_strata(strata),
                targets=list(TARGETS.values()),
                entries=pack(entries),
            )
        )
    texts = [it.actual if isinstance(it.actual, str) else "" for it in events]
    rows = np.zeros(len(events), LABEL)
    for row, truth, (at, text) in zip(rows, events, enumerate(texts), strict=True):
        row["id"], row["arrived"] = hash_of(truth.id), truth.arrived
        row["actual"] = math.nan if isinstance(truth.actual, str) else truth.actual
        row["text"] = at if text else NONE
        row["partition"], row["offset"] = truth.place
        row["revision"] = truth.revision
        row["flags"] = (
            RETRACTED * truth.retracted
            | CARRIED * (truth.guess is not None)
            | WITHOUT_ID * (truth.id is None)
            | OF_MODEL * (truth.model is not None)
        )
    carried = [entry(it.guess) for it in events if it.guess]
    named = [models.index(it.model) for it in events if it.model is not None]
    return encode(
        LabelsRecord(
            time=time,
            topic="labels",
            strata=_strata(strata),
            targets=list(TARGETS.values()),
            texts=texts,
            labels=pack(rows),
            predictions=pack(np.array(carried, PREDICTION)),
            models=models,
            model_index=pack(np.array(named, MODEL_INDEX)),
        )
    )


def _strata(strata: dict[tuple, int]) -> list[Stratum]:
    return [
        Stratum(
            model=model,
            version=version,
            variant=variant,
            groups=dict(groups),
            baseline="b",
            target=list(TARGETS).index(model),
        )
        for model, version, variant, groups in strata
    ]


def hash_of(id: str | None) -> int:
    """Return a number for an id; which one is of no matter here."""
    return 0 if id is None else int.from_bytes(id.encode().ljust(8, b"\0")[:8], "big")


def random_log(
    seed: int, records: int = 60, ids: int = 40, begin: float = BEGIN
) -> list[tuple[float, list]]:
    """Return records of a log, each with its time in the log and its events of one kind.

    Labels come late, twice, corrected, retracted, early, of one model, with their prediction, of
    ids that nobody knows; predictions come twice and under several models.
    """
    rng = np.random.default_rng(seed)
    now, offset, log = float(begin), 0, []
    for _ in range(records):
        now += float(
            rng.choice([0.0, 0.5, 1.0, 7.0, 40.0, 300.0], p=[0.3, 0.3, 0.2, 0.1, 0.07, 0.03])
        )
        time = now - float(rng.integers(0, 3))
        events: list = []
        is_labels = rng.random() < 0.5
        for _ in range(int(rng.integers(1, 9))):
            guess = _guess(rng, now, ids)
            if not is_labels:
                events.append(guess)
                continue
            offset += 1
            kind = rng.random()
            truth = Truth(
                id=guess.id,
                actual=ACTUALS[int(rng.integers(len(ACTUALS)))],
                arrived=now
                - float(rng.choice([0.0, 0.25, 30.0, 2000.0], p=[0.5, 0.3, 0.15, 0.05])),
                place=(int(rng.integers(3)), offset),
                revision=int(rng.choice([0, 0, 0, 1, 2])),
                retracted=bool(rng.random() < 0.1),
            )
            if kind < 0.3:
                truth.guess, guess.id = guess, None
                if rng.random() < 0.3:
                    truth.id = None
            elif kind < 0.5:
                truth.model = guess.stratum[0]
            events.append(truth)
        log.append((time, events))
    return log


def _guess(rng: np.random.Generator, now: float, ids: int) -> Guess:
    model = list(TARGETS)[int(rng.choice(4, p=[0.5, 0.2, 0.15, 0.15]))]
    groups = (("region", "EU"),) if rng.random() < 0.5 else ()
    ago = _drawn(rng, {0.0: 0.6, 5.0: 0.3, 500.0: 0.08, 3000.0: 0.02})
    return Guess(
        id=f"id{int(rng.integers(ids))}",
        stratum=(model, str(int(rng.integers(1, 3))), "", groups),
        target=TARGETS[model],
        value=float(rng.integers(0, 9)) / 8,
        predicted=int(rng.choice([0, 1, NONE])),
        time=int(now - ago),
    )


def _drawn(rng: np.random.Generator, shares: dict[float, float]) -> float:
    return float(rng.choice(list(shares), p=list(shares.values())))


def expected_counts(oracle: Oracle, cohort: int = COHORT, window: int = WINDOW) -> dict:
    """Return what cells have in sum, by model, kind, start, version, variant and groups."""
    totals: dict = {}

    def counts(stratum: tuple, kind: str, start: float) -> OutcomeCounts:
        (model, *rest), seconds = stratum, cohort if kind == "cohort" else window
        key = (model, kind, int(start // seconds * seconds), *rest)
        return totals.setdefault(key, OutcomeCounts(TARGETS[model]))

    for (stratum, value, predicted, time, code, arrived), n in oracle.counted().items():
        for kind, start in (("cohort", time), ("arrival", arrived)):
            counts(stratum, kind, start).add(
                np.full(n, value),
                np.full(n, predicted, np.uint16),
                np.full(n, code),
                np.full(n, arrived - time),
            )
    for (stratum, time), n in oracle.joinable.items():
        counts(stratum, "cohort", time).joinable += n
    return as_records(totals)


def counted_in(cells: Iterable[OutcomeCell]) -> dict:
    """Return the same of cells, each the newest of its tenure."""
    totals: dict = {}
    for cell in cells:
        for one in cell.strata:
            groups = tuple(one.groups.items())
            key = (cell.model, cell.kind, cell.window_start, one.version, one.variant, groups)
            counts = OutcomeCounts.from_record(cell.targets[one.target], one)
            totals[key] = totals[key].merge(counts) if key in totals else counts
    return as_records(totals)


def as_records(totals: dict) -> dict:
    """Return counts in a form that can be compared, without those that are zero."""
    return {
        key: its.to_record(version="", baseline="b", target=0) for key, its in totals.items() if its
    }
