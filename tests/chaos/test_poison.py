"""Poison: no topic holds such records, and whoever leaves one out or takes it twice is found."""

import json
import random
from pathlib import Path

import pytest

from chaos.judge.findings import OutputRecord
from chaos.site.poison import KINDS, Place, Poison, judge_poison, values, without_answers
from support.kafka_broker import KafkaBroker
from support.product import Installation
from tidegauge.contract.alert import Acknowledgement, Alert
from tidegauge.contract.audit import AuditFact, Configuration
from tidegauge.contract.histogram import HistogramRecord
from tidegauge.contract.label import read_label
from tidegauge.contract.outcome import OutcomeInput
from tidegauge.contract.record import DecodingError, decode
from tidegauge.contract.silence import Silence

TYPES = (
    OutcomeInput,
    HistogramRecord,
    Alert,
    AuditFact,
    Acknowledgement,
    Silence,
    Configuration,
)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path, "chaos", "nowhere:1", "redis://nowhere")


@pytest.fixture
def poison(tmp_path: Path, installation: Installation) -> Poison:
    made = Poison(KafkaBroker(tmp_path / "kafka"), installation)
    for kind in KINDS:
        made.places[kind] = {Place(0, 7): b"\xff", Place(1, 9): b"{}"}
    return made


def letter(topic: str, partition: int, offset: int) -> OutputRecord:
    value = {"topic": topic, "partition": partition, "offset": offset}
    return OutputRecord(0, 0, 0, json.dumps(value).encode())


ANSWERS = [
    letter(f"chaos.{kind}", *place)
    for kind in ("predictions", "alerts_history", "labels")
    for place in ((0, 7), (1, 9))
]
TRAIL = [
    OutputRecord(0, n, 0, json.dumps({"event": event}).encode())
    for n, event in enumerate(["fact.refused", "alert.firing", "fact.refused"])
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = [
        f"chaos.{kind}/{partition} at offset {offset} is skipped: no such record"
        for kind in ("outcomes", "histograms", "acknowledgements", "silences", "configuration")
        for partition, offset in ((0, 7), (1, 9))
    ]
    path = tmp_path / "worker.log"
    path.write_text("\n".join(lines))
    return path


def test_no_value_is_a_record_of_any_topic() -> None:
    for value in values(random.Random(1)):
        for kind in TYPES:
            with pytest.raises(DecodingError):
                decode(value, kind)
        with pytest.raises(DecodingError):
            read_label(value)


def test_the_same_seed_sends_the_same_values() -> None:
    assert values(random.Random(3)) == values(random.Random(3)) != values(random.Random(4))


def test_poison_that_is_all_accounted_for_once_is_well(
    poison: Poison, installation: Installation, log: Path
) -> None:
    assert judge_poison(poison, installation, ANSWERS, TRAIL, [log]) == []


def test_answers_to_poison_are_told_from_other_letters(
    poison: Poison, installation: Installation
) -> None:
    other = letter("chaos.predictions", 0, 8)
    others, answers = without_answers(poison, installation, [*ANSWERS, other])
    assert (others, answers) == ([other], ANSWERS)
    assert poison.without("predictions", [OutputRecord(0, 7, 0, b""), OutputRecord(0, 8, 0, b"")])


def test_what_nobody_accounts_for_is_found(
    poison: Poison, installation: Installation, log: Path
) -> None:
    log.write_text(log.read_text().replace("chaos.silences/1", "chaos.silences/5"))
    found = judge_poison(poison, installation, ANSWERS[1:], TRAIL[1:], [log])
    assert len(found) == 3
    assert "LOST: there is no dead letter of predictions 0@7" in found[0]
    assert found[1] == "WRONG: 1 facts were refused in the audit trail, expected 2"
    assert "LOST: nobody says that silences 1@9" in found[2]


def test_a_letter_of_the_source_that_comes_twice_is_found(
    poison: Poison, installation: Installation, log: Path
) -> None:
    twice = [*ANSWERS, ANSWERS[0], ANSWERS[2]]
    [said] = judge_poison(poison, installation, twice, TRAIL, [log])
    assert "DUPLICATED: 2 dead letters of predictions 0@7" in said
