"""The demo: everything on this machine, from a trained model to a drift alert, within a minute.

An embedded Kafka (librdkafka's mock cluster) and a real Redis; the worker is ``tidegauge run``.
"""

from tidegauge.demo.standalone import run_services
from tidegauge.demo.story import run_demo

__all__ = ["run_demo", "run_services"]
