"""Labels from the producer to `performance show`, all roles in one process, held against a count.

Predictions are logged with receipts; labels come by receipt, by id and with their prediction,
twice, corrected, retracted, before their prediction, and wrong. What is shown is counted by hand.
"""

import csv
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from confluent_kafka import Producer

from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import Child, wait_until
from support.product import Installation
from support.quick_windows import QUICK
from tidegauge import OutcomeLogger, PredictionLogger
from tidegauge.contract import Alert, AuditRecord, DeadLetter, PerformanceReport, decode

pytestmark = pytest.mark.timeout(180)

MODEL = "credit"
HOUR = 3600
REGIONS = ("EU", "US")
CLASSES = ("repaid", "defaulted")
THRESHOLD = 0.5

#: How the label of a prediction comes; of each so many for every cohort, region and variant.
KINDS = (
    "by receipt", "by id", "alone", "twice", "corrected", "retracted", "early", "not at all",
    "invalid",
)  # fmt: skip
EACH = 3


class Made(NamedTuple):
    """A prediction, and what was true of it in the end; None if that is not known."""

    kind: str
    id: str
    variant: str
    cohort: int
    region: str
    score: float
    actual: str | None


def made(start: int) -> list[Made]:
    """Return predictions of two hours."""
    random = Random(17)
    found = []
    for number, (cohort, region, variant, kind, _) in enumerate(
        product((start, start + HOUR), REGIONS, ("champion", "shadow"), KINDS, range(EACH))
    ):
        score = random.randrange(1, 100) / 100
        actual = CLASSES[random.random() < score]
        known = kind not in ("retracted", "not at all", "invalid")
        found.append(
            Made(kind, f"id-{number}", variant, cohort, region, score, actual if known else None)
        )
    return found


@pytest.fixture
def installation(
    kafka_broker: KafkaBroker, empty_redis_url: str, tmp_path: Path
) -> Iterator[Installation]:
    yield Installation(
        tmp_path,
        unique("labels"),
        kafka_broker.bootstrap_servers,
        empty_redis_url,
        QUICK
        | {
            "TOPICS__LABELS_PARTITIONS": "1",  # so that corrections come in order
            "TOPICS__OUTCOMES_PARTITIONS": "2",
            "OUTCOMES__FLUSH_SECONDS": "0.2",
            "OUTCOMES__GROUPS": '["region"]',
        },
    )


def promote(installation: Installation) -> None:
    rows = installation.directory / "rows.csv"
    random = Random(1)
    with rows.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["income", "score", "outcome"])
        for _ in range(2_000):
            score = random.randrange(1, 100) / 100
            writer.writerow([random.randrange(9), score, CLASSES[random.random() < score]])
    installation.succeed(
        "baseline", "create", "--model", MODEL, "--version", "1", "--from", str(rows),
        "--prediction", "score", "--label", "outcome", "--positive", "defaulted",
        "--threshold", str(THRESHOLD), "--promote",
    )  # fmt: skip


def send(installation: Installation, predictions: list[Made]) -> None:
    """Send the predictions, and what is known of each by its kind."""
    servers = installation.bootstrap_servers
    plain = Producer({"bootstrap.servers": servers})

    def by_hand(**label: object) -> None:
        plain.produce(installation.topic("labels"), json.dumps(label))

    with (
        PredictionLogger(
            servers, topic=installation.topic("predictions"), model=MODEL, version="1",
            receipts=True,
        ) as logger,
        OutcomeLogger(servers, topic=installation.topic("labels"), source="bank") as labels,
    ):  # fmt: skip
        for one in predictions:
            if one.kind == "early":
                labels.log(id=one.id, actual=one.actual)
        assert labels.flush(30) == 0
        receipts = {
            one.id: logger.log(
                features={"income": 1},
                prediction=one.score,
                id=None if one.kind == "by receipt" else one.id,
                time=one.cohort + 60.0,
                variant=one.variant,
                segments={"region": one.region},
            )
            for one in predictions
        }
        assert logger.flush(30) == 0 and logger.stats.dropped_total == 0
        for one in predictions:
            receipt = receipts[one.id]
            if one.kind == "by receipt":
                labels.log(receipt=receipt, actual=one.actual)
            elif one.kind == "by id":
                by_hand(id=one.id, actual=one.actual)
            elif one.kind == "alone":
                by_hand(
                    model=MODEL, version="1", variant=one.variant, time=one.cohort + 60.0,
                    prediction=one.score, segments={"region": one.region}, actual=one.actual,
                )  # fmt: skip
            elif one.kind == "twice":
                labels.log(receipt=receipt, actual=one.actual)
                labels.log(id=one.id, actual=one.actual)
            elif one.kind == "corrected":
                wrong = CLASSES[one.actual == CLASSES[0]]
                labels.log(id=one.id, actual=wrong)
                labels.log(receipt=receipt, actual=one.actual, revision=1)
            elif one.kind == "retracted":
                labels.log(receipt=receipt, actual="repaid")
                labels.log(id=one.id, retracted=True, revision=1)
            elif one.kind == "invalid":
                labels.log(id=one.id, actual="paid back")
        assert labels.flush(30) == 0 and labels.stats.dropped_total == 0
    by_hand(id="nobody's", actual="repaid")
    by_hand(receipt="tg1.AAAA", actual="repaid")
    plain.produce(installation.topic("labels"), b"{")
    assert plain.flush(30) == 0


Slice = tuple[str, int, str]


def counted(predictions: list[Made]) -> dict[Slice, tuple[int, list[list[int]]]]:
    """Return, by variant, cohort and region ("" for all), predictions and the confusion matrix."""
    matrices: dict[Slice, Counter[tuple[int, int]]] = defaultdict(Counter)
    predicted: Counter[Slice] = Counter()
    for one in predictions:
        for region in ("", one.region):
            slice = (one.variant, one.cohort, region)
            predicted[slice] += 1
            if one.actual is not None:
                cell = (CLASSES.index(one.actual), int(one.score >= THRESHOLD))
                matrices[slice][cell] += 1
    return {
        slice: (number, [[matrices[slice][a, p] for p in (0, 1)] for a in (0, 1)])
        for slice, number in predicted.items()
    }


def shown(installation: Installation) -> dict[Slice, dict[str, Any]]:
    """Return what `performance show` has of each slice."""
    found = {}
    for region in ("", *REGIONS):
        group = ["--group", f"region={region}"] if region else []
        out = installation.succeed("performance", "show", "--model", MODEL, *group, "--json")
        for line in out.splitlines():
            report = json.loads(line)
            found[report["variant"], report["cohort_start"], region] = report
    return found


def problems(reader: TopicReader) -> Counter[str]:
    for _ in reader.more():
        pass
    letters = [decode(message.value(), DeadLetter) for message in reader.messages]
    return Counter(str(it.label_problem or it.reason) for it in letters)


def results(installation: Installation) -> dict[str, int]:
    """Return what became of labels; how many came early depends on who is faster."""
    return {
        result: int(installation.gauge(f'tidegauge_labels_total{{result="{result}"}}') or 0)
        for result in (
            "joined", "duplicate", "corrected", "retracted", "unknown", "expired",
            "invalid_class", "stale_revision",
        )
    }  # fmt: skip


def run_and_compare(installation: Installation, child: Child, broker: KafkaBroker) -> None:
    predictions = made(int(time.time()) // HOUR * HOUR - 3 * HOUR)
    of_kind = len(predictions) // len(KINDS)
    send(installation, predictions)
    due = {
        "joined": 7 * of_kind, "duplicate": of_kind, "corrected": of_kind, "retracted": of_kind,
        "unknown": 0, "expired": 0, "invalid_class": of_kind, "stale_revision": 0,
    }  # fmt: skip
    wait_until(
        lambda: results(installation) == due,
        seconds=40,
        what=lambda: f"labels {due}, it is {results(installation)}\n{child.tail()}",
    )
    wanted = counted(predictions)

    def found() -> dict[Slice, tuple[int, list[list[int]]]]:
        return {
            slice: (report["performance"]["predicted"], report["performance"]["confusion"])
            for slice, report in shown(installation).items()
        }

    wait_until(
        lambda: found() == wanted,
        seconds=30,
        what=lambda: f"counts {wanted}, it is {found()}\n{child.tail()}",
    )
    for slice, report in shown(installation).items():
        matrix = wanted[slice][1]
        labelled = sum(map(sum, matrix))
        figures = report["performance"]["figures"]
        assert report["performance"]["labelled"] == labelled == figures["accuracy"]["n"]
        assert figures["accuracy"]["value"] == (matrix[0][0] + matrix[1][1]) / labelled
        assert figures["label_coverage"]["value"] == labelled / wanted[slice][0]
    with_letters = TopicReader(broker, installation.topic("dead_letters"))
    due_letters = {"invalid_class": of_kind, "invalid_receipt": 1, "invalid_json": 1}
    assert problems(with_letters) == due_letters
    with_letters.close()
    table = installation.succeed("performance", "show", "--model", MODEL)
    assert "champion" in table and "shadow" in table


def test_what_is_shown_is_what_was_sent(
    installation: Installation, kafka_broker: KafkaBroker
) -> None:
    installation.create_topics()
    promote(installation)
    child = installation.start("run")
    try:
        installation.wait_ready(child)
        run_and_compare(installation, child, kafka_broker)
        assert child.stop() == 0, child.tail()
    finally:
        child.kill()


def send_worse(installation: Installation, cohorts: dict[int, int], each: int) -> None:
    """Send cohorts of which so many of each are right, with labels of half a minute later."""
    servers = installation.bootstrap_servers
    labels = Producer({"bootstrap.servers": servers})
    with PredictionLogger(
        servers, topic=installation.topic("predictions"), model=MODEL, version="1", receipts=True
    ) as logger:
        for start, right in cohorts.items():
            for number in range(each):
                at, score = start + 60.0, 0.8 if number % 2 else 0.2
                receipt = logger.log(features={"income": 1}, prediction=score, time=at)
                actual = CLASSES[(number % 2) ^ (number >= right)]
                labels.produce(
                    installation.topic("labels"),
                    json.dumps({"receipt": receipt, "actual": actual}),
                    timestamp=int((at + 30) * 1000),
                )
        assert logger.flush(30) == 0
    assert labels.flush(30) == 0


def test_a_drop_of_accuracy_is_a_critical_alert_in_every_place(
    installation: Installation, kafka_broker: KafkaBroker
) -> None:
    installation.create_topics()
    promote(installation)
    hour = int(time.time()) // HOUR * HOUR
    good, bad = hour - 4 * HOUR, hour - 3 * HOUR
    child = installation.start("run")
    try:
        installation.wait_ready(child)
        send_worse(installation, {good: 45, bad: 15}, each=60)
        history = TopicReader(kafka_broker, installation.topic("alerts_history"))

        def found() -> list[Alert]:
            for _ in history.more():
                pass
            alerts = [decode(message.value(), Alert) for message in history.messages]
            return [it for it in alerts if it.rule == "accuracy-drop"]

        wait_until(found, seconds=60, what=lambda: f"an alert\n{child.tail()}")
        (alert,) = found()
        assert (alert.state, alert.severity, alert.window_start) == ("firing", "critical", bad)
        assert (alert.value, alert.events) == (0.25, 60)
        evidence = alert.cohort
        assert isinstance(evidence, msgspec.Struct) and evidence.baseline_figure is not None
        assert evidence.baseline_figure.value is not None
        assert alert.threshold == pytest.approx(0.95 * evidence.baseline_figure.value)
        reports = TopicReader(kafka_broker, installation.topic("performance"))
        for _ in reports.more():
            pass
        named = [decode(it.value(), PerformanceReport) for it in reports.messages]
        assert evidence.figure in [
            it.performance.figures["accuracy"] for it in named if it.id == alert.report
        ]
        listed = installation.succeed("alerts", "list", "--json")
        assert [json.loads(it)["rule"] for it in listed.splitlines()] == ["accuracy-drop"]
        labels = f'model="{MODEL}",rule="accuracy-drop",segment="",severity="critical"'
        firing = f'tidegauge_alert_firing{{{labels},signal="",variant="",version="1"}}'
        wait_until(
            lambda: installation.gauge(firing) == 1.0,
            seconds=20,
            what=lambda: f"{firing}\n{child.tail()}",
        )
        audit = TopicReader(kafka_broker, installation.topic("audit"))

        def audited() -> list[AuditRecord]:
            for _ in audit.more():
                pass
            told = [decode(message.value(), AuditRecord) for message in audit.messages]
            return [it for it in told if it.event == "alert.firing" and it.subject == alert.id]

        wait_until(audited, seconds=30, what=lambda: f"the audit trail\n{child.tail()}")
        assert child.stop() == 0, child.tail()
    finally:
        child.kill()
