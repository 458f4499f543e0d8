"""The channel for each kind of receiver."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tidegauge.notify.alertmanager import AlertmanagerChannel
from tidegauge.notify.channel import Channel, Clock
from tidegauge.notify.config import Receiver
from tidegauge.notify.mail import EmailChannel
from tidegauge.notify.mlflow import MlflowChannel
from tidegauge.notify.webhook import SlackChannel, WebhookChannel

_CHANNELS: Mapping[str, Callable[[Any, Clock], Channel[Any]]] = {
    "alertmanager": AlertmanagerChannel,
    "webhook": WebhookChannel,
    "slack": SlackChannel,
    "email": EmailChannel,
    "mlflow": MlflowChannel,
}


def channel_to(receiver: Receiver, clock: Clock = time.time) -> Channel[Any]:
    """Return the channel to a receiver; ``clock`` is the wall clock, in seconds."""
    return _CHANNELS[receiver.type](receiver, clock)
