"""The output topics as others read them: by the SDK of CloudEvents, and by docs/consuming.md."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Message

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "consuming.md"


class Enough(Exception):
    """Ends the documented consumer, which would wait for more."""


def official(message: Message) -> BaseCloudEvent:
    """Read a record as the official SDK does, whatever its mode."""
    made = KafkaMessage(dict(message.headers() or []), message.key(), message.value())
    return from_kafka(made, JSONFormat())


def documented_consumer(
    servers: str, topic: str, group: str, open_ticket: Callable[..., Any]
) -> None:
    """Run the code that docs/consuming.md shows, until ``open_ticket`` has raised ``Enough``."""
    code = _DOCUMENT.read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    for shown, here in (
        ('"kafka:9092"', repr(servers)),
        ('"tidegauge.alerts.history"', repr(topic)),
        ('"tickets"', repr(group)),
    ):
        assert code.count(shown) == 1, shown
        code = code.replace(shown, here)
    names: dict[str, Any] = {"open_ticket": open_ticket}
    try:
        exec(code, names)  # noqa: S102 - our own documentation
    except Enough:
        pass
    finally:
        names["consumer"].close()
