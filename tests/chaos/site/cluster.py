"""Everything of one run that is a process: broker, Redis, proxies, workers."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from chaos.judge.deliveries import Delivery
from chaos.judge.labels import COHORT_SECONDS
from chaos.judge.recreation import Deleted, SourceCopy, delete_copied, topic_id
from chaos.labels import (
    EARLY_SECONDS,
    LABELLED,
    PARTITIONS,
    POSITIVE,
    RETENTION_SECONDS,
    THRESHOLD,
)
from chaos.plan.faults import (
    BASE_WORKERS,
    MOST_WORKERS,
    ROLES,
    SESSION_SECONDS,
    SOURCE_PARTITIONS,
    WINDOW_SECONDS,
    WITH_BASELINE,
    Part,
    Role,
)
from chaos.site.hold import Hold
from chaos.site.mutations import MUTATIONS, VARIABLE
from chaos.site.poison import Poison
from chaos.site.source_faults import delete_topic
from chaos.site.supervisor import Slot, Supervisor, healthy, readiness
from chaos.site.toxiproxy import Proxy, Toxiproxy
from chaos.traffic import VERSION, reference_csv
from support.alert_oracle import RULES_FILE
from support.http_sink import HttpSink, Request
from support.kafka_broker import KafkaBroker
from support.kafka_cluster import BROKERS, MIN_INSYNC, KafkaCluster
from support.processes import free_port, wait_until
from support.product import Installation, told
from support.redis_server import RedisServer

GRACE_SECONDS = 2

#: How far ahead an event may be: of a skewed clock, not of a bad record.
MAX_AHEAD_SECONDS = 360

#: How long windows take late events. In runs without clocks that are far behind it is short, so
#: that windows are deleted in their time.
LATE_SECONDS = 60
LONG_LATE_SECONDS = 1_200

#: Where copies of source topics that were deleted are.
COPIES = "sources"

_TESTS = Path(__file__).resolve().parents[2]

#: What a run sets; names without their TIDEGAUGE_.
SETTINGS = {
    "TOPICS__PREDICTIONS_PARTITIONS": str(SOURCE_PARTITIONS),
    "TOPICS__DETECT_PARTITIONS": "4",
    "TOPICS__LABELS_PARTITIONS": str(PARTITIONS),
    "TOPICS__OUTCOMES_PARTITIONS": "4",
    "WINDOWS__SECONDS": str(WINDOW_SECONDS),
    "WINDOWS__GRACE_SECONDS": str(GRACE_SECONDS),
    "WINDOWS__LATE_SECONDS": str(LATE_SECONDS),
    "INGEST__IDLE_SECONDS": "3",
    "INGEST__FLUSH_SECONDS": "0.5",
    "INGEST__SESSION_TIMEOUT_SECONDS": f"{SESSION_SECONDS:g}",
    "INGEST__MAX_AHEAD_SECONDS": str(MAX_AHEAD_SECONDS),
    "DETECT__SESSION_TIMEOUT_SECONDS": f"{SESSION_SECONDS:g}",
    "DETECT__CHECKPOINT_SECONDS": "2",
    "DETECT__RULES_FILE": str(RULES_FILE),
    "OUTCOMES__COHORT_SECONDS": str(COHORT_SECONDS),
    "OUTCOMES__EARLY_SECONDS": str(EARLY_SECONDS),
    "OUTCOMES__FLUSH_SECONDS": "0.5",
    "OUTCOMES__RETENTION_SECONDS": str(RETENTION_SECONDS),
    "OUTCOMES__SESSION_TIMEOUT_SECONDS": f"{SESSION_SECONDS:g}",
    "NOTIFY__SESSION_TIMEOUT_SECONDS": f"{SESSION_SECONDS:g}",
    "LEDGER__SESSION_TIMEOUT_SECONDS": f"{SESSION_SECONDS:g}",
}

#: What is set beside that where there are several brokers.
REPLICATED = {
    "TOPICS__REPLICATION_FACTOR": str(BROKERS),
    "TOPICS__MIN_INSYNC_REPLICAS": str(MIN_INSYNC),
}

#: The one receiver of alerts; it answers 200 to everything.
_RECEIVERS = "receivers: [{{name: hook, type: webhook, url: '{url}'}}]\n"

#: What a dead letter may be long once its topic is "full".
FULL_BYTES = 2_000

#: Time for something that needs a broker or Redis which is coming back just now.
_RETRY_SECONDS = 60.0

Key = tuple[str, str]


class Cluster:
    """One cluster with an installation of its own. A context manager: what it started, it stops.

    ``mutation`` names one of ``chaos.site.mutations`` that the workers run with. ``brokers`` is one
    or three. ``workers`` says how many of each role there are at first. Windows take late
    events for ``late_seconds``. Clients in here talk to brokers and Redis directly, the workers
    through proxies.
    """

    def __init__(
        self,
        directory: Path,
        *,
        say: Callable[[str], None],
        mutation: str | None = None,
        brokers: int = 1,
        workers: Mapping[Role, int] = BASE_WORKERS,
        late_seconds: int = LATE_SECONDS,
    ) -> None:
        if mutation is not None and mutation not in MUTATIONS:
            raise ValueError(f"no mutation {mutation}; there are {', '.join(sorted(MUTATIONS))}")
        self._mutation = mutation
        names = [f"{role}-{number}" for role in ROLES for number in range(MOST_WORKERS)]
        #: By worker, the port of its proxy of each broker.
        ports = {name: [free_port() for _ in range(brokers)] for name in names}
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.broker: KafkaBroker | KafkaCluster
        settings = SETTINGS
        if brokers == 1:
            self.broker = KafkaBroker(
                directory / "kafka",
                listeners={_listener(name): port for name, (port,) in ports.items()},
            )
        else:
            assert brokers == BROKERS, f"there are clusters of 1 and of {BROKERS}"
            self.broker = KafkaCluster(
                directory / "kafka",
                listeners={_listener(name): listed for name, listed in ports.items()},
            )
            settings = SETTINGS | REPLICATED
        self.redis = RedisServer(directory)
        self.toxiproxy = Toxiproxy(directory)
        #: What the receiver of alerts was told, in this order.
        self.deliveries: list[Delivery] = []
        self._sink: HttpSink | None = None
        self._receivers = directory / "receivers.yaml"
        #: By worker those of all brokers, and that of Redis.
        self.proxies: dict[str, list[Proxy]] = {}
        #: Every baseline that was ever in force, as plain JSON.
        self.baselines: dict[Key, list[dict[str, Any]]] = {}
        self.installation = Installation(
            directory / "commands",
            "chaos",
            self.broker.bootstrap_servers,
            self.redis.url,
            settings
            | {
                "NOTIFY__RECEIVERS_FILE": str(self._receivers),
                "NOTIFY__GROUP_ID": "chaos-notify",
                "WINDOWS__LATE_SECONDS": str(late_seconds),
            },
        )
        self.source = self.installation.topic("predictions")
        self.group = f"{self.installation.name}-ingest"
        #: Kafka's ids of the topics that the source has been, the present one last.
        self.source_ids: list[str] = []
        #: Those that are gone.
        self.deleted: list[Deleted] = []
        #: Held by whoever changes the source topic, or knows by offset what he writes to it.
        self.source_turn = threading.Lock()
        self.hold = Hold(directory)
        self._copied = directory / COPIES / "0"
        self._copy: SourceCopy | None = None
        #: What nobody can use, and where it is.
        self.poison = Poison(self.broker, self.installation)
        self.changelog = f"{self.installation.name}-detect-windows-changelog"
        self._ports = ports
        self._redis_port = free_port()
        slots = [self._slot(role, number) for role in ROLES for number in range(MOST_WORKERS)]
        self.supervisor = Supervisor(slots, say, workers)
        # Children die with the thread that started them, and what is done to one server is done
        # one thing after the other.
        self.on_broker = ThreadPoolExecutor(1, "broker")
        self.on_redis = ThreadPoolExecutor(1, "redis")

    def _slot(self, role: Role, number: int) -> Slot:
        name = f"{role}-{number}"
        port = free_port()
        env = self.installation.environment() | {
            "TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS": ",".join(
                f"127.0.0.1:{port}" for port in self._ports[name]
            ),
            "TIDEGAUGE_REDIS__URL": f"redis://127.0.0.1:{self._redis_port}/0",
            "TIDEGAUGE_HTTP__PORT": str(port),
            "TIDEGAUGE_INGEST__TRANSACTIONAL_ID": f"{self.installation.name}-{name}",
        }
        module = "tidegauge"
        if self._mutation is not None:
            module = "chaos.site.worker"
            env |= {
                VARIABLE: self._mutation,
                "PYTHONPATH": os.pathsep.join([env["PYTHONPATH"], str(_TESTS)]),
            }
        command = [sys.executable, "-m", module, "run", "--role", role]
        return Slot(role, number, command, env, port, self.directory)

    def _note_told(self, request: Request) -> None:
        self.deliveries.append(
            Delivery(time.time(), request.headers["Idempotency-Key"], request.body)
        )

    def __enter__(self) -> "Cluster":
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _start(self) -> None:
        self._sink = HttpSink()
        self._sink.on_request = self._note_told
        self._receivers.write_text(_RECEIVERS.format(url=self._sink.url))
        broker = self.on_broker.submit(self.broker.start)
        self.on_redis.submit(self.redis.start).result()
        with ThreadPoolExecutor(2, "baselines") as pool:
            list(pool.map(self.promote, WITH_BASELINE, range(len(WITH_BASELINE))))
        broker.result()
        self.toxiproxy.start()
        for slot in self.supervisor.slots:
            self.proxies[slot.name] = [
                self.toxiproxy.proxy(
                    f"{slot.name}-of-{broker.id}",
                    port=port,
                    upstream=broker.listener_ports[_listener(slot.name)],
                )
                for broker, port in zip(self.broker.brokers, self._ports[slot.name], strict=True)
            ]
        self.proxies["redis"] = [
            self.toxiproxy.proxy("redis", port=self._redis_port, upstream=self.redis.port)
        ]
        self.installation.succeed("topics", "create")
        self.source_ids.append(topic_id(self.broker, self.source))
        self.supervisor.start()

    def _end(self) -> None:
        self.supervisor.kill_all()
        if self._copy is not None:
            self._copy.close()
        if self._sink is not None:
            self._sink.stop()
        self.toxiproxy.stop()
        self.on_redis.submit(self.redis.stop).result()
        self.on_broker.submit(self.broker.kill).result()
        self.on_redis.shutdown()
        self.on_broker.shutdown()

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Return once every worker works."""
        wait_until(
            lambda: not self._not_ready(),
            seconds=seconds,
            what=lambda: f"every worker is ready; not so: {self._said_instead()}",
        )

    def _not_ready(self) -> list[Slot]:
        self.supervisor.check()
        wanted = [slot for slot in self.supervisor.slots if slot.wanted]
        return [slot for slot in wanted if not healthy(slot, "/readyz")]

    def _said_instead(self) -> str:
        return "; ".join(f"{slot.name} {readiness(slot)!r}" for slot in self._not_ready())

    # -- what faults do -------------------------------------------------------------------------

    def promote(self, model: str, seed: int) -> None:
        """Make a baseline of the reference data of ``seed``, and put it in force."""
        file = self.installation.directory / f"{model}-{seed}.csv"
        file.write_text(reference_csv(seed, labelled=model in LABELLED))
        options = ["--model", model, "--version", VERSION, "--from", str(file)]
        options += ["--prediction", "score", "--promote"]
        if model in LABELLED:
            options += ["--label", "truth", "--positive", POSITIVE, "--threshold", str(THRESHOLD)]
        id = self._command("baseline", "create", *options).strip()
        shown = json.loads(self._command("baseline", "show", id, "--json"))
        self.baselines.setdefault((model, VERSION), []).append(shown)

    def broker_of(self, part: Part, number: int) -> KafkaBroker:
        """Return the broker that has a part just now; ``number``: see ``Fault.partition``."""
        name = self.installation.name
        assert isinstance(self.broker, KafkaCluster)
        match part:
            case "source":
                return self.broker.leader(self.source, number)
            case "changelog":
                return self.broker.leader(self.changelog, number)
            case "transactions":
                return self.broker.coordinator("__transaction_state", f"{name}-ingest-{number}")
            case "group":
                group = f"{name}-{('ingest', 'detect')[number]}"
                return self.broker.coordinator("__consumer_offsets", group)

    def unwritable(self, role: Role) -> list[str]:
        """Return the topics that a worker must name once they can't be written."""
        topic = self.installation.topic
        match role:
            case "ingest" | "outcomes":
                return [topic("histograms")]
            case "detect":
                return [topic("windows"), topic("alerts_history"), self.changelog]
            case "ledger":
                return [topic("audit")]
            case "notify":
                return [topic("withheld")]

    def copy_source(self) -> None:
        """Begin to copy what comes in, since the source will be deleted."""
        self._copied.parent.mkdir(exist_ok=True)
        self._copy = SourceCopy(self.broker, self.source, self._copied)

    def make_source_again(
        self, is_traffic_over: Callable[[], bool], say: Callable[[str], None]
    ) -> None:
        """Delete the source topic, and make it again as an operator would."""
        with self.source_turn:
            copy, self._copy = self._copy, None
            assert copy is not None, "nobody has copied it"
            gone = Deleted(len(self.deleted), self.source_ids[-1], self._copied)
            delete_copied(
                self.broker,
                self.source,
                self.group,
                gone,
                copy,
                hold=self.hold,
                is_over=is_traffic_over,
                make_again=lambda: self._command("topics", "create"),
                say=say,
            )
            self.deleted.append(gone)
            self.source_ids.append(topic_id(self.broker, self.source))
            self.poison.topic = len(self.deleted)

    def partitions(self) -> int:
        """Return how many partitions the source has."""
        found = self.broker.admin().list_topics(self.source, timeout=30).topics[self.source]
        return len(found.partitions)

    def lose_changelog(self) -> None:
        """Delete DETECT's changelog, and make it again."""
        delete_topic(self.broker.admin(), self.changelog)
        self._command("topics", "create")

    def fill_dead_letters(self) -> None:
        """Make the topic of dead letters refuse what is longer than ``FULL_BYTES``."""
        self._configure("dead_letters", "max.message.bytes", str(FULL_BYTES))

    def stamp_reports(self) -> None:
        """Have the broker stamp reports when it takes them, which is when anybody can see them."""
        self._configure("windows", "message.timestamp.type", "LogAppendTime")

    def date_outcomes(self) -> None:
        """Have the log of outcomes keep the times that its records were sent with.

        So that its clock can be set forward, by which labels without predictions are given up.
        """
        self._configure("outcomes", "message.timestamp.type", "CreateTime")

    def _configure(self, kind: str, name: str, value: str) -> None:
        topic = self.installation.topic(kind)
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        admin = self.broker.admin()

        def altered() -> bool:
            with suppress(KafkaException, TimeoutError):
                for future in admin.incremental_alter_configs([resource]).values():
                    future.result(10)
                return True
            return False

        wait_until(altered, seconds=_RETRY_SECONDS, what=f"{topic} has {name} {value}")

    def _command(self, *arguments: str) -> str:
        """Run a command of the product until it succeeds: what it talks to may be down."""
        said = "it was not run"

        def succeeded() -> list[str]:
            nonlocal said
            done = self.installation.cli(*arguments)
            said = told(done)
            return [done.stdout] if done.returncode == 0 else []

        return wait_until(
            succeeded,
            seconds=_RETRY_SECONDS,
            what=lambda: f"tidegauge {' '.join(arguments)} succeeds\n{said}",
        )[0]

    def tails(self, lines: int = 25) -> str:
        """Return the end of every log."""
        logs = [slot.log for slot in self.supervisor.slots]
        logs += [*self.broker.logs, self.directory / "redis.log", self.toxiproxy.log]
        found = []
        for log in logs:
            if log.exists():
                text = log.read_text(errors="replace").splitlines()[-lines:]
                found.append("\n".join([f"--- end of {log.name} ---", *text]))
        return "\n".join(found)


def _listener(worker: str) -> str:
    """Name of the broker's listener that a worker's proxy connects to."""
    return worker.replace("-", "").upper()
