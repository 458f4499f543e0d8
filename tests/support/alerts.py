"""Alerts to deliver, made from the examples of the schemas."""

from pathlib import Path
from typing import Any

import msgspec

from tidegauge.contract.alert import Alert

_EXAMPLES = Path(__file__).resolve().parents[2] / "schemas" / "examples"


def example_alert(name: str = "firing", **changes: Any) -> Alert:
    """Return ``schemas/examples/alert.<name>.json``, for every receiver, changed."""
    found = msgspec.json.decode((_EXAMPLES / f"alert.{name}.json").read_bytes(), type=Alert)
    return msgspec.structs.replace(found, **{"receivers": [], **changes})
