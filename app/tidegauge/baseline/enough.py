"""How many rows a baseline must have for its drift to say something. Pure."""

#: A retraining because of a drift from a baseline of fewer rows than this is not asked for. That so
#: few rows look different from the traffic says more of them than of it.
LEAST_BASELINE_ROWS = 500


def small(rows: int) -> str:
    """Say what comes of a baseline with too few rows."""
    return (
        f"the baseline has {rows:,} rows, and it takes {LEAST_BASELINE_ROWS:,} to tell drift from "
        f"chance: no retraining is asked for because of a drift from it"
    )
