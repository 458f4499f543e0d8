"""``tidegauge alerts`` shows what decodes as an alert, or says in a line what is wrong with it."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from support.deployment import ROOT
from tidegauge.cli import alerts
from tidegauge.cli.recent import Value
from tidegauge.config.settings import Settings
from tidegauge.contract.alert import Alert
from tidegauge.contract.record import DecodingError, decode
from tidegauge.contract.silence import Silences

_FOUND = {
    path.stem: json.loads(path.read_text())
    for path in sorted((ROOT / "schemas" / "examples").glob("alert.*.json"))
}
#: One with bins, and one about several signals.
EXAMPLES = {
    next(name for name, it in _FOUND.items() if it.get(field)): it
    for field in ("distribution", "signals")
    for it in [next(it for it in _FOUND.values() if it.get(field))]
}

#: Numbers that JSON takes; the first is beyond the year 9999, the next before the year 1.
EXTREMES = ["253402300800", "-62135596801", "1e300", "1" + "0" * 400]

SIZES: list[Any] = [[], [1]]

DISTRIBUTED = next(name for name, it in EXAMPLES.items() if it.get("distribution"))


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, int | float | list) and not isinstance(value, bool):
        yield at
    inner = value.items() if isinstance(value, dict) else ()
    inner = list(enumerate(value))[:2] if isinstance(value, list) else inner
    for name, one in inner:
        yield from _places(one, (*at, name))


def _with(document: Any, at: tuple[Any, ...], to: Any) -> Any:
    copied = json.loads(json.dumps(document))
    inner = copied
    for name in at[:-1]:
        inner = inner[name]
    inner[at[-1]] = to
    return copied


def _damaged(document: dict[str, Any]) -> Iterator[bytes]:
    for at in _places(document):
        for number in EXTREMES:
            yield json.dumps(_with(document, at, "@")).replace('"@"', number).encode()
        for size in SIZES:
            yield json.dumps(_with(document, at, size)).encode()


def _read(monkeypatch: pytest.MonkeyPatch, found: list[Alert]) -> None:
    monkeypatch.setattr(alerts, "kafka_settings", Settings)
    monkeypatch.setattr(alerts, "_history", lambda settings, skipped, since=0: iter(found))
    monkeypatch.setattr(alerts, "_newest", lambda settings, skipped: iter(found))
    monkeypatch.setattr(alerts.silences, "read_silences", lambda *of: Silences())
    newest = {one.episode: Value(one.value, one.window_end) for one in found}
    monkeypatch.setattr(alerts, "newest_values", lambda *_: newest)


@pytest.mark.parametrize("name", EXAMPLES)
def test_whatever_decodes_as_an_alert_is_shown_or_is_one_line_and_a_code(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = 0
    for value in _damaged(EXAMPLES[name]):
        try:
            alert = decode(value, Alert)
        except DecodingError:  # the reader skips it, and says so
            continue
        _read(monkeypatch, [alert])
        for command in (["show", alert.id], ["list", "--all"]):
            done = CliRunner().invoke(alerts.app, command)
            assert done.exit_code == 0 or (
                done.exit_code == 2 and done.output.startswith("tidegauge: alert ")
            ), (command, value, done.output, done.exception)
            shown += done.exit_code == 0
    assert shown > 20


def test_bins_and_counts_of_different_numbers_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    alert = msgspec.convert(_with(EXAMPLES[DISTRIBUTED], ("distribution", "reference"), [1]), Alert)
    _read(monkeypatch, [alert])
    done = CliRunner().invoke(alerts.app, ["show", alert.id])
    assert done.exit_code == 2 and f"alert {alert.id} is damaged" in done.output
