"""A real Kafka cluster of three brokers, KRaft, with a controller of its own.

The controller is a process apart, which nothing is done to: so that two brokers can be away and the
third is still told of it, as it is where controllers have machines of their own.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from support.kafka_broker import INTERNAL_PARTITIONS, KafkaBroker, Node
from support.processes import free_port, wait_until
from support.small_disk import SmallDisk

BROKERS = 3
MIN_INSYNC = 2

_CONTROLLER = 100

#: Room of the last broker's disk, which can be filled.
DISK_MEGABYTES = 640

#: A broker that is back has caught up by then.
_CAUGHT_UP_SECONDS = 90.0

#: Many listeners, and few clients at each.
_PROPERTIES = {
    "num.network.threads": "1",
    "num.io.threads": "4",
    "min.insync.replicas": str(MIN_INSYNC),
    "default.replication.factor": str(BROKERS),
}

#: What elects a coordinator: the leader of a partition of this topic.
Coordination = Literal["__consumer_offsets", "__transaction_state"]


class SmallDiskBroker(KafkaBroker):
    """A broker whose data directory is a small disk."""

    disk: SmallDisk | None = None

    def launch(self) -> None:
        if self.disk is None:
            self.disk = SmallDisk(self.data, DISK_MEGABYTES)
        if not self.disk.is_mounted:
            self.disk.mount()
        super().launch()

    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._child is not None and self._child.process.poll() is not None

    def _reached(self, path: Path) -> Path:
        assert self.disk is not None
        return self.disk.reached(path)

    def _inside(self, command: list[str]) -> list[str]:
        assert self.disk is not None
        return self.disk.inside(command)


class KafkaCluster:
    """Three brokers, and what tests ask of a :class:`KafkaBroker`.

    ``listeners`` are, by name, the ports that clients of each broker are told to connect to. The
    brokers must be started, stopped and killed from one thread, which outlives them.
    """

    def __init__(
        self,
        directory: Path,
        *,
        heap_megabytes: int = 320,
        listeners: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.directory = directory

        def node(id: int, role: str) -> Node:
            return Node(id, role, voters, BROKERS, MIN_INSYNC, _PROPERTIES)

        # Its port is known before it is made: by that the brokers find it.
        port = free_port()
        voters = f"{_CONTROLLER}@127.0.0.1:{port}"
        self.controller = KafkaBroker(
            directory / "controller",
            heap_megabytes=128,
            node=node(_CONTROLLER, "controller"),
            port=port,
        )
        self.brokers: list[KafkaBroker] = [
            (SmallDiskBroker if number == BROKERS - 1 else KafkaBroker)(
                directory / f"broker-{number + 1}",
                heap_megabytes=heap_megabytes,
                listeners={name: ports[number] for name, ports in (listeners or {}).items()},
                node=node(number + 1, "broker"),
            )
            for number in range(BROKERS)
        ]

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(broker.bootstrap_servers for broker in self.brokers)

    @property
    def small_disk_broker(self) -> SmallDiskBroker:
        """The broker whose disk can be filled."""
        broker = self.brokers[-1]
        assert isinstance(broker, SmallDiskBroker)
        return broker

    def admin(self) -> AdminClient:
        return AdminClient(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "log_level": 0,
                "reconnect.backoff.max.ms": 200,
            }
        )

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all at once; return once every broker is known to the others."""
        self.controller.launch()
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait_ready()
        self.wait_whole()

    def kill(self) -> None:
        """End all at once, and drop the small disk."""
        for broker in (*self.brokers, self.controller):
            broker.kill()
        if self.small_disk_broker.disk is not None:
            self.small_disk_broker.disk.unmount()

    stop = kill

    def wait_whole(self) -> None:
        """Return once every broker is there and every partition has all its replicas in sync."""
        admin = self.admin()

        def lacking() -> list[str]:
            for broker in self.brokers:
                broker.check_alive()
            try:
                found = admin.list_topics(timeout=2)
            except KafkaException as error:
                return [str(error)]
            if len(found.brokers) < BROKERS:
                return [f"brokers {sorted(found.brokers)} are there"]
            return [
                f"{topic.topic}/{number}: leader {one.leader}, in sync {one.isrs}"
                for topic in found.topics.values()
                for number, one in topic.partitions.items()
                if one.leader < 0 or len(one.isrs) < len(one.replicas)
            ]

        wait_until(
            lambda: not lacking(),
            seconds=_CAUGHT_UP_SECONDS,
            what=lambda: f"every replica is in sync; not so: {lacking()}\n{self.tail()}",
        )

    def tail(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(one.tail() for one in (self.controller, *self.brokers))

    @property
    def logs(self) -> list[Path]:
        return [one.log for one in (self.controller, *self.brokers)]

    # -- who does what ---------------------------------------------------------------------------

    def leader(self, topic: str, partition: int) -> KafkaBroker:
        """Return the broker that leads a partition."""
        admin = self.admin()

        def found() -> list[KafkaBroker]:
            with suppress(KafkaException):
                partitions = admin.list_topics(topic, timeout=5).topics[topic].partitions
                leader = partitions[partition].leader if partition in partitions else -1
                return [broker for broker in self.brokers if broker.id == leader]
            return []

        return wait_until(found, seconds=30, what=f"{topic}/{partition} has a leader")[0]

    def coordinator(self, kind: Coordination, name: str) -> KafkaBroker:
        """Return the broker that coordinates a consumer group or a producer's transactions."""
        return self.leader(kind, coordinating_partition(name))


def coordinating_partition(name: str) -> int:
    """Return the partition of the internal topic that a group or transactional id belongs to.

    Kafka takes Java's hash of the text.

    >>> coordinating_partition("hello")  # "hello".hashCode() is 99162322
    2
    """
    value = 0
    for character in name:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    signed = value - (1 << 32) if value >= 1 << 31 else value
    return (0 if signed == -(1 << 31) else abs(signed)) % INTERNAL_PARTITIONS
