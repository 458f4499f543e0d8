"""Silences and acknowledgements: which alerts each one covers, and when. Pure."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Annotated

from tidegauge.contract.alert import Alert
from tidegauge.contract.record import SCHEMA_VERSION, Record, SchemaVersion, doc
from tidegauge.contract.wording import segment_text

#: The longest glob. A name has at most 200 characters, each of which may be escaped by two more;
#: a glob of many open brackets takes time that grows with the square of its length.
GLOB_CHARACTERS = 1_000


class Matchers(Record):
    """Which alerts: those that fit every glob (``*``, ``?``, ``[abc]``; case matters)."""

    rule: Annotated[str, doc("Glob of the rule.")] = "*"
    model: Annotated[str, doc("Glob of the model.")] = "*"
    version: Annotated[str, doc("Glob of the version.")] = "*"
    variant: Annotated[str, doc("Glob of the variant.")] = "*"
    segment: Annotated[
        str, doc("Glob of the segment as it is written, region=EU; all traffic is empty.")
    ] = "*"
    signal: Annotated[str, doc("Glob of the signals; an alert about none has an empty one.")] = "*"
    severity: Annotated[str, doc("Glob of the severity.")] = "*"
    episode: Annotated[
        str, doc("If not empty, only the alert of this episode, from its first window to its end.")
    ] = ""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            found = len(getattr(self, name))
            if found > GLOB_CHARACTERS:
                raise ValueError(
                    f"matchers.{name} has {found:,} characters, expected at most "
                    f"{GLOB_CHARACTERS:,}"
                )


class Silence(Record):
    """Alerts that are not delivered for a while. The last record of an ``id`` holds."""

    id: Annotated[str, doc("Id of the silence.")]
    who: Annotated[str, doc("Who created it.")]
    why: Annotated[str, doc("Why.")]
    since: Annotated[float, doc("Its start, epoch seconds.")]
    until: Annotated[
        float | None,
        doc("Its end, epoch seconds, exclusive; null = it lasts as long as the episode."),
    ]
    matchers: Annotated[Matchers, doc("The alerts that it is about.")]
    reminders_only: Annotated[
        bool, doc("Somebody has acknowledged an alert: it is delivered, and its reminders are not.")
    ] = False
    alert: Annotated[str, doc("Id of the alert that was acknowledged.")] = ""
    ended_at: Annotated[float | None, doc("When it was ended early, epoch seconds.")] = None
    ended_by: Annotated[str, doc("Who ended it early.")] = ""
    schema_version: SchemaVersion = SCHEMA_VERSION


class Withheld(Record):
    """An alert that a receiver was not notified of when its turn came.

    Either a silence covered it: delivered once none does, if it still fires. A resolved ``alert``
    marks that there is nothing to deliver: both its beginning and its end were silenced. Or the
    rate limit of the receiver was reached: then it waits for a ``digest``.
    """

    receiver: Annotated[str, doc("Name of the receiver.")]
    partition: Annotated[int, doc("Partition of the alert.")]
    offset: Annotated[int, doc("Offset of the alert.")]
    alert: Annotated[Alert, doc("The alert.")]
    silence: Annotated[str, doc("Id of the silence that covered it.")]
    told: Annotated[bool, doc("Whether the receiver was notified before that the alert fires.")] = (
        False
    )
    digest: Annotated[
        str, doc("Id of the digest that it waits for; empty if it waits for none.")
    ] = ""
    due: Annotated[
        float, doc("When the digest is sent, epoch seconds, or earlier with a critical alert.")
    ] = 0.0
    schema_version: SchemaVersion = SCHEMA_VERSION


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
