"""What a channel is: it reads records of one topic and delivers those that its receiver wants."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from tidegauge.config import TopicSettings
from tidegauge.contract import Alert, decode
from tidegauge.notify.config import AlertmanagerReceiver, AlertReceiver, Receiver
from tidegauge.notify.digest import Digest
from tidegauge.notify.withholding import Limit

Clock = Callable[[], float]
T = TypeVar("T")


class Channel(ABC, Generic[T]):
    """A channel to one receiver, for records of type ``T``; ``clock``: epoch seconds."""

    #: Seconds after which what fires is sent again; None: sent once.
    resend_seconds: float | None = None

    def __init__(self, receiver: Receiver, clock: Clock) -> None:
        self.receiver = receiver
        self._clock = clock

    @property
    @abstractmethod
    def target(self) -> str:
        """The address of the receiver, without secrets."""

    @abstractmethod
    def topic(self, topics: TopicSettings) -> str:
        """Return the topic whose records it delivers."""

    @abstractmethod
    def read(self, value: bytes) -> T | None:
        """Decode a record; None if it is of a kind that is never delivered.

        Raises :class:`DecodingError` if it is no record of this topic.
        """

    @abstractmethod
    def wants(self, record: T) -> bool:
        """Whether the receiver is to be notified of a record."""

    @abstractmethod
    def deliver(self, record: T, note: str = "") -> None:
        """Deliver once, with a ``note`` for people about the delivery.

        Raises :class:`RetryLater` or :class:`Refused`.
        """

    @property
    def limit(self) -> Limit | None:
        """How many messages the receiver takes in a period; None: as many as there are."""
        return None

    # Only what resends does any of the following.

    def restore(self, record: T) -> None:
        """Note a record that was delivered before this process began."""

    def forget(self) -> None:
        """Drop what was noted: another process may deliver from now on."""

    def resend(self) -> None:
        """Send what fires again; raises as :meth:`deliver` does."""


class _State(msgspec.Struct):
    """The fields that decide whether a record is decoded: later versions may add states."""

    state: str
    was: str | None = None


class AlertChannel(Channel[Alert]):
    """A channel for alerts, from their topic."""

    receiver: AlertReceiver

    @property
    def limit(self) -> Limit | None:
        """The limit in the receiver file."""
        found = self.receiver.rate_limit
        return None if found is None else found.limit

    @abstractmethod
    def deliver(self, record: Alert | Digest, note: str = "") -> None:
        """Deliver an alert, or several as one message; raises as in :class:`Channel`."""

    def topic(self, topics: TopicSettings) -> str:
        """Return that of every transition."""
        return topics.alerts_history

    def read(self, value: bytes) -> Alert | None:
        """Decode an alert that fires, or did and lacks data now, or is over."""
        said = decode(value, _State)
        lacks_data = (said.state, said.was) == ("no_data", "firing")
        if said.state not in ("firing", "resolved") and not lacks_data:
            return None
        return decode(value, Alert)

    def wants(self, alert: Alert) -> bool:
        """Whether the receiver is to be notified; a rule may name its receivers."""
        receiver = self.receiver
        if alert.receivers and receiver.name not in alert.receivers:
            return False
        # Alertmanager gets every end; its own configuration decides which of them it sends.
        told = isinstance(receiver, AlertmanagerReceiver) or receiver.send_resolved
        return receiver.match.takes(alert) and (alert.state != "resolved" or told)


class RetryLater(Exception):
    """Not delivered this time; ``retry_after`` is the wait that the receiver asks for, seconds."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class Refused(Exception):
    """The receiver will never accept this, so it is not sent again."""
