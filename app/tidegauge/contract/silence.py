"""What people say to alerts: be quiet for a while, or: I have seen it."""

from tidegauge.contract._base import SCHEMA_VERSION, Record
from tidegauge.contract.alert import Alert

#: The longest glob. A name has at most 200 characters, each of which may be escaped by two more;
#: a glob of many open brackets takes time that grows with the square of its length.
GLOB_CHARACTERS = 1_000


class Matchers(Record):
    """Which alerts: those that fit every glob (``*``, ``?``, ``[abc]``; case matters).

    ``segment`` is matched with a segment as it is written, ``region=EU``, and all the traffic is
    ``""``; so is the ``signal`` of an alert that is about none. With an ``episode`` it is that one
    alert alone, from its first window to its end.
    """

    rule: str = "*"
    model: str = "*"
    version: str = "*"
    variant: str = "*"
    segment: str = "*"
    signal: str = "*"
    severity: str = "*"
    episode: str = ""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            found = len(getattr(self, name))
            if found > GLOB_CHARACTERS:
                raise ValueError(
                    f"matchers.{name} has {found:,} characters, expected at most "
                    f"{GLOB_CHARACTERS:,}"
                )


class Silence(Record):
    """Alerts that are not delivered from ``since`` on, and before ``until``, epoch seconds.

    With ``reminders_only`` somebody has seen an alert: it is delivered, and its reminders aren't;
    ``alert`` is the id of the one that was seen. Without ``until`` it lasts as long as the episode.
    Who ended it sooner is ``ended_by``, and when, ``ended_at``. The last record of an ``id`` holds.
    """

    id: str
    who: str
    why: str
    since: float
    until: float | None
    matchers: Matchers
    reminders_only: bool = False
    alert: str = ""
    ended_at: float | None = None
    ended_by: str = ""
    schema_version: int = SCHEMA_VERSION


class Withheld(Record):
    """An alert that a receiver has not been notified of when its turn came.

    Either a silence covered it: delivered once none does, if it still fires. ``partition`` and
    ``offset`` are its place in the topic of alerts, ``silence`` the id of what covered it. ``told``
    is whether the receiver was notified before that the alert fires. A resolved ``alert`` marks
    that there is nothing to deliver: both its beginning and its end were silenced.

    Or the rate limit of the receiver was reached: then ``digest`` is the id of the one message that
    it waits for, which is sent at ``due``, epoch seconds, or earlier with a critical alert.
    """

    receiver: str
    partition: int
    offset: int
    alert: Alert
    silence: str
    told: bool = False
    digest: str = ""
    due: float = 0.0
    schema_version: int = SCHEMA_VERSION
