"""When the changes of signals in alarm began, as it was estimated when the alarm began. Pure.

Of a change that is over, the spans remember less from window to window, as of one that is older
and older: what is estimated of its age later says less than what was estimated first.
"""

import numpy as np

from tidegauge.sequential import Memory, StrongestScores
from tidegauge.stats import Floats

#: An onset is kept until the evidence is below this share of the threshold: near the threshold
#: itself an alarm may begin again and again.
_KEPT_ABOVE = 0.5


def onset_ends(
    known: Floats | None,
    strongest: StrongestScores,
    memory: Memory,
    threshold: float,
    window: tuple[int, int],
    events: int,
    effects: Floats | None,
) -> Floats:
    """Return the end of the window in which each signal's change began; 0 where there is none.

    ``known`` is the same after the window before; None if nothing is. ``memory`` is that after the
    ``window`` of so many ``events``, from its start to its end, epoch seconds. ``effects`` are the
    design effects that its counts were divided by, None for 1.
    """
    start, end = window
    # Windows with few events are remembered as one, so that many of them are one step.
    counted = memory.total[0] if effects is None else memory.total[0] * effects
    steps = np.maximum(np.round(counted / max(events, 1)), 1.0)
    estimated = end - (strongest.ages - 1) * steps * (end - start)
    # Of a window with hardly any events after one with very many, before there was time.
    estimated = np.maximum(estimated, end - start)
    found = np.where(strongest.ages > 0, estimated, 0.0)
    if known is None:
        return found
    kept = (known > 0) & (strongest.surprises > _KEPT_ABOVE * threshold)
    # Another change, so large that the window alone shows it more than what came before.
    is_new = (strongest.ages == 1) & (strongest.spans == 0)
    kept &= ~(is_new & (estimated - known >= steps * (end - start)))
    return np.where(kept, known, found)


def pack_onsets(onsets: Floats) -> bytes:
    """Write onsets down by the bits; nothing if there are none."""
    return onsets.tobytes() if onsets.any() else b""


def unpack_onsets(written: bytes, signals: int) -> Floats | None:
    """Read what :func:`pack_onsets` wrote.

    Raises ``ValueError`` if it is not of as many signals.
    """
    return np.frombuffer(written).reshape(signals) if written else None
