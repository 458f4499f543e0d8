"""Slack's blocks, as an incoming webhook takes them."""

from typing import Any

import msgspec

from tidegauge.contract import Alert
from tidegauge.notify.config import SlackReceiver
from tidegauge.notify.digest import Digest, message_of
from tidegauge.notify.http import IDEMPOTENCY_HEADER, HttpChannel

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
    return {"type": "plain_text", "text": _cut(text, _HEADER_CHARACTERS)}


def _markdown(text: str, characters: int) -> dict[str, Any]:
    # Verbatim: Slack makes no links and mentions of its own of addresses and names.
    return {"type": "mrkdwn", "text": _cut(text, characters), "verbatim": True}


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"


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
