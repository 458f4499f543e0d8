"""How many rows a baseline must have for its drift to say something. Pure."""

#: With fewer, chance alone makes drift of a baseline: over its 14 bins KL between 100 rows and the
#: rest of the same kind is .07, a threshold of drift, and a fifth of that between 500 and the rest.
ENOUGH_ROWS = 500


def small(rows: int) -> str:
    """Say what comes of a baseline with too few rows."""
    return (
        f"the baseline has {rows:,} rows, and it takes {ENOUGH_ROWS:,} to tell drift from chance: "
        f"rules on drift ask for no action by it"
    )
