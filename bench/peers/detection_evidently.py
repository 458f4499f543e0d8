"""Evidently's drift of a column: the test that its presets choose, at the threshold they have."""

import os

os.environ["DO_NOT_TRACK"] = "1"  # it would report its use

from typing import Any

import numpy as np
import pandas as pd
from _answering import answer
from _days import read_days
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests import (
    get_stattest,
    hellinger_stat_test,
    jensenshannon_stat_test,
    kl_div_stat_test,
    psi_stat_test,
    wasserstein_stat_test,
)
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset

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


def days(reference: str, current: str, categorical: list[str]) -> dict[str, list[str]]:
    """Return which columns drift on each day of a table, a file as is the reference.

    By the tests that the preset chooses, at its thresholds, which takes a hundredth of the time of
    the preset's reports. Both files have the column ``day``, which is none of the others.
    """
    before, now = (read_days(path, categorical) for path in (reference, current))
    compared = {
        name: (column.dropna(), _kind(name, categorical))
        for name, column in before.drop(columns="day").items()
    }
    found: dict[str, list[str]] = {}
    for day, rows in now.groupby("day"):
        its = found[str(day)] = []
        for name, (column, kind) in compared.items():
            values = rows[name].dropna()
            if get_stattest(column, values, kind, None)(column, values, kind, None).drifted:
                its.append(str(name))
        its.sort()
    return found


def preset_days(reference: str, current: str, categorical: list[str]) -> dict[str, list[str]]:
    """Return the same by the preset itself."""
    before, now = (read_days(path, categorical) for path in (reference, current))
    numeric = [name for name in before if name != "day" and name not in categorical]
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
    compared = Dataset.from_pandas(before.drop(columns="day"), definition)
    found = {}
    for day, rows in now.groupby("day"):
        chunk = Dataset.from_pandas(rows.drop(columns="day"), definition)
        found[str(day)] = _drifted(Report([DataDriftPreset()]).run(chunk, compared).dict())
    return found


def _kind(name: Any, categorical: list[str]) -> ColumnType:
    return ColumnType.Categorical if name in categorical else ColumnType.Numerical


def _drifted(report: dict[str, Any]) -> list[str]:
    """Return the columns of a report that are beyond their thresholds."""
    columns, count = [], 0
    for metric in report["metrics"]:
        config = metric["config"]
        if "column" not in config:
            count = metric["value"]["count"]
            continue
        is_p_value = "p_value" in config["method"]
        beyond = config["threshold"] - metric["value"]
        if beyond > 0 if is_p_value else beyond <= 0:
            columns.append(config["column"])
    if len(columns) != count:
        raise ValueError(f"Evidently counts {count:g} drifted columns, found {columns}")
    return sorted(columns)


answer({"judge": judge, "figures": figures, "days": days, "preset_days": preset_days})
