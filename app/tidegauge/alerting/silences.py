"""Which alerts a silence covers, and when. Pure."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from tidegauge.contract import Alert, Silence, segment_text

#: Matchers that are globs, in the order in which people are told of them.
GLOBS = ("rule", "model", "version", "variant", "segment", "signal", "severity")


def in_force(silence: Silence, now: float) -> bool:
    """Whether a silence holds at ``now``, epoch seconds; it does at its start, not at its end."""
    ends = [end for end in (silence.until, silence.ended_at) if end is not None]
    return silence.since <= now < min(ends, default=float("inf"))


def checked(silence: Silence) -> Silence:
    """Return a silence whose globs can be matched; raises what is wrong with one of them."""
    for name in GLOBS:
        fnmatchcase("", getattr(silence.matchers, name))
    return silence


def covers(silence: Silence, alert: Alert) -> bool:
    """Whether an alert is one of those that a silence is about, whatever the time."""
    if silence.reminders_only and not alert.reminder:
        return False
    wanted = silence.matchers
    if wanted.episode and wanted.episode != alert.episode:
        return False
    found = {
        "rule": alert.rule,
        "model": alert.model,
        "version": alert.version,
        "variant": alert.variant,
        "segment": segment_text(alert.segment),
        "severity": alert.severity,
    }
    return all(fnmatchcase(found[name], getattr(wanted, name)) for name in found) and all(
        fnmatchcase(signal, wanted.signal) for signal in _signals(alert)
    )


def _signals(alert: Alert) -> list[str]:
    """Return what an alert is about: of an incident, the signals that are not over, if any."""
    if not alert.signals:
        return [alert.signal or ""]
    last = [one for one in alert.signals if one.ends_at is None] or alert.signals
    return [one.signal for one in last]


def matchers_text(silence: Silence, *, episode: bool = True) -> str:
    """Say which alerts it is about; without the one episode, where that is named already."""
    wanted = silence.matchers
    said = [f"{name}={getattr(wanted, name)}" for name in GLOBS if getattr(wanted, name) != "*"]
    if wanted.episode and episode:
        said.append(f"episode={wanted.episode}")
    return " ".join(said) or "every alert"


class Silences:
    """What is known of all silences; the last record of each holds."""

    def __init__(self, silences: Iterable[Silence] = ()) -> None:
        self._by_id: dict[str, Silence] = {}
        for silence in silences:
            self.take(silence)

    def __iter__(self) -> Iterator[Silence]:
        return iter(self._by_id.values())

    def take(self, silence: Silence) -> None:
        """Take in a record of the topic, in the order of the log."""
        self._by_id[silence.id] = silence

    def over(self, alert: Alert, now: float) -> Silence | None:
        """Return what silences an alert at ``now``, if anything does.

        What will come to an end stands before what only keeps reminders back: an alert that waits
        for the end of a silence must be kept.
        """
        found = [one for one in self if in_force(one, now) and covers(one, alert)]
        return min(found, key=lambda one: one.reminders_only, default=None)

    def seen(self, alert: Alert, now: float) -> Silence | None:
        """Return the acknowledgement of an alert's episode, if there is one."""
        mine = (one for one in self if one.reminders_only and in_force(one, now))
        return next((one for one in mine if one.matchers.episode == alert.episode), None)
