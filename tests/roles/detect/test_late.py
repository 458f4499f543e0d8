"""Late events are said in the log: at once, and then by the minute."""

import logging

import pytest

from tidegauge.roles.detect.status import LATE_LOG_SECONDS, LateLog


def test_late_events_are_said_at_once_and_then_by_the_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    late = LateLog(lambda: now[0])
    with caplog.at_level(logging.WARNING):
        late.note({})
        assert caplog.messages == []
        late.note({"m": 40})
        late.note({"m": 2, "n": 1})
        assert len(caplog.messages) == 1 and "('m' 40)" in caplog.messages[0]
        now[0] += LATE_LOG_SECONDS
        late.note({})
        assert caplog.messages[1].startswith("3 events came") and "'m' 2, 'n' 1" in caplog.text
        now[0] += LATE_LOG_SECONDS
        late.note({})
        assert len(caplog.messages) == 2, "nothing came since"


def test_names_without_end_are_one_line_of_a_bounded_length(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        LateLog(lambda: 0.0).note({f"model-{i}": 1 for i in range(10_000)})
    [said] = caplog.messages
    assert said.startswith("10000 events") and len(said) < 400
