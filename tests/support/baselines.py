"""Small baselines for tests."""

from tidegauge.baseline.document import Baseline, NumericSignal


def small_baseline(model: str = "credit", version: str = "1", rows: int = 10) -> Baseline:
    """Return a baseline of one signal; another number of rows makes another id."""
    return Baseline(
        model=model,
        version=version,
        rows=rows,
        source="rows.csv",
        signals={
            "amount": NumericSignal(
                edges=[1.0],
                counts=[rows - 4, 4],
                missing=0,
                nan=0,
                mean=1.0,
                std=0.5,
                minimum=0.0,
                maximum=2.0,
            )
        },
    )
