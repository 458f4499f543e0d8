"""What DETECT writes: outputs to their topics, checkpoints to the changelog; all acknowledged.

Every ``publish_seconds`` the committer publishes what the fold has led to. Every
``checkpoint_seconds`` it also writes what has changed to the changelog, waits until the brokers
have acknowledged that, and only then acknowledges the input. After a crash the fold starts again at
the last checkpoint, and publishes the same bytes again.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Literal, TypeVar

import msgspec
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError
from faust.exceptions import ProducerSendError
from faust.types import AppT, EventT

from tidegauge.alerting import AlertState, RuleSet
from tidegauge.baseline.io import BaselineCache, Key, Pointer, earlier_version
from tidegauge.config import MAX_RECORD_BYTES, Settings
from tidegauge.contract import (
    Action,
    Alert,
    Mode,
    PerformanceReport,
    Record,
    Sent,
    WindowReport,
    encode,
    wrap,
)
from tidegauge.kafka import Offsets
from tidegauge.roles.detect.faust_store import JoinStore
from tidegauge.windows import Changelog, Checkpoint, Output, Slice, Write, shortened

log = logging.getLogger(__name__)

T = TypeVar("T")

#: The versions of an action's model on which a rule fires that asks to go back, as far as this
#: worker knows, with that rule.
Unsound = Callable[[Action], Mapping[str, str]]


def with_target(
    action: Action, pointers: Mapping[Key, Pointer], unsound: Mapping[str, str]
) -> Action:
    """Return a rollback with the version to go back to; if none is known, its reason says so.

    ``unsound`` has, by version, the rule that fires on it and asks to leave it too: such a version
    is passed over, and the reason says that.
    """
    passed: list[str] = []

    def earlier() -> str | None:
        return earlier_version(pointers, action.model, action.version, without=passed)

    while (to_version := earlier()) is not None and to_version in unsound:
        passed.append(to_version)
    reasons = [action.reason, *(f"not to {it}, on which {unsound[it]} fires" for it in passed)]
    if to_version is None:
        which = "other version" if passed else "version"
        reasons.append(f"no {which} of {action.model} is known to have been promoted before it")
    return msgspec.structs.replace(action, to_version=to_version, reason="; ".join(reasons))


def unsound_versions(
    slices: Iterable[tuple[Slice, AlertState]], action: Action, rules: RuleSet
) -> dict[str, str]:
    """Return the versions of the action's model on which a rule fires that asks to go back.

    Slices of the action's segment count, and those of all the traffic.
    """
    asking = {rule.name for rule in rules.rules if rule.action == "rollback"}
    found: dict[str, str] = {}
    for where, state in slices:
        if where.model != action.model or dict(where.segment) not in ({}, action.segment):
            continue
        for episode in state.firing:
            if episode.rule in asking:
                found[where.version] = min(episode.rule, found.get(where.version, episode.rule))
    return found


#: Values that are published; the rest of a record is for its key, its headers and its batch.
MAX_OUTPUT_BYTES = MAX_RECORD_BYTES - 64 * 1024

#: The errors of a record that is too large for its topic, by the client or by a broker.
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

#: What a write to the changelog may reveal.
_Found = Literal["anew", "others", "refused"]

#: Changelog writes under way at once: enough that the brokers' answers overlap, few enough that a
#: rebalance does not wait for long.
WRITES_AT_ONCE = 1_000


@dataclass(eq=False)
class Writer:
    """Writes by the producer of ``app``, and waits until the brokers have acknowledged it.

    Outputs need ``source`` and ``mode`` as CloudEvents; rollbacks need to know which versions have
    ``baselines`` and are not ``unsound``.

    ``on_refused`` is called with each output that is too large for its topic.
    """

    app: AppT
    changelog_topic: str
    offsets: Offsets
    _: KW_ONLY
    baselines: BaselineCache
    source: str
    mode: Mode
    unsound: Unsound
    on_refused: Callable[[Output], None]

    def __post_init__(self) -> None:
        #: By partition whose state could not be saved the last time, the reason.
        self.unsaved: dict[int, str] = {}

    async def publish(self, outputs: Sequence[Output]) -> None:
        """Publish in this order; an output that is too large for its topic holds up no other."""
        sent = [(output, await self._send(output)) for output in outputs]
        for output, future in sent:
            try:
                if future is not None:
                    await future
            except _TOO_LARGE as error:
                self._refused(output, error)

    async def _send(self, output: Output) -> Awaitable[object] | None:
        record = await self._looked_up(output)
        value, headers = self._wrapped(record)
        if len(value) > MAX_OUTPUT_BYTES and isinstance(record, WindowReport):
            shorter = shortened(record, MAX_OUTPUT_BYTES - (len(value) - len(encode(record))))
            if shorter is not None:
                value, headers = self._wrapped(shorter)
        try:
            sent: Awaitable[object] = await self.app.producer.send(
                output.topic, output.key.encode(), value, None, None, headers
            )
        except ProducerSendError as error:
            if not isinstance(error.__cause__, _TOO_LARGE):
                raise
            self._refused(output, error)
            return None
        return sent

    def _refused(self, output: Output, error: Exception) -> None:
        log.error("not published, since it is too large for %s: %.200s", output.topic, error)
        self.on_refused(output)

    async def _looked_up(self, output: Output) -> Record:
        record = output.record
        if not isinstance(record, Action):
            return record
        if output.data is not None:
            of = output.data
            find = partial(self.offsets.data, since=of.since, until=of.until)
            data = await asyncio.to_thread(find, of.topic, of.covered)
            return msgspec.structs.replace(record, data=data)
        if record.kind == "rollback":
            return with_target(record, self.baselines.pointers, self.unsound(record))
        return record

    def _wrapped(self, record: Record) -> Sent:
        if isinstance(record, WindowReport | PerformanceReport | Alert | Action):
            return wrap(record, self.source, self.mode)
        # Audit facts are for LEDGER, which chains them as they are.
        return Sent(encode(record), [])

    async def save(self, changelog: Changelog, checkpoint: Checkpoint) -> bool:
        """Write a checkpoint; its progress goes last, and so proves that all the rest is there.

        False if the changelog was created again since the last one, and so lacks older state.
        """
        headers = {"at": str(checkpoint.at).encode(), "log": checkpoint.log.encode()}
        partition = changelog.state.partition
        found = await self._write(changelog, headers, checkpoint.values)
        if "refused" not in found:  # or it would claim that all is there
            found |= await self._write(changelog, headers, checkpoint.progress)
        self.unsaved.pop(partition, None)
        if "refused" in found:
            # Nothing is lost: after a crash, the input is read from the last saved offset on.
            part_bytes = changelog.write_smaller()
            self.unsaved[partition] = (
                f"partition {partition} could not be saved: {self.changelog_topic} takes no "
                f"records of its size; trying parts of {part_bytes:,} bytes; raise "
                "max.message.bytes of the topic"
            )
            log.error("%s", self.unsaved[partition])
        elif "others" in found:
            log.warning(
                "changelog partition %d: another process wrote to it; writing the full state",
                changelog.state.partition,
            )
            changelog.rewrite()
        return "anew" not in found

    async def _write(
        self, changelog: Changelog, headers: dict[str, bytes], writes: Sequence[Write]
    ) -> set[_Found]:
        """Write, and return what the offsets reveal: they rise by one while nothing else writes.

        ``refused`` if one was too large for the topic.
        """
        partition, found = changelog.state.partition, set[_Found]()
        for i in range(0, len(writes), WRITES_AT_ONCE):
            sent = [
                await self.app.producer.send(
                    self.changelog_topic, key, value, partition, None, headers
                )
                for key, value in writes[i : i + WRITES_AT_ONCE]
            ]
            for future in sent:
                try:
                    offset: int = (await future).offset
                except _TOO_LARGE:
                    found.add("refused")
                    continue
                if offset != changelog.reached:
                    found.add("anew" if offset < changelog.reached else "others")
                changelog.reached = offset + 1
        return found


#: Input that waits for a checkpoint is held in memory; with more than this it is made at once.
UNSAVED_BYTES = 32 * 1024 * 1024


@dataclass(eq=False)
class Committer:
    """Commits the work of all partitions of a process.

    ``lock`` is held while a record is folded in. ``keep_baselines`` is called at a checkpoint with
    the baselines that are in use.
    """

    settings: Settings
    store: JoinStore
    writer: Writer
    _: KW_ONLY
    lock: asyncio.Lock
    keep_baselines: Callable[[set[str]], None]
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._saved_at = self.clock()
        self._unsaved_bytes = 0

    def joined(self, size: int) -> None:
        """Note that input of ``size`` bytes waits for a checkpoint."""
        self._unsaved_bytes += size

    def save_soon(self) -> None:
        """Make the next commit save a checkpoint."""
        self._saved_at = -math.inf

    async def commit(self, *, last: bool = False) -> None:
        """Publish what the fold has led to; if a checkpoint is due, save it and acknowledge."""
        checkpoints: list[tuple[Changelog, Checkpoint]] = []
        acknowledged: list[EventT] = []
        await self._publish()
        if last or self._checkpoint_is_due():
            await self._wait_between_records()
            try:
                self._saved_at = self.clock()
                self._unsaved_bytes = 0
                owned = self._owned_changelogs()
                outputs = [output for it in owned for output in it.state.take_outputs()]
                for changelog in owned:
                    checkpoints.append((changelog, changelog.checkpoint()))
                    acknowledged += changelog.state.joined
                    changelog.state.joined = []
                self.keep_baselines({it for one in owned for it in one.state.baselines})
            finally:
                self.lock.release()
            await self.writer.publish(outputs)
        # Only now: what is saved is not folded again, so it would never be published again. All
        # partitions at once: each has one batch under way, and waits for it to be acknowledged.
        saving = asyncio.gather(*(self.writer.save(*one) for one in checkpoints))
        saved = await self._publish_until(saving)
        for (changelog, _), is_whole in zip(checkpoints, saved, strict=True):
            if not is_whole:
                log.warning(
                    "changelog partition %d was created again; writing the full state",
                    changelog.state.partition,
                )
                changelog.begin()
                self.save_soon()
        for event in acknowledged:
            event.ack()

    def _owned_changelogs(self) -> list[Changelog]:
        return [it for it in self.store.changelogs.values() if it.state.ready]

    async def _publish(self) -> None:
        """Publish what there is, also in the middle of a record: closing windows may take long.

        What is published before it is saved is published again, with the same bytes, after a crash.
        """
        owned = self._owned_changelogs()
        await self.writer.publish([it for one in owned for it in one.state.take_outputs()])

    async def _wait_between_records(self) -> None:
        """Take the lock of the intake; continue to publish while a record is folded in."""
        taking = asyncio.ensure_future(self.lock.acquire())
        try:
            await self._publish_until(taking)
        except BaseException:
            if not taking.cancel() and not taking.cancelled():
                self.lock.release()
            raise

    async def _publish_until(self, done: "asyncio.Future[T]") -> T:
        """Publish every ``publish_seconds`` until ``done`` is done; return its result."""
        while not done.done():
            await asyncio.wait([done], timeout=self.settings.detect.publish_seconds)
            if not done.done():
                await self._publish()
        return await done

    def _checkpoint_is_due(self) -> bool:
        waited = self.clock() - self._saved_at
        due = waited >= self.settings.detect.checkpoint_seconds
        return due or self._unsaved_bytes >= UNSAVED_BYTES
