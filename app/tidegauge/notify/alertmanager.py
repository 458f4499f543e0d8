"""Alerts as Prometheus's Alertmanager takes them: ``POST /api/v2/alerts``.

Alertmanager names an alert by its labels, keeps it until its ``endsAt``, and forgets everything in
a restart. So the channel holds the alerts that fire and sends them periodically, each time with an
end a few rounds ahead, as Prometheus does: whatever ``resolve_timeout`` is, an alert ends by itself
only if it was not sent for four rounds.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from tidegauge.contract import Alert, printable, printable_lines, segment_text
from tidegauge.notify.channel import Clock, HttpChannel, Refused
from tidegauge.notify.config import AlertmanagerReceiver
from tidegauge.notify.message import message
from tidegauge.notify.withholding import Digest

#: Rounds of sending that may be missed before an alert ends by itself; Prometheus has four too.
_ROUNDS = 4

Labels = tuple[tuple[str, str], ...]
Body = dict[str, object]


def labels(alert: Alert) -> Labels:
    """Return the labels, the same for all of an episode; a label without a value is none.

    The labels of tidegauge take precedence over those of the rule.
    """
    values = alert.labels | {
        "alertname": alert.rule,
        "severity": alert.severity,
        "model": alert.model,
        "version": alert.version,
        "variant": alert.variant,
        "segment": segment_text(alert.segment, ","),
        "signal": alert.signal or "",
    }
    return tuple((name, printable(value)) for name, value in values.items() if value)


class Posting(NamedTuple):
    """An alert to be sent: firing if ``ends_at`` is None, otherwise ended then (epoch seconds)."""

    alert: Alert
    ends_at: int | None


@dataclass(frozen=True)
class FiringAlerts:
    """The alerts that fire, by fingerprint. Immutable, so a failed request changes nothing."""

    firing: Mapping[str, Alert] = field(default_factory=dict)

    def after(self, alert: Alert) -> tuple["FiringAlerts", list[Posting]]:
        """Return what fires after ``alert``, and what is to be sent because of it."""
        before = self.firing.get(alert.fingerprint)
        rest = {key: one for key, one in self.firing.items() if key != alert.fingerprint}
        postings = []
        if before is not None and labels(before) != labels(alert):
            # To Alertmanager it is another alert, so the one before has to be ended by name.
            postings.append(Posting(before, alert.window_end))
        if alert.state == "resolved":
            ends_at = alert.window_end if alert.ends_at is None else alert.ends_at
            return FiringAlerts(rest), [*postings, Posting(alert, ends_at)]
        return FiringAlerts({**rest, alert.fingerprint: alert}), [*postings, Posting(alert, None)]

    def without(self, fingerprint: str) -> "FiringAlerts":
        """Return it without one."""
        return FiringAlerts({key: one for key, one in self.firing.items() if key != fingerprint})

    def postings(self) -> list[Posting]:
        """Return everything that fires, to be sent again."""
        return [Posting(alert, None) for alert in self.firing.values()]


def body_of(posting: Posting, *, now: float, resend_seconds: float) -> Body:
    """Return one alert of the request's list; ``now`` is the wall clock's, epoch seconds."""
    alert = posting.alert
    said = message(alert)
    # Event time may be ahead of the clock, and an end that is yet to come would not end it.
    ends_at = (
        now + _ROUNDS * resend_seconds if posting.ends_at is None else min(posting.ends_at, now)
    )
    annotations = {name: printable_lines(it) for name, it in alert.annotations.items()} | {
        # The labels name the traffic.
        "summary": printable(alert.summary),
        "description": said.text(),
        "runbook_url": said.runbook,
        "dashboard_url": said.dashboard,
        "alert_id": alert.id,
        # It continues to fire there: nothing shows that the cause is gone.
        "no_data": "true" if alert.state == "no_data" else "",
    }
    body: Body = {
        "labels": dict(labels(alert)),
        "annotations": {name: text for name, text in annotations.items() if text},
        "startsAt": _rfc3339(min(alert.starts_at, ends_at)),
        "endsAt": _rfc3339(ends_at),
    }
    if said.dashboard:
        body["generatorURL"] = said.dashboard
    return body


def _rfc3339(seconds: float) -> str:
    """Write a time; one before 1970 as the beginning of 1970, which Alertmanager accepts."""
    seconds = max(seconds, 0)
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")


class AlertmanagerChannel(HttpChannel):
    """To an Alertmanager; holds what fires."""

    receiver: AlertmanagerReceiver

    def __init__(self, receiver: AlertmanagerReceiver, clock: Clock) -> None:
        super().__init__(receiver, clock)
        self.resend_seconds = receiver.resend_seconds
        self._held = FiringAlerts()

    def wants(self, alert: Alert) -> bool:
        """Whether the alert matches, or is held: Alertmanager must be notified of its end."""
        return super().wants(alert) or alert.fingerprint in self._held.firing

    def deliver(self, record: Alert | Digest, note: str = "") -> None:
        """Send what the alerts change in one request, and hold those that fire."""
        held, postings = self._held, list[Posting]()
        for alert in record.alerts if isinstance(record, Digest) else [record]:
            held, more = held.after(alert)
            postings += more
        try:
            self._post(postings)
        except Refused:
            if isinstance(record, Alert):
                # A held alert that is refused would fail the resending of all others, and one that
                # has ended would continue to fire.
                self._held = self._held.without(record.fingerprint)
            raise
        self._held = held

    def restore(self, alert: Alert) -> None:
        """Hold it if it fires."""
        self._held, _ = self._held.after(alert)

    def forget(self) -> None:
        """Hold nothing."""
        self._held = FiringAlerts()

    def resend(self) -> None:
        """Send all that is held in one request."""
        postings = self._held.postings()
        if not postings:
            return
        try:
            self._post(postings)
        except Refused:
            # One refused alert must not prevent the others from being sent.
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
        except Exception as error:  # it must not prevent the others from being sent again
            raise Refused(f"{type(error).__name__} in an alert's body: {error}") from error
        self.post(receiver.url.rstrip("/") + "/api/v2/alerts", msgspec.json.encode(bodies))
