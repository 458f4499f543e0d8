"""NOTIFY: reads the topic of alerts, and delivers each alert to the receivers that want it.

:mod:`tidegauge.notify` writes the messages and sends them.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.roles.notify.notifier import Notifier as Notifier

face(__name__)
