"""The committer of DETECT: publishes outputs, saves checkpoints, acknowledges the input.

Every ``publish_seconds`` it publishes what the fold has led to. Every ``checkpoint_seconds`` it
also writes what has changed to the changelog, waits until the brokers have acknowledged that, and
only then acknowledges the input. After a crash the fold starts again at the last checkpoint, and
publishes the same bytes again.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import TypeVar

from faust.types import EventT

from tidegauge.config import Settings
from tidegauge.roles.detect.faust_store import JoinStore
from tidegauge.roles.detect.writer import Writer
from tidegauge.windows import Changelog, Checkpoint

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Input that waits for a checkpoint is held in memory; with more than this it is made at once.
UNSAVED_BYTES = 32 * 1024 * 1024


class Committer:
    """Commits the work of all partitions of a process."""

    def __init__(
        self,
        settings: Settings,
        store: JoinStore,
        writer: Writer,
        *,
        lock: asyncio.Lock,
        keep_baselines: Callable[[set[str]], None],
        clock: Callable[[], float],
    ) -> None:
        """``lock`` is held while a record is folded in.

        ``keep_baselines`` is called at a checkpoint with the baselines that are in use.
        """
        self._settings = settings.detect
        self._store = store
        self._writer = writer
        self._lock = lock
        self._keep_baselines = keep_baselines
        self._clock = clock
        self._saved_at = clock()
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
                self._saved_at = self._clock()
                self._unsaved_bytes = 0
                owned = self._owned_changelogs()
                outputs = [output for it in owned for output in it.state.take_outputs()]
                for changelog in owned:
                    checkpoints.append((changelog, changelog.checkpoint()))
                    acknowledged += changelog.state.joined
                    changelog.state.joined = []
                self._keep_baselines({it for one in owned for it in one.state.baselines})
            finally:
                self._lock.release()
            await self._writer.publish(outputs)
        # Only now: what is saved is not folded again, so it would never be published again. All
        # partitions at once: each has one batch under way, and waits for it to be acknowledged.
        saving = asyncio.gather(*(self._writer.save(*one) for one in checkpoints))
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
        return [it for it in self._store.changelogs.values() if it.state.ready]

    async def _publish(self) -> None:
        """Publish what there is, also in the middle of a record: closing windows may take long.

        What is published before it is saved is published again, with the same bytes, after a crash.
        """
        owned = self._owned_changelogs()
        await self._writer.publish([it for one in owned for it in one.state.take_outputs()])

    async def _wait_between_records(self) -> None:
        """Take the lock of the intake; continue to publish while a record is folded in."""
        taking = asyncio.ensure_future(self._lock.acquire())
        try:
            await self._publish_until(taking)
        except BaseException:
            if not taking.cancel() and not taking.cancelled():
                self._lock.release()
            raise

    async def _publish_until(self, done: "asyncio.Future[T]") -> T:
        """Publish every ``publish_seconds`` until ``done`` is done; return its result."""
        while not done.done():
            await asyncio.wait([done], timeout=self._settings.publish_seconds)
            if not done.done():
                await self._publish()
        return await done

    def _checkpoint_is_due(self) -> bool:
        waited = self._clock() - self._saved_at
        return waited >= self._settings.checkpoint_seconds or self._unsaved_bytes >= UNSAVED_BYTES
