"""The demo's course of events, and what it prints on the terminal."""

import signal
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import UNSET
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tidegauge.baseline.io import BaselineStore, LabelOptions, build
from tidegauge.config import Settings
from tidegauge.contract import (
    Alert,
    Distribution,
    counted,
    listed,
    printable,
    quantity,
)
from tidegauge.demo.nodes import (
    CLASSES,
    DRIFT_FACTOR,
    DRIFTED,
    LABEL,
    LABEL_SECONDS,
    NAME,
    NODES,
    RATE,
    VERSION,
    ServingNodes,
    train,
)
from tidegauge.demo.services import Sections, embedded, free_port, worker
from tidegauge.kafka import follow
from tidegauge.outcomes import outcomes_of_rows

WINDOW_SECONDS = 5

#: Labels: cohorts are as long as windows, and after the retention no more labels are expected.
_OUTCOMES = {"cohort_seconds": WINDOW_SECONDS, "retention_seconds": 5}

#: Undisturbed traffic before the scanner is replaced: two whole windows at least.
_CLEAN_SECONDS = 2.5 * WINDOW_SECONDS

#: In the endless form the scanner is repaired, and replaced again, this often.
_PHASE_SECONDS = 30.0

#: Long enough on a slow machine; the alerts themselves take some fifteen and thirty seconds.
_PATIENCE_SECONDS = 80.0

_BAR = 28


class DemoResult(msgspec.Struct):
    """What ``--once --json`` prints."""

    seconds_to_first_alert: float
    seconds_to_accuracy_alert: float
    events_sent: int
    events_counted: int
    labels_sent: int
    alert: Alert
    accuracy_alert: Alert


#: An alert, and how many seconds after the beginning it came.
_Heard = tuple[float, Alert]


class DemoError(RuntimeError):
    """The demo did not come to its end."""


def run_demo(*, once: bool, json: bool) -> int:
    """Run the demo and return the exit code; endless unless ``once``."""
    console = Console(stderr=json)
    # As for Ctrl-C: what the demo started ends with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="tidegauge-demo-") as name:
        try:
            result = _Demo(console, Path(name)).run(once=once)
        except KeyboardInterrupt:
            console.print("\nStopped.")
            return 0
        except DemoError as error:
            console.print(f"[red]{error}[/red]")
            return 1
    if json:
        print(msgspec.json.encode(result).decode(), flush=True)
    return 0 if result.events_sent == result.events_counted else 1


class _Demo:
    def __init__(self, console: Console, directory: Path) -> None:
        self._began = time.monotonic()
        self._console = console
        self._directory = directory
        self._log = directory / "worker.log"
        self._port = free_port()

    def run(self, *, once: bool) -> DemoResult:
        with embedded(
            self._directory,
            window_seconds=WINDOW_SECONDS,
            idle_seconds=2,
            port=self._port,
            outcomes=_OUTCOMES,
        ) as sections:
            return self._run(sections, once=once)

    def _run(self, sections: Sections, *, once: bool) -> DemoResult:
        settings = Settings(**cast(Any, sections))
        say, servers = self._console.print, settings.kafka.bootstrap_servers
        say(f"Embedded Kafka on {servers}, Redis on {settings.redis.url}")
        model = train()
        reference = self._directory / "training.csv"
        model.write_reference(reference)
        labels = LabelOptions(LABEL, positive=CLASSES[1], threshold=0.5)
        built = build(reference, model=NAME, version=VERSION, prediction="score", labels=labels)
        baseline, its = built.baseline, built.labelled
        if its is not None:
            baseline.outcomes = outcomes_of_rows(
                its.target, its.value, its.predicted, its.actual, its.rows
            )
        with closing(BaselineStore(settings.redis.url)) as store:
            baseline_id = store.put(baseline)
            store.promote(NAME, VERSION, baseline_id, now=time.time())
        say(
            f"Trained a tumour classifier on {baseline.rows} real patients; its baseline of "
            f"{len(baseline.signals)} signals is {baseline_id[:12]}"
        )
        with worker(sections, self._log) as process:

            def check() -> None:
                if process.poll() is not None:
                    raise DemoError(f"the worker ended:\n{self._log.read_text()[-3000:]}")

            self._await_ready(check)
            say(f"Worker is up: http://127.0.0.1:{self._port}/metrics and /readyz")
            topics = settings.topics
            nodes = ServingNodes(servers, topics.predictions, topics.labels, model)
            nodes.start()
            say(
                f"{NODES} serving nodes send {NODES * RATE} predictions a second, and each one's "
                f"label {LABEL_SECONDS:g} s later"
            )
            try:
                first, second = self._watch(settings, nodes, check, once=once)
            finally:
                sent, labels_sent = nodes.stop()
            counted = self._await_counted(sent, check)
        say(f"{sent} events sent, {counted} counted")
        return DemoResult(
            seconds_to_first_alert=round(first[0], 2),
            seconds_to_accuracy_alert=round(second[0], 2),
            events_sent=sent,
            events_counted=counted,
            labels_sent=labels_sent,
            alert=first[1],
            accuracy_alert=second[1],
        )

    def _await_ready(self, check: Callable[[], None]) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            check()
            with (
                suppress(OSError),  # not listening yet, or 503: not ready yet
                urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=2),
            ):
                return
            time.sleep(0.1)
        raise DemoError(f"the worker did not get ready:\n{self._log.read_text()[-3000:]}")

    def _watch(
        self, settings: Settings, nodes: ServingNodes, check: Callable[[], None], *, once: bool
    ) -> tuple[_Heard, _Heard]:
        """Let the drift begin, show the alerts; return the first on drift and on accuracy."""
        began = time.monotonic()
        change = began + _CLEAN_SECONDS
        found: dict[bool, _Heard] = {}
        for alert in self._alerts(settings):
            check()
            now = time.monotonic()
            if now >= change and not (once and nodes.drifting.is_set()):
                change = now + _PHASE_SECONDS
                self._change_scanner(nodes)
            if alert is not None:
                self._console.print(_panel(alert))
                if alert.state == "firing":
                    found.setdefault(alert.metric == "accuracy", (now - self._began, alert))
                if once and len(found) == 2:
                    return found[False], found[True]
            if len(found) < 2 and now - began > _PATIENCE_SECONDS:
                missing = "accuracy" if False in found else "drift"
                raise DemoError(f"no alert on {missing} came:\n{self._log.read_text()[-3000:]}")
        raise AssertionError("alerts are endless")

    def _change_scanner(self, nodes: ServingNodes) -> None:
        if nodes.drifting.is_set():
            nodes.drifting.clear()
            self._console.print("[green]The scanner is repaired.[/green]")
        else:
            nodes.drifting.set()
            percent = round(100 * (DRIFT_FACTOR - 1))
            self._console.print(
                f"[yellow]A scanner is replaced: '{DRIFTED}' now reads {percent} % too high. "
                f"Windows are {WINDOW_SECONDS} s long …[/yellow]"
            )

    @staticmethod
    def _alerts(settings: Settings) -> Iterator[Alert | None]:
        """Yield alerts as they come through Kafka, and None now and then; each id once."""
        seen: set[str] = set()
        topic = settings.topics.alerts_history
        # What is not ours, on a broker of the reader's own, is passed over.
        for found in follow(settings.kafka, topic, Alert, 0, lambda *_: None):
            if found is None:
                yield None
            elif found[1].id not in seen:
                seen.add(found[1].id)
                yield found[1]

    def _await_counted(self, sent: int, check: Callable[[], None]) -> int:
        deadline = time.monotonic() + 15
        while True:
            check()
            counted = self._counted()
            if counted >= sent or time.monotonic() > deadline:
                return counted
            time.sleep(0.1)

    def _counted(self) -> int:
        url = f"http://127.0.0.1:{self._port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            text = answer.read().decode()
        return sum(
            int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "tidegauge_events_total"
        )


def _panel(alert: Alert) -> Panel:
    firing = alert.state == "firing"
    thing = "event" if alert.cohort is UNSET else "label"
    table = Table.grid(padding=(0, 2))
    for label, value in (
        ("rule", f"{alert.rule}: {alert.metric} {alert.comparison} {alert.threshold:g}"),
        *((("signals", listed([it.signal for it in alert.signals])),) if alert.signals else ()),
        *((("includes", listed([it.rule for it in alert.inhibited])),) if alert.inhibited else ()),
        ("value", f"{quantity(alert.value, alert.unit)}, in {counted(alert.events, thing)}"),
        ("window", _span(alert.window_start, alert.window_end)),
        ("since", _time(alert.starts_at)),
        ("baseline", alert.baseline[:12] or "none"),
    ):
        table.add_row(f"[dim]{label}[/dim]", Text(printable(value)))
    body = Table.grid()
    body.add_row(Text(printable(alert.summary)))
    body.add_row(table)
    if firing and alert.distribution is not None:
        body.add_row(_chart(alert.distribution))
    title = f"{alert.state} · {alert.severity}"
    return Panel(body, title=title, border_style="red" if firing else "green", expand=False)


def _chart(distribution: Distribution) -> Table:
    """Draw the bins that hold anything: the baseline's share and the window's."""
    chart = Table("bin", "baseline", "now", "", box=None, padding=(0, 1))
    reference, current = sum(distribution.reference), sum(distribution.current)
    for label, r, c in zip(
        distribution.bins, distribution.reference, distribution.current, strict=True
    ):
        if r or c:
            before, now = r / reference, c / current
            bar = "█" * round(now * 2 * _BAR)
            chart.add_row(
                Text(printable(label)), f"{before:.1%}", f"{now:.1%}", f"[yellow]{bar}[/yellow]"
            )
    return chart


def _time(epoch: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(epoch))


def _span(start: int, end: int) -> str:
    return f"{_time(start)} to {_time(end)}"
