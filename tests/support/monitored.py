"""One run of the product on the whole of the traffic, and what came of it."""

import csv
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Message
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from support.alert_oracle import RULES_FILE, VALUE_RULES_TEXT
from support.bad_records import huge_record
from support.encodings import Row
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.oracle import Baselines, CellKey, Verdict, judge
from support.processes import Child, wait_until
from support.product import Installation
from support.prometheus import Prometheus
from support.senders import Senders
from support.traffic import (
    EVENTS,
    LATE_WINDOWS,
    VERSIONS,
    WINDOW_SECONDS,
    WINDOWS,
    Traffic,
    credit_rows,
    fraud_rows,
)

#: In force beside the rules of alert_oracle.py. What hand-written events leave out or get wrong is
#: a drift too, from the first window on, and a small one.
MINIMUM_PSI = 0.1
DRIFT_ALARM = f"""
  - name: drift-alarm
    metric: surprise
    group: none
    flapping_after: 0
    above: 1
    minimum_psi: {MINIMUM_PSI}
    no_data_after: 0
    severity: {{minor: low, moderate: medium, major: high}}
"""

PARTITIONS = 6
IDLE_SECONDS = 8
BASELINE_ROWS = 20_000

#: How far in the past the traffic begins: all of it has happened, nothing is too late yet.
AGE_SECONDS = 300
TOO_LATE_EVENTS = 25


@dataclass
class Monitored:
    """A run that has reported everything there was; still running."""

    installation: Installation
    child: Child
    prometheus: Prometheus
    start: int
    verdict: Verdict
    baselines: Baselines
    outputs: dict[str, list[Message]]
    #: The next offset of each partition of the source.
    ends: dict[int, int]

    @property
    def source(self) -> str:
        return self.installation.topic("predictions")

    def records(self, kind: str) -> list[Any]:
        """Return every record of a topic as plain JSON, in order of partition and offset."""
        return [json.loads(message.value()) for message in self.outputs[kind]]

    def alerts(self, *, drift_alarm: bool = False) -> list[Any]:
        """Return the alerts of the rules of alert_oracle.py, or those of the rule on surprise."""
        return [
            alert
            for alert in self.records("alerts_history")
            if (alert["rule"] == "drift-alarm") == drift_alarm
        ]

    def latest_reports(self) -> dict[CellKey, dict[str, Any]]:
        """Return the latest revision of every window."""
        return latest_revisions(self.records("windows"))

    def first_reports(self) -> dict[CellKey, dict[str, Any]]:
        """Return the first report of every window."""
        return {
            (r["model"], r["version"], r["variant"], r["window_start"]): r
            for r in self.records("windows")
            if r["revision"] == 0
        }


def signals_of(report: dict[str, Any]) -> dict[str, Any]:
    """Return the signals of a report that has one part."""
    assert len(report["parts"]) == 1, f"no baseline changed, yet there are parts {report['parts']}"
    signals: dict[str, Any] = report["parts"][0]["signals"]
    return signals


def latest_revisions(reports: list[Any]) -> dict[CellKey, dict[str, Any]]:
    """Keep the largest revision of each window."""
    latest: dict[CellKey, dict[str, Any]] = {}
    for report in reports:
        key = (report["model"], report["version"], report["variant"], report["window_start"])
        if key not in latest or latest[key]["revision"] < report["revision"]:
            latest[key] = report
    return latest


OUTPUTS = (
    "windows", "alerts", "alerts_history", "actions", "audit_facts", "audit", "dead_letters",
)  # fmt: skip


@contextmanager
def monitored(directory: Path, broker: KafkaBroker, redis_url: str) -> Iterator[Monitored]:
    """Run the product on all of the traffic, and wait until it has reported every event."""
    rules = directory / "rules.yaml"
    rules.write_text(RULES_FILE.read_text("utf-8") + VALUE_RULES_TEXT + DRIFT_ALARM)
    installation = Installation(
        directory / "installation",
        unique("e2e"),
        broker.bootstrap_servers,
        redis_url,
        {
            "TOPICS__PREDICTIONS_PARTITIONS": str(PARTITIONS),
            "TOPICS__DETECT_PARTITIONS": "3",
            "DETECT__RULES_FILE": str(rules),
            "WINDOWS__SECONDS": str(WINDOW_SECONDS),
            "WINDOWS__GRACE_SECONDS": "2",
            "INGEST__IDLE_SECONDS": str(IDLE_SECONDS),
            "INGEST__FLUSH_SECONDS": "0.5",
        },
    )
    installation.create_topics()
    _take_large_records(broker, installation.topic("predictions"))
    baselines = create_baselines(installation)
    prometheus = Prometheus(directory / "prometheus", [f"127.0.0.1:{installation.http_port}"])
    senders = Senders(broker, installation.topic("predictions"), PARTITIONS)
    source = TopicReader(broker, installation.topic("predictions"))
    readers = {kind: TopicReader(broker, installation.topic(kind)) for kind in OUTPUTS}
    child: Child | None = None
    try:
        now = time.time()
        start = int(now - AGE_SECONDS) // WINDOW_SECONDS * WINDOW_SECONDS
        for number, one in enumerate(Traffic(seed=20_251, start=start, now=now).rounds()):
            if number == WINDOWS // 2:
                child = installation.start("run")
            if number == WINDOWS + LATE_WINDOWS - 1:
                # What comes now is of the last window alone, and makes revisions of it.
                assert child is not None
                last = start + (WINDOWS - 1) * WINDOW_SECONDS
                _wait_for_window(readers["windows"], last, child)
            senders.send(one)
        senders.send_record(huge_record(now))
        assert child is not None
        installation.wait_ready(child)
        verdict = _judge(source, baselines)
        _wait_for_reports(readers["windows"], verdict, child)
        # Hours behind the watermark: nobody can count these any more, only say how many they were.
        for _ in range(TOO_LATE_EVENTS):
            senders.send_record(_event(now - 3 * 3600))
        _wait_for_late_events(installation, child)
        for reader in readers.values():
            for _ in reader.more():
                pass
        _wait_for_audit(readers["audit_facts"], readers["audit"], child)
        yield Monitored(
            installation=installation,
            child=child,
            prometheus=prometheus,
            start=start,
            verdict=verdict,
            baselines=baselines,
            outputs={kind: _in_order(reader.messages) for kind, reader in readers.items()},
            ends=_ends(source.messages),
        )
    finally:
        if child is not None:
            child.stop()
        prometheus.stop()
        senders.close()
        for reader in (source, *readers.values()):
            reader.close()


def create_baselines(installation: Installation) -> Baselines:
    """Write reference data, make baselines of it by the command line, and read them back."""
    rng = np.random.default_rng(7)
    credit = installation.directory / "credit.csv"
    _write_csv(credit, credit_rows(rng, BASELINE_ROWS))
    fraud = installation.directory / "fraud.parquet"
    rows = fraud_rows(rng, BASELINE_ROWS)
    columns = {name: [row["features"][name] for row in rows] for name in rows[0]["features"]}
    columns["score"] = [row["prediction"] for row in rows]
    pq.write_table(pa.table(columns), fraud)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for model, file in (("credit", credit), ("fraud", fraud)):
        version = VERSIONS[model]
        name = ["--model", model, "--version", version]
        installation.succeed(
            "baseline", "create", *name, "--from", str(file), "--prediction", "score", "--promote"
        )
        found[model, version] = json.loads(
            installation.succeed("baseline", "show", *name, "--json")
        )
    return found


def _write_csv(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as sink:
        writer = csv.writer(sink)
        writer.writerow([*rows[0]["features"], "score"])
        for row in rows:
            values = [
                str(value).lower() if isinstance(value, bool) else value
                for value in row["features"].values()
            ]
            writer.writerow([*values, row["prediction"]])


def _take_large_records(broker: KafkaBroker, topic: str) -> None:
    entry = ConfigEntry(
        "max.message.bytes", str(16 * 1024 * 1024), incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = broker.admin()  # kept in a variable: what it does ends with it
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def _event(event_time: float) -> bytes:
    return f'{{"time":{event_time:.3f},"model":"ranker","version":"1","prediction":1}}'.encode()


def _judge(source: TopicReader, baselines: Baselines) -> Verdict:
    records = ((m.partition(), m.offset(), m.value()) for m in source.more())
    return judge(records, baselines, window_seconds=WINDOW_SECONDS, latest_time=time.time() + 300)


def _wait_for_window(reader: TopicReader, window_start: int, child: Child) -> None:
    """Wait until a window has been reported of every model."""

    def reported() -> set[str]:
        reports = [json.loads(message.value()) for message in reader.messages]
        return {it["model"] for it in reports if it["window_start"] == window_start}

    def complete() -> bool:
        child.check_alive()
        list(reader.more())
        return reported() >= EVENTS.keys()

    wait_until(
        complete,
        seconds=120,
        what=lambda: f"window {window_start} of all models, it is {reported()}\n{child.tail()}",
    )


def _wait_for_reports(reader: TopicReader, verdict: Verdict, child: Child) -> None:
    reports = [json.loads(message.value()) for message in reader.messages]

    def complete() -> bool:
        child.check_alive()
        reports.extend(json.loads(message.value()) for message in reader.more())
        return reported() >= verdict.events

    def reported() -> int:
        events: int = sum(report["events"] for report in latest_revisions(reports).values())
        return events

    wait_until(
        complete,
        seconds=120,
        what=lambda: f"{verdict.events} events reported, it is {reported()}\n{child.tail()}",
    )


def _wait_for_late_events(installation: Installation, child: Child) -> None:
    wait_until(
        lambda: installation.gauge("tidegauge_late_events_total") == TOO_LATE_EVENTS,
        seconds=30,
        what=lambda: (
            f"tidegauge_late_events_total is {TOO_LATE_EVENTS}, it is "
            f"{installation.gauge('tidegauge_late_events_total')}\n{child.tail()}"
        ),
    )


def _wait_for_audit(facts: TopicReader, audit: TopicReader, child: Child) -> None:
    """Return once every fact is in the audit trail."""
    wanted = {json.loads(message.value())["id"] for message in facts.messages}

    def chained() -> set[str]:
        for _ in audit.more():
            pass
        return {json.loads(message.value())["id"] for message in audit.messages}

    wait_until(
        lambda: wanted <= chained(),
        seconds=60,
        what=lambda: f"{len(wanted)} facts audited, missing {wanted - chained()}\n{child.tail()}",
    )


def _in_order(messages: list[Message]) -> list[Message]:
    return sorted(messages, key=lambda message: (message.partition(), message.offset()))


def _ends(messages: list[Message]) -> dict[int, int]:
    ends: dict[int, int] = {}
    for message in messages:
        ends[message.partition()] = max(ends.get(message.partition(), 0), message.offset() + 1)
    return ends
