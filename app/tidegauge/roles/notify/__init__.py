"""NOTIFY: reads the topic of alerts, and delivers each alert to the receivers that want it.

What a message says, and how it is sent, is :mod:`tidegauge.notify`'s.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.roles.notify.notifier import Notifier as Notifier

face(
    __name__,
    {
        "notifier": ("Notifier",),
    },
)
