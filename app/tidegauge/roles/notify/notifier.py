"""The delivery workers of a process: one for each receiver in the current file."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tidegauge.config import Settings, WatchedFile
from tidegauge.contract import counted
from tidegauge.notify import Receiver, ReceiverFile, channel_to, load_receivers
from tidegauge.roles import ActiveConfig
from tidegauge.roles.notify.delivery_worker import DeliveryWorker
from tidegauge.roles.notify.withheld import SilenceFollower
from tidegauge.telemetry import Health, NotifyMetrics

log = logging.getLogger(__name__)


class _Running(NamedTuple):
    """A running delivery worker, and the receiver that it was started for."""

    receiver: Receiver
    delivery_worker: DeliveryWorker
    stop: threading.Event
    thread: threading.Thread


class Notifier:
    """Delivers alerts to every receiver of a file, each from a thread of its own.

    Raises :class:`FileError` if the file is wrong at start. ``failed`` is called with an
    error that ends a thread; ``clock`` is monotonic.
    """

    def __init__(
        self,
        settings: Settings,
        path: Path,
        *,
        metrics: NotifyMetrics,
        health: Health,
        failed: Callable[[BaseException], None],
        in_force: Callable[[ActiveConfig], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._file: WatchedFile[ReceiverFile] = WatchedFile(
            lambda: load_receivers(path), clock, what="receivers"
        )
        self._source = str(path)
        self._metrics = metrics
        self._health = health
        self._failed = failed
        self._in_force = in_force
        self._stop = threading.Event()
        self._silences = SilenceFollower(settings, metrics=metrics, health=health, stop=self._stop)
        self._threads: list[threading.Thread] = []
        self._running: dict[str, _Running] = {}
        metrics.receivers_file_ok.set_function(lambda: float(not self._file.problems))

    def start(self) -> None:
        """Start a delivery worker for each receiver, and follow the silences."""
        self._threads.append(self._thread("silences", self._silences.run))
        self._threads[0].start()
        self._tell()
        self._keep_to_the_file()

    def look(self) -> None:
        """Read the file again if it is time, and apply its changes."""
        if self._file.look():
            self._tell()
        problems = self._file.problems
        active = "invalid receiver file; the previous receivers stay active: "
        said = active + "; ".join(problems) if problems else ""
        self._health.report("receivers", "degraded" if problems else "ok", said)
        self._keep_to_the_file()

    def close(self) -> None:
        """Stop all delivery workers, and wait until they have stopped."""
        self._stop.set()
        for one in self._running.values():
            one.stop.set()
        for thread in (*self._threads, *(one.thread for one in self._running.values())):
            thread.join()

    def _tell(self) -> None:
        self._in_force(ActiveConfig.of("receivers", self._source, self._file.value.receivers))

    def _keep_to_the_file(self) -> None:
        """Stop workers whose receiver was removed or changed, and start those that are missing.

        A stopped worker may be in the middle of an attempt; its successor starts after that.
        """
        wanted = {one.name: one for one in self._file.value.receivers}
        for name, one in list(self._running.items()):
            if name in wanted and wanted[name] == one.receiver:
                continue
            one.stop.set()
            if not one.thread.is_alive():
                del self._running[name]
                self._health.forget(one.delivery_worker.name)
                self._metrics.forget(name)
        for name, receiver in wanted.items():
            if name not in self._running:
                self._running[name] = self._begin(receiver)
        self._health.report("notify", "ok", counted(len(wanted), "receiver"))

    def _begin(self, receiver: Receiver) -> _Running:
        stop = threading.Event()
        delivery_worker = DeliveryWorker(
            channel_to(receiver),
            self._settings,
            silences=self._silences,
            metrics=self._metrics,
            health=self._health,
            stop=stop,
        )
        thread = self._thread(delivery_worker.name, delivery_worker.run)
        thread.start()
        return _Running(receiver, delivery_worker, stop, thread)

    def _thread(self, name: str, run: Callable[[], None]) -> threading.Thread:
        def work() -> None:
            try:
                run()
            except BaseException as error:
                log.exception("%s failed", name)
                self._failed(error)

        return threading.Thread(target=work, name=name)
