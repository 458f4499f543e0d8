"""Evidently's drift of a column: the test that its presets choose, at the threshold they have."""

import os

os.environ["DO_NOT_TRACK"] = "1"  # it would report its use

from typing import Any

import numpy as np
import pandas as pd
from _answering import answer
from evidently.legacy.calculations.stattests import (
    get_stattest,
    hellinger_stat_test,
    jensenshannon_stat_test,
    kl_div_stat_test,
    psi_stat_test,
    wasserstein_stat_test,
)
from evidently.legacy.core import ColumnType

FIGURES = {
    "psi": (psi_stat_test, ColumnType.Categorical),
    "kl_div": (kl_div_stat_test, ColumnType.Categorical),
    "jensenshannon": (jensenshannon_stat_test, ColumnType.Categorical),
    "hellinger": (hellinger_stat_test, ColumnType.Categorical),
    "wasserstein": (wasserstein_stat_test, ColumnType.Numerical),
}


def judge(reference: str, windows: str, categorical: bool) -> dict[str, Any]:
    """Judge files of (signals, events) and (signals, windows, events), window after window.

    The answer's lists are by signal and window: ``scores``, higher for more drift, and what the
    default threshold makes of each in ``alarms``.
    """
    kind = ColumnType.Categorical if categorical else ColumnType.Numerical
    scores, alarms = [], []
    for before, its in zip(np.load(reference), np.load(windows), strict=True):
        column = _column(before, categorical)
        test = get_stattest(column, _column(its[0], categorical), kind, None)
        for values in its:
            found = test(column, _column(values, categorical), kind, None)
            scores.append(float(found.drift_score))
            alarms.append(bool(found.drifted))
    return {"scores": scores, "alarms": alarms}


def figures(current: list[list[int]], reference: list[list[int]]) -> dict[str, list[float]]:
    """Return each figure of pairs of counts, the values of a bin being its number."""
    pairs = [
        (pd.Series(np.repeat(np.arange(len(r)), r)), pd.Series(np.repeat(np.arange(len(c)), c)))
        for c, r in zip(current, reference, strict=True)
    ]
    return {
        name: [float(test(before, now, kind, None).drift_score) for before, now in pairs]
        for name, (test, kind) in FIGURES.items()
    }


def _column(values: Any, categorical: bool) -> pd.Series:
    """Return what its users hand over, without what is missing: it drops that itself, too."""
    there = values[~np.isnan(values)]
    if not categorical:
        return pd.Series(there)
    return pd.Series(there.astype(int).astype(str), dtype="category")


answer({"judge": judge, "figures": figures})
