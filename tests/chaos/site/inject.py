"""Carries a plan out on a cluster: each fault in a thread of its own, so that they overlap."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

from chaos.plan.course import Span
from chaos.plan.faults import BASE_WORKERS, MOST_WORKERS, ROLES, Fault, Plan, Role
from chaos.site.cluster import Cluster
from chaos.site.source_faults import add_partitions, leave_open, reset_offsets
from chaos.site.supervisor import Slot, healthy, readiness
from chaos.site.toxiproxy import Proxy
from support.kafka_broker import KafkaBroker
from support.kafka_cluster import KafkaCluster
from support.processes import wait_until

#: The last fault that lasts is over so long after it began, at the most: an outage of the broker
#: may have had to end first.
_OVER_SECONDS = 150.0

#: Workers take up to 25 s to leave, and one that is killed then up to 6 s to be missed.
_RESET_SECONDS = 90.0

#: A broker whose disk is full ends by itself; it must be written to for that.
_DISK_SECONDS = 30.0

#: Nothing is said of the end of these.
_WITHOUT_END = ("kill", "term", "clock_jump", "clock_skew", "dead_letters_full")

#: A worker that was asked to leave must be replaced by one that works within this.
_REPLACED_SECONDS = 90.0


@dataclass
class Injector:
    """Begins the faults of a plan in time; ``began`` is when the traffic does, epoch seconds."""

    cluster: Cluster
    plan: Plan
    began: float
    say: Callable[[str], None]
    #: Whether all was sent: nobody then waits to be held.
    is_traffic_over: Callable[[], bool] = lambda: False
    #: What was done, in order of its beginning: epoch seconds and what it was.
    done: list[tuple[float, str]] = field(default_factory=list)
    #: Outages and restarts, once they are over.
    spans: list[Span] = field(default_factory=list)
    #: What was seen to be amiss while a fault lasted.
    findings: list[str] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _failures: list[tuple[Fault, BaseException]] = field(default_factory=list)

    def run(self, check: Callable[[], None]) -> None:
        """Begin every fault when it is due; ``check`` is called meanwhile and may raise.

        Of several brokers the next is lost once the one before is back: two away are another fault.
        """
        if "source_recreated" in self.plan.counts():
            self.cluster.copy_source()
        for number, fault in enumerate(self.plan.faults):
            while time.time() < self.began + fault.at or (
                self.plan.brokers > 1 and not self.is_over()
            ):
                check()
                time.sleep(0.05)
            self.done.append((time.time(), fault.what))
            self.say(fault.what)
            thread = threading.Thread(target=self._carry_out, args=(number, fault))
            thread.start()
            self._threads.append(thread)

    def is_over(self) -> bool:
        """Whether every fault that has begun is over."""
        return not any(thread.is_alive() for thread in self._threads)

    def wait(self) -> None:
        """Return once every fault is over; raises if one could not be carried out."""
        deadline = time.monotonic() + _OVER_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                raise RuntimeError(f"a fault is not over after {_OVER_SECONDS:.0f} s")
        for fault, error in self._failures:
            raise RuntimeError(f"{fault} could not be carried out: {error}") from error

    def _carry_out(self, number: int, fault: Fault) -> None:
        try:
            self._do(number, fault)
        except BaseException as error:  # told by wait()
            self._failures.append((fault, error))
        else:
            if fault.kind not in _WITHOUT_END:
                self.say(f"{fault.kind} is over")

    def _do(self, number: int, fault: Fault) -> None:
        cluster = self.cluster
        match fault.kind:
            case "kill":
                cluster.supervisor.kill(self._slot(fault), "kill")
            case "term":
                cluster.supervisor.terminate(self._slot(fault), "term")
            case "pause":
                cluster.supervisor.pause(self._slot(fault), fault.seconds)
            case "scale":
                self._scale(fault)
            case "rolling_restart":
                self._restart_all()
            case "broker_restart":
                cluster.on_broker.submit(cluster.broker.restart).result()
            case "broker_kill":
                cluster.on_broker.submit(self._crash_broker, fault.seconds).result()
            case "redis_stop":
                cluster.on_redis.submit(self._stop_redis, fault.seconds).result()
            case "cut":
                self._while(
                    fault, lambda proxy: proxy.silent() if fault.silent else proxy.refused()
                )
            case "slow_network":
                self._while(fault, lambda proxy: proxy.slow(fault.latency_ms, fault.jitter_ms))
            case "promote":
                # Reference data that no other promotion of the run has had.
                cluster.promote(fault.model, 1_000 * self.plan.seed + number)
            case "changelog_lost":
                cluster.lose_changelog()
            case "dead_letters_full":
                cluster.fill_dead_letters()
            case "poison":
                with cluster.source_turn:
                    sent = cluster.poison.send(1_000 * self.plan.seed + number)
                self.say(f"{sent} records that nobody can use have been sent")
            case "open_transaction":
                assert fault.partition is not None, fault
                leave_open(cluster.broker, cluster.source, fault.partition, fault.seconds)
            case "offsets_reset":
                self._reset_offsets(fault)
            case "partitions_added":
                with cluster.source_turn:
                    add_partitions(cluster.broker, cluster.source)
            case "source_recreated":
                cluster.make_source_again(self.is_traffic_over, self.say)
            case "broker_loss":
                cluster.on_broker.submit(self._lose_broker, fault).result()
            case "disk_full":
                cluster.on_broker.submit(self._fill_disk, fault.seconds).result()
            case "brokers_away":
                cluster.on_broker.submit(self._lose_two_brokers, fault).result()
            case "clock_jump" | "clock_skew":
                pass  # the traffic knows the plan

    def _slot(self, fault: Fault) -> Slot:
        """Return the worker it is meant for, or another one of the role if that isn't there."""
        assert fault.role is not None and fault.worker is not None, fault
        running = self.cluster.supervisor.wait_running(fault.role)
        slot = running[fault.worker % len(running)]
        if slot.number != fault.worker:
            self.say(f"{fault.kind} hits {slot.name}, as {fault.target} is not running")
        return slot

    def _scale(self, fault: Fault) -> None:
        assert fault.role is not None, fault
        supervisor = self.cluster.supervisor
        supervisor.scale(fault.role, 1)
        _wait(fault.seconds / 2)
        supervisor.scale(fault.role, MOST_WORKERS)
        _wait(fault.seconds / 2)
        supervisor.scale(fault.role, BASE_WORKERS[fault.role])

    def _reset_offsets(self, fault: Fault) -> None:
        """Stop every INGEST worker, change what the group has committed, and start them again.

        The brokers refuse that of a group with members, and another fault may have started some.
        """
        supervisor = self.cluster.supervisor

        def changed() -> bool:
            if any(slot.wanted for slot in supervisor.slots if slot.role == "ingest"):
                supervisor.scale("ingest", 0)
            if supervisor.running("ingest"):
                return False
            with self.cluster.source_turn:
                return reset_offsets(
                    self.cluster.broker, self.cluster.group, self.cluster.source, gone=fault.gone
                )

        wait_until(changed, seconds=_RESET_SECONDS, what="the group's offsets are changed")
        self.say("the group's offsets have been changed")
        supervisor.scale("ingest", BASE_WORKERS["ingest"])

    def _restart_all(self) -> None:
        """Restart worker after worker as a Deployment does: the next once the new one is ready.

        Those that hold up no window come last, and the span is without them.
        """
        asked = time.time()
        self._restart("ingest", "detect")
        ended = time.time()
        self.spans.append(Span("rolling_restart", asked, asked, ended, ended))
        self._restart("outcomes", "notify", "ledger")

    def _restart(self, *roles: Role) -> None:
        supervisor = self.cluster.supervisor
        for slot in [slot for role in roles for slot in supervisor.running(role)]:
            old = slot.child
            supervisor.terminate(slot, "rolling restart")
            wait_until(
                lambda slot=slot, old=old: (  # type: ignore[misc]
                    slot.child not in (None, old) and healthy(slot, "/readyz")
                ),
                seconds=_REPLACED_SECONDS,
                what=f"{slot.name} is replaced by one that is ready",
            )
            self.say(f"{slot.name} has been restarted and is ready")

    def _crash_broker(self, seconds: float) -> None:
        broker = self.cluster.broker
        self._away("broker_kill", broker.kill, seconds, broker.start)

    def _lose_broker(self, fault: Fault) -> None:
        """Kill the broker that has a part, and go on once it has caught up again."""
        cluster = self._brokers()
        assert fault.part is not None and fault.partition is not None, fault
        broker = self.cluster.broker_of(fault.part, fault.partition)
        self.say(f"{fault.kind} hits broker {broker.id}")
        self._away(fault.kind, broker.kill, fault.seconds, lambda: _return(cluster, broker))

    def _fill_disk(self, seconds: float) -> None:
        cluster = self._brokers()
        broker = cluster.small_disk_broker
        assert broker.disk is not None
        disk = broker.disk

        def fill() -> None:
            disk.fill()
            wait_until(
                broker.has_ended,
                seconds=_DISK_SECONDS,
                what=lambda: f"broker {broker.id} ends, its disk full\n{broker.tail()}",
            )
            broker.kill()
            self.say(f"broker {broker.id} has ended, its disk full")

        def come_back() -> None:
            disk.free()
            _return(cluster, broker)

        self._away("disk_full", fill, seconds, come_back)

    def _lose_two_brokers(self, fault: Fault) -> None:
        """Kill all brokers but one, and see that workers say which topics can't be written."""
        cluster = self._brokers()
        assert fault.partition is not None, fault
        lost = [one for number, one in enumerate(cluster.brokers) if number != fault.partition]

        def kill() -> None:
            for broker in lost:
                broker.kill()

        asked = time.time()
        kill()
        began = time.time()
        self._look_for_unwritable(fault.seconds)
        _wait(began + fault.seconds - time.time())
        ended = time.time()
        _return(cluster, *lost)
        self.spans.append(Span(fault.kind, asked, began, ended, time.time()))

    def _look_for_unwritable(self, seconds: float) -> None:
        supervisor = self.cluster.supervisor
        lacking: dict[str, list[str]] = {}

        def all_say_so() -> bool:
            lacking.clear()
            for slot in (one for role in ROLES for one in supervisor.running(role)):
                said = readiness(slot)
                topics = self.cluster.unwritable(slot.role)
                missing = [t for t in topics if f"topic {t} can't be written" not in said]
                if missing:
                    lacking[slot.name] = [*missing, said]
            return not lacking

        began = time.time()
        try:
            wait_until(all_say_so, seconds=seconds, what="every worker names its topics")
        except AssertionError:
            self.findings.extend(
                f"{name} did not say on /readyz within {seconds:.0f} s that {', '.join(topics)} "
                f"can't be written; it says {said}"
                for name, (*topics, said) in lacking.items()
            )
        else:
            took = time.time() - began
            self.say(f"every worker names the topics that can't be written, after {took:.1f} s")

    def _brokers(self) -> KafkaCluster:
        assert isinstance(self.cluster.broker, KafkaCluster), "there is only one broker"
        return self.cluster.broker

    def _stop_redis(self, seconds: float) -> None:
        redis = self.cluster.redis
        self._away("redis_stop", redis.stop, seconds, redis.start)

    def _away(
        self, what: str, stop: Callable[[], None], seconds: float, start: Callable[[], None]
    ) -> None:
        asked = time.time()
        stop()
        began = time.time()
        _wait(seconds)
        ended = time.time()
        start()
        self.spans.append(Span(what, asked, began, ended, time.time()))

    def _while(self, fault: Fault, toxic: Callable[[Proxy], AbstractContextManager[None]]) -> None:
        with ExitStack() as stack:
            for proxy in self._proxies(fault):
                stack.enter_context(toxic(proxy))
            _wait(fault.seconds)

    def _proxies(self, fault: Fault) -> Sequence[Proxy]:
        proxies = self.cluster.proxies
        if fault.role is None:
            return proxies["redis"]
        if fault.worker is None:
            names = [f"{fault.role}-{number}" for number in range(MOST_WORKERS)]
            return [proxy for name in names for proxy in proxies[name]]
        return proxies[fault.target]


def _return(cluster: KafkaCluster, *brokers: KafkaBroker) -> None:
    """Start brokers again, and return once they have caught up."""
    for broker in brokers:
        broker.launch()
    for broker in brokers:
        broker.wait_ready()
    cluster.wait_whole()


def _wait(seconds: float) -> None:
    threading.Event().wait(max(0.0, seconds))
