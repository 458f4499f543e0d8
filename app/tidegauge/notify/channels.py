"""Ways for alerts: each takes one to its receiver, or says how it failed."""

import time
from typing import Any

import msgspec

from tidegauge.contract import Alert
from tidegauge.notify.alertmanager import Held, Posting, body_of
from tidegauge.notify.channel import AlertChannel, Channel, Clock
from tidegauge.notify.config import (
    AlertmanagerReceiver,
    EmailReceiver,
    MlflowReceiver,
    Receiver,
    SlackReceiver,
    WebhookReceiver,
)
from tidegauge.notify.digest import Digest, digest_body
from tidegauge.notify.http import origin, post
from tidegauge.notify.mail import digest_mail, mail
from tidegauge.notify.mlflow import MlflowChannel
from tidegauge.notify.outcome import Refused
from tidegauge.notify.slack import digest_slack_body, slack_body
from tidegauge.notify.smtp import send
from tidegauge.notify.webhook import IDEMPOTENCY_HEADER, SIGNATURE_HEADER, signature, webhook_body


class AlertmanagerChannel(AlertChannel):
    """To an Alertmanager; holds what fires."""

    receiver: AlertmanagerReceiver

    def __init__(self, receiver: AlertmanagerReceiver, clock: Clock) -> None:
        super().__init__(receiver, clock)
        self.resend_seconds = receiver.resend_seconds
        self._held = Held()

    def wants(self, alert: Alert) -> bool:
        """Whether it matches, or what is held did: Alertmanager must hear of its end."""
        return super().wants(alert) or alert.fingerprint in self._held.firing

    @property
    def target(self) -> str:
        """Scheme, host and port."""
        return origin(self.receiver.url)

    def deliver(self, alert: Alert, note: str = "") -> None:
        """Send what the alert changes, and hold it if it fires."""
        held, postings = self._held.after(alert)
        try:
            self._post(postings)
        except Refused:
            # Neither is a firing one held that would spoil the resending of all the others, nor is
            # one that has ended kept firing.
            self._held = self._held.without(alert.fingerprint)
            raise
        self._held = held

    def deliver_digest(self, digest: Digest) -> None:
        """Send what all of its alerts change in one request."""
        held, postings = self._held, list[Posting]()
        for alert in digest.alerts:
            held, more = held.after(alert)
            postings += more
        self._post(postings)
        self._held = held

    def restore(self, alert: Alert) -> None:
        """Hold it if it fires."""
        self._held, _ = self._held.after(alert)

    def forget(self) -> None:
        """Hold nothing."""
        self._held = Held()

    def resend(self) -> None:
        """Send all that is held in one request."""
        postings = self._held.postings()
        if not postings:
            return
        try:
            self._post(postings)
        except Refused:
            # One that isn't taken must not keep the others from being.
            for posting in postings:
                try:
                    self._post([posting])
                except Refused:
                    self._held = self._held.without(posting.alert.fingerprint)
            raise

    def _post(self, postings: list[Posting]) -> None:
        receiver, now = self.receiver, self._clock()
        try:
            bodies = [
                body_of(one, now=now, resend_seconds=receiver.resend_seconds) for one in postings
            ]
        except Exception as error:  # it must not keep the others from being sent again
            raise Refused(f"{type(error).__name__} in an alert's body: {error}") from error
        headers = {}
        if receiver.authorization is not None:
            headers["Authorization"] = receiver.authorization.reveal()
        post(
            receiver.url.rstrip("/") + "/api/v2/alerts",
            msgspec.json.encode(bodies),
            headers,
            timeout_seconds=receiver.timeout_seconds,
        )


class WebhookChannel(AlertChannel):
    """To a generic webhook."""

    receiver: WebhookReceiver

    @property
    def target(self) -> str:
        """Scheme, host and port."""
        return origin(self.receiver.url)

    def deliver(self, alert: Alert, note: str = "") -> None:
        """Send the signed body."""
        with_bins = self.receiver.include_distributions
        self._send(alert.id, webhook_body(alert, include_distributions=with_bins, note=note))

    def deliver_digest(self, digest: Digest) -> None:
        """Send the signed body of the digest."""
        self._send(digest.id, digest_body(digest))

    def _send(self, id: str, body: bytes) -> None:
        receiver = self.receiver
        headers = {IDEMPOTENCY_HEADER: id}
        if receiver.secret is not None:
            # Signed anew for each attempt: a receiver may refuse old signatures.
            headers[SIGNATURE_HEADER] = signature(receiver.secret.reveal(), body, now=self._clock())
        if receiver.authorization is not None:
            headers["Authorization"] = receiver.authorization.reveal()
        post(receiver.url, body, headers, timeout_seconds=receiver.timeout_seconds)


class SlackChannel(AlertChannel):
    """To an incoming webhook of Slack's kind."""

    receiver: SlackReceiver

    @property
    def target(self) -> str:
        """Scheme, host and port."""
        return origin(self.receiver.url.reveal())

    def deliver(self, alert: Alert, note: str = "") -> None:
        """Send the blocks."""
        self._send(alert.id, slack_body(alert, note))

    def deliver_digest(self, digest: Digest) -> None:
        """Send the blocks of the digest."""
        self._send(digest.id, digest_slack_body(digest))

    def _send(self, id: str, body: bytes) -> None:
        post(
            self.receiver.url.reveal(),
            body,
            {IDEMPOTENCY_HEADER: id},
            timeout_seconds=self.receiver.timeout_seconds,
        )


class EmailChannel(AlertChannel):
    """To a mail server."""

    receiver: EmailReceiver

    @property
    def target(self) -> str:
        """Scheme, host and port."""
        return f"{self.receiver.host}:{self.receiver.port}"

    def deliver(self, alert: Alert, note: str = "") -> None:
        """Send the e-mail."""
        to = self.receiver
        send(mail(alert, note, sender=to.sender, to=to.to, now=self._clock()), to)

    def deliver_digest(self, digest: Digest) -> None:
        """Send the e-mail of the digest."""
        to = self.receiver
        send(digest_mail(digest, sender=to.sender, to=to.to, now=self._clock()), to)


def channel_to(receiver: Receiver, clock: Clock = time.time) -> Channel[Any]:
    """Return the way to a receiver."""
    if isinstance(receiver, AlertmanagerReceiver):
        return AlertmanagerChannel(receiver, clock)
    if isinstance(receiver, WebhookReceiver):
        return WebhookChannel(receiver, clock)
    if isinstance(receiver, SlackReceiver):
        return SlackChannel(receiver, clock)
    if isinstance(receiver, MlflowReceiver):
        return MlflowChannel(receiver, clock)
    return EmailChannel(receiver, clock)
