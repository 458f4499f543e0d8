"""The thin shell of DETECT: Faust's stream in, the output topics and the changelog out.

A stream task folds record after record into memory; windows close there, at the record that makes
them due. One committer, every ``publish_seconds``, publishes what that led to. Every
``checkpoint_seconds`` it then writes what changed to the changelog, waits for the brokers' word,
and only then acknowledges the input. After a crash the fold begins again at the last checkpoint,
and what it publishes again has the same bytes.
"""

import asyncio
import contextlib
import copy
import logging
import math
from collections.abc import Callable

import msgspec
from confluent_kafka import KafkaException
from faust.types import EventT, StreamT

from tidegauge.detect.baselines import BaselineOf, BaselineSupply
from tidegauge.detect.changelog import Changelog, Checkpoint
from tidegauge.detect.closing import Closing
from tidegauge.detect.lag import InputLag
from tidegauge.detect.observe import Observer
from tidegauge.detect.offsets import Offsets
from tidegauge.detect.partition import Gap, PartitionState
from tidegauge.detect.sequence import InputSequence
from tidegauge.detect.store import JoinStore
from tidegauge.detect.transport import make_app
from tidegauge.detect.values import Heard, RawRecord, Slice
from tidegauge.detect.writer import Writer
from tidegauge.rules import RuleSet
from tidegauge.settings import Settings
from tidegauge.telemetry import DetectMetrics, Health

log = logging.getLogger(__name__)

TABLE = "windows"

#: Input that waits for a checkpoint is held in memory; with more than this it is made at once.
UNSAVED_BYTES = 32 * 1024 * 1024

#: How often the brokers are asked for the ends of the input.
LAG_SECONDS = 5.0

_records = msgspec.json.Decoder(RawRecord)


class Detector:
    """DETECT as a Faust application."""

    def __init__(
        self,
        settings: Settings,
        *,
        partitions: int,
        rules: Callable[[], RuleSet],
        baseline_of: BaselineOf,
        metrics: DetectMetrics,
        health: Health,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._baselines = BaselineSupply(baseline_of, clock)
        self._metrics = metrics
        self._observer = Observer(metrics)
        self._health = health
        self._clock = clock
        #: Partitions that have been counted again since this process began.
        self._counted_again: set[int] = set()
        #: By partition of which retention has deleted unread records: what was heard before them.
        self._heard_before_hole: dict[int, dict[str, dict[int, Heard]]] = {}
        self._offsets = Offsets(settings.kafka, settings.detect.app_id)
        self._progress = health.progress("detect", done="joined")
        self._saved_at = clock()
        self._unsaved_bytes = 0
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        #: Held while a record is folded in: a checkpoint in between would be of no offset.
        self._lock = asyncio.Lock()
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
            make=self._make_state,
            on_ready=self._on_ready,
            # Reading back a long changelog is no stall.
            on_restored=self._progress.moved,
        )
        self._table._data = self._store
        self._table.key_serializer = self._table.value_serializer = "raw"
        for rule in rules().rules:
            for state in ("firing", "resolved"):
                metrics.alerts.labels(rule.name, rule.severity, state)
        self._sequence = InputSequence(
            settings.kafka, settings.detect.app_id, settings.topics.histograms
        )
        self._writer = Writer(self.app, self._table.changelog_topic_name, self._offsets)
        self.app.agent(self._input, concurrency=1, name="tidegauge.join")(self._join)
        self.app.task(self._commit_forever)
        self.app.task(self._watch_brokers)

    def _make_state(self, partition: int) -> PartitionState:
        return PartitionState(
            partition=partition,
            window_of=self._settings.window_of,
            idle_seconds=self._settings.ingest.idle_seconds,
        )

    def _on_ready(self, state: PartitionState) -> None:
        self._sequence.doubt(state.partition)
        self._observer.restored(state)
        owned = sorted(self._store.partitions)
        self._health.say("detect", "ok", f"owns partitions {owned}")
        log.info("partition %d restored: %d windows", state.partition, len(state.windows))

    # -- input -----------------------------------------------------------------------------------

    async def _join(self, stream: StreamT) -> None:
        async for event in stream.noack().events():
            message = event.message
            try:
                taken = await self._receive(message.partition, message.offset, event.value or b"")
            except KafkaException as error:
                log.warning("partition %d can't be read: %s", message.partition, error)
                continue  # what was left out is read before the next record
            if taken:
                taken.joined.append(event)
                self._unsaved_bytes += len(event.value or b"")

    async def _receive(self, partition: int, offset: int, value: bytes) -> PartitionState | None:
        """Take a record and before it what was left out; None if the partition isn't ours now."""
        while state := self._owned(partition):
            whole = not self._sequence.doubts(partition)
            if not whole and not await self._take_left_out(state, offset):
                continue
            async with self._lock:
                if await self._take(state, offset, value, nothing_left_out=not whole):
                    return state
        return None

    async def _take_left_out(self, state: PartitionState, offset: int) -> bool:
        """Take what lies before ``offset``; False if there is another state to do so by now."""
        partition = state.partition
        self._sequence.settled(partition)  # a rebalance meanwhile makes a new doubt
        left_out = self._sequence.between(partition, state.progress.next_offset, offset)
        try:
            async for at, value in left_out:
                async with self._lock:
                    if self._owned(partition) is not state:
                        return False
                    if not await self._take(state, at, value, nothing_left_out=True):
                        return False
        except KafkaException:
            self._sequence.doubt(partition)
            raise
        return self._owned(partition) is state

    def _owned(self, partition: int) -> PartitionState | None:
        """Return the state to take records into; None if the partition is away or not yet back."""
        state = self._store.partitions.get(partition)
        return state if state is not None and state.ready else None

    async def _take(
        self, state: PartitionState, offset: int, value: bytes, *, nothing_left_out: bool
    ) -> bool:
        """Fold a record in; False if what comes before it has to be read first."""
        if offset < state.progress.next_offset:
            return True
        try:
            record = _records.decode(value)
        except msgspec.DecodeError as error:
            self._metrics.lost_records.inc()
            log.error(
                "partition %d: offset %d is no histogram record and is skipped: %s",
                state.partition, offset, error,
            )  # fmt: skip
            return True
        if gaps := state.gaps(record):
            if not nothing_left_out:
                self._sequence.doubt(state.partition)
                return False
            if not await self._are_gone(state, gaps):
                self._count_again(state.partition)
                return False
        counted = state.join(record, offset)
        self._progress.moved()
        for where, events in counted.items():
            self._metrics.events.labels(where.model, where.version, where.variant).inc(events)
        # The last record of a flush has the clocks; before it, its ranges lag behind its cells.
        if record.clocks:
            await self._advance(state)
        return True

    async def _advance(self, state: PartitionState) -> None:
        """Report, revise and delete what is due at this place of the log."""
        state.pass_due()
        closing = Closing(state, rules=self._rules(), topics=self._settings.topics)
        blocked: set[Slice] = set()
        for counts in list(state.waiting.values()):
            window = counts.window
            # A slice's windows close in order, so one that waits holds back those after it.
            if window.slice in blocked or not await self._baselines.bring(state, window):
                blocked.add(window.slice)
                continue
            closing.close(counts)
            await asyncio.sleep(0)
        for window in state.to_revise():
            closing.revise(window)
        state.expire()
        self._observer.passed(state, closing.closed)
        self._metrics.late_events.inc(state.late_events)
        state.late_events = 0

    async def _are_gone(self, state: PartitionState, gaps: list[Gap]) -> bool:
        """Return whether records that nobody left out are not in the log any more.

        Where retention has deleted some, what each source partition lacks shows with the first
        record that speaks of it. Elsewhere counting the partition again tells, and that once.
        """
        partition, heard = state.partition, state.progress.heard
        begin = await asyncio.to_thread(
            self._offsets.begin, self._settings.topics.histograms, partition
        )
        if begin > state.progress.next_offset:
            self._heard_before_hole[partition] = copy.deepcopy(heard)
        before = self._heard_before_hole.get(partition)
        deleted = before is not None and all(
            before.get(gap.source, {}).get(gap.partition)
            == heard.get(gap.source, {}).get(gap.partition)
            for gap in gaps
        )
        if not deleted and partition not in self._counted_again:
            log.error("partition %d: %s are passed over", partition, gaps)
            return False
        self._metrics.lost_records.inc(len(gaps))
        log.error("partition %d: %s are gone from the log; going on", partition, gaps)
        return True

    def _count_again(self, partition: int) -> None:
        """Forget the partition: its next record has the whole log read before it."""
        self._metrics.recounts.inc()
        log.error("partition %d is counted again from the beginning of the log", partition)
        self._counted_again.add(partition)
        self._store.changelogs[partition].forget()
        self._sequence.doubt(partition)

    async def _watch_brokers(self) -> None:
        """Say what the brokers know: input that is not taken, which is a stall; a topic missing."""
        lag = InputLag()
        while not self._stopping.is_set():
            try:
                await self._look_at_brokers(lag)
            except KafkaException:
                self._progress.lag(0)  # an outage of the brokers is no stall
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), timeout=LAG_SECONDS)

    async def _look_at_brokers(self, lag: InputLag) -> None:
        changelog = self._table.changelog_topic_name
        exists = await asyncio.to_thread(self._offsets.exists, changelog)
        missing = f"{changelog} is missing: nothing is reported; `tidegauge topics create` makes it"
        self._health.say("changelog", "ok" if exists else "failed", "" if exists else missing)
        topic, states = self._settings.topics.histograms, self._store.partitions
        assigned = {
            tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == topic
        }
        ends = await asyncio.to_thread(self._offsets.ends, topic, assigned)
        # One that is assigned but has no state is not joined at all.
        joined = {p: states[p].progress.next_offset if p in states else -1 for p in assigned}
        waiting = lag.of(ends, joined)
        if self.app.rebalancing:
            self._progress.lag(1, "the group is rebalancing, or its state is read back")
        else:
            self._progress.lag(
                sum(waiting.values()), f"partitions {sorted(waiting)} of {topic} have new records"
            )

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
        async with self._lock:
            owned = [it for it in self._store.changelogs.values() if it.state.ready]
            outputs = [output for it in owned for output in it.state.take_outputs()]
            if last or self._checkpoint_is_due():
                self._saved_at = self._clock()
                self._unsaved_bytes = 0
                for changelog in owned:
                    checkpoints.append((changelog, changelog.checkpoint()))
                    acknowledged += changelog.state.joined
                    changelog.state.joined = []
        await self._writer.publish(outputs)
        # Only now: what is saved is not folded again, so it would never be published again.
        for changelog, checkpoint in checkpoints:
            if not await self._writer.save(changelog, checkpoint):
                log.warning("changelog partition %d was made anew", changelog.state.partition)
                changelog.begin()
                self._saved_at = -math.inf  # the next pass writes all there is
        for event in acknowledged:
            event.ack()
        self._observer.owned(set(self._store.partitions))
        self._say_waiting()

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
