"""The demo: all on this machine, from a trained model to alerts on inputs and accuracy.

It takes less than a minute.

An embedded Kafka (librdkafka's mock cluster) and a real Redis; the worker is ``tidegauge run``.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.demo.services import run_services as run_services
    from tidegauge.demo.story import run_demo as run_demo

face(__name__)
