"""What DETECT logs of its work: first windows, within bounds, and alerts that fire and end."""

import logging
from typing import Any

import pytest

from support.alerts import example_alert
from support.window_reports import part_of, window_report
from tidegauge.roles.detect.status import Lifecycle
from tidegauge.windows.outputs import Closed


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.endswith(".status")]


def test_the_first_window_of_each_version_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegauge.roles.detect.status")
    lifecycle = Lifecycle()
    for number in range(3):
        closed = Closed()
        closed.reports += [
            window_report(number, part_of(3000)),
            window_report(number, part_of(1), model="shop"),
        ]
        lifecycle.passed(closed)
    assert logged(caplog) == [
        "first window of credit 3 closed: 2023-11-14 22:14:00Z to 22:15:00Z, 3,000 events",
        "first window of shop 3 closed: 2023-11-14 22:14:00Z to 22:15:00Z, 1 event",
    ]


def test_made_up_names_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegauge.roles.detect.status")
    lifecycle, closed = Lifecycle(), Closed()
    closed.reports += [window_report(0, part_of(1), model=f"req-{n}") for n in range(1000)]
    lifecycle.passed(closed)
    assert len(logged(caplog)) == 200


def test_an_alert_is_logged_when_it_fires_and_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tidegauge.roles.detect.status")
    closed = Closed()
    about: dict[str, Any] = {"variant": "canary", "id": "0123456789abcdef"}
    closed.alerts += [
        example_alert(**about),
        example_alert("pending", **about),
        example_alert("firing", reminder=1, **about),
        example_alert("resolved", **about),
    ]
    Lifecycle().passed(closed)
    first, last = logged(caplog)
    assert first.startswith(
        "alert 0123456789ab of rule drift fires (medium), credit 3 canary: income has drifted"
    )
    assert last.startswith("alert 0123456789ab of rule drift is resolved (medium), credit 3 canary")


def test_owned_partitions_are_logged_when_they_change(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegauge.roles.detect.status")
    lifecycle = Lifecycle()
    for owned in ([0, 1], [0, 1], [], [0, 1]):
        lifecycle.owned(owned)
    assert logged(caplog) == [
        "owns partitions [0, 1]", "owns partitions []", "owns partitions [0, 1]",
    ]  # fmt: skip
