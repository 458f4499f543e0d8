"""``tidegauge verify``: recompute the figures of an alert from its own numbers."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tidegauge.audit import verify as checks_of
from tidegauge.cli._command import BAD_INPUT, fail, reported
from tidegauge.cli._print import echo, echo_json
from tidegauge.contract import Alert, DecodingError, decode

#: Exit code if a figure differs.
DIFFERS = 1


@reported
def verify(
    file: Annotated[Path, typer.Argument(help="An alert as JSON; - for standard input.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Compute an alert's figures again; say CONFIRMED, or what differs and exit with 1."""
    raw = typer.get_binary_stream("stdin").read() if str(file) == "-" else file.read_bytes()
    try:
        alert = decode(raw, Alert)
    except DecodingError as error:
        raise fail(f"{file} is no alert: {error}", BAD_INPUT) from error
    checks = checks_of(alert)
    wrong = [check for check in checks if not check.holds]
    verdict = "DIFFERS" if wrong else "CONFIRMED"
    if json:
        listed = [{**check._asdict(), "holds": check.holds} for check in checks]
        echo_json(msgspec.json.encode({"verdict": verdict, "checks": listed}))
    else:
        echo(f"{verdict}: alert {alert.id}, rule {alert.rule}")
        for check in checks:
            said = "as the alert says" if check.holds else f"the alert says {check.claimed!r}"
            echo(f"  {check.what}: {check.found!r}, {said}")
    if wrong:
        raise typer.Exit(DIFFERS)
