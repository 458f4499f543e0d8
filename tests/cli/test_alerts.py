"""``tidegauge alerts tail``: an alert in one line."""

import msgspec
import pytest

from support.deployment import ROOT
from tidegauge.cli.alerts import describe, fires
from tidegauge.contract import Alert

FIRING = msgspec.json.decode(
    (ROOT / "schemas" / "examples" / "alert.firing.json").read_bytes(), type=Alert
)


@pytest.mark.parametrize(
    ("state", "reminder", "said", "colour"),
    [
        ("pending", 0, "pending medium", "yellow"),
        ("firing", 0, "firing medium", "yellow"),
        ("firing", 2, "still firing (2) medium", "yellow"),
        ("inactive", 0, "inactive medium", "green"),
        ("resolved", 0, "resolved medium", "green"),
        ("no_data", 0, "no data medium", "yellow"),
    ],
)
def test_each_step_of_an_alert_is_told_apart(
    state: str, reminder: int, said: str, colour: str
) -> None:
    text = describe(msgspec.structs.replace(FIRING, state=state, reminder=reminder))
    assert text.plain == f"2026-03-01 12:01:00Z {said} credit 3: {FIRING.summary}"
    assert colour in {str(span.style) for span in text.spans}


@pytest.mark.parametrize(
    ("state", "was", "listed"),
    [
        ("firing", None, True),
        ("firing", "firing", True),
        ("no_data", "firing", True),
        ("no_data", "pending", False),
        ("pending", None, False),
        ("resolved", "firing", False),
    ],
)
def test_what_fires_is_listed_until_it_ends_with_or_without_data(
    state: str, was: str | None, listed: bool
) -> None:
    assert fires(msgspec.structs.replace(FIRING, state=state, was=was)) is listed
