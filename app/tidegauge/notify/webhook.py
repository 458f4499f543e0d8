"""Webhooks: the generic one, a JSON body that is signed, and that of Slack, which takes blocks.

The signature is made as Stripe does it: header ``Tidegauge-Signature: t=<epoch seconds>,v1=<hex>``,
where the hex is HMAC-SHA256 of ``<t>.<body>`` under the shared secret. ``t`` is signed with the
body, so that an old request can't be sent again as a new one.
"""

import hashlib
import hmac
from typing import Any

import msgspec

from tidegauge.contract import Alert, cut
from tidegauge.notify.channel import IDEMPOTENCY_HEADER, HttpChannel
from tidegauge.notify.config import SlackReceiver, WebhookReceiver
from tidegauge.notify.message import message
from tidegauge.notify.withholding import Digest, digest_body, message_of

SIGNATURE_HEADER = "Tidegauge-Signature"

#: Parts of an evidence that show values of the signal.
_SHOWING = ("counts", "expectation")
_MORE = ("counts_since", "earlier")


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
            for name in _MORE:
                evidence.pop(name, None)
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


# Slack refuses a message with a longer text in one of these.
_HEADER_CHARACTERS = 150
_FIELD_CHARACTERS = 2000
_SECTION_CHARACTERS = 3000
_FIELDS = 10


def slack_body(record: Alert | Digest, note: str = "") -> bytes:
    """Return the body; ``text`` is what notifications and old clients show."""
    text = message_of(record, note)
    context = f"tidegauge {'digest' if isinstance(record, Digest) else 'alert'} {record.id}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(text.title)},
        {"type": "section", "text": _markdown(escape(text.summary), _SECTION_CHARACTERS)},
    ]
    fields = [
        _markdown(f"*{escape(name)}*\n{escape(fact)}", _FIELD_CHARACTERS)
        for name, fact in text.facts
        if len(fact) < _FIELD_CHARACTERS // 4
    ]
    for i in range(0, len(fields), _FIELDS):
        blocks.append({"type": "section", "fields": fields[i : i + _FIELDS]})
    for name, fact in text.facts:
        if len(fact) >= _FIELD_CHARACTERS // 4:  # a list: it wants the whole width
            long = _markdown(f"*{escape(name)}*\n{escape(fact)}", _SECTION_CHARACTERS)
            blocks.append({"type": "section", "text": long})
    if text.advice:
        advice = _markdown(f"*What to do*\n{escape(text.advice)}", _SECTION_CHARACTERS)
        blocks.append({"type": "section", "text": advice})
    if text.commands:
        lines = "\n".join(f"{escape(name)}: `{escape(it)}`" for name, it in text.commands)
        blocks.append({"type": "section", "text": _markdown(lines, _SECTION_CHARACTERS)})
    buttons = [
        {"type": "button", "text": _plain(name), "url": url}
        for name, url in (("Runbook", text.runbook), ("Dashboard", text.dashboard))
        if url
    ]
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    blocks.append({"type": "context", "elements": [_plain(context)]})
    # As an attachment, for the colour at its side; the text above it is the notification.
    return msgspec.json.encode(
        {
            "text": escape(f"{text.title}\n{text.summary}"),
            "attachments": [{"color": text.colour, "blocks": blocks}],
        }
    )


def _plain(text: str) -> dict[str, str]:
    # Slack interprets nothing in it, but a relay may: mentions are neutralised.
    text = text.replace("<!", "\u2039!").replace("<@", "\u2039@")
    return {"type": "plain_text", "text": cut(text, _HEADER_CHARACTERS)}


def _markdown(text: str, characters: int) -> dict[str, Any]:
    # Verbatim: Slack makes no links and mentions of its own of addresses and names.
    return {"type": "mrkdwn", "text": cut(text, characters), "verbatim": True}


def escape(text: str) -> str:
    """Take the meaning from what Slack would read as a mention or a link.

    >>> escape("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class SlackChannel(HttpChannel):
    """To an incoming webhook of Slack's kind."""

    receiver: SlackReceiver

    def deliver(self, record: Alert | Digest, note: str = "") -> None:
        """Send the blocks."""
        body = slack_body(record, note)
        self.post(self.receiver.url.reveal(), body, {IDEMPOTENCY_HEADER: record.id})
