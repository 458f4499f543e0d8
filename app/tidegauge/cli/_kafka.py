"""The settings of a command that needs the brokers: it asks once, briefly, whether one answers.

Every later request has a longer deadline of its own, and librdkafka would fill it with lines about
each attempt.
"""

from tidegauge.config import Settings, load_settings
from tidegauge.kafka import ask_brokers


def kafka_settings() -> Settings:
    """Read the settings; raises :class:`BrokersAway` if no broker answers, or as they do."""
    settings = load_settings()
    ask_brokers(settings.kafka)
    return settings
