"""The generic webhook: a JSON body, and a signature that its receiver can check.

The signature is made as Stripe does it: header ``Tidegauge-Signature: t=<epoch seconds>,v1=<hex>``,
where the hex is HMAC-SHA256 of ``<t>.<body>`` under the shared secret. ``t`` is signed with the
body, so that an old request can't be sent again as a new one.
"""

import hashlib
import hmac
from typing import Any

import msgspec

from tidegauge.contract import Alert
from tidegauge.notify.config import WebhookReceiver
from tidegauge.notify.digest import Digest, digest_body
from tidegauge.notify.http import IDEMPOTENCY_HEADER, HttpChannel
from tidegauge.notify.message import message

SIGNATURE_HEADER = "Tidegauge-Signature"

#: Parts of an evidence that show values of the signal.
_SHOWING = ("counts", "expectation")


def webhook_body(alert: Alert, *, include_distributions: bool, note: str = "") -> bytes:
    """Return the body: what people read, links, and the alert as its topic has it.

    Without ``include_distributions``, the alert comes without everything that names bins of its
    signal: they are values that the model saw.
    """
    said = message(alert, note)
    record: dict[str, Any] = msgspec.to_builtins(alert)
    if not include_distributions:
        record["distribution"] = None
        record["top_bins"] = []
        evidence = record["evidence"]
        if evidence is not None:
            for name in _SHOWING:
                evidence[name] = None
            if evidence["change"] is not None:
                evidence["change"]["moved"] = []
    return msgspec.json.encode(
        {
            "id": alert.id,
            "state": alert.state,
            "severity": alert.severity,
            "title": said.title,
            "text": said.text(),
            "links": {"dashboard": said.dashboard, "runbook": said.runbook},
            "alert": record,
        }
    )


def signature(secret: str, body: bytes, *, now: float) -> str:
    """Return the value of the signature's header.

    >>> signature("s3cret", b"{}", now=1700000000.9)[:18]
    't=1700000000,v1=97'
    """
    at = str(int(now))
    digest = hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class WebhookChannel(HttpChannel):
    """To a generic webhook."""

    receiver: WebhookReceiver

    def deliver(self, record: Alert | Digest, note: str = "") -> None:
        """Send the signed body."""
        if isinstance(record, Digest):
            body = digest_body(record)
        else:
            with_bins = self.receiver.include_distributions
            body = webhook_body(record, include_distributions=with_bins, note=note)
        receiver = self.receiver
        headers = {IDEMPOTENCY_HEADER: record.id}
        if receiver.secret is not None:
            # Signed anew for each attempt: a receiver may refuse old signatures.
            headers[SIGNATURE_HEADER] = signature(receiver.secret.reveal(), body, now=self._clock())
        self.post(receiver.url, body, headers)
