"""Days of a baseline as the detector remembers them: with weights that fall, at any minute.

Blocks of a day begin where hours do, and what comes at the same minute each night is in one of them
with what the hours expect of it. A memory that is in the middle of it is not.
"""

import numpy as np

from tidegauge.stats import Floats

#: How often a memory is looked at, seconds, by the length of the block that it is worth.
STEPS = {240: 120, 900: 300, 3600: 900, 14_400: 3600}

#: Of counts; what is less is rounding of the transform.
_NOTHING = 1e-9


def remembered(blocks: Floats, span: int, step: int) -> tuple[Floats, Floats]:
    """Return what is remembered at the end of each ``step`` seconds, and what makes it effective.

    ``blocks`` are counts by minute, (days, 1440, bins); the memory is worth a block of ``span``
    seconds: 2/λ - 1 minutes. Each day is taken to come after another like it. The results are
    (days, steps, bins) and (days, steps, 1): S and N/Q of ``ewma.py``.
    """
    minutes = blocks.shape[1]
    keep = 1 - 2 / (span / 60 + 1)
    every = step // 60
    n = blocks.sum(axis=-1, keepdims=True)
    counts, squares = _summed(blocks, keep), _summed(n, keep**2)
    ends = slice(every - 1, minutes, every)
    counts, squares = counts[:, ends], squares[:, ends]
    total = counts.sum(axis=-1, keepdims=True)
    weight = np.divide(total, squares, out=np.zeros_like(total), where=squares > 0)
    return counts, weight


def _summed(series: Floats, keep: float) -> Floats:
    """Return Σ keep^age · series over all minutes before, round the day (a circular filter)."""
    minutes = series.shape[1]
    kernel = keep ** np.arange(minutes) / (1 - keep**minutes)
    transformed = np.fft.rfft(series, axis=1) * np.fft.rfft(kernel)[None, :, None]
    found = np.fft.irfft(transformed, n=minutes, axis=1)
    return np.asarray(np.where(found > _NOTHING, found, 0.0))
