"""A worker process: the roles it runs, what they share, and how they stop."""

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NoReturn

from prometheus_client import CollectorRegistry

import tidegauge
from tidegauge.baseline.io import BaselineCache, BaselineStore
from tidegauge.config import Settings
from tidegauge.counting import WITHOUT_NATIVE, is_installed
from tidegauge.kafka import AclRole, KafkaException, Topics, TopicWatch, retry, topic_specs
from tidegauge.roles.active_config import ActiveConfig, ActiveRules, ConfigPublisher
from tidegauge.roles.ingest import Combiner, IngestState, LabelState, route_labels
from tidegauge.roles.ledger import Acknowledged, Ledger
from tidegauge.roles.outcomes import Outcomes
from tidegauge.telemetry import (
    BaselineMetrics,
    CommonMetrics,
    ConditionCollector,
    DetectMetrics,
    Health,
    HttpServer,
    IngestMetrics,
    LabelMetrics,
    LedgerMetrics,
    NotifyMetrics,
    OutcomeMetrics,
    RecordFaults,
    record_metrics,
)

if TYPE_CHECKING:
    from tidegauge.roles.notify import Notifier

log = logging.getLogger(__name__)

Role = Literal["all", "ingest", "outcomes", "detect", "notify", "ledger"]

_ALL: tuple[AclRole, ...] = ("ingest", "outcomes", "detect", "ledger", "notify")

#: How often the process checks its rules, receivers and baselines, seconds.
_WATCH_SECONDS = 0.25

#: How often the worker checks, and reports, what it waits for at start.
_RETRY_SECONDS = 2.0

#: A batch is thousands of messages, so by the default of 700 the collector would walk through
#: batches that are about to be freed anyway, and with every tenth of them through more: a fifth of
#: INGEST's time. Counting leaves no cycles; what else does has hundreds of objects, not millions.
COLLECT_AFTER = 50_000

#: A pod has 30 s from SIGTERM to SIGKILL. What the brokers don't answer INGEST gives up before.
_STOP_SECONDS = 24.0


class NotReadyError(Exception):
    """Something that the worker needs at start isn't there yet."""


class DetectError(RuntimeError):
    """DETECT can't go on in this process."""


class Worker:
    """Runs the roles of one process until :meth:`stop` or a failure that needs a restart."""

    def __init__(self, settings: Settings, role: Role) -> None:
        self._settings = settings
        self._rules = ActiveRules(
            settings.detect.rules_file, time.monotonic, dry_run=settings.actions.mode == "dry_run"
        )
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        registry = CollectorRegistry()
        self._registry = registry
        self.health = Health(clock=time.monotonic, stall_seconds=settings.health.stall_seconds)
        self._baselines = BaselineCache(
            BaselineStore(
                settings.redis.url,
                password=settings.redis.plain_password,
                prefix=settings.redis.prefix,
            ),
            settings.redis.refresh_seconds,
        )
        self._metrics = CommonMetrics(registry, role)
        ConditionCollector(registry, role, self.health)
        # Set before the HTTP server starts: a role without a condition would count as ready.
        self._roles: tuple[AclRole, ...] = (role,) if role != "all" else _ALL
        if role == "all" and settings.notify.receivers_file is None:
            self._roles = tuple(one for one in _ALL if one != "notify")
        self._needs_baselines = not {"ingest", "detect"}.isdisjoint(self._roles)
        if self._needs_baselines:
            common = BaselineMetrics(registry)
            common.baseline_store_up.set_function(lambda: float(self._baselines.up))
            common.baseline_age.set_function(lambda: self._baselines.age_seconds)
            common.baselines_promoted.set_function(lambda: float(self._baselines.stored))
            common.baselines_unusable.set_function(lambda: float(len(self._baselines.problems)))
        topics = (settings.topics.configuration,)
        faults = RecordFaults(record_metrics(registry), self.health, topics)
        self._publisher = ConfigPublisher(settings, stop=self._stop, faults=faults)
        self._notifier = self._make_notifier() if "notify" in self._roles else None
        self._threads: list[threading.Thread] = []
        self._topic_watch = TopicWatch(
            settings, self._roles, metrics=self._metrics, health=self.health, stop=self._stop
        )
        for name in ("kafka", *self._roles):
            self.health.report(name, "failed", "not started yet")
        self.http = HttpServer(settings.http.host, settings.http.port, registry, self.health)

    def _make_notifier(self) -> "Notifier":
        path = self._settings.notify.receivers_file
        if path is None:
            raise ValueError(
                "role notify has nobody to deliver to; name a file of receivers by "
                "notify.receivers_file (TIDEGAUGE_NOTIFY__RECEIVERS_FILE)"
            )
        # Only processes that deliver import it.
        from tidegauge.roles.notify import Notifier

        def failed(error: BaseException) -> None:
            self._failure = error
            self._stop.set()

        return Notifier(
            self._settings,
            path,
            metrics=NotifyMetrics(self._registry),
            health=self.health,
            failed=failed,
            in_force=self._publisher.enqueue,
        )

    def stop(self) -> None:
        """Ask the worker to stop; safe from a signal handler and from any thread."""
        self._stop.set()

    def run(self) -> None:
        """Work until stopped; raises what made a role fail, so that the process is restarted."""
        if self._needs_baselines:
            self._baselines.start()
        try:
            self._await_topics()
            self._start("topics", self._topic_watch.run)
            if not self._stop.is_set():
                self._start_roles()
            while not self._stop.is_set():
                self._watch()
                self._stop.wait(_WATCH_SECONDS)
        finally:
            self._stop.set()
            if self._notifier is not None:
                self._notifier.close()
            for thread in self._threads:
                thread.join()
            if self._needs_baselines:
                self._baselines.stop()
            self.http.stop()
        if self._failure is not None:
            raise self._failure

    def _start_roles(self) -> None:
        if not {"detect", "notify"}.isdisjoint(self._roles):
            self._start("announcements", self._publisher.run)
        if self._notifier is not None:
            self._notifier.start()
        if "ingest" in self._roles:
            self._start_ingest()
        if "outcomes" in self._roles:
            outcomes = Outcomes(
                self._settings, OutcomeMetrics(self._registry), self.health, self._stop
            )
            self._start("outcomes", outcomes.run)
        if "ledger" in self._roles:
            metrics = LedgerMetrics(self._registry)
            roles: dict[str, type[Ledger | Acknowledged]] = {
                "ledger": Ledger,
                "acknowledgements": Acknowledged,
            }
            for name, role in roles.items():
                work = role(self._settings, metrics=metrics, health=self.health, stop=self._stop)
                self._start(name, work.run)
        if "detect" in self._roles and not self._stop.is_set():
            # No asyncio.run: after a crash of Faust's it would wait for tasks that never end.
            self._publish_rules()
            asyncio.new_event_loop().run_until_complete(self._detect())

    def _await_topics(self) -> None:
        """Wait for the brokers and the topics, which may be starting too.

        Not for those of labels: an installation of before them goes on counting, and the condition
        ``topic_settings`` says what to make.
        """
        its = self._settings.topics
        names = {spec.name for spec in topic_specs(self._settings)}
        names -= {its.labels, its.outcomes, its.performance}

        def check() -> None:
            try:
                missing = sorted(names - Topics(self._settings).partitions().keys())
            except KafkaException as error:
                raise NotReadyError(
                    f"no answer from {self._settings.kafka.bootstrap_servers} ({error.args[0]}); "
                    "is the broker up, and kafka.bootstrap_servers right?"
                ) from error
            if missing:
                raise NotReadyError(
                    f"topics missing: {', '.join(missing)}; make them with: tidegauge topics create"
                )
            self.health.report("kafka", "ok")

        def failed(problem: object) -> None:
            self.health.report("kafka", "failed", str(problem))
            log.warning("waiting: %s", problem)

        retry(check, self._stop, errors=(NotReadyError,), failed=failed, wait=_RETRY_SECONDS)

    def _watch(self) -> None:
        if "detect" in self._roles:
            if self._rules.look():
                self._publish_rules()
            problems = self._rules.problems
            before = "invalid rule file; the previous rules stay active"
            detail = f"{before}: {'; '.join(problems)}" if problems else ""
            self.health.report("rules", "degraded" if problems else "ok", detail)
        if self._notifier is not None:
            self._notifier.look()
        if not self._needs_baselines:
            return
        cache = self._baselines
        if cache.up:
            problem = cache.error
            self.health.report("baselines", "degraded" if problem else "ok", problem or "")
        else:
            self.health.report(
                "baselines",
                "degraded",
                f"store down, those read {cache.age_seconds:.0f} s ago are in force: {cache.error}",
            )

    def _start_ingest(self) -> None:
        state = IngestState(
            self._settings,
            promoted=lambda: self._baselines.promoted,
            baselines_age=lambda: self._baselines.age_seconds,
            metrics=IngestMetrics(self._registry),
            health=self.health,
        )
        combiner = Combiner(state, self._stop)
        if not is_installed():
            log.warning("%s", WITHOUT_NATIVE)

        def run() -> None:
            # Kafka keeps the events meanwhile; after that, counts without bins beat none.
            self._await_baselines()
            combiner.run()

        self._start("ingest", run)
        labels = LabelState(
            self._settings,
            promoted=lambda: self._baselines.promoted,
            baselines_age=lambda: self._baselines.age_seconds,
            metrics=LabelMetrics(self._registry),
            health=self.health,
            stop=self._stop,
            events_waiting=lambda: state.waiting,
        )

        def run_labels() -> None:
            # Labels wait as long as it takes: without baselines nobody knows what they are.
            while not self._stop.is_set() and not self._baselines.wait_loaded(_RETRY_SECONDS):
                labels.report("degraded", "waiting for the baseline store")
            route_labels(labels)

        self._start("labels", run_labels)

    def _start(self, name: str, work: Callable[[], None]) -> None:
        """Work in a thread of its own; its end, good or bad, is that of the process."""

        def run() -> None:
            try:
                work()
            except BaseException as error:
                log.exception("%s failed", name)
                self._failure = error
            finally:
                self._stop.set()

        thread = threading.Thread(target=run, name=name)
        thread.start()
        self._threads.append(thread)

    def _publish_rules(self) -> None:
        rules = self._rules.rules
        self._publisher.enqueue(ActiveConfig.of("rules", rules.source, rules.rules, rules.sha256))

    def _await_baselines(self) -> None:
        deadline = time.monotonic() + self._settings.redis.start_timeout_seconds
        while not self._stop.is_set() and not self._baselines.wait_loaded(_RETRY_SECONDS):
            if time.monotonic() > deadline:
                log.warning("counting without baselines: %s", self._baselines.error)
                return
            log.warning("waiting for the baseline store: %s", self._baselines.error)

    async def _detect(self) -> None:
        # Faust and its dependencies take 40 MB, which an INGEST process doesn't need.
        from tidegauge.roles.detect import Detector

        histograms = self._settings.topics.histograms
        metrics = DetectMetrics(self._registry)
        metrics.rules_file_ok.set_function(lambda: float(not self._rules.problems))
        detector = Detector(
            self._settings,
            partitions=Topics(self._settings).partitions()[histograms],
            rules=lambda: self._rules.rules,
            baselines=self._baselines,
            metrics=metrics,
            health=self.health,
            clock=time.monotonic,
        )
        self.health.report("detect", "failed", "joining the consumer group")
        # Faust's start ends once the group is joined, which may take long; a stop must not wait.
        starting = asyncio.ensure_future(detector.app.start())
        watching = asyncio.ensure_future(detector.watch_brokers())
        while not self._stop.is_set() and not starting.done():
            if watching.done():
                watching.result()
            self.health.beat("detect")
            self._watch()
            await asyncio.sleep(_WATCH_SECONDS)
        if not starting.done():
            return
        await starting
        detector.report_owned()
        while not self._stop.is_set():
            # A crashed application is not stopped but abandoned: the next process reads again the
            # records that it had not acknowledged.
            if detector.app.should_stop:
                raise DetectError("the Faust application has crashed; see the log")
            if watching.done():
                watching.result()
            self._watch()
            await asyncio.sleep(_WATCH_SECONDS)
        watching.cancel()  # it may be waiting for brokers that don't answer
        await detector.stop()


def collect_seldom() -> None:
    """Exclude the imported modules, and look for cycles only after ``COLLECT_AFTER`` objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


def run_worker(settings: Settings, role: Role) -> NoReturn:
    """Run a worker in the main thread; SIGTERM and SIGINT stop it in good order.

    Ends the process.
    """
    collect_seldom()
    worker = Worker(settings, role)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop(worker))
    log.info(
        "tidegauge %s starts: role %s, http on port %d, Kafka at %s",
        tidegauge.__version__,
        role,
        worker.http.port,
        settings.kafka.bootstrap_servers,
    )
    try:
        worker.run()
    except Exception:
        log.critical("ending, so that a new process can take over", exc_info=True)
        _exit_at_once(1)
    log.info("tidegauge %s stopped: role %s, everything is committed", tidegauge.__version__, role)
    # Python would wait for threads that Faust has left, and for
    # clients of librdkafka to be destroyed, which may take for ever, and no timer runs by then.
    _exit_at_once(0)


def _stop(worker: Worker) -> None:
    """Ask a worker to stop; the process ends after a while in any case."""
    # No log line: a signal may come while this thread holds the log's lock.
    worker.stop()
    late = threading.Timer(_STOP_SECONDS, _give_up)
    late.daemon = True
    late.start()


def _give_up() -> None:
    log.critical(
        "not stopped within %g s, ending now: records that are not committed are read again",
        _STOP_SECONDS,
    )
    _exit_at_once(1)


def _exit_at_once(code: int) -> NoReturn:
    """End the process, whatever threads are alive."""
    logging.shutdown()
    os._exit(code)
