"""Records that workers say they have lost: by their own counters, which must stay at nothing."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from urllib.error import URLError

from chaos.supervisor import Slot
from support.prometheus import http_get

#: What a worker counts that retention took, or that it can't read: in a run, that is nothing.
SERIES = (
    "tidegauge_lost_records_total",
    "tidegauge_ingest_source_lost_events_total",
    "tidegauge_ledger_lost_facts_total",
)

#: A process may be killed at any time, and its counters are gone with it.
_LOOK_SECONDS = 3.0
_ANSWER_SECONDS = 2.0


def lost_of(metrics: str) -> dict[str, float]:
    r"""Return what a page of metrics says is lost, by series.

    >>> lost_of("# HELP tidegauge_lost_records_total …\ntidegauge_lost_records_total 2.0\n")
    {'tidegauge_lost_records_total': 2.0}
    >>> lost_of("tidegauge_lost_records_total 0.0\ntidegauge_up 1.0\n")
    {}
    """
    values = (line.rpartition(" ") for line in metrics.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in values if name in SERIES and float(value) > 0}


class Losses:
    """Looks at the workers' metrics every now and then. A context manager."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        #: By worker and series, the most that any of its processes has said.
        self._found: dict[tuple[str, str], float] = {}
        #: How many pages of metrics were read.
        self.looks = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on)

    def __enter__(self) -> "Losses":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Look at every worker that runs and answers."""
        for slot in self._slots:
            if slot.child is None or slot.paused:
                continue
            with suppress(URLError, OSError):
                url = f"http://127.0.0.1:{slot.http_port}/metrics"
                status, page = http_get(url, seconds=_ANSWER_SECONDS)
                self.looks += status == 200
                for name, value in lost_of(page).items():
                    known = self._found.get((slot.name, name), 0.0)
                    self._found[slot.name, name] = max(known, value)

    def findings(self) -> list[str]:
        """Say what was lost, and by whom."""
        if not self.looks:
            return ["no worker's metrics could be read: nobody knows what was lost"]
        return [
            f"LOST: {name} of {worker} says {value:g}"
            for (worker, name), value in sorted(self._found.items())
        ]
