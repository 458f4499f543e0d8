"""DETECT as a Faust application: ties the fold of ``windows`` to the stream, store and producer.

A stream task folds record after record into memory; windows close there, at the record that makes
them due. One :class:`Committer` publishes what that led to, saves checkpoints and acknowledges.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from faust.types import TP, StreamT

from tidegauge.alerting import RuleSet
from tidegauge.baseline.io import BaselineCache
from tidegauge.config import Settings
from tidegauge.contract import Action, counted, source_of
from tidegauge.kafka import KafkaException, Offsets, PartitionReader
from tidegauge.roles.detect.broker_watch import BrokerWatch
from tidegauge.roles.detect.faust_store import JoinStore, make_app
from tidegauge.roles.detect.intake import Intake
from tidegauge.roles.detect.observe import Observer
from tidegauge.roles.detect.observe_outcomes import OutcomeObserver
from tidegauge.roles.detect.outcome_closer import OutcomeCloser
from tidegauge.roles.detect.status import Lifecycle, MissingBaselines, OutputStatus, SliceFailures
from tidegauge.roles.detect.window_closer import BaselineSupply, WindowCloser
from tidegauge.roles.detect.writer import Committer, Writer, unsound_versions
from tidegauge.telemetry import DetectMetrics, Health, RecordFaults
from tidegauge.windows import DriftDetector, PartitionState, RawRecord

log = logging.getLogger(__name__)

TABLE = "windows"


class Detector:
    """DETECT as a Faust application."""

    def __init__(
        self,
        settings: Settings,
        *,
        partitions: int,
        rules: Callable[[], RuleSet],
        baselines: BaselineCache,
        metrics: DetectMetrics,
        health: Health,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._metrics = metrics
        self.health = health
        self._baselines = BaselineSupply(baselines, clock)
        self._observer = Observer(metrics)
        self._missing_baselines = MissingBaselines(metrics, health, baselines, clock)
        self._lifecycle = Lifecycle()
        self._output_status = OutputStatus(metrics, health, clock)
        self.offsets = Offsets(settings.kafka, settings.detect.app_id)
        self.progress = health.progress("detect", done="joined")
        #: Whether this process has ever joined the group, with partitions or without.
        self._has_joined = False
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self.app = make_app(settings, partitions)
        raw = {"key_type": bytes, "value_type": bytes}
        histograms = self.app.topic(
            settings.topics.histograms, key_serializer="raw", value_serializer="raw", **raw
        )
        table = self.app.Table(TABLE, partitions=partitions, **raw)
        self._changelog_topic: str = table.changelog_topic_name
        self.store = JoinStore(
            "memory://",
            self.app,
            table,
            reader=PartitionReader(
                settings.kafka, f"{settings.detect.app_id}-readback", self._changelog_topic
            ),
            make=self._make_state,
            on_ready=self._on_ready,
            on_read=self.progress.moved,  # reading back a long changelog is no stall
            skipped=self._changelog_skipped,
        )
        table._data = self.store
        table.key_serializer = table.value_serializer = "raw"
        self._counted_rules: RuleSet | None = None
        self._active_rules()
        topics = (settings.topics.histograms, self._changelog_topic)
        self._faults = RecordFaults(metrics.records_set_aside, health, topics)
        drift_detector = DriftDetector(settings.alarms_of)
        failures = SliceFailures(metrics, health)
        self._closer = WindowCloser(
            settings,
            rules=self._active_rules,
            drift_detector=drift_detector,
            baselines=self._baselines,
            metrics=metrics,
            observer=self._observer,
            lifecycle=self._lifecycle,
            failures=failures,
            clock=clock,
        )
        self._outcome_observer = OutcomeObserver(metrics)
        self._outcome_closer = OutcomeCloser(
            settings,
            baselines=self._baselines,
            metrics=metrics,
            observer=self._outcome_observer,
            failures=failures,
            rules=self._active_rules,
        )
        self.intake = Intake(
            settings, self.store, self.offsets, metrics, self._faults, fold=self._fold
        )
        self.broker_watch = BrokerWatch(
            self.app,
            self.store,
            self.intake,
            self.offsets,
            topic=settings.topics.histograms,
            changelog_topic=self._changelog_topic,
            metrics=metrics,
            health=health,
            progress=self.progress,
            clock=clock,
            rewind=self._rewind,
        )
        self._writer = Writer(
            self.app,
            self._changelog_topic,
            self.offsets,
            baselines=baselines,
            source=source_of(settings.detect.app_id),
            mode=settings.topics.cloudevents,
            unsound=self._unsound_versions,
            on_refused=self._output_status.refused,
        )
        self._committer = Committer(
            settings,
            self.store,
            self._writer,
            lock=self.intake.lock,
            keep_baselines=drift_detector.keep,
            clock=clock,
        )
        self.app.agent(histograms, concurrency=1, name="tidegauge.join")(self._join)
        self.app.task(self._commit_forever)

    def _active_rules(self) -> RuleSet:
        """Return the rules for the next windows; of new ones, every counter begins at 0."""
        rules = self._rules()
        if rules is not self._counted_rules:
            for rule in rules.rules:
                for event in rule.events:
                    for severity in rule.severities:
                        self._metrics.alerts.labels(rule.name, severity, event)
            self._counted_rules = rules
        return rules

    def _unsound_versions(self, action: Action) -> dict[str, str]:
        slices = (
            (where, its.alerts)
            for state in self.store.partitions.values()
            for where, its in state.slices.items()
        )
        return unsound_versions(slices, action, self._active_rules())

    def _make_state(self, partition: int) -> PartitionState:
        return PartitionState(
            partition=partition,
            window_of=self._settings.window_of,
            idle_seconds=self._settings.ingest.idle_seconds,
            retention_of=lambda model: float(self._settings.outcomes_of(model).retention_seconds),
        )

    def _changelog_skipped(self, partition: int, offset: int, why: str) -> None:
        place = f"{self._changelog_topic}/{partition} at offset {offset}"
        self._faults.skipped(place, f"no state: {why}")

    def _on_ready(self, state: PartitionState) -> None:
        self.intake.needs_gap_check(state.partition)
        self._observer.restored(state)
        self.report_owned()
        log.info(
            "partition %d restored: %s", state.partition, counted(len(state.windows), "window")
        )

    def report_owned(self) -> None:
        """Report the owned partitions; a worker without any is ready to take over as well."""
        self._has_joined = True
        if unread := self.store.unread:
            detail = f"reads back the state of partitions {unread}"
            if self.store.problem:
                detail = f"{detail}, which doesn't go on: {self.store.problem}"
            self.health.report("detect", "failed", detail)
        else:
            owned = sorted(self.store.partitions)
            self._lifecycle.owned(owned)
            self.health.report("detect", "ok", f"owns partitions {owned}")

    # -- input -----------------------------------------------------------------------------------

    async def _join(self, stream: StreamT) -> None:
        async for event in stream.noack().events():
            message = event.message
            value = event.value or b""
            try:
                state = await self.intake.receive(message.partition, message.offset, value)
            except KafkaException as error:
                log.warning("partition %d can't be read: %s", message.partition, error)
                state = None
            # A record that wasn't taken is read before the next one: the saved progress decides
            # what is read next, not the acknowledged offsets, which would never get past a hole.
            state = state or self.store.partitions.get(message.partition)
            if state is not None:
                state.joined.append(event)
                self._committer.joined(len(value))

    async def _fold(self, state: PartitionState, record: RawRecord, offset: int) -> None:
        try:
            joined = state.join(record, offset)
        except Exception as error:  # nothing of it was joined
            state.skip(offset)
            self._quarantine(state, offset, error)
            return
        self.progress.moved()
        self._observer.joined(state, record, joined)
        self._missing_baselines.counted(state.partition, record.cells)
        # The last record of a flush has the clocks; before it, its ranges lag behind its cells.
        if record.clocks:
            try:
                if record.of_outcomes:
                    await self._outcome_closer.advance(state)
                else:
                    await self._closer.advance(state)
            except Exception as error:  # due windows are tried again with the next record
                self._quarantine(state, offset, error)

    def _quarantine(self, state: PartitionState, offset: int, error: Exception) -> None:
        topic = self._settings.topics.histograms
        self._faults.quarantined(f"{topic}/{state.partition} at offset {offset}", error)

    async def watch_brokers(self) -> None:
        """Report lag and missing topics from the start on, until :meth:`stop`.

        An application's own tasks begin only once it has joined the group, which is too late.
        """
        await self.broker_watch.run(self._stopping)

    async def _rewind(self, partition: int, offset: int) -> None:
        """Make the stream continue at an offset, and the next commit save a checkpoint."""
        self._committer.save_soon()
        consumer: Any = self.app.consumer
        await consumer.read_from(TP(self._settings.topics.histograms, partition), offset)

    # -- committing ------------------------------------------------------------------------------

    async def _commit_forever(self) -> None:
        try:
            while not self._stopping.is_set():
                await self._commit()
                self.health.beat("detect")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(
                        self._stopping.wait(), timeout=self._settings.detect.publish_seconds
                    )
            await self._commit(last=True)
        finally:
            self._stopped.set()

    async def _commit(self, *, last: bool = False) -> None:
        await self._committer.commit(last=last)
        partitions = set(self.store.partitions)
        self._observer.owned(partitions)
        self._outcome_observer.owned(partitions)
        self._missing_baselines.check(partitions)
        if self._has_joined:
            self.report_owned()
        waiting = self._baselines.awaited()
        detail = f"windows wait for baselines {', '.join(waiting)}" if waiting else ""
        self.health.report("windows", "degraded" if waiting else "ok", detail)
        self._output_status.check(self._writer.unsaved, partitions)

    async def stop(self) -> None:
        """Publish and save everything, acknowledge the input, and leave the group.

        Raises ``RuntimeError`` if the application has crashed, as it can't be stopped then.
        """
        self._stopping.set()
        await self._stopped.wait()
        if self.app.crashed:
            raise RuntimeError("the Faust application crashed while stopping; see the log")
        await self.app.stop()
        self.offsets.close()
