"""Reaching the brokers from a command: one question first, and one clear line if nobody answers.

Every later request has a longer deadline of its own, and librdkafka would fill it with lines about
each attempt. A command asks once, briefly, and silently.
"""

import logging

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from tidegauge.config import KafkaSettings, Settings, load_settings

#: A broker that is there lists its topics in milliseconds, one on the other side of the world in a
#: second or two. With the start of the command, an answer that there is none takes less than 5 s:
#: the second wait is only for brokers that have not refused the connection yet.
_WAITS_SECONDS = (2.0, 1.5)

#: What librdkafka logs goes nowhere: what matters of it is in the error.
_silent = logging.getLogger("tidegauge.cli.silent")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class BrokersAway(Exception):
    """No broker has answered."""


def kafka_settings() -> Settings:
    """Read the settings; raises :class:`BrokersAway` if no broker answers, or as they do."""
    settings = load_settings()
    ask_brokers(settings.kafka)
    return settings


def ask_brokers(kafka: KafkaSettings) -> None:
    """Raise :class:`BrokersAway`, which says why and what to do, unless a broker answers soon."""
    reasons: list[str] = []
    down: list[KafkaError] = []

    def failed(error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            down.append(error)
        else:
            reasons.append(error.str())

    client = AdminClient(
        {
            **kafka.librdkafka(),
            "error_cb": failed,
            # An attempt to connect that hangs is one of several, not the whole of the wait.
            "socket.connection.setup.timeout.ms": 1_500,
            "reconnect.backoff.max.ms": 500,
        },
        logger=_silent,
    )
    for seconds in _WAITS_SECONDS:
        try:
            client.list_topics(timeout=seconds)
            return
        except KafkaException as error:
            client.poll(0)  # calls ``failed``
            otherwise = error.args[0].str()
        if down:
            break
    raise BrokersAway(_said(kafka, reasons, otherwise))


def _said(kafka: KafkaSettings, reasons: list[str], otherwise: str) -> str:
    why = _shortened(reasons[-1] if reasons else otherwise)
    return (
        f"no answer from Kafka at {kafka.bootstrap_servers} ({why}); is the broker up, and is "
        "kafka.bootstrap_servers (TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS) right?"
    )


def _shortened(reason: str) -> str:
    """Leave out what librdkafka says of itself: which thread, after how long, in which state.

    >>> _shortened("x:9092/bootstrap: Connect to ipv4#1.2.3.4:9092 failed: refused (after 0ms in \
state CONNECT, 3 identical error(s) suppressed)")
    'Connect to ipv4#1.2.3.4:9092 failed: refused'
    """
    return reason.partition("/bootstrap: ")[2].partition(" (after ")[0] or reason
