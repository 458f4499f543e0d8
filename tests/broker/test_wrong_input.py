"""What a user meets when something is wrong: broker, topics, Redis, rules, settings."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.kafka_broker import KafkaBroker, unique
from support.processes import Child, wait_until
from support.product import Installation, told
from support.quick_windows import QUICK, Traffic, readiness
from support.redis_server import RedisServer

pytestmark = pytest.mark.timeout(120)


def install(directory: Path, broker: KafkaBroker, redis_url: str, **extra: str) -> Installation:
    return Installation(
        directory, unique("wrong"), broker.bootstrap_servers, redis_url, QUICK | extra
    )


@contextmanager
def running(installation: Installation) -> Iterator[Child]:
    child = installation.start("run")
    try:
        yield child
    finally:
        child.stop()


def create_baseline(installation: Installation, values: list[int]) -> str:
    """Make and promote a baseline of model ``m``; return its id."""
    file = installation.directory / f"{len(values)}.csv"
    file.write_text("x\n" + "\n".join(map(str, values)) + "\n")
    return installation.succeed(
        "baseline", "create", "--model", "m", "--version", "1", "--from", str(file), "--promote"
    ).strip()


def test_a_broker_that_is_down_at_the_start_is_named_and_awaited(
    tmp_path: Path, redis_url: str
) -> None:
    broker = KafkaBroker(tmp_path / "broker")
    installation = install(tmp_path / "installation", broker, redis_url)
    done = installation.cli("check")
    assert done.returncode == 3, told(done)
    assert broker.bootstrap_servers in done.stdout and "is the broker up" in done.stdout
    with running(installation) as child:
        child.wait_for_output(f"no answer from {broker.bootstrap_servers}", seconds=40)
        status, body = readiness(installation)
        assert status == 503 and body["conditions"]["kafka"]["state"] == "failed", body
        live = installation.http("/healthz")
        assert live is not None and live[0] == 200, "waiting is no reason for a restart"
        broker.start()
        try:
            installation.succeed("topics", "create")
            installation.wait_ready(child)
            with Traffic(broker, installation) as traffic:
                traffic.send()
                traffic.wait_until_reported(child, {"": traffic.sent})
                assert child.stop() == 0, child.tail()
        finally:
            broker.stop()


def test_a_broker_may_restart_while_events_are_counted(tmp_path: Path, redis_url: str) -> None:
    broker = KafkaBroker(tmp_path / "broker")
    broker.start()
    try:
        installation = install(tmp_path / "installation", broker, redis_url)
        installation.create_topics()
        with running(installation) as child:
            installation.wait_ready(child)
            with Traffic(broker, installation) as traffic:
                traffic.send()
                traffic.wait_until_reported(child, {"": traffic.sent})
                broker.restart()
                traffic.send()
                traffic.wait_until_reported(child, {"": traffic.sent})
            assert child.stop() == 0, child.tail()
    finally:
        broker.stop()


def test_missing_topics_are_named_with_the_command_that_makes_them(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    installation = install(tmp_path, kafka_broker, redis_url)
    done = installation.cli("check")
    assert done.returncode == 2, told(done)
    assert installation.topic("histograms") in done.stdout
    assert "tidegauge topics create" in done.stdout
    with running(installation) as child:
        child.wait_for_output("tidegauge topics create", seconds=40)
        assert installation.topic("histograms") in child.output()
        assert readiness(installation)[0] == 503
        installation.succeed("topics", "create")
        installation.wait_ready(child)
        create_baseline(installation, [0, 1, 2, 3])
        done = installation.cli("check")
        assert done.returncode == 0, told(done)
        assert child.stop() == 0, child.tail()


def test_redis_may_be_down_at_the_start_and_midway_and_counting_goes_on(
    tmp_path: Path, kafka_broker: KafkaBroker
) -> None:
    server = RedisServer(tmp_path)
    server.start()
    installation = install(
        tmp_path / "installation",
        kafka_broker,
        server.url,
        REDIS__START_TIMEOUT_SECONDS="1",
    )
    installation.create_topics()
    baseline = create_baseline(installation, [0, 1, 2, 3])
    server.stop()
    done = installation.cli("check")
    assert done.returncode == 3 and "Redis" in done.stdout, told(done)

    def wait_for_store(up: float, status: str) -> None:
        """Wait until gauge and /readyz agree; it is 200 all the while, for work goes on."""

        def said() -> tuple[float | None, int, str]:
            code, body = readiness(installation)
            return installation.gauge("tidegauge_baseline_store_up"), code, body["status"]

        wait_until(
            lambda: said() == (up, 200, status),
            seconds=15,
            what=lambda: f"gauge {up} and /readyz {status}, it is {said()}\n{child.tail()}",
        )

    try:
        with running(installation) as child:
            installation.wait_ready(child)
            with Traffic(kafka_broker, installation) as traffic:
                wait_for_store(0.0, "degraded")
                said = readiness(installation)[1]["conditions"]["baselines"]["detail"]
                assert str(server.port) in said
                traffic.send(10)
                traffic.wait_until_reported(child, {"": 10})
                server.start()
                wait_for_store(1.0, "ok")
                # Which baseline is in force is asked at every flush.
                wait_until(
                    lambda: traffic.send(2) and baseline in traffic.by_baseline(),
                    seconds=15,
                    what=lambda: f"events are binned by {baseline[:12]}\n{child.tail()}",
                )
                server.stop()
                wait_for_store(0.0, "degraded")
                wait_until(
                    lambda: sum(traffic.by_baseline().values()) == traffic.sent,
                    seconds=15,
                    what=lambda: f"all of {traffic.sent} events reported\n{child.tail()}",
                )
                before = traffic.by_baseline()
                traffic.send(10)
                traffic.wait_until_reported(child, before | {baseline: before[baseline] + 10})
                server.start()
                wait_for_store(1.0, "ok")
                assert child.stop() == 0, child.tail()
    finally:
        server.stop()


def test_a_promoted_baseline_is_in_force_within_five_seconds(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    installation = install(tmp_path, kafka_broker, redis_url, REDIS__REFRESH_SECONDS="2")
    installation.create_topics()
    first = create_baseline(installation, [0, 1, 2, 3])
    with running(installation) as child:
        installation.wait_ready(child)
        with Traffic(kafka_broker, installation) as traffic:
            traffic.send()
            traffic.wait_until_reported(child, {first: 10})
            second = create_baseline(installation, [0, 1, 2, 3, 3, 3])
            promoted = time.time()

            def first_whole_window() -> int | None:
                traffic.send(2)
                only = [
                    start for start, parts in traffic.windows().items() if parts.keys() == {second}
                ]
                return min(only, default=None)

            start = wait_until(
                first_whole_window,
                seconds=20,
                what=lambda: f"a window counted by {second[:12]} alone\n{child.tail()}",
            )
            assert start <= promoted + 5, f"{start - promoted:.1f} s after the promotion"
            wait_until(
                lambda: sum(traffic.by_baseline().values()) == traffic.sent,
                seconds=20,
                what=lambda: f"{traffic.sent} events reported, it is {traffic.by_baseline()}",
            )
            # A window that saw the change has both, and mixes neither with the other.
            assert traffic.by_baseline().keys() == {first, second}
            assert child.stop() == 0, child.tail()


RULES_WITH_A_TYPO = """\
rules:
  - name: drift
    metric: kl
    treshold: 0.05
    severity: medium
"""


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_typo_in_the_rule_file_is_shown_with_its_line(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str, command: str
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES_WITH_A_TYPO)
    installation = install(tmp_path, kafka_broker, redis_url, DETECT__RULES_FILE=str(rules))
    installation.create_topics()
    create_baseline(installation, [0, 1, 2, 3])
    done = installation.cli(command)
    assert done.returncode == 2, told(done)
    said = (done.stdout + done.stderr).replace("\n", " ")
    assert "rules.yaml:4:" in said and "treshold" in said, told(done)


def test_a_setting_that_does_not_exist_is_refused_by_name(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    for wrong in ("KAFFKA__BOOTSTRAP_SERVERS", "WINDOWS__SECOND"):
        done = install(tmp_path, kafka_broker, redis_url, **{wrong: "1"}).cli("run")
        assert done.returncode == 2, told(done)
        name = wrong.lower().rpartition("__")[2]
        assert name in done.stderr.lower() and "Traceback" not in done.stderr, told(done)


def test_a_port_that_is_taken_is_named(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    taken = kafka_broker.port
    done = install(tmp_path, kafka_broker, redis_url, HTTP__PORT=str(taken)).cli("run")
    assert done.returncode == 2, told(done)
    assert str(taken) in done.stderr and "Traceback" not in done.stderr, told(done)
