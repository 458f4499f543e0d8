"""Mean and standard deviation from mergeable sums."""

import math


def mean(n: int, total: float) -> float | None:
    """Return the mean of ``n`` values that add up to ``total``, in the unit of the values.

    ``None`` if there were none, or if their sum went beyond what a float can hold.

    >>> mean(4, 10.0)
    2.5
    >>> mean(0, 0.0) is None
    True
    """
    return total / n if n > 0 and math.isfinite(total) else None


def std(n: int, total: float, squares: float) -> float | None:
    """Return the population standard deviation √(Σx²/n - (Σx/n)²), in the unit of the values.

    0 = all values are the same. ``None`` if there were none, or if a sum went beyond what a float
    can hold. Where the mean is more than about 10⁷ times the spread, rounding of the sums leaves
    little of the figure: it is an aid to reading, nothing is decided by it.

    >>> std(4, 10.0, 30.0)
    1.118033988749895
    """
    centre = mean(n, total)
    if centre is None or not math.isfinite(squares):
        return None
    return math.sqrt(max(squares / n - centre * centre, 0.0))
