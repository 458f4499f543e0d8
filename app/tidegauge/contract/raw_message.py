"""What is used of a message of Kafka's client, for code that needs no client. Pure."""

from typing import Protocol


class RawMessage(Protocol):
    """What is used of a ``confluent_kafka.Message``."""

    def value(self) -> bytes | None: ...  # noqa: D102
    def partition(self) -> int: ...  # noqa: D102
    def offset(self) -> int: ...  # noqa: D102
    def error(self) -> object | None: ...  # noqa: D102
