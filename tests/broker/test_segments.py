"""A drift in one region only: it has a slice of its own, and that slice's alert."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import wait_until
from support.product import Installation
from tidegauge import PredictionLogger

pytestmark = pytest.mark.timeout(180)

WINDOWS = 3
WINDOW_SECONDS = 60
EVENTS = 2_000
#: One event in twelve is of the region that drifts, in the last window: too few to be seen in all.
DRIFTED = "US"
REGIONS = ["EU"] * 11 + [DRIFTED]
AGES = ["under 40", "40 and over"]
DETECT_PARTITIONS = 3

RULES = """
rules:
  - name: drift
    metric: psi
    above: 0.5
    severity: high
    minimum_events: 100
    no_data_after: 0  # the traffic is of ten minutes ago
"""

Slice = tuple[tuple[str, str], ...]


@dataclass
class Run:
    """What came out, and the start of the first window."""

    start: int
    sent: Counter[tuple[Slice, int]]
    reports: list[Any]
    alerts: list[Any]
    installation: Installation


def slice_of(record: Any) -> Slice:
    return tuple(record["segment"].items())


@pytest.fixture(scope="module")
def run(
    kafka_broker: KafkaBroker, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    directory = tmp_path_factory.mktemp("segments")
    rules = directory / "rules.yaml"
    rules.write_text(RULES)
    installation = Installation(
        directory / "installation",
        unique("segments"),
        kafka_broker.bootstrap_servers,
        redis_url,
        {
            "TOPICS__PREDICTIONS_PARTITIONS": "2",
            "TOPICS__DETECT_PARTITIONS": str(DETECT_PARTITIONS),
            "DETECT__RULES_FILE": str(rules),
            "WINDOWS__SECONDS": str(WINDOW_SECONDS),
            "INGEST__FLUSH_SECONDS": "0.5",
            "INGEST__IDLE_SECONDS": "2",
            "INGEST__SEGMENTS": '["region", "age group"]',
        },
    )
    installation.create_topics()
    dice = np.random.default_rng(11)
    reference = directory / "credit.csv"
    columns = {"amount": dice.normal(size=20_000), "score": dice.beta(2, 5, size=20_000)}
    pa.csv.write_csv(pa.table(columns), reference)
    installation.succeed(
        "baseline", "create", "--model", "credit", "--version", "3",
        "--from", str(reference), "--prediction", "score", "--promote",
    )  # fmt: skip
    start = int(time.time() - 600) // WINDOW_SECONDS * WINDOW_SECONDS
    readers = [
        TopicReader(kafka_broker, installation.topic(kind)) for kind in ("windows", "alerts")
    ]
    # All of it before the start, so that no window is passed in the middle of its events.
    sent = send(kafka_broker, installation, start, dice)
    child = installation.start("run")
    try:

        def reported() -> int:
            child.check_alive()
            for _ in readers[0].more():
                pass
            return len(readers[0].messages)

        wait_until(
            lambda: reported() == len(sent),
            seconds=90,
            what=lambda: f"{len(sent)} windows reported, it is {reported()}\n{child.tail()}",
        )
        wait_until(
            lambda: [*readers[1].more()] or readers[1].messages,
            seconds=30,
            what=lambda: f"an alert\n{child.tail()}",
        )
        reports, alerts = ([json.loads(m.value()) for m in one.messages] for one in readers)
        yield Run(start, sent, reports, alerts, installation)
    finally:
        child.stop()
        for reader in readers:
            reader.close()


def send(
    broker: KafkaBroker, installation: Installation, start: int, dice: np.random.Generator
) -> Counter[tuple[Slice, int]]:
    """Send events one by one and as batches; return how many there are of each slice and window."""
    sent: Counter[tuple[Slice, int]] = Counter()
    logger = PredictionLogger(
        broker.bootstrap_servers,
        topic=installation.topic("predictions"),
        model="credit",
        version="3",
    )
    for number in range(WINDOWS):
        window = start + number * WINDOW_SECONDS
        regions, ages = dice.choice(REGIONS, EVENTS), dice.choice(AGES, EVENTS)
        amounts = dice.normal(size=EVENTS)
        if number == WINDOWS - 1:
            amounts += 2.0 * (regions == DRIFTED)
        scores, times = dice.beta(2, 5, size=EVENTS), window + dice.uniform(0, 60, EVENTS)
        half = EVENTS // 2
        for i in range(half):
            logger.log(
                features={"amount": amounts[i]},
                prediction=scores[i],
                time=times[i],
                segments={"region": regions[i], "age group": ages[i], "nobody's": "x"},
            )
        logger.log_batch(
            {"amount": amounts[half:]},
            prediction=scores[half:],
            time=times[half:],
            segments={"region": regions[half:], "age group": ages[half:]},
        )
        sent[(), window] += EVENTS
        for dimension, values in (("region", regions), ("age group", ages)):
            for value in values.tolist():
                sent[((dimension, value),), window] += 1
    logger.close()
    assert logger.stats.delivered == WINDOWS * EVENTS
    return sent


def test_every_slice_of_every_window_is_reported_with_all_of_its_events(run: Run) -> None:
    found = {(slice_of(one), one["window_start"]): one["events"] for one in run.reports}
    assert found == run.sent
    assert len(run.sent) == WINDOWS * (1 + 2 + 2)
    assert len({report["id"] for report in run.reports}) == len(run.reports)
    for report in run.reports:
        (part,) = report["parts"]
        assert part["baseline"], report
        assert part["signals"]["amount"]["drift"] is not None


def test_a_drift_in_one_region_is_an_alert_of_that_region_and_of_nothing_else(run: Run) -> None:
    by_id = {alert["id"]: alert for alert in run.alerts}
    (alert,) = by_id.values()
    assert alert["segment"] == {"region": DRIFTED}
    assert ([one["signal"] for one in alert["signals"]], alert["state"]) == (["amount"], "firing")
    assert alert["window_start"] == run.start + (WINDOWS - 1) * WINDOW_SECONDS
    assert alert["events"] == run.sent[slice_of(alert), alert["window_start"]]


def test_metrics_count_each_event_once_and_name_the_segment_that_fires(run: Run) -> None:
    labels = 'model="credit",variant="",version="3"'
    assert run.installation.gauge(f"tidegauge_events_total{{{labels}}}") == WINDOWS * EVENTS
    assert run.installation.gauge(f"tidegauge_windows_closed_total{{{labels}}}") == WINDOWS
    firing = (
        f'tidegauge_alert_firing{{model="credit",rule="drift",segment="region={DRIFTED}",'
        'severity="high",signal="amount",variant="",version="3"}'
    )
    assert run.installation.gauge(firing) == 1.0
    for dimension in ("region", "age group"):
        series = f'tidegauge_ingest_segments_dropped_total{{dimension="{dimension}"}}'
        assert run.installation.gauge(series) == 0.0
