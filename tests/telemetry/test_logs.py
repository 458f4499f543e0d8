"""Logs are one JSON object a line on standard error."""

import ast
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from support.deployment import ROOT
from tidegauge.telemetry.logs import MOST_OF_A_KIND, ONE_BY_ONE, REPEAT_SECONDS, configure_logging

_CLIENTS = {"Consumer", "Producer", "AdminClient"}


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    services = ("workarounds", "faust_store")
    names = ("tidegauge", *(f"tidegauge.roles.detect.{name}" for name in services))
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
    assert datetime.strptime(line["time"], "%Y-%m-%dT%H:%M:%S.%f%z").tzinfo is not None


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


def said_at(logger: str, words: str, at: float, level: int = logging.ERROR, line: int = 1) -> None:
    one = logging.getLogger(logger)
    record = one.makeRecord(logger, level, "f", line, "%s", (words,), None)
    record.created = at
    one.handle(record)


def test_what_repeats_is_logged_once_a_minute_with_the_number_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO")
    for at in range(1000, 1060):
        said_at("aiokafka", f"node 1 is away after {at} ms (3 suppressed)", float(at))
    said_at("aiokafka", "node one is away", 1001.0)
    said_at("aiokafka", "node 1 is away after 7 ms (3 suppressed)", 1000 + REPEAT_SECONDS)
    first, other, summary, again = _lines(capsys)
    assert first["message"] == "node 1 is away after 1000 ms (3 suppressed)"
    assert "left_out" not in first and other["message"] == "node one is away"
    assert summary["left_out"] == 59 and first["message"] in summary["message"]
    assert again["message"].startswith("node 1 is away after 7 ms")


def test_a_flood_of_different_lines_from_one_place_is_cut_and_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO")
    for n in range(500):
        said_at("tidegauge.x", f"model {chr(97 + n % 26) * (n + 1)} is broken", 1000.0 + n / 100)
    said_at("tidegauge.x", "elsewhere", 1000.0, line=2)
    said_at("tidegauge.x", "later", 1100.0, line=3)
    lines = _lines(capsys)
    assert len(lines) == MOST_OF_A_KIND + 3
    assert sum(line.get("left_out", 0) for line in lines) == 500 - MOST_OF_A_KIND


def test_lines_of_which_each_says_what_was_lost_are_all_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They differ by no more than the numbers of partitions and records."""
    configure_logging("INFO")
    for partition in range(1_000):
        logging.getLogger("tidegauge.x").error("p/%d: 7 are lost", partition, extra=ONE_BY_ONE)
    logging.getLogger("tidegauge.x").error("p/7: 7 are lost")
    lines = _lines(capsys)
    assert [line["message"] for line in lines[:1_000]] == [
        f"p/{partition}: 7 are lost" for partition in range(1_000)
    ]
    assert "one_by_one" not in lines[0]


def test_a_state_that_comes_again_is_logged_again(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    for at, owned in enumerate(("[0, 1]", "[]", "[0, 1]")):
        said_at("tidegauge.x", f"owns partitions {owned}", 1000.0 + at, logging.INFO)
    assert len(_lines(capsys)) == 3


def test_what_was_left_out_is_said_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    for at in range(5):
        said_at("tidegauge.x", "away", 1000.0 + at)
    logging.getLogger().handlers[0].close()
    *_, last = _lines(capsys)
    assert (last["left_out"], last["message"]) == (4, "left out as repeated: away")


def test_a_line_has_the_time_of_its_record_to_the_millisecond(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO")
    said_at("tidegauge.x", "then", 1_772_366_400.25)
    assert _lines(capsys)[0]["time"] == "2026-03-01T12:00:00.250+00:00"


def test_every_kafka_client_logs_by_a_logger_and_not_to_standard_error() -> None:
    """A line that librdkafka prints itself has neither JSON nor a time that anybody can read."""
    without = []
    for path in sorted((ROOT / "app" / "tidegauge").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") not in _CLIENTS:
                continue
            named = {keyword.arg for keyword in node.keywords}
            text = ast.unparse(node)
            if not ("logger" in named or "'logger'" in text or "'log_level': 0" in text):
                without.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert without == []
