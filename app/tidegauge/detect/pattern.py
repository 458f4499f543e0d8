"""What signals in alarm say together. Pure."""

from collections.abc import Iterable, Set

from tidegauge.contract import DriftPattern
from tidegauge.detect.ranking import OUTCOMES


def pattern_of(judged: Iterable[str], in_alarm: Set[str]) -> DriftPattern:
    """Return the pattern of the signals that were ``judged``, some of which are ``in_alarm``.

    >>> pattern_of(["age", "income", "prediction"], {"age"}).reading
    'inputs_only'
    >>> pattern_of(["age", "income", "prediction"], {"prediction"}).reading
    'score_only'
    """
    names = set(judged)
    features = names.difference(OUTCOMES)
    drifted = len(features & in_alarm)
    outcomes = names.intersection(OUTCOMES)
    outcome_drifted = bool(outcomes & in_alarm) if outcomes else None
    pattern = DriftPattern(
        signals=len(features),
        drifted_signals=drifted,
        drifted_share=drifted / len(features) if features else 0.0,
        prediction_drifted=outcome_drifted,
        reading=None,
    )
    if not drifted:
        pattern.reading = "score_only" if outcome_drifted else "no_drift"
    elif outcome_drifted is not None:
        pattern.reading = "inputs_and_score" if outcome_drifted else "inputs_only"
    return pattern
