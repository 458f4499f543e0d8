"""Records that workers say they have lost: by their own counters, which must stay at nothing."""

import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from urllib.error import URLError

from chaos.site.supervisor import Slot
from support.prometheus import http_get

SOURCE_LOST = "tidegauge_ingest_source_lost_events_total"
QUARANTINED = "tidegauge_quarantined_records_total"

#: What a worker counts that was dropped, lost or counted twice: in a run, that is nothing.
SERIES = (
    SOURCE_LOST,
    QUARANTINED,
    "tidegauge_counted_twice_events_total",
    "tidegauge_baselines_refused_total",
    "tidegauge_failed_slices_total",
    "tidegauge_histogram_breaks_total",
    "tidegauge_label_router_dead_letters_dropped_total",
    "tidegauge_label_router_source_lost_labels_total",
    "tidegauge_late_outcomes_total",
    "tidegauge_late_predictions_total",
    "tidegauge_outcomes_dead_letters_dropped_total",
    "tidegauge_ingest_dead_letters_dropped_total",
    "tidegauge_ingest_overflow_total",
    "tidegauge_ingest_segments_dropped_total",
    "tidegauge_late_events_total",
    "tidegauge_ledger_lost_facts_total",
    "tidegauge_lost_records_total",
    "tidegauge_outputs_refused_total",
)

_JUDGED = "bad records and poison are sent, and each must be a dead letter or be named in a log"
_GOES_ON = "what it counts is tried again, and nothing is dropped"
_ALL_IS_WELL = "it counts what was done"
_OVERLAP = "it counts what is not read a second time"

#: Why other counters may count in a run.
EXEMPT = {
    "tidegauge_action_acknowledgements_total": _ALL_IS_WELL,
    "tidegauge_actions_total": _ALL_IS_WELL,
    "tidegauge_alerts_total": _ALL_IS_WELL,
    "tidegauge_duplicate_predictions_total": "producers send again what may not have arrived",
    "tidegauge_errors_total": "it counts events of a status",
    "tidegauge_events_total": _ALL_IS_WELL,
    "tidegauge_ingest_awaited_faults_total": "it counts events that no label can be compared with",
    "tidegauge_ingest_awaited_predictions_total": _ALL_IS_WELL,
    "tidegauge_ingest_dead_letters_total": _JUDGED,
    "tidegauge_ingest_events_total": _ALL_IS_WELL,
    "tidegauge_ingest_source_breaks_total": "it counts faults; what they cost is in SOURCE_LOST",
    "tidegauge_ingest_source_overlap_events_total": _OVERLAP,
    "tidegauge_ingest_tenures_total": _ALL_IS_WELL,
    "tidegauge_ingest_transactions_aborted_total": _GOES_ON,
    "tidegauge_label_router_dead_letters_total": _JUDGED,
    "tidegauge_label_router_labels_total": _ALL_IS_WELL,
    "tidegauge_label_router_source_breaks_total": "it counts faults; what they cost has a counter",
    "tidegauge_label_router_source_overlap_labels_total": _OVERLAP,
    "tidegauge_label_router_tenures_total": _ALL_IS_WELL,
    "tidegauge_label_router_transactions_aborted_total": _GOES_ON,
    "tidegauge_labels_total": "by what became of each label; cells and dead letters are judged",
    "tidegauge_ledger_duplicates_total": "facts are sent again after a crash, and chained once",
    "tidegauge_ledger_records_total": _ALL_IS_WELL,
    "tidegauge_ledger_refused_total": _JUDGED,
    "tidegauge_notify_dead_letters_total": _JUDGED,
    "tidegauge_notify_delivered_total": _ALL_IS_WELL,
    "tidegauge_notify_digested_total": "what is digested is told, and judged by that",
    "tidegauge_notify_failed_total": _GOES_ON,
    "tidegauge_notify_silenced_total": "what is silenced is kept, and judged by what is told",
    "tidegauge_outcomes_transactions_aborted_total": _GOES_ON,
    "tidegauge_recounts_total": _GOES_ON,
    "tidegauge_skipped_records_total": _JUDGED,
    "tidegauge_windows_closed_total": _ALL_IS_WELL,
}

#: A process may be killed at any time, and its counters are gone with it.
_LOOK_SECONDS = 3.0
_ANSWER_SECONDS = 2.0


def lost_of(metrics: str) -> dict[str, float]:
    r"""Return what a page of metrics says is lost, by series.

    >>> lost_of("# HELP tidegauge_lost_records_total …\ntidegauge_lost_records_total 2.0\n")
    {'tidegauge_lost_records_total': 2.0}
    >>> lost_of('tidegauge_outputs_refused_total{topic="a b"} 1.0\ntidegauge_up 1.0\n')
    {'tidegauge_outputs_refused_total': 1.0}
    >>> lost_of("tidegauge_lost_records_total 0.0\n")
    {}
    """
    found: dict[str, float] = {}
    for line in metrics.splitlines():
        series, _, value = line.rpartition(" ")
        name = series.partition("{")[0]
        if name in SERIES and float(value) > 0:
            found[name] = found.get(name, 0.0) + float(value)
    return found


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
                self.note(slot.name, lost_of(page))

    def note(self, worker: str, lost: Mapping[str, float]) -> None:
        """Note what a worker says of each series."""
        for name, value in lost.items():
            self._found[worker, name] = max(self._found.get((worker, name), 0.0), value)

    def said(self, series: str) -> float:
        """Return what all workers have said at least of one series together."""
        return sum(value for (_, name), value in self._found.items() if name == series)

    def findings(self, *, allowed: Collection[str] = ()) -> list[str]:
        """Say what was lost, and by whom; not of series that somebody else judges."""
        if not self.looks:
            return ["no worker's metrics could be read: nobody knows what was lost"]
        return [
            f"LOST: {name} of {worker} says {value:g}"
            for (worker, name), value in sorted(self._found.items())
            if name not in allowed
        ]
