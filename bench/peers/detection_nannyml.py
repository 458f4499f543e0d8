"""NannyML's univariate drift: its default method, and thresholds from the reference's chunks."""

import os

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"  # it would report its use

import warnings
from typing import Any

import numpy as np
import pandas as pd
from _answering import answer
from _days import read_days
from nannyml import UnivariateDriftCalculator
from nannyml.chunk import SizeBasedChunker
from nannyml.drift.univariate.methods import FeatureType, MethodFactory
from nannyml.thresholds import ConstantThreshold

FIGURES = {
    "jensen_shannon": FeatureType.CATEGORICAL,
    "hellinger": FeatureType.CATEGORICAL,
    "chi2": FeatureType.CATEGORICAL,
    "kolmogorov_smirnov": FeatureType.CONTINUOUS,
    "wasserstein": FeatureType.CONTINUOUS,
}


def judge(reference: str, windows: str, categorical: bool) -> dict[str, Any]:
    """Judge files of (signals, events) and (signals, windows, events), a window being a chunk.

    The answer's lists are by signal and window: ``scores``, higher for more drift, and what the
    default threshold makes of each in ``alarms``.
    """
    current = np.load(windows)
    before = _frame(np.load(reference), categorical)
    calculator = UnivariateDriftCalculator(list(before), chunk_size=current.shape[2])
    result = calculator.fit(before).calculate(_frame(current, categorical))
    found = result.filter(period="analysis").to_df()
    scores, alarms = [], []
    for name in before:
        scores += found[name, "jensen_shannon", "value"].astype(float).tolist()
        alarms += found[name, "jensen_shannon", "alert"].astype(bool).tolist()
    return {"scores": scores, "alarms": alarms}


def figures(current: list[list[int]], reference: list[list[int]]) -> dict[str, list[float]]:
    """Return each figure of pairs of counts, the values of a bin being its number."""
    return {
        name: [_figure(name, kind, c, r) for c, r in zip(current, reference, strict=True)]
        for name, kind in FIGURES.items()
    }


def _figure(name: str, kind: FeatureType, current: list[int], reference: list[int]) -> float:
    method = MethodFactory.create(
        name, kind, chunker=SizeBasedChunker(sum(reference)), threshold=ConstantThreshold()
    )
    before, now = (
        pd.Series(np.repeat(np.arange(len(side)), side), name="signal")
        for side in (reference, current)
    )
    return float(method.fit(before).calculate(now))


def _frame(values: Any, categorical: bool) -> pd.DataFrame:
    """Return a column a signal; missing numbers stay in, and it drops them itself."""
    flat = values.reshape(len(values), -1)
    names = [f"signal {number}" for number in range(len(flat))]
    if not categorical:
        return pd.DataFrame(dict(zip(names, flat, strict=True)))
    texts = (pd.Series(row.astype(int).astype(str), dtype="category") for row in flat)
    return pd.DataFrame(dict(zip(names, texts, strict=True)))


def days(reference: str, current: str, categorical: list[str]) -> dict[str, list[str]]:
    """Return which columns alarm on each day of a table, a file as is the reference.

    Both have the column ``day``, which is none of the others. Chunks are days on both sides.
    """
    before, now = (read_days(path, categorical) for path in (reference, current))
    for table in (before, now):
        table["day"] = pd.to_datetime(table["day"])
        table[categorical] = table[categorical].astype("category")
    names = [name for name in before if name != "day"]
    calculator = UnivariateDriftCalculator(names, timestamp_column_name="day", chunk_period="D")
    result = calculator.fit(before).calculate(now).filter(period="analysis").to_df()
    starts = pd.to_datetime(result["chunk", "chunk", "start_date"]).dt.strftime("%Y-%m-%d")
    alerts = {name: result[name, "jensen_shannon", "alert"].astype(bool) for name in names}
    return {
        day: [name for name in names if alerts[name].iloc[row]] for row, day in enumerate(starts)
    }


# That 10,000 rows make but 2 chunks of 5,000, among others.
warnings.simplefilter("ignore")
answer({"judge": judge, "figures": figures, "days": days})
