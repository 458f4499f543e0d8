"""Some rows of a table, row by row, as the hours of the day are counted from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NumericRows:
    """A number for each row; any where it is missing."""

    values: FloatArray
    missing: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CategoryRows:
    """A place in ``names`` for each row, -1 where it is missing."""

    places: NDArray[np.int64]
    names: list[Any]


@dataclass(frozen=True, slots=True)
class TimedRows:
    """Some rows of a table; ``seconds`` is their time since 1970, NaN without one."""

    seconds: FloatArray
    columns: Mapping[str, NumericRows | CategoryRows]
    done: float
