"""Each role under a principal of its own, on a broker that allows what ``topics acls`` prints."""

import argparse
import itertools
import json
import os
import re
import shlex
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from support.http_sink import HttpSink
from support.kafka_broker import KafkaBroker
from support.processes import Child, wait_until
from support.product import Installation, told
from support.quick_windows import QUICK
from tidegauge import OutcomeLogger, PredictionLogger
from tidegauge.config.settings import Settings
from tidegauge.kafka.acls import ROLES, AclRole, acls, commands

pytestmark = pytest.mark.timeout(240)

RULES = """\
rules:
  - name: slow
    metric: latency_mean_ms
    above: 200
    severity: high
    minimum_events: 1
    action: page
"""

RECEIVERS = """\
receivers:
  - {name: hook, type: webhook, url: URL}
  # It reads the audit trail; nobody is there.
  - {name: registry, type: mlflow, tracking_uri: "http://127.0.0.1:1"}
"""

WORKERS: tuple[AclRole, ...] = ("ingest", "outcomes", "detect", "notify", "ledger")

#: One line of the authorizer's, as ``kafka.authorizer.logger`` writes it.
_AUDITED = re.compile(
    r"Principal = User:(\w+) is (Allowed|Denied) operation = (\w+) from host = \S+ "
    r"on resource = (\w+):LITERAL:(\S+) for request = (\w+)"
)


class Cluster:
    """A broker that asks who one is, and the settings by which each role connects to it."""

    def __init__(self, directory: Path, redis_url: str, hook: str) -> None:
        self.directory = directory
        users = {role: f"{role}-secret" for role in ROLES}
        self.broker = KafkaBroker(directory / "kafka", users=users)
        self.broker.start()
        self.tools = directory / "bin"
        self.tools.mkdir()
        tool = self.tools / "kafka-acls.sh"
        command = shlex.join(self.broker.tool_command("kafka.admin.AclCommand"))
        tool.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        tool.chmod(0o755)
        (directory / "rules.yaml").write_text(RULES)
        (directory / "receivers.yaml").write_text(RECEIVERS.replace("URL", hook))
        common = {
            **QUICK,
            "DETECT__RULES_FILE": str(directory / "rules.yaml"),
            "NOTIFY__RECEIVERS_FILE": str(directory / "receivers.yaml"),
            "NOTIFY__GROUP_ID": "guarded-notify",
            "KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "WINDOWS__FORGET_SECONDS": "3600",
        }
        self.as_role = {
            role: Installation(
                directory / role,
                "guarded",
                self.broker.secured_servers,
                redis_url,
                common | {"KAFKA__SASL_USERNAME": role, "KAFKA__SASL_PASSWORD": users[role]},
            )
            for role in ROLES
        }

    def allow_all(self) -> None:
        """Do what ``tidegauge topics acls`` prints for each role.

        Kafka's own tool takes a line of each form, and starts a JVM for it; the others are read
        here as it would read them.
        """
        by_tool = of_each_form([line for role in ROLES for line in self.printed(role)])
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(self._run_tool, by_tool))
        rest = [line for role in ROLES for line in self.printed(role) if line not in by_tool]
        wanted = [one for line in rest for one in bindings_of(line)]
        admin = self.broker.admin()
        for future in admin.create_acls(wanted).values():
            future.result(20)

    def printed(self, role: AclRole) -> list[str]:
        """Return the commands that are printed for a role."""
        return list(commands(settings_of(self.as_role[role]), role, f"User:{role}"))

    def _run_tool(self, line: str) -> None:
        # Whoever runs the brokers connects to the listener that asks for no name.
        line = line.replace(self.broker.secured_servers, self.broker.bootstrap_servers)
        environment = {**os.environ, "PATH": f"{self.tools}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert "Adding ACLs for resource" in done.stdout, done.stdout

    def bindings(self, principal: str) -> set[tuple[object, ...]]:
        """Return what the brokers know to be allowed to one."""
        wanted = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, principal, None,
            AclOperation.ANY, AclPermissionType.ANY,
        )  # fmt: skip
        admin = self.broker.admin()
        return {compared(one) for one in admin.describe_acls(wanted).result(20)}

    def audited(self, verdict: str) -> list[tuple[str, str, str, str, str]]:
        """Return who was allowed or denied what, as principal, operation, kind, name, request."""
        log = self.broker.log.read_text(errors="replace")
        found = [
            (who, operation, kind, name, request)
            for who, said, operation, kind, name, request in _AUDITED.findall(log)
            if said == verdict
        ]
        return list(Counter(found))


def of_each_form(lines: Sequence[str]) -> list[str]:
    """Return some lines that have every form between them.

    That is each kind of resource with one name and with several, literal and prefixed, and with
    each operation.
    """
    forms: dict[str, set[object]] = {}
    for line in lines:
        bindings = list(bindings_of(line))
        several = len({one.name for one in bindings}) > 1
        kind, pattern = bindings[0].restype, bindings[0].resource_pattern_type
        forms[line] = {(kind, several, pattern)} | {(kind, one.operation) for one in bindings}
    missing = set().union(*forms.values())
    chosen: list[str] = []
    while missing:
        chosen.append(max(lines, key=lambda line: len(forms[line] & missing)))
        missing -= forms[chosen[-1]]
    return chosen


def bindings_of(command: str) -> Iterator[AclBinding]:
    """Read a command of Kafka's tool; one that it wouldn't take raises."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap-server", required=True)
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--operation", action="append", required=True)
    resource = parser.add_mutually_exclusive_group(required=True)
    for kind in ("topic", "group", "transactional-id"):
        resource.add_argument(f"--{kind}", action="append")
    parser.add_argument("--resource-pattern-type", choices=["literal", "prefixed"])
    program, *words = shlex.split(command)
    assert program == "kafka-acls.sh"
    said = parser.parse_args(words)
    kinds: dict[ResourceType, list[str] | None] = {
        ResourceType.TOPIC: said.topic,
        ResourceType.GROUP: said.group,
        ResourceType.TRANSACTIONAL_ID: said.transactional_id,
    }
    [(kind, names)] = [(kind, names) for kind, names in kinds.items() if names]
    pattern = ResourcePatternType[(said.resource_pattern_type or "literal").upper()]
    for name, operation in itertools.product(names, said.operation):
        known = AclOperation[known_as(operation)]
        yield AclBinding(
            kind, name, pattern, said.allow_principal, "*", known, AclPermissionType.ALLOW
        )


def compared(one: AclBinding) -> tuple[object, ...]:
    return one.restype, one.name, one.resource_pattern_type, one.principal, one.operation


def known_as(operation: str) -> str:
    """Return an operation as the brokers write it: ``DESCRIBE_CONFIGS``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()


@pytest.fixture(scope="module")
def hook() -> Iterator[HttpSink]:
    sink = HttpSink()
    yield sink
    sink.stop()


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str, hook: HttpSink
) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("guarded"), redis_url, hook.url)
    yield made
    made.broker.stop()


def settings_of(installation: Installation) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in installation.environment().items():
            if name.startswith("TIDEGAUGE_"):
                patch.setenv(name, value)
        return Settings()


def test_each_role_does_its_work_with_its_acls_alone_and_needs_each_of_them(
    cluster: Cluster, hook: HttpSink
) -> None:
    cluster.allow_all()
    for role in ROLES:
        wanted = {compared(one) for line in cluster.printed(role) for one in bindings_of(line)}
        assert cluster.bindings(f"User:{role}") == wanted
    shown = cluster.as_role["ledger"].succeed(
        "topics", "acls", "--role", "ledger", "--principal", "User:ledger"
    )
    assert shown.splitlines() == cluster.printed("ledger")
    cluster.as_role["topics"].succeed("topics", "create")
    promote_as_operator(cluster)
    with ExitStack() as stack:
        children: dict[AclRole, Child] = {}

        def start() -> None:
            for role in WORKERS:
                children[role] = cluster.as_role[role].start("run", "--role", role)
                stack.callback(children[role].kill)
            for role, child in children.items():
                cluster.as_role[role].wait_ready(child, seconds=90)

        start()
        send_slow_events(cluster, "3")
        send_labels(cluster)
        wait_until(
            lambda: any(json.loads(one.body).get("state") == "firing" for one in hook.requests),
            seconds=60,
            what=lambda: f"a delivery\n{children['detect'].tail()}{children['notify'].tail()}",
        )
        look_as_operator(cluster)
        # The model is silenced now, so its next alert is withheld.
        send_slow_events(cluster, "4")
        withheld = 'tidegauge_notify_withheld{receiver="hook"}'
        wait_until(
            lambda: cluster.as_role["notify"].gauge(withheld) == 1,
            seconds=60,
            what=lambda: f"an alert is withheld\n{children['notify'].tail()}",
        )
        # What it reads back as it starts is there now.
        for again in (True, False):
            for role, child in children.items():
                assert child.stop() == 0, (role, child.tail())
            if again:
                # Without these, ingest looks in its own output how far it was.
                admin = cluster.broker.admin()
                [deleted] = admin.delete_consumer_groups(["guarded-ingest"]).values()
                deleted.result(20)
                start()
    assert cluster.audited("Denied") == []
    assert not (found := unused(cluster)), "\n".join(found)


def config_of_producer(cluster: Cluster) -> dict[str, str]:
    producer = cluster.as_role["producer"].environment()
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": producer["TIDEGAUGE_KAFKA__SASL_USERNAME"],
        "sasl.password": producer["TIDEGAUGE_KAFKA__SASL_PASSWORD"],
    }


def send_slow_events(cluster: Cluster, version: str) -> None:
    config = config_of_producer(cluster)
    topic = cluster.as_role["producer"].topic("predictions")
    with PredictionLogger(
        cluster.broker.secured_servers, topic=topic, model="credit", version=version, config=config
    ) as logger:
        for i in range(20):
            logger.log(features={"x": 1.0}, prediction=0.5, latency_ms=900.0, id=f"{version}-{i}")
        assert logger.flush(30) == 0 and logger.stats.dropped_total == 0
        # One that can't be counted, for the dead letters.
        logger.log(features={}, time=1.0)
        assert logger.flush(30) == 0
    # And one that can't be delivered.
    anybody = Producer({"bootstrap.servers": cluster.broker.bootstrap_servers})
    anybody.produce(cluster.as_role["notify"].topic("alerts_history"), b"no alert")
    assert anybody.flush(30) == 0


def send_labels(cluster: Cluster) -> None:
    """Send labels of version 3, and one that OUTCOMES refuses."""
    topic, config = cluster.as_role["producer"].topic("labels"), config_of_producer(cluster)
    with OutcomeLogger(cluster.broker.secured_servers, topic=topic, config=config) as labels:
        for i in range(10):
            labels.log(id=f"3-{i}", actual="unheard of" if i == 0 else i % 2)
        assert labels.flush(30) == 0 and labels.stats.dropped_total == 0


def promote_as_operator(cluster: Cluster) -> None:
    rows = cluster.directory / "rows.csv"
    lines = [f"{i % 7},0.{i % 9},{i % 2}\n" for i in range(2000)]
    rows.write_text("x,prediction,outcome\n" + "".join(lines))
    cluster.as_role["operator"].succeed(
        "baseline", "create", "--model", "credit", "--version", "3", "--from", str(rows),
        "--prediction", "prediction", "--label", "outcome", "--positive", "1",
        "--threshold", "0.5", "--promote",
    )  # fmt: skip


def look_as_operator(cluster: Cluster) -> None:
    """Use every command that a person has, and wait until the audit trail has what was said."""
    tool = cluster.as_role["operator"]
    [alert] = [
        one
        for line in tool.succeed("alerts", "list", "--json").splitlines()
        if (one := json.loads(line))["rule"] == "slow"
    ]
    tool.succeed("alerts", "ack", alert["id"])
    tool.succeed("alerts", "silence", "--model", "credit", "--for", "1h", "--reason", "a test")
    tool.succeed("alerts", "silences")
    tool.succeed("alerts", "tail", "--from-beginning", "-n", "1")
    [action] = tool.succeed("actions", "list", "--json").splitlines()
    tool.succeed("actions", "ack", json.loads(action)["action"]["id"], "--note", "seen")
    tool.succeed("actions", "list")
    wait_until(
        lambda: tool.succeed("performance", "show", "--model", "credit", "--json"),
        seconds=30,
        what="figures of labels",
    )
    tool.succeed("backtest", "--since", "-1h", "--rules", str(cluster.directory / "rules.yaml"))
    checked = tool.cli("check", "--json")
    found = {one["check"]: one for one in json.loads(checked.stdout)}
    assert found["topics"]["problems"] == [], told(checked)
    # Of no group it can't be asked how it stands.
    assert all("1 member" in found[name]["detail"] for name in (*WORKERS[:3], "ingest labels"))
    tool.succeed("status")
    wanted = {"action.requested", "baseline.promoted"}

    def events() -> set[str]:
        lines = tool.succeed("audit", "list", "--json").splitlines()
        return {json.loads(line)["event"] for line in lines}

    wait_until(lambda: wanted <= events(), seconds=60, what=lambda: f"audited, it is {events()}")
    tool.succeed("audit", "verify")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    tool.succeed("audit", "why", "--model", "credit", "--on", today)


def unused(cluster: Cluster) -> list[str]:
    """Return what was allowed to a role, and never asked for."""
    asked = {(who, operation, name) for who, operation, _, name, _ in cluster.audited("Allowed")}
    found = []
    for role in ROLES:
        for acl in acls(settings_of(cluster.as_role[role]), role):
            for operation in acl.operations:
                known = known_as(operation)
                if not any(
                    who == role
                    and what == known
                    and (name.startswith(acl.name) if acl.prefixed else name == acl.name)
                    for who, what, name in asked
                ):
                    found.append(f"{role}: {operation} {acl.resource} {acl.name}")
    return found
