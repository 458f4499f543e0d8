"""``tidegauge run --role notify`` as its users run it, and ``tidegauge check`` on its file."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from support.delivery import ids, numbered
from support.http_sink import HttpSink
from support.kafka_broker import KafkaBroker, unique
from support.processes import free_port, wait_until
from support.product import Installation, told
from support.smtp_sink import SmtpSink
from tidegauge.contract import encode

pytestmark = pytest.mark.timeout(120)

FILE = """\
receivers:
  - name: hook
    type: webhook
    url: {hook}
    secret: {{env: NOTIFY_SECRET}}
  - name: mail
    type: email
    host: 127.0.0.1
    port: {port}
    security: none
    from: tide@example.com
    to: [oncall@example.com]
  - name: gone
    type: webhook
    url: http://127.0.0.1:{closed}
"""


@pytest.fixture
def sinks() -> Iterator[tuple[HttpSink, SmtpSink]]:
    http, smtp = HttpSink(), SmtpSink()
    yield http, smtp
    http.stop()
    smtp.stop()


@pytest.fixture
def installation(
    tmp_path: Path,
    kafka_broker: KafkaBroker,
    sinks: tuple[HttpSink, SmtpSink],
    monkeypatch: pytest.MonkeyPatch,
) -> Installation:
    monkeypatch.setenv("NOTIFY_SECRET", "hunter2")
    path = tmp_path / "receivers.yaml"
    path.write_text(FILE.format(hook=sinks[0].url, port=sinks[1].port, closed=free_port()))
    name = unique("notify")
    one = Installation(
        tmp_path,
        name,
        kafka_broker.bootstrap_servers,
        # Nobody there: who delivers needs no baselines.
        f"redis://127.0.0.1:{free_port()}/0",
        {
            "NOTIFY__RECEIVERS_FILE": str(path),
            "NOTIFY__GROUP_ID": name,
            "NOTIFY__SESSION_TIMEOUT_SECONDS": "6",
        },
    )
    one.create_topics()
    return one


def send(installation: Installation, n: int) -> None:
    producer = Producer({"bootstrap.servers": installation.bootstrap_servers})
    producer.produce(installation.topic("alerts_history"), encode(numbered(n)), b"key")
    assert producer.flush(20) == 0


def conditions(installation: Installation) -> dict[str, dict[str, str]]:
    answer = installation.http("/readyz")
    assert answer is not None and answer[0] == 200, answer
    found: dict[str, dict[str, str]] = json.loads(answer[1])["conditions"]
    return found


def test_alerts_reach_each_receiver_again_after_a_kill_and_a_receiver_that_is_down_is_named(
    installation: Installation, sinks: tuple[HttpSink, SmtpSink]
) -> None:
    http, smtp = sinks
    child = installation.start("run", "--role", "notify")
    try:
        installation.wait_ready(child)
        for name in ("hook", "mail", "gone"):
            wait_until(
                lambda name=name: conditions(installation)[f"receiver {name}"]["detail"] == "",
                seconds=30,
                what=lambda: f"joined, it is {conditions(installation)}\n{child.tail()}",
            )
        # Killed with the alert sent and not answered: nobody can know whether it was taken.
        http.on_request = lambda _: child.signal(signal.SIGKILL)
        send(installation, 0)
        wait_until(lambda: child.process.poll() is not None, seconds=30, what="killed")
        http.on_request = None
        child = installation.start("run", "--role", "notify")
        installation.wait_ready(child)
        wait_until(
            lambda: ids(http) == ["id-0", "id-0"],
            seconds=30,
            what=lambda: f"sent again, it is {ids(http)}\n{child.tail()}",
        )
        wait_until(lambda: smtp.messages, seconds=30, what=lambda: f"a mail\n{child.tail()}")
        assert {mail["Message-ID"] for mail in smtp.messages} == {"<id-0@example.com>"}
        wait_until(
            lambda: conditions(installation)["receiver gone"]["state"] == "degraded",
            seconds=30,
            what=lambda: f"degraded, it is {conditions(installation)}",
        )
        assert "Cannot connect to host 127.0.0.1" in str(conditions(installation))
        up = 'tidegauge_notify_receiver_up{receiver="%s"}'
        assert installation.gauge(up % "gone") == 0 and installation.gauge(up % "mail") == 1
        assert installation.gauge("tidegauge_baseline_store_up") is None
        assert child.stop() == 0, child.tail()
        assert "hunter2" not in child.log.read_text()
    finally:
        child.kill()


def test_check_names_the_receivers_or_what_is_wrong_with_their_file(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    installation.redis_url = redis_url

    def finding() -> dict[str, object]:
        done = installation.cli("check", "--json")
        (found,) = [one for one in json.loads(done.stdout) if one["check"] == "receivers"]
        return dict(found)

    good = finding()
    assert good["problems"] == []
    assert str(good["detail"]).startswith("hook (webhook), mail (email), gone (webhook) from ")
    monkeypatch.delenv("NOTIFY_SECRET")
    path = installation.extra["NOTIFY__RECEIVERS_FILE"]
    expected = (
        f"{path}:5:13: receivers[0].secret: environment variable NOTIFY_SECRET is not set or empty"
    )
    assert finding()["problems"] == [expected]
    started = installation.cli("run", "--role", "notify")
    assert started.returncode == 2 and expected in started.stderr, told(started)


def test_the_role_without_receivers_ends_and_says_what_to_set(
    installation: Installation,
) -> None:
    installation.extra = {}
    done = installation.cli("run", "--role", "notify")
    assert done.returncode == 2 and "TIDEGAUGE_NOTIFY__RECEIVERS_FILE" in done.stderr, told(done)


def test_a_process_of_all_roles_delivers_too(
    installation: Installation, sinks: tuple[HttpSink, SmtpSink], redis_url: str
) -> None:
    installation.redis_url = redis_url
    child = installation.start("run")
    try:
        installation.wait_ready(child)
        wait_until(
            lambda: conditions(installation)["receiver hook"]["detail"] == "",
            seconds=30,
            what=lambda: f"joined, it is {conditions(installation)}\n{child.tail()}",
        )
        send(installation, 0)
        wait_until(lambda: ids(sinks[0]) == ["id-0"], seconds=30, what=child.tail)
        assert {"ingest", "detect", "notify"} <= conditions(installation).keys()
        assert child.stop() == 0, child.tail()
    finally:
        child.kill()
