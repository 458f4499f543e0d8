"""How big a drift is, in a word: another question than whether there is one."""

from tidegauge.contract import Size

#: Corrected PSI, nats, from which on a drift is called so; the usual reading of PSI (Siddiqi 2006).
MODERATE, MAJOR = 0.1, 0.25


def size_of(psi_corrected: float) -> Size:
    """Return the word for a corrected PSI.

    >>> size_of(0.02), size_of(0.1), size_of(0.25)
    ('minor', 'moderate', 'major')
    """
    if psi_corrected < MODERATE:
        return "minor"
    return "moderate" if psi_corrected < MAJOR else "major"
