"""Tables at 80 columns: nothing is cut, ids and names can be copied, figures have their unit."""

import re
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from typer.testing import CliRunner

from support.alerts import example_alert
from support.deployment import ROOT
from tidegauge.backtest.result import (
    InjectionResult,
    PastEpisode,
    Result,
    RuleCount,
    Sighting,
    SliceSpan,
)
from tidegauge.cli import actions, alerts, setup, silences
from tidegauge.cli.alert_text import signals_table
from tidegauge.cli.app import app
from tidegauge.cli.backtest import _show_injection, show
from tidegauge.cli.printing import PlainConsole, folding_table, plain, wrapped
from tidegauge.cli.recent import Value, first_values, value_in
from tidegauge.contract.alert import Acknowledgement, Action, Alert, acknowledge
from tidegauge.contract.silence import Silence
from tidegauge.contract.wording import utc_text
from tidegauge.kafka.topics import topic_specs

T = TypeVar("T")

NOW = int(time.time())


def example(name: str, kind: type[T]) -> T:
    path = ROOT / "schemas" / "examples" / f"{name}.json"
    return msgspec.json.decode(path.read_bytes(), type=kind)


FIRING = example_alert(
    "incident", id="0123456789abcdef", episode="e", fingerprint="f", starts_at=NOW - 1560,
    window_end=NOW - 600, model="fraud-detection-for-cards", version="2024.11.3",
    variant="canary", segment={"region": "EU"}, severity="critical",
    summary="fraud-detection-for-cards 2024.11.3: surprise is above 1 for income (region=EU)",
)  # fmt: skip
SILENCE = msgspec.structs.replace(
    example("silence.two-hours", Silence), since=NOW - 60.0, until=NOW + 7200.0
)
ACTION = example("action.retrain", Action)
TAKEN = acknowledge(ACTION, "taken", actor="retrainer@gpu-3", time=NOW, note="job 4711 trains it")


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands read a few records, whatever they ask Kafka for."""
    found: dict[type, list[Any]] = {
        Alert: [FIRING], Silence: [SILENCE], Action: [ACTION], Acknowledgement: [TAKEN]
    }  # fmt: skip

    def read(_: object, topic: str, kind: type, *rest: object, **options: object) -> Iterator[Any]:
        return iter(found[kind])

    class Made:
        def __init__(self, settings: Any) -> None:
            self._settings = settings

        def create(self) -> dict[str, bool]:
            return {spec.name: True for spec in topic_specs(self._settings)}

        def problems(self) -> list[str]:
            return []

    for module in (alerts, actions, silences):
        monkeypatch.setattr(module, "read_topic", read)
    monkeypatch.setattr("tidegauge.cli.command.ask_brokers", lambda _: None)
    monkeypatch.setattr(setup, "Topics", Made)
    monkeypatch.setattr(alerts.time, "time", lambda: float(NOW))
    newest = {FIRING.episode: Value(22.7, NOW - 60)}
    monkeypatch.setattr(alerts, "newest_values", lambda *_: newest)


def shown(command: str, columns: int) -> str:
    done = CliRunner().invoke(app, command.split(), env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "alerts list",
            "since id severity alert 0123456789ab critical fraud-detection-for-cards 2024.11.3 "
            "canary region=EU: 26 min 13.2 22.7 alarm threshold",
        ),
        (
            "alerts show 0",
            "drift-alarm canary region=EU 13.2 times ad9175627338bef1473d436d9d4bf422 includes "
            "seen in 1 window",
        ),
        ("alerts silences", "since until whom why ann@ops-1: model=credit signal=income"),
        (
            "actions list",
            "requested status reason aca7d3cf6699 retrain credit taken retrainer@gpu-3: 4711",
        ),
        (
            "topics create",
            "topic and partitions settings made tidegauge.alerts.history retention 366 d 8 MiB",
        ),
    ],
)
def test_nothing_is_cut(command: str, words: str, columns: int) -> None:
    output = shown(command, columns)
    assert "…" not in output
    assert max(map(len, output.splitlines())) <= columns
    missing = [word for word in words.split() if word not in output.split()
               and not re.search(rf"\b{re.escape(word)}", output)]  # fmt: skip
    assert not missing, output


def test_an_alert_is_listed_with_its_first_and_its_newest_figure() -> None:
    output = " ".join(shown("alerts list", 200).split())
    assert "13.2 at first, 22.7 times the alarm threshold at" in output
    assert "fraud-detection-for-cards 2024.11.3 canary region=EU: surprise is above 1" in output
    assert output.count("region=EU") == 1 and "firing for 26 min" in output


def test_a_long_name_folds_and_pushes_nothing_aside() -> None:
    table = folding_table("name", "id", "text", whole=("id",), names={"name": ["n" * 200]})
    table.add_row("n" * 200, "0123456789ab", "word " * 20)
    console = PlainConsole(width=80, file=StringIO())
    console.print(table)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert output.count("n") == 200 + 1 and output.count("word") == 20
    assert "0123456789ab" in output and max(map(len, output.splitlines())) <= 80


def test_a_backtest_hides_zeros_and_names_the_rules_that_never_fired() -> None:
    def count(rule: str, alarms: int, in_force: int) -> RuleCount:
        return RuleCount(
            rule=rule, model="credit", alarms=alarms, alarms_per_month=alarms * 3.333,
            seconds_firing=alarms * 1560, first=NOW if alarms else None,
            last=NOW if alarms else None, in_force=in_force,
        )  # fmt: skip

    episode = PastEpisode(
        rule="drift-retrain", severity="high", model="credit", version="3", variant="canary",
        segment={"region": "EU"}, signal=None, signals=["income", "age"], metric="kl",
        value=0.074357, threshold=0.07, unit="nats", starts_at=NOW, window_end=NOW,
        ends_at=None, seconds=1560,
    )  # fmt: skip
    span = SliceSpan(
        model="credit", version="3", variant="", segment={}, windows=1, passed_by=0,
        first_window_start=0, last_window_end=86400, memory_full_at=None,
    )  # fmt: skip
    result = Result(
        since=NOW - 86400, until=NOW, windows=1, revisions_passed_over=0, repeated_passed_over=0,
        rules=[count("drift-retrain", 2, 3), count("latency-rollback", 0, 1), count("quiet", 0, 0)],
        episodes=[episode], slices=[span], missing_baselines=[],
    )  # fmt: skip
    console = PlainConsole(width=80, file=StringIO())
    show(result, console, episodes=None)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in output and max(map(len, output.splitlines())) <= 80
    day, clock = utc_text(NOW, "%Y-%m-%d"), utc_text(NOW, "%H:%M:%SZ")
    assert day in output.split() and clock in output.split(), output
    assert "1 window of 1 slice" in output and "memory" not in output
    drift, *_ = (line.split() for line in output.splitlines() if "drift-retrain" in line)
    assert drift[:6] == ["drift-retrain", "2", "3", "6.67", "52", "min"]
    (latency,) = [line.split() for line in output.splitlines() if "latency-rollback" in line]
    assert latency == ["latency-rollback", "1"]
    assert "Never fired: quiet" in output
    for word in ("0.0744", "still", "26 min", "canary", "region=EU", "income, age:"):
        assert word in output, output


def test_the_first_figure_is_that_of_the_record_that_fired() -> None:
    later = msgspec.structs.replace(FIRING, value=20.0, reminder=1)
    assert first_values([FIRING, later]) == {"e": Value(FIRING.value, FIRING.window_end)}


def test_the_newest_figure_is_the_worst_of_the_signals_that_drift_still() -> None:
    from support.window_reports import part_of, signal_report, window_report

    of = {"age": 0.2, "income": 0.4, "zip": 0.9}
    signals = {name: signal_report(kl_current_reference_nats=kl) for name, kl in of.items()}
    report = window_report(0, part_of(1000, **signals))
    alert = example_alert(metric="kl", signal="age", signals=[])
    assert value_in(alert, report) == 0.2
    entry = msgspec.structs.replace(FIRING.signals[0], signal="income")
    over = msgspec.structs.replace(entry, signal="zip", ends_at=NOW)
    several = msgspec.structs.replace(alert, signal=None, signals=[entry, over])
    assert value_in(several, report) == 0.4
    assert value_in(msgspec.structs.replace(alert, metric="events", signal=None), report) == 1000
    assert value_in(msgspec.structs.replace(alert, metric="of another release"), report) is None


def test_an_empty_list_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in (alerts, actions, silences):
        monkeypatch.setattr(module, "read_topic", lambda *_, **__: iter(()))
    assert shown("alerts list", 80) == "nothing fires\n"
    assert shown("alerts silences", 80) == "nothing is silenced\n"
    assert shown("actions list", 80) == "no action was ever requested\n"


def test_nothing_of_a_model_that_there_is_and_of_one_that_there_is_not_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = msgspec.structs.replace(FIRING, state="resolved", model="credit", ends_at=NOW)
    monkeypatch.setattr(alerts, "latest", lambda _: [over])
    assert shown("alerts list --model credit", 80) == "nothing fires of model credit\n"
    assert shown("alerts list --model kredit", 80) == (
        "nothing fires of model kredit: there is no alert of that model; there are some of credit\n"
    )
    assert "no action of that model; there are some of credit" in shown(
        "actions list --model kredit", 80
    )


def test_an_acknowledgement_lasts_until_its_alert_resolves_and_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = msgspec.structs.replace(
        SILENCE, until=None, reminders_only=True, alert="abcdefabcdefabcdef"
    )
    monkeypatch.setattr(silences, "read_topic", lambda *_, **__: iter([seen]))
    output = " ".join(shown("alerts silences", 120).split())
    assert "the alert resolves" in output and "reminders of alert abcdefabcdef: rule=" in output


def test_an_alert_is_shown_with_who_has_seen_and_who_has_silenced_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matchers = msgspec.structs.replace(SILENCE.matchers, model="*", signal="*", episode="e")
    silence = msgspec.structs.replace(SILENCE, matchers=matchers, why="a release")
    seen = msgspec.structs.replace(
        silence, id="5ee9", until=None, reminders_only=True, who="ben@ops-2", why="on it"
    )
    monkeypatch.setattr(silences, "read_topic", lambda *_, **__: iter([silence, seen]))
    output = " ".join(shown("alerts show 0", 120).split())
    since = utc_text(NOW - 60)
    assert f"seen by ben@ops-2 at {since}: on it" in output
    assert f"silenced until {utc_text(NOW + 7200)}, by ann@ops-1 at {since}: a release" in output
    assert "seen by" not in shown("alerts show 0 --json", 120)


@pytest.mark.parametrize("columns", range(30, 50))
def test_a_number_stays_in_the_line_of_its_unit(columns: int) -> None:
    text = "max.message 8 MiB, retention 366 d, for 26 min, KL 0.347 nats, seen 5 h ago by ann"
    table = folding_table("settings")
    table.add_row(text)
    table.add_row(plain(text, "dim"))
    console = PlainConsole(width=columns, file=StringIO())
    console.print(table)
    output = console.file.getvalue() + wrapped(text, columns)  # type: ignore[attr-defined]
    for pair in ("8 MiB", "366 d", "26 min", "0.347 nats", "5 h"):
        assert output.count(pair) == 3, output
    assert max(map(len, output.splitlines())) <= columns and output.isascii() is False


def test_the_figure_of_each_signal_has_its_unit() -> None:
    share = msgspec.structs.replace(FIRING, metric="absent_excess", unit="share", threshold=0.8)
    console = PlainConsole(width=80, file=StringIO())
    console.print(signals_table(share))
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert output.count("%") == len(share.signals), output


def test_an_injection_that_few_saw_names_the_others_once() -> None:
    def sighting(rule: str, region: str, windows: int | None) -> Sighting:
        return Sighting(
            rule=rule, model="credit", version="3", variant="", segment={"region": region},
            windows=windows, minutes=windows, fired_before=False,
        )  # fmt: skip

    seen = [sighting("drift", "EU", 2)]
    unseen = [sighting("drift", "US", None), sighting("not-sent", "EU", None)]
    injection = InjectionResult(
        signal="age", kind="mean", size=1.0, at=NOW, windows=9, seen=[*unseen, *seen]
    )
    console = PlainConsole(width=80, file=StringIO())
    _show_injection(injection, console)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert "never" not in output and "2 windows" in output
    assert "Seen by no rule in: credit 3 region=US" in output
    assert "Seen in no slice by: not-sent" in output
