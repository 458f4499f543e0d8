"""Every command that needs Kafka says within 5 s, in one line, that nobody answers, and why."""

import socket
import time
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from support.baselines import small_baseline
from tidegauge.baseline.io.store import BaselineStore
from tidegauge.cli.app import app
from tidegauge.config.sections import KafkaSettings
from tidegauge.kafka.admin import BrokersAway, ask_brokers

COMMANDS = [
    "alerts list",
    "alerts tail",
    "alerts show x",
    "alerts silences",
    "alerts silence --model m --reason r",
    "alerts unsilence x",
    "alerts ack x",
    "actions list",
    "actions ack x",
    "audit list",
    "audit why x",
    "audit verify",
    "audit export",
    "backtest --since -1d",
    "topics create",
    "status",
]


@pytest.fixture
def mute() -> Iterator[int]:
    """Return a port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_broker_that_refuses_or_hangs_is_given_up_within_seconds_and_the_reason_named(
    mute: int, capfd: pytest.CaptureFixture[str]
) -> None:
    for servers, why in (
        ("127.0.0.1:1", "Connection refused"),
        ("no-such-host.invalid:9092", "no-such-host.invalid"),
        (f"127.0.0.1:{mute}", f"127.0.0.1:{mute}"),
    ):
        began = time.monotonic()
        with pytest.raises(BrokersAway, match=why) as caught:
            ask_brokers(KafkaSettings(bootstrap_servers=servers))
        assert time.monotonic() - began < 5
        said = str(caught.value)
        assert said.startswith(f"no answer from Kafka at {servers} (") and "right?" in said
        assert "(after" not in said and "bootstrap:" not in said
    assert capfd.readouterr() == ("", ""), "the client says nothing of its own"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_ends_with_one_line_and_the_exit_code_for_unreachable(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def away(kafka: KafkaSettings) -> None:
        asked.append(kafka.bootstrap_servers)
        raise BrokersAway("no answer from Kafka at x:9092 (refused)")

    monkeypatch.setattr("tidegauge.cli.command.ask_brokers", away)
    done = CliRunner().invoke(app, command.split())
    assert (done.exit_code, done.stdout) == (3, ""), done.output
    assert done.stderr == "tidegauge: no answer from Kafka at x:9092 (refused)\n"
    assert len(asked) == 1


@pytest.mark.parametrize("end", ["", "redis"])
def test_a_promotion_waits_no_longer_for_a_frozen_broker(
    end: str, mute: int, empty_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS", f"127.0.0.1:{mute}")
    url = f"redis://127.0.0.1:{mute}/0" if end else empty_redis_url
    monkeypatch.setenv("TIDEGAUGE_REDIS__URL", url)
    store = BaselineStore(empty_redis_url)
    id = store.put(small_baseline())
    store.close()
    began = time.monotonic()
    done = CliRunner().invoke(app, ["baseline", "promote", id])
    assert time.monotonic() - began < 5, "an operator looks at a command that seems to hang"
    assert done.exit_code == (3 if end else 0), done.output
    said = "Timeout" if end else "promoted, but NOT in the audit trail: no answer from Kafka"
    assert said in done.stderr


def test_check_says_once_that_the_brokers_are_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("TIDEGAUGE_REDIS__URL", "redis://127.0.0.1:1/0")
    began = time.monotonic()
    done = CliRunner().invoke(app, ["check"], env={"COLUMNS": "80"})
    assert done.exit_code == 3 and time.monotonic() - began < 10
    assert done.stdout.count("no answer from Kafka") == 1
    assert "TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS" in done.stdout
