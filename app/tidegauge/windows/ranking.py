"""Where to look first when several signals are in alarm. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

#: What a model says, as opposed to what it sees.
OUTCOMES = ("prediction", "label")


class InAlarm(NamedTuple):
    """A signal in alarm: -ln p of its strongest score, nats, and the size of its drift, nats."""

    name: str
    surprise: float
    psi_corrected: float
    q_value: float


class Standing(NamedTuple):
    """A signal's place among those in alarm, from 1; its false discovery rate and importance."""

    rank: int
    q_value: float
    importance: float | None


def ranking(in_alarm: Iterable[InAlarm], importances: Mapping[str, float]) -> dict[str, Standing]:
    """Rank by importance · corrected PSI; without importances, and between equals, by surprise.

    Importances are taken as shares of their sum. The prediction and the label, which are what all
    features together lead to, weigh 1 and have none of their own; a feature that is not named
    weighs 0.

    >>> drifts = [InAlarm("age", 90.0, 0.1, 0.0), InAlarm("income", 40.0, 0.3, 0.0)]
    >>> {name: one.rank for name, one in ranking(drifts, {}).items()}
    {'age': 1, 'income': 2}
    >>> ranking(drifts, {"income": 6.0, "age": 2.0})["income"]
    Standing(rank=1, q_value=0.0, importance=0.75)
    """
    total = sum(importances.values())

    def importance(name: str) -> float | None:
        return importances.get(name, 0.0) / total if total and name not in OUTCOMES else None

    def order(one: InAlarm) -> tuple[float, float, str]:
        share = importance(one.name)
        weight = (1.0 if share is None else share) * one.psi_corrected if total else 0.0
        return -weight, -one.surprise, one.name

    return {
        one.name: Standing(rank, one.q_value, importance(one.name))
        for rank, one in enumerate(sorted(in_alarm, key=order), start=1)
    }
