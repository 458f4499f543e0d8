"""Logs are one JSON object a line on standard error."""

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tidegauge.telemetry import configure_logging
from tidegauge.telemetry.logs import REPEAT_SECONDS


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    names = ("tidegauge", "tidegauge.detect.transport", "tidegauge.detect.store")
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_line_says_when_how_grave_who_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    logging.getLogger("tidegauge.ingest").info('owns "%s"\nand more', "0, 1")
    [line] = _lines(capsys)
    assert (line["level"], line["logger"]) == ("INFO", "tidegauge.ingest")
    assert line["message"] == 'owns "0, 1"\nand more'
    assert datetime.strptime(line["time"], "%Y-%m-%dT%H:%M:%S%z").tzinfo is not None


def test_an_exception_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    try:
        raise ValueError("what was wrong")
    except ValueError:
        logging.getLogger("tidegauge").exception("failed")
    [line] = _lines(capsys)
    assert "ValueError: what was wrong" in line["exc_info"]


def test_libraries_speak_from_warning_on_and_the_product_from_what_was_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("DEBUG")
    logging.getLogger("aiokafka").info("chatter")
    logging.getLogger("aiokafka").warning("trouble")
    logging.getLogger("tidegauge.x").debug("detail")
    assert [line["message"] for line in _lines(capsys)] == ["trouble", "detail"]


def test_configuring_twice_says_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    configure_logging("INFO")
    logging.getLogger("tidegauge").info("once")
    assert len(_lines(capsys)) == 1


def test_what_a_client_says_over_and_over_is_logged_once_a_period(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO")
    logger = logging.getLogger("aiokafka")

    def say(words: str, at: float) -> None:
        record = logger.makeRecord(logger.name, logging.ERROR, "f", 1, "%s", (words,), None)
        record.created = at
        logger.handle(record)

    for at in (1000.0, 1001.0, 1000.0 + REPEAT_SECONDS):
        say("node 1 is away", at)
    say("node 2 is away", 1001.0)
    said = [line["message"] for line in _lines(capsys)]
    assert said == ["node 1 is away", "node 1 is away", "node 2 is away"]
