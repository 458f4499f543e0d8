"""A real Kafka broker: one node, KRaft, its own data directory, free ports on 127.0.0.1.

The jars come from ``scripts/test-machine``.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

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
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners={listeners},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={advertised}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,{protocols}
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
auto.create.topics.enable=false
message.max.bytes={message_max_bytes}
"""

_LOGGING = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
]


class KafkaBroker:
    """A broker that can be started, stopped, killed and started again on the same data.

    ``listeners`` are further listeners by name, each with the port that its clients are told to
    connect to: that of a proxy before ``listener_ports[name]``. When it ends it writes the classes
    it has used to ``archive``.
    """

    def __init__(
        self,
        directory: Path,
        *,
        message_max_bytes: int = 1_048_588,
        heap_megabytes: int = 512,
        listeners: Mapping[str, int] | None = None,
        archive: Path | None = None,
    ) -> None:
        self.directory = directory
        self.port = free_port()
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
        self._config.write_text(
            _PROPERTIES.format(
                listeners=_addresses(own),
                advertised=_addresses(advertised),
                protocols=",".join(f"{name}:PLAINTEXT" for name in own),
                controller_port=free_port(),
                data=directory / "data",
                message_max_bytes=message_max_bytes,
            )
        )

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

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
        if not (self.directory / "data").exists():
            self._format()
        self._child = Child(self._java("kafka.Kafka", str(self._config)), log=self.log)

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
            "-cp",
            f"{_JARS}/*",
            main,
            *arguments,
        ]

    def _format(self) -> None:
        data = self.directory / "data"
        if not _FORMATTED.exists():
            self._format_by_kafka()
            made = Path(tempfile.mkdtemp(dir=_FORMATTED.parent))
            shutil.copytree(data, made, dirs_exist_ok=True)
            try:
                made.rename(_FORMATTED)
            except OSError:  # another process was quicker
                shutil.rmtree(made)
        else:
            shutil.copytree(_FORMATTED, data)

    def _format_by_kafka(self) -> None:
        command = self._java(
            "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(self._config)
        )
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


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


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())


def unique(name: str) -> str:
    """Return a name that no other test has used on this broker, in whatever process it runs."""
    return f"{name}-{os.getpid():x}-{time.time_ns():x}"
