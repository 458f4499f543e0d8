"""``tidegauge alerts tail``: an alert in one line."""

import msgspec
import pytest

from support.deployment import ROOT
from tidegauge.cli.alert_text import describe, fires
from tidegauge.contract.alert import Alert

FIRING = msgspec.json.decode(
    (ROOT / "schemas" / "examples" / "alert.firing.json").read_bytes(), type=Alert
)


@pytest.mark.parametrize(
    ("state", "number", "said", "colour"),
    [
        ("pending", {}, "pending medium", "yellow"),
        ("firing", {}, "firing medium", "yellow"),
        ("firing", {"reminder": 2}, "still firing (2nd reminder) medium", "yellow"),
        ("firing", {"raised": 1}, "now medium", "yellow"),
        ("inactive", {}, "inactive medium", "green"),
        ("resolved", {}, "resolved medium", "green"),
        ("no_data", {}, "no data medium", "yellow"),
    ],
)
def test_each_step_of_an_alert_is_told_apart(
    state: str, number: dict[str, int], said: str, colour: str
) -> None:
    text = describe(msgspec.structs.replace(FIRING, state=state, **number))
    assert text.plain == f"2026-03-01 12:01:00Z {said} {FIRING.summary} [{FIRING.id[:12]}]"
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
