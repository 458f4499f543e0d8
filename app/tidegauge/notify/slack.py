"""Slack's blocks, as an incoming webhook takes them."""

from typing import Any

import msgspec

from tidegauge.contract import Alert
from tidegauge.notify.message import message

# Slack refuses a message with a longer text in one of these.
_HEADER_CHARACTERS = 150
_FIELD_CHARACTERS = 2000
_SECTION_CHARACTERS = 3000
_FIELDS = 10


def slack_body(alert: Alert) -> bytes:
    """Return the body; ``text`` is what notifications and old clients show."""
    said = message(alert)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(said.title)},
        {"type": "section", "text": _markdown(escape(said.summary), _SECTION_CHARACTERS)},
    ]
    fields = [
        _markdown(f"*{escape(name)}*\n{escape(fact)}", _FIELD_CHARACTERS)
        for name, fact in said.facts
    ]
    for i in range(0, len(fields), _FIELDS):
        blocks.append({"type": "section", "fields": fields[i : i + _FIELDS]})
    if said.advice:
        advice = _markdown(f"*What to do*\n{escape(said.advice)}", _SECTION_CHARACTERS)
        blocks.append({"type": "section", "text": advice})
    buttons = [
        {"type": "button", "text": _plain(name), "url": url}
        for name, url in (("Runbook", said.runbook), ("Dashboard", said.dashboard))
        if url
    ]
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    blocks.append({"type": "context", "elements": [_plain(f"tidegauge alert {alert.id}")]})
    # As an attachment, for the colour at its side; the text above it is the notification.
    return msgspec.json.encode(
        {
            "text": escape(f"{said.title}: {said.summary}"),
            "attachments": [{"color": said.colour, "blocks": blocks}],
        }
    )


def _plain(text: str) -> dict[str, str]:
    # Slack reads nothing in it, but whoever passes it on may: a mention becomes none.
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
