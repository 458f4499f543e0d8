"""What people say to alerts: be quiet for a while, or: I have seen it."""

from typing import Annotated

from tidegauge.contract.alert import Alert
from tidegauge.contract.record import SCHEMA_VERSION, Record, SchemaVersion, doc

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
