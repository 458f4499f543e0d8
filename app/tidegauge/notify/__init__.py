"""Delivery: reads the topic of alerts, and takes each alert to the receivers that want it.

Pure in the middle (an alert goes in, a body comes out); Kafka in ``courier``, sockets in ``http``
and ``smtp``.
"""

from tidegauge.notify.config import ReceiverFile
from tidegauge.notify.load import ReceiversError, load_receivers, parse_receivers
from tidegauge.notify.notifier import Notifier

__all__ = ["Notifier", "ReceiverFile", "ReceiversError", "load_receivers", "parse_receivers"]
