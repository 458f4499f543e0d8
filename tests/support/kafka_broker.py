"""A real Kafka broker: KRaft, its own data directory, free ports on 127.0.0.1.

By itself it is a cluster of one node; ``support.kafka_cluster`` makes clusters of several. The jars
come from ``scripts/test-machine``.
"""

import base64
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from support.processes import Child, free_port, wait_until

_JARS = (Path(__file__).parents[2] / ".cache" / "kafka-3.9.1").resolve()
#: A broker's classes as ``support.kafka_archive`` keeps them, so that it starts sooner. A JVM that
#: they don't fit goes on without.
ARCHIVE = _JARS.with_name(f"{_JARS.name}.jsa")
#: A data directory as Kafka formats one: it has neither ports nor paths in it.
_FORMATTED = _JARS.with_name(f"{_JARS.name}-formatted")
_CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
_START_SECONDS = 60

_PROPERTIES = """\
process.roles={roles}
node.id={id}
controller.quorum.voters={voters}
listeners={listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,{protocols}
log.dirs={data}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions={internal_partitions}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={min_insync}
transaction.state.log.num.partitions={internal_partitions}
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
auto.create.topics.enable=false
message.max.bytes={message_max_bytes}
"""

#: Only of nodes that clients connect to.
_BROKER_PROPERTIES = """\
advertised.listeners={advertised}
inter.broker.listener.name=PLAINTEXT
"""

#: Of a broker that asks for names and passwords, and allows nobody what no ACL allows. Who comes
#: through its other listeners, such as the controller and the tests themselves, may do anything.
_SECURED = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config={jaas}
"""

#: What the authorizer allows and refuses, in the broker's log.
_AUDITED = "-Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=debug"

#: Partitions of the topics of consumer groups and of transactions.
INTERNAL_PARTITIONS = 4

_LOGGING = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
]


class Node(NamedTuple):
    """What a process is in a cluster of several: one that stores topics, or their controller."""

    id: int
    role: str
    #: The controllers, as Kafka's setting has them.
    voters: str
    #: How many of the cluster's nodes have each of the internal topics, and must have a write.
    replicas: int
    min_insync: int
    #: Further properties.
    properties: Mapping[str, str]


class KafkaBroker:
    """A broker that can be started, stopped, killed and started again on the same data.

    ``listeners`` are further listeners by name, each with the port that its clients are told to
    connect to: that of a proxy before ``listener_ports[name]``. When it ends it writes the classes
    it has used to ``archive``. ``node`` is its place in a cluster; without, it is the whole of it.
    ``users`` are those who may connect to ``secured_servers``, with their passwords; what each may
    do there is said by ACLs.
    """

    def __init__(
        self,
        directory: Path,
        *,
        message_max_bytes: int = 1_048_588,
        heap_megabytes: int = 512,
        listeners: Mapping[str, int] | None = None,
        archive: Path | None = None,
        node: Node | None = None,
        port: int | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.id = 1 if node is None else node.id
        self.listener_ports = {name: free_port() for name in listeners or {}}
        self.log = directory / "broker.log"
        self._heap_megabytes = heap_megabytes
        self._classes = []
        if archive is not None:
            self._classes = [f"-XX:ArchiveClassesAtExit={archive}"]
        elif ARCHIVE.exists():
            self._classes = [f"-XX:SharedArchiveFile={ARCHIVE}"]
        self._child: Child | None = None
        self._config = directory / "server.properties"
        directory.mkdir(parents=True, exist_ok=True)
        own = {"PLAINTEXT": self.port, **self.listener_ports}
        advertised = {"PLAINTEXT": self.port, **(listeners or {})}
        protocols = dict.fromkeys(own, "PLAINTEXT")
        self._audited = [_AUDITED] if users else []
        if users:
            self.listener_ports["SASL"] = own["SASL"] = advertised["SASL"] = free_port()
            protocols["SASL"] = "SASL_PLAINTEXT"
        if node is None:
            controller = {"CONTROLLER": free_port()}
            voters = f"1@127.0.0.1:{controller['CONTROLLER']}"
            node = Node(1, "broker,controller", voters, replicas=1, min_insync=1, properties={})
            bound = own | controller
        else:
            bound = {"CONTROLLER": self.port} if node.role == "controller" else own
        text = _PROPERTIES.format(
            roles=node.role,
            id=node.id,
            voters=node.voters,
            listeners=_addresses(bound),
            protocols=",".join(f"{name}:{kind}" for name, kind in protocols.items()),
            data=self.data,
            replicas=node.replicas,
            min_insync=node.min_insync,
            internal_partitions=INTERNAL_PARTITIONS,
            message_max_bytes=message_max_bytes,
        )
        if node.role != "controller":
            text += _BROKER_PROPERTIES.format(advertised=_addresses(advertised))
        if users:
            text += _SECURED.format(jaas=_jaas(users))
        text += "".join(f"{name}={value}\n" for name, value in node.properties.items())
        self._config.write_text(text)

    @property
    def data(self) -> Path:
        """Its data directory, as the broker sees it."""
        return self.directory / "data"

    @property
    def brokers(self) -> "Sequence[KafkaBroker]":
        """The brokers of the cluster."""
        return [self]

    @property
    def logs(self) -> list[Path]:
        """Every log of the cluster."""
        return [self.log]

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def secured_servers(self) -> str:
        """Where ``users`` connect to, by SASL/PLAIN."""
        return f"127.0.0.1:{self.listener_ports['SASL']}"

    def admin(self) -> AdminClient:
        return AdminClient(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "log_level": 0,
                # By default it looks for a broker that starts more and more seldom.
                "reconnect.backoff.max.ms": 200,
            }
        )

    def start(self) -> None:
        """Start and return once the broker answers; its log is in the message if it doesn't."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start, and return at once."""
        assert self._child is None, "this broker is running already"
        if not (self._reached(self.data) / "meta.properties").exists():
            self._format()
        command = self._java("kafka.Kafka", str(self._config))
        self._child = Child(self._inside(command), log=self.log)

    def _reached(self, path: Path) -> Path:
        """Return by what path this process sees a path of the broker's."""
        return path

    def _inside(self, command: list[str]) -> list[str]:
        """Return the command that runs ``command`` where the broker's paths are."""
        return command

    def wait_ready(self) -> None:
        """Return once the broker answers."""
        admin = self.admin()

        def answers() -> bool:
            self.check_alive()
            try:
                return bool(admin.list_topics(timeout=1).brokers)
            except KafkaException:
                return False

        wait_until(
            answers, seconds=_START_SECONDS, what=lambda: f"the broker answers\n{self.tail()}"
        )

    def check_alive(self) -> None:
        """Fail if it has ended by itself."""
        assert self._child is not None, "this broker isn't running"
        self._child.check_alive()

    def tail(self) -> str:
        """Return the end of its log, for the message of a failure."""
        return "" if self._child is None else self._child.tail()

    def stop(self) -> None:
        """Shut down in order, so that the next start need not recover the logs."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def freeze(self) -> None:
        """Stop it without an end, as a host does that hangs: connections stay, nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._child is not None, "this broker isn't running"
        self._child.signal(number)

    def restart(self) -> None:
        self.stop()
        self.start()

    def create_topics(
        self, partitions: Mapping[str, int], config: Mapping[str, str] | None = None
    ) -> None:
        """Create topics (name -> number of partitions) and wait until each can be written to."""
        admin = self.admin()
        wanted = [
            NewTopic(name, count, 1, config=dict(config or {}))
            for name, count in partitions.items()
        ]
        for future in admin.create_topics(wanted, operation_timeout=30).values():
            future.result(30)

        def led() -> bool:
            known = admin.list_topics(timeout=5).topics
            return all(
                name in known
                and len(known[name].partitions) == count
                and all(p.leader >= 0 for p in known[name].partitions.values())
                for name, count in partitions.items()
            )

        wait_until(led, seconds=20, what=f"every partition of {', '.join(partitions)} has a leader")

    def format_command(self) -> list[str]:
        """Return what formats its data directory, by Kafka itself."""
        return self._java(
            "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(self._config)
        )

    def tool_command(self, main: str) -> list[str]:
        """Return what runs one of Kafka's own tools; its arguments follow."""
        return self._java(main)

    def _java(self, main: str, *arguments: str) -> list[str]:
        assert (_JARS / ".complete").exists(), (
            f"no Kafka jars in {_JARS}; run scripts/test-machine (make test does)"
        )
        return [
            "java",
            f"-Xmx{self._heap_megabytes}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *self._classes,
            *_LOGGING,
            *self._audited,
            "-cp",
            f"{_JARS}/*",
            main,
            *arguments,
        ]

    def _format(self) -> None:
        if not _FORMATTED.exists():
            _make_formatted()
        data = self._reached(self.data)
        shutil.copytree(_FORMATTED, data, dirs_exist_ok=True)
        if self.id == 1:
            return
        # As Kafka would have formatted it for another node.
        meta = data / "meta.properties"
        directory_id = base64.urlsafe_b64encode(b"tidegauge-node-" + bytes([self.id]))
        text = re.sub(r"(?m)^node\.id=.*$", f"node.id={self.id}", meta.read_text())
        own = f"directory.id={directory_id.decode().rstrip('=')}"
        meta.write_text(re.sub(r"(?m)^directory\.id=.*$", own, text))


def _make_formatted() -> None:
    with tempfile.TemporaryDirectory(dir=_FORMATTED.parent) as made:
        broker = KafkaBroker(Path(made))
        command = broker.format_command()
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        with suppress(OSError):  # another process was quicker
            broker.data.rename(_FORMATTED)


class SharedBroker(KafkaBroker):
    """A broker that another process has started, and that only it may stop."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self.log = log

    def launch(self) -> None:
        raise AssertionError("this broker is shared: start a KafkaBroker of your own")

    stop = kill = launch

    def check_alive(self) -> None:
        """Leave it to who started it."""

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-20_000:] if self.log.exists() else ""


def _jaas(users: Mapping[str, str]) -> str:
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    words = "".join(f' user_{name}="{password}"' for name, password in users.items())
    return f"{module} required{words};"


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())


def unique(name: str) -> str:
    """Return a name that no other test has used on this broker, in whatever process it runs."""
    return f"{name}-{os.getpid():x}-{time.time_ns():x}"
