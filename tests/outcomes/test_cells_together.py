"""Labels of many windows, strata and targets are counted together as each of them alone."""

import numpy as np

from tidegauge.contract import BinaryTarget, MulticlassTarget, RegressionTarget, Stratum
from tidegauge.outcomes import CONTRIBUTION, NONE, Joined, OutcomeCells, OutcomeCounts, Strata
from tidegauge.outcomes.held import PENDING

HOUR, MINUTE, START = 3600, 60, 1_700_000_000
TARGETS = [
    BinaryTarget(positive="1", negative="0", threshold=0.5),
    MulticlassTarget(classes=["a", "b"]),
    RegressionTarget(residual_edges=[-1.0, 0.0, 1.0], centre=2.5),
]
ROWS = 500


def test_labels_of_many_windows_are_counted_as_those_of_each_alone() -> None:
    strata = Strata(lambda _: 10**9)
    named = [
        Stratum(model="m", version=version, baseline="b", target=target)
        for version in ("1", "2")
        for target in range(len(TARGETS))
    ]
    strata.numbers(named, TARGETS)
    rng = np.random.default_rng(7)
    rows = np.zeros(ROWS, CONTRIBUTION)
    rows["stratum"] = rng.integers(0, len(named), ROWS)
    rows["value"] = rng.choice([0.0, 0.3, 1.0, 1.5, np.nan, 1e75], ROWS)
    rows["predicted"] = rng.choice([0, 1, 2, NONE], ROWS)
    rows["actual"] = rng.integers(0, 2, ROWS)
    rows["time"] = START + rng.integers(0, 5 * HOUR, ROWS)
    rows["arrived"] = rows["time"] + rng.exponential(HOUR, ROWS)
    rows["sign"] = rng.choice([1, 1, -1], ROWS)
    cells = OutcomeCells(strata, lambda _: HOUR, lambda _: MINUTE)
    cells.add(Joined(rows, np.zeros(0, PENDING), []))
    (found,) = cells.changed(1).values()
    assert {it.kind for it in found} == {"cohort", "arrival"}
    counted = 0
    for cell in found:
        column = "time" if cell.kind == "cohort" else "arrived"
        starts = rows[column] // cell.window_seconds * cell.window_seconds
        for one in cell.strata:
            target = cell.targets[one.target]
            number = next(
                at
                for at, name in enumerate(named)
                if (name.version, TARGETS[name.target]) == (one.version, target)
            )
            its = rows[(starts == cell.window_start) & (rows["stratum"] == number)]
            alone = OutcomeCounts(target)
            for row in its:
                alone.add(
                    np.array([row["value"]]),
                    np.array([row["predicted"]]),
                    np.array([row["actual"]]),
                    np.array([row["arrived"] - row["time"]]),
                    int(row["sign"]),
                )
            expected = alone.to_record(version=one.version, baseline="b", target=one.target)
            assert one == expected
            counted += len(its)
    assert counted == 2 * ROWS
