"""The thin shell of DETECT: Faust's stream in, the changelog and the output topics out.

A stream task joins records into memory. One committer, every ``commit_seconds``, (1) writes what
changed to the changelog and waits for the brokers' word, (2) acknowledges the input, (3) closes the
windows that are due, writes that, and only then (4) publishes it. A crash between any two of these
repeats the later ones with the same bytes: the slice's state carries its outbox.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec
from faust.types import TP, EventT, StreamT

from tidegauge.baseline.document import Baseline
from tidegauge.contract import DataRange
from tidegauge.detect.closing import Closed, Closing
from tidegauge.detect.lookback import Lookback
from tidegauge.detect.observe import Observer
from tidegauge.detect.partition import Gap, PartitionState, Window
from tidegauge.detect.store import JoinStore
from tidegauge.detect.transport import make_app
from tidegauge.detect.values import Output, ProgressKey, RawRecord, Slice
from tidegauge.rules import RuleSet
from tidegauge.settings import Settings
from tidegauge.telemetry import DetectMetrics, Health

log = logging.getLogger(__name__)

TABLE = "windows"

#: Changelog writes under way at once: enough that the brokers' answers overlap, few enough that a
#: rebalance does not wait for long.
WRITES_AT_ONCE = 1_000

#: A rewound partition delivers what was buffered before it delivers what was asked for.
REWIND_SECONDS = 1.0

#: After so many rewinds to the same place, the records are not there any more.
REWINDS = 5

#: How long a window waits for a baseline that the store doesn't give; longer than a restart of the
#: store takes, shorter than an operator's patience.
BASELINE_WAIT_SECONDS = 600.0

_Write = tuple[int, bytes, bytes | None]

_records = msgspec.json.Decoder(RawRecord)

BaselineOf = Callable[[str], Baseline | None]


@dataclass
class _Rewind:
    """The last rewind of a partition."""

    to: int
    at: float
    times: int = 1


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
        self._baseline_of = baseline_of
        self._metrics = metrics
        self._observer = Observer(metrics)
        self._health = health
        self._clock = clock
        self._rewinds: dict[int, _Rewind] = {}
        self._lookback = Lookback(settings.kafka, settings.detect.app_id)
        #: By partition and slice, the step whose outbox this process has published last.
        self._published: dict[tuple[int, Slice], int] = {}
        #: Partitions taken over whose last outputs may not have been published.
        self._restored: set[int] = set()
        self._missing_since: dict[str, float] = {}
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        #: Held while windows close: a record joined meanwhile would be in neither revision.
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
        )
        self._table._data = self._store
        self._table.key_serializer = self._table.value_serializer = "raw"
        for rule in rules().rules:
            for state in ("firing", "resolved"):
                metrics.alerts.labels(rule.name, rule.severity, state)
        self.app.agent(self._input, concurrency=1, name="tidegauge.join")(self._join)
        self.app.task(self._commit_forever)

    def _make_state(self, partition: int) -> PartitionState:
        return PartitionState(
            partition=partition,
            window_of=self._settings.window_of,
            idle_seconds=self._settings.ingest.idle_seconds,
        )

    def _on_ready(self, state: PartitionState) -> None:
        self._restored.add(state.partition)
        self._observer.restored(state)
        owned = sorted(self._store.partitions)
        self._health.say("detect", "ok", f"owns partitions {owned}")
        log.info("partition %d restored: %d windows", state.partition, len(state.windows))

    # -- input -----------------------------------------------------------------------------------

    async def _join(self, stream: StreamT) -> None:
        async for event in stream.noack().events():
            async with self._lock:
                state = self._store.partitions.get(event.message.partition)
                if state is None or not state.ready:
                    continue  # taken away, or about to be read again from the committed offset
                try:
                    record = _records.decode(event.value or b"")
                except msgspec.DecodeError as error:
                    self._metrics.lost_records.inc()
                    log.error("%s is no histogram record and is skipped: %s", event, error)
                    state.joined.append(event)
                    continue
                gap = state.gap(record, event.message.offset)
                if gap is not None and not await self._forgive(state, gap):
                    continue
                self._rewinds.pop(state.partition, None)
                counted = state.join(record, event.message.offset)
                state.joined.append(event)
            for where, events in counted.items():
                self._metrics.events.labels(where.model, where.version, where.variant).inc(events)

    async def _forgive(self, state: PartitionState, gap: Gap) -> bool:
        """Rewind to after the last record joined; true if that was tried and they are gone."""
        now = self._clock()
        to = state.progress.next_offset
        last = self._rewinds.get(state.partition)
        if last is None or last.to != to:
            last = self._rewinds[state.partition] = _Rewind(to=to, at=0.0, times=0)
        if now - last.at < REWIND_SECONDS:
            return False
        if last.times >= REWINDS:
            self._metrics.lost_records.inc()
            log.error(
                "partition %d: the records of offsets %d to %d of %s/%d are gone; going on",
                state.partition, gap.start, gap.to, gap.source, gap.partition,
            )  # fmt: skip
            return True
        last.at, last.times = now, last.times + 1
        self._metrics.rewinds.inc()
        log.warning(
            "partition %d: offsets %d to %d of %s/%d are missing; rewinding to %d",
            state.partition, gap.start, gap.to, gap.source, gap.partition, to,
        )  # fmt: skip
        await self.app.consumer.seek(TP(self._settings.topics.histograms, state.partition), to)
        return False

    # -- committing ------------------------------------------------------------------------------

    async def _commit_forever(self) -> None:
        try:
            while not self._stopping.is_set():
                await self._pass()
                self._health.beat("detect")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(
                        self._stopping.wait(), timeout=self._settings.detect.commit_seconds
                    )
            await self._pass()
        finally:
            self._stopped.set()

    async def stop(self) -> None:
        """Save and publish what is due, acknowledge the input, and leave the group.

        Raises ``RuntimeError`` if the application has crashed: it is left, since it can't stop.
        """
        self._stopping.set()
        await self._stopped.wait()
        if self.app.crashed:
            raise RuntimeError("the Faust application crashed while stopping; see the log")
        await self.app.stop()
        self._lookback.close()

    async def _pass(self) -> None:
        states = [state for state in self._store.partitions.values() if state.ready]
        await self._save(states)
        for state in states:
            if self._store.partitions.get(state.partition) is not state or not state.ready:
                continue
            await self._publish_again(state)
            async with self._lock:
                closed = await self._close_due(state)
            if closed.slices:
                await self._save([state])
            await self._publish(state, closed.slices)
            self._observer.passed(state, closed)
            self._expire(state)
        self._observer.owned(set(self._store.partitions))
        self._say_waiting()

    async def _save(self, states: Sequence[PartitionState]) -> None:
        """Write what changed to the changelog, then acknowledge the input that changed it.

        Progress comes last: it says that everything before it is in the changelog.
        """
        first: list[_Write] = []
        last: list[_Write] = []
        events: list[EventT] = []
        for state in states:
            for key, raw_key, raw_value in state.take_unsaved():
                writes = last if isinstance(key, ProgressKey) else first
                writes.append((state.partition, raw_key, raw_value))
            events += state.joined
            state.joined = []
        watermarks = [(state, state.progress.watermark) for state in states]
        await self._write(first)
        await self._write(last)
        for state, watermark in watermarks:
            state.saved_watermark = watermark
        for event in events:
            event.ack()

    async def _write(self, writes: list[_Write]) -> None:
        for i in range(0, len(writes), WRITES_AT_ONCE):
            sent = [
                self._table.send_changelog(partition, key, value)
                for partition, key, value in writes[i : i + WRITES_AT_ONCE]
            ]
            for future in sent:
                await future

    async def _close_due(self, state: PartitionState) -> Closed:
        closing = Closing(state, rules=self._rules(), topics=self._settings.topics)
        waiting: set[Slice] = set()
        for window in state.due():
            # A slice's windows close in order, so one that waits holds back those after it.
            if window.slice in waiting or not await self._has_baselines(state, window):
                waiting.add(window.slice)
                state.put_back(window)
                continue
            judged = closing.judge(window)
            for action in judged.verdict.actions:
                if action.kind == "retrain":
                    action.data = await self._data_of(state, judged.report.window_end)
            closing.take(judged)
            await asyncio.sleep(0)
        for window in state.to_revise():
            closing.revise(window)
        return closing.closed

    async def _has_baselines(self, state: PartitionState, window: Window) -> bool:
        """Bring the window's baselines into the state; false if that has to wait."""
        for baseline_id in state.windows[window] - state.baselines.keys() - {""}:
            baseline = await asyncio.to_thread(self._baseline_of, baseline_id)
            if baseline is not None:
                state.hold_baseline(baseline_id, baseline)
                self._missing_since.pop(baseline_id, None)
                continue
            since = self._missing_since.setdefault(baseline_id, self._clock())
            if self._clock() - since < BASELINE_WAIT_SECONDS:
                return False
            log.error("baseline %s can't be had; its windows are reported without", baseline_id)
        return True

    def _say_waiting(self) -> None:
        """Say once a pass which baselines windows wait for, whatever model the last one was of."""
        now = self._clock()
        waiting = sorted(
            baseline_id
            for baseline_id, since in self._missing_since.items()
            if now - since < BASELINE_WAIT_SECONDS
        )
        detail = f"windows wait for baselines {', '.join(waiting)}" if waiting else ""
        self._health.say("windows", "degraded" if waiting else "ok", detail)

    async def _data_of(self, state: PartitionState, until: int) -> DataRange:
        topic = self._settings.topics.predictions
        source = state.progress.sources[topic]
        return await asyncio.to_thread(self._lookback.data, topic, source, until)

    async def _publish(self, state: PartitionState, slices: Iterable[Slice]) -> None:
        sent = []
        for where in slices:
            value = state.slices[where]
            for output in value.outbox:
                sent.append(await self._send(output))
            self._published[state.partition, where] = value.outbox_step
        for future in sent:
            await future

    async def _publish_again(self, state: PartitionState) -> None:
        """Publish what this process can't know to have been published before it took over."""
        if state.partition in self._restored:
            self._restored.discard(state.partition)
            await self._publish(
                state,
                [
                    where
                    for where, value in state.slices.items()
                    if self._published.get((state.partition, where), -1) < value.outbox_step
                ],
            )

    async def _send(self, output: Output) -> Awaitable[object]:
        sent: Awaitable[object] = await self.app.producer.send(
            output.topic, output.key.encode(), bytes(output.value), None, None, None
        )
        return sent

    def _expire(self, state: PartitionState) -> None:
        for window in state.expired():
            if state.is_closed(window):
                state.delete(window)
            else:
                state.keep(window)
        self._metrics.late_events.inc(state.late_events)
        state.late_events = 0
