"""What a receiver is not told of while it is silenced, and what it is told afterwards. Pure.

Of each alert at most one record waits: that it fires, or if that was told before the silence began,
the last reminder of it. Whoever was told that it fires is told of its end, silenced or not, so that
nobody is left believing in it; whoever wasn't is told of neither.
"""

from typing import Literal, NamedTuple

from tidegauge.contract import Alert, Silence, Withheld


class Step(NamedTuple):
    """What becomes of an alert whose turn has come.

    ``keep``: what waits from then on: ``this``, or ``nothing``, or the ``same`` as before. ``over``
    stands for an end of which nobody is told, as nobody was told of the beginning.
    """

    deliver: bool
    keep: Literal["this", "nothing", "same", "over"]


def step(kept: Withheld | None, alert: Alert, silence: Silence | None) -> Step:
    """Decide on ``alert``; ``kept`` is what is kept of its fingerprint, ``silence`` what covers it.

    Of reminders that somebody has silenced by having seen the alert, nothing is told later either.
    """
    if alert.state == "resolved":
        return Step(False, "over") if is_untold(kept, alert) else Step(True, "nothing")
    if silence is None:
        return Step(True, "nothing")
    if silence.reminders_only or (alert.reminder and is_untold(kept, alert)):
        return Step(False, "same")
    return Step(False, "this")


def is_untold(kept: Withheld | None, alert: Alert) -> bool:
    """Whether the receiver was never told of the episode that ``alert`` is of."""
    return kept is not None and kept.alert.starts_at == alert.starts_at and not kept.told


def was_told(kept: Withheld | None, alert: Alert) -> bool:
    """Whether the receiver was told that ``alert`` fires, before this record of it."""
    return not _begins(alert) and not is_untold(kept, alert)


def _begins(alert: Alert) -> bool:
    """Whether it is the first that receivers hear of its episode."""
    return alert.event == "firing"


def is_waiting(kept: Withheld) -> bool:
    """Whether it is to be told; otherwise it is the mark of an end."""
    return kept.alert.state != "resolved"
