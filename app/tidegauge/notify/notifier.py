"""All couriers of a process."""

import logging
import threading
from collections.abc import Callable

from tidegauge.notify.channels import channel_to
from tidegauge.notify.config import ReceiverFile
from tidegauge.notify.courier import Courier
from tidegauge.settings import Settings
from tidegauge.telemetry import Health, NotifyMetrics

log = logging.getLogger(__name__)


class Notifier:
    """Delivers alerts to every receiver, each from a thread of its own, until ``stop`` is set."""

    def __init__(
        self,
        settings: Settings,
        receivers: ReceiverFile,
        *,
        metrics: NotifyMetrics,
        health: Health,
        stop: threading.Event,
    ) -> None:
        self._couriers = [
            Courier(
                channel_to(receiver),
                settings,
                metrics=metrics,
                health=health,
                stop=stop,
            )
            for receiver in receivers.receivers
        ]

    def start(self, failed: Callable[[BaseException], None]) -> list[threading.Thread]:
        """Start the threads; ``failed`` is called with what none of them can go on after."""

        def work(courier: Courier) -> None:
            try:
                courier.run()
            except BaseException as error:
                log.exception("%s failed", courier.name)
                failed(error)

        threads = [
            threading.Thread(target=work, args=(courier,), name=courier.name)
            for courier in self._couriers
        ]
        for thread in threads:
            thread.start()
        return threads
