"""Sums of floats that don't depend on their order, so that a correction takes back what it added.

A float sum of a tenure minus that of its beginning would leave rounding behind, and two workers
that add the same labels in another order would disagree. Here a sum is an integer in units of the
smallest float, and a logarithm is made of operations that give the same bits on every machine.
"""

import math
import re

import numpy as np

from tidegauge.contract import DecodingError
from tidegauge.stats import Floats

#: Every float is a multiple of 2^-1074.
_UNIT_BITS = 1074

#: A sum divided by this is its value.
EXACT_UNITS = 1 << _UNIT_BITS

#: Of a mantissa of 53 bits; sums of the parts stay exact in a float for 2^26 rows.
_LOW_BITS = 26

#: At once, so that the parts are exact and memory is bounded.
_CHUNK = 1 << 20

_TEXT = re.compile(r"(-?[0-9]{1,700})p(-?[0-9]{1,4})", re.ASCII)


def exact_sum(values: Floats) -> int:
    """Return Σ values in units of 2^-1074, without any rounding. They must be finite.

    >>> exact_value(exact_sum(np.array([1e16, 1.0, -1e16])))
    1.0
    """
    return exact_sums(values[np.newaxis])[0]


def exact_sums(rows: Floats) -> list[int]:
    """Return the :func:`exact_sum` of each row of a matrix.

    >>> [exact_value(it) for it in exact_sums(np.array([[1e16, 1.0], [0.5, 0.25]]))]
    [1e+16, 0.75]
    """
    totals = [0] * len(rows)
    for begin in range(0, rows.shape[1], _CHUNK):
        fraction, exponents = np.frexp(rows[:, begin : begin + _CHUNK])
        mantissa = np.ldexp(fraction, 53).astype(np.int64)
        least = int(exponents.min())
        width = int(exponents.max()) - least + 1
        places = (exponents - least).astype(np.intp) + width * np.arange(len(rows))[:, np.newaxis]
        places, mantissa = places.reshape(-1), mantissa.reshape(-1)
        high = np.bincount(places, weights=mantissa >> _LOW_BITS)
        low = np.bincount(places, weights=mantissa & ((1 << _LOW_BITS) - 1))
        found = np.flatnonzero((high != 0) | (low != 0))
        of = zip(found.tolist(), high[found].tolist(), low[found].tolist(), strict=True)
        for place, upper, lower in of:
            row, exponent = divmod(place, width)
            part = (int(upper) << _LOW_BITS) + int(lower)
            # Subnormal numbers end in zeros below the unit.
            shift = least + exponent - 53 + _UNIT_BITS
            totals[row] += part << shift if shift >= 0 else part >> -shift
    return totals


def exact_value(total: int) -> float:
    """Return the nearest float of a sum in units of 2^-1074; infinite beyond the largest.

    >>> exact_value(exact_sum(np.array([0.1, 0.2]))), exact_value(0)
    (0.30000000000000004, 0.0)
    """
    try:
        return total / EXACT_UNITS
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def exact_text(total: int) -> str:
    """Return a sum as text: a mantissa, p, and an exponent of two.

    >>> exact_text(exact_sum(np.array([1.5, 1.5]))), exact_text(0)
    ('3p0', '0p0')
    """
    if not total:
        return "0p0"
    zeros = (total & -total).bit_length() - 1
    return f"{total >> zeros}p{zeros - _UNIT_BITS}"


def exact_of(text: str) -> int:
    """Return the sum of such a text; raises ``DecodingError`` for one that no sum has.

    >>> exact_value(exact_of("3p-1"))
    1.5
    """
    found = _TEXT.fullmatch(text)
    shift = int(found[2]) + _UNIT_BITS if found else -1
    if not found or not 0 <= shift <= 2 * _UNIT_BITS:
        raise DecodingError(f"{text[:40]!r} is no exact sum such as 3p-1, a mantissa and exponent")
    return int(found[1]) << shift


#: 1/3, 1/5, …: log m = 2 f (1 + f²/3 + f⁴/5 + …) with f = (m - 1) / (m + 1), |f| < 0.172.
_SERIES = tuple(1 / k for k in range(21, 1, -2))


def surprisal(shares: Floats) -> Floats:
    """Return -ln of numbers in (0, 1], in nats, the same bits on every machine.

    ``numpy.log`` differs in the last bit between processors. Error: less than 1e-14, relative.

    >>> surprisal(np.array([1.0, 0.5])).round(12).tolist()
    [0.0, 0.69314718056]
    """
    mantissa, exponents = np.frexp(shares)
    small = mantissa < math.sqrt(0.5)
    mantissa = np.where(small, 2 * mantissa, mantissa)
    f = (mantissa - 1) / (mantissa + 1)
    square = f * f
    series = np.full_like(f, _SERIES[0])
    for term in _SERIES[1:]:
        series = series * square + term
    log = 2 * f + 2 * f * square * series
    return np.asarray(-((exponents - small) * math.log(2) + log) + 0.0)
