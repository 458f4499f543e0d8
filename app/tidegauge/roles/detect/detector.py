"""The thin shell of DETECT: Faust's stream in, the output topics and the changelog out.

A stream task folds record after record into memory; windows close there, at the record that makes
them due. One committer, every ``publish_seconds``, publishes what that led to. Every
``checkpoint_seconds`` it then writes what changed to the changelog, waits for the brokers' word,
and only then acknowledges the input. After a crash the fold begins again at the last checkpoint,
and what it publishes again has the same bytes.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from typing import Any, TypeVar

from faust.types import TP, EventT, StreamT

from tidegauge.alerting import RuleSet
from tidegauge.config import Settings
from tidegauge.contract import Action, counted, source_of
from tidegauge.kafka import ChangelogReader, KafkaException
from tidegauge.roles.detect.action_details import Pointers, unsound_versions
from tidegauge.roles.detect.baselines import BaselineOf, BaselineSupply, RefusedWhy
from tidegauge.roles.detect.failures import SliceFailures
from tidegauge.roles.detect.faust_store import JoinStore
from tidegauge.roles.detect.histogram_topic import HistogramTopic
from tidegauge.roles.detect.intake import Intake
from tidegauge.roles.detect.lag import InputLag
from tidegauge.roles.detect.late import LateLog
from tidegauge.roles.detect.lifecycle import Lifecycle
from tidegauge.roles.detect.missing_baselines import MissingBaselines
from tidegauge.roles.detect.observe import Observer
from tidegauge.roles.detect.offsets import Offsets
from tidegauge.roles.detect.transport import make_app
from tidegauge.roles.detect.window_closer import close_passed
from tidegauge.roles.detect.writer import Writer
from tidegauge.telemetry import DetectMetrics, Health, RecordFaults
from tidegauge.windows import (
    Changelog,
    Checkpoint,
    Closing,
    DriftDetector,
    InactivityCheck,
    Output,
    PartitionState,
    RawRecord,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

TABLE = "windows"

#: Input that waits for a checkpoint is held in memory; with more than this it is made at once.
UNSAVED_BYTES = 32 * 1024 * 1024

#: How long it is said that an output was too large for its topic.
REFUSED_SECONDS = 600.0

#: How often the brokers are asked for the ends of the input.
LAG_SECONDS = 5.0


class Detector:
    """DETECT as a Faust application."""

    def __init__(
        self,
        settings: Settings,
        *,
        partitions: int,
        rules: Callable[[], RuleSet],
        baseline_of: BaselineOf,
        pointers: Pointers,
        metrics: DetectMetrics,
        health: Health,
        clock: Callable[[], float],
        refused: RefusedWhy = lambda _: None,
        baselines_known: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._watch = DriftDetector(settings.alarms_of)
        self._baselines = BaselineSupply(baseline_of, clock, refused=refused)
        self._metrics = metrics
        self._observer = Observer(metrics)
        self._missing_baselines = MissingBaselines(
            metrics, health, pointers=pointers, known=baselines_known, clock=clock
        )
        self._lifecycle = Lifecycle()
        self._late = LateLog(clock)
        self._health = health
        self._clock = clock
        self._offsets = Offsets(settings.kafka, settings.detect.app_id)
        self._progress = health.progress("detect", done="joined")
        self._saved_at = clock()
        self._unsaved_bytes = 0
        #: When an output was last too large for its topic.
        self._refused_at = math.inf
        #: Whether this process has ever had its share of the partitions, be it none.
        self._has_joined = False
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self.app = make_app(settings, partitions)
        raw = {"key_type": bytes, "value_type": bytes}
        self._input = self.app.topic(
            settings.topics.histograms, key_serializer="raw", value_serializer="raw", **raw
        )
        self._table = self.app.Table(TABLE, partitions=partitions, **raw)
        self._store = JoinStore(
            "memory://",
            self.app,
            self._table,
            reader=ChangelogReader(
                settings.kafka, settings.detect.app_id, self._table.changelog_topic_name
            ),
            make=self._make_state,
            on_ready=self._on_ready,
            on_read=self._progress.moved,  # reading back a long changelog is no stall
            skipped=self._changelog_skipped,
        )
        self._table._data = self._store
        self._table.key_serializer = self._table.value_serializer = "raw"
        self._counted_rules: RuleSet | None = None
        self._rules_in_force()
        topics = (settings.topics.histograms, self._table.changelog_topic_name)
        self._faults = RecordFaults(metrics.records_set_aside, health, topics)
        self._failures = SliceFailures(metrics, health)
        self._intake = Intake(
            settings, self._store, self._offsets, metrics, self._faults, fold=self._fold
        )
        self._histograms = HistogramTopic(
            settings.topics.histograms,
            offsets=self._offsets,
            intake=self._intake,
            metrics=metrics,
            health=health,
            clock=clock,
            rewind=self._rewind,
        )
        self._writer = Writer(
            self.app,
            self._table.changelog_topic_name,
            self._offsets,
            pointers=pointers,
            source=source_of(settings.detect.app_id),
            mode=settings.topics.cloudevents,
            unsound=self._unsound_versions,
            on_refused=self._on_refused,
        )
        self.app.agent(self._input, concurrency=1, name="tidegauge.join")(self._join)
        self.app.task(self._commit_forever)

    def _rules_in_force(self) -> RuleSet:
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
            for state in self._store.partitions.values()
            for where, its in state.slices.items()
        )
        return unsound_versions(slices, action, self._rules_in_force())

    def _make_state(self, partition: int) -> PartitionState:
        return PartitionState(
            partition=partition,
            window_of=self._settings.window_of,
            idle_seconds=self._settings.ingest.idle_seconds,
        )

    def _changelog_skipped(self, partition: int, offset: int, why: str) -> None:
        topic = self._table.changelog_topic_name
        self._faults.skipped(topic, partition, offset, f"no state: {why}")

    def _on_ready(self, state: PartitionState) -> None:
        self._intake.needs_gap_check(state.partition)
        self._observer.restored(state)
        self.say_owned()
        log.info(
            "partition %d restored: %s", state.partition, counted(len(state.windows), "window")
        )

    def _on_refused(self, output: Output) -> None:
        self._metrics.outputs_refused.labels(output.topic).inc()
        self._refused_at = self._clock()
        detail = f"a record of {output.topic} was too large for it and is not published"
        self._health.say("outputs", "degraded", f"{detail}: key {output.key:.200}")

    def _say_unsaved(self) -> None:
        for partition in self._writer.unsaved.keys() - self._store.partitions.keys():
            del self._writer.unsaved[partition]
        problems = "; ".join(self._writer.unsaved.values())
        if problems or not self._health.is_ok("state"):
            self._health.say("state", "degraded" if problems else "ok", problems)

    def _say_no_more_of_refused(self) -> None:
        if self._clock() - self._refused_at > REFUSED_SECONDS:
            self._refused_at = math.inf
            self._health.say("outputs", "ok")

    def say_owned(self) -> None:
        """Say which partitions are ours; a worker with none is ready to take over all the same."""
        self._has_joined = True
        if unread := self._store.unread:
            detail = f"reads back the state of partitions {unread}"
            if self._store.problem:
                detail = f"{detail}, which doesn't go on: {self._store.problem}"
            self._health.say("detect", "failed", detail)
        else:
            owned = sorted(self._store.partitions)
            self._lifecycle.owned(owned)
            self._health.say("detect", "ok", f"owns partitions {owned}")

    # -- input -----------------------------------------------------------------------------------

    async def _join(self, stream: StreamT) -> None:
        async for event in stream.noack().events():
            message = event.message
            value = event.value or b""
            try:
                state = await self._intake.receive(message.partition, message.offset, value)
            except KafkaException as error:
                log.warning("partition %d can't be read: %s", message.partition, error)
                state = None
            # What wasn't taken is read before the next record, as its turn is by the progress that
            # is saved, and not by what is acknowledged: that would never get past a hole.
            state = state or self._store.partitions.get(message.partition)
            if state is not None:
                state.joined.append(event)
                self._unsaved_bytes += len(value)

    async def _fold(self, state: PartitionState, record: RawRecord, offset: int) -> None:
        try:
            counted = state.join(record, offset)
        except Exception as error:  # nothing of it was joined
            state.skip(offset)
            self._quarantine(state, offset, error)
            return
        self._progress.moved()
        self._observer.joined(state, record, counted)
        self._missing_baselines.counted(state.partition, record.cells)
        # The last record of a flush has the clocks; before it, its ranges lag behind its cells.
        if record.clocks:
            try:
                await self._advance(state)
            except Exception as error:  # what is due is tried again with the next record
                self._quarantine(state, offset, error)

    def _quarantine(self, state: PartitionState, offset: int, error: Exception) -> None:
        self._faults.quarantined(self._settings.topics.histograms, state.partition, offset, error)

    async def _advance(self, state: PartitionState) -> None:
        """Report, revise and delete what is due at this place of the log."""
        state.pass_due()
        closing = Closing(
            state,
            rules=self._rules_in_force(),
            topics=self._settings.topics,
            watch=self._watch,
            links=self._settings.links,
            failures=self._failures,
        )
        await close_passed(state, closing, self._baselines)
        for window in state.to_revise():
            closing.revise(window)
        state.expire()
        silence = InactivityCheck(
            state,
            rules=self._rules_in_force(),
            topics=self._settings.topics,
            links=self._settings.links,
            failures=self._failures,
        )
        silence.look(closing.closed)
        self._observer.passed(state, closing.closed, self._failures)
        self._lifecycle.passed(closing.closed)
        self._metrics.late_events.inc(state.late_events)
        state.late_events = 0
        self._late.note(state.late_models)
        state.late_models = {}
        for source_partition, start, to in state.twice:
            self._metrics.counted_twice.inc(to - start)
            log.error(
                "source partition %d: offsets %d to %d were counted twice, as ingest had lost "
                "both its group's offsets and the log of histograms",
                source_partition, start, to,
            )  # fmt: skip
        state.twice = []
        self._metrics.baselines_refused.inc(state.newly_refused)
        state.newly_refused = 0

    async def watch_brokers(self) -> None:
        """Say what the brokers know: input that is not taken, which is a stall; a topic missing.

        From the start on, and until :meth:`stop`: an application's own tasks begin only once it has
        joined the group.
        """
        lag = InputLag()
        while not self._stopping.is_set():
            try:
                await self._look_at_brokers(lag)
            except KafkaException:
                # An outage of the brokers is no stall.
                self._progress.lag(0)
                self._health.beat("detect")
            else:
                # Nor is a topic that can't be written: the loop that publishes waits for it.
                if not self._health.is_ok("topics"):
                    self._health.beat("detect")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), timeout=LAG_SECONDS)

    async def _look_at_brokers(self, lag: InputLag) -> None:
        changelog = self._table.changelog_topic_name
        exists = await asyncio.to_thread(self._offsets.exists, changelog)
        missing = f"{changelog} is missing: nothing is reported; `tidegauge topics create` makes it"
        self._health.say("changelog", "ok" if exists else "failed", "" if exists else missing)
        if not await self._histograms.is_there():
            self._progress.lag(0)
            return
        topic, states = self._settings.topics.histograms, self._store.partitions
        assigned = {
            tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == topic
        }
        before = self._histograms.joined(states)
        ends = await asyncio.to_thread(self._offsets.ends, topic, assigned)
        # One that is assigned but has no state is not joined at all.
        joined = {p: states[p].progress.next_offset if p in states else -1 for p in assigned}
        waiting = lag.of(ends, joined)
        await self._histograms.look(before, ends, states, waiting=waiting)
        if self.app.rebalancing:
            self._progress.lag(1, "the group is rebalancing")
        elif unread := self._store.unread:
            self._progress.lag(len(unread), f"the state of partitions {unread} is read back")
        else:
            self._progress.lag(
                sum(waiting.values()), f"partitions {sorted(waiting)} of {topic} have new records"
            )

    async def _rewind(self, partition: int, offset: int) -> None:
        """Have the stream go on at an offset, and the next pass write all there is to write."""
        self._saved_at = -math.inf
        consumer: Any = self.app.consumer
        await consumer.read_from(TP(self._settings.topics.histograms, partition), offset)

    # -- committing ------------------------------------------------------------------------------

    async def _commit_forever(self) -> None:
        try:
            while not self._stopping.is_set():
                await self._pass()
                self._health.beat("detect")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(
                        self._stopping.wait(), timeout=self._settings.detect.publish_seconds
                    )
            await self._pass(last=True)
        finally:
            self._stopped.set()

    async def stop(self) -> None:
        """Publish and save everything, acknowledge the input, and leave the group.

        Raises ``RuntimeError`` if the application has crashed: it is left, since it can't stop.
        """
        self._stopping.set()
        await self._stopped.wait()
        if self.app.crashed:
            raise RuntimeError("the Faust application crashed while stopping; see the log")
        await self.app.stop()
        self._offsets.close()

    async def _pass(self, *, last: bool = False) -> None:
        """Publish what the fold has led to; if a checkpoint is due, save it and acknowledge."""
        checkpoints: list[tuple[Changelog, Checkpoint]] = []
        acknowledged: list[EventT] = []
        await self._publish()
        if last or self._checkpoint_is_due():
            await self._wait_between_records()
            try:
                self._saved_at = self._clock()
                self._unsaved_bytes = 0
                owned = self._owned_changelogs()
                outputs = [output for it in owned for output in it.state.take_outputs()]
                for changelog in owned:
                    checkpoints.append((changelog, changelog.checkpoint()))
                    acknowledged += changelog.state.joined
                    changelog.state.joined = []
                self._watch.keep({it for one in owned for it in one.state.baselines})
            finally:
                self._intake.lock.release()
            await self._writer.publish(outputs)
        # Only now: what is saved is not folded again, so it would never be published again. All
        # partitions at once: each has one batch under way, and waits for it to be acknowledged.
        saving = asyncio.gather(*(self._writer.save(*one) for one in checkpoints))
        saved = await self._publish_until(saving)
        for (changelog, _), is_whole in zip(checkpoints, saved, strict=True):
            if not is_whole:
                log.warning("changelog partition %d was made anew", changelog.state.partition)
                changelog.begin()
                self._saved_at = -math.inf  # the next pass writes all there is
        for event in acknowledged:
            event.ack()
        self._observer.owned(set(self._store.partitions))
        self._missing_baselines.look(set(self._store.partitions))
        if self._has_joined:
            self.say_owned()
        self._say_waiting()
        self._say_no_more_of_refused()
        self._say_unsaved()

    def _owned_changelogs(self) -> list[Changelog]:
        return [it for it in self._store.changelogs.values() if it.state.ready]

    async def _publish(self) -> None:
        """Publish what there is, in the middle of a record too: other windows may close for long.

        What is published before it is saved is published again, to the same bytes, after a crash.
        """
        owned = self._owned_changelogs()
        await self._writer.publish([it for one in owned for it in one.state.take_outputs()])

    async def _wait_between_records(self) -> None:
        """Take the lock of the intake; publish on while a record is folded in."""
        taking = asyncio.ensure_future(self._intake.lock.acquire())
        try:
            await self._publish_until(taking)
        except BaseException:
            if not taking.cancel() and not taking.cancelled():
                self._intake.lock.release()
            raise

    async def _publish_until(self, done: "asyncio.Future[T]") -> T:
        """Publish every ``publish_seconds`` until something else is done; return what it gave."""
        while not done.done():
            await asyncio.wait([done], timeout=self._settings.detect.publish_seconds)
            if not done.done():
                await self._publish()
        return await done

    def _checkpoint_is_due(self) -> bool:
        waited = self._clock() - self._saved_at
        return (
            waited >= self._settings.detect.checkpoint_seconds
            or self._unsaved_bytes >= UNSAVED_BYTES
        )

    def _say_waiting(self) -> None:
        """Say once a pass which baselines windows wait for, whatever model the last one was of."""
        waiting = self._baselines.awaited()
        detail = f"windows wait for baselines {', '.join(waiting)}" if waiting else ""
        self._health.say("windows", "degraded" if waiting else "ok", detail)
