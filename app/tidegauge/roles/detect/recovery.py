"""Faust's recovery of tables, replaced: state is read back by the table's store, not by Faust.

Faust reads changelogs by the consumer of the stream, and counts offsets to know when it is done.
That consumer passes over records at a rebalance: those on their way into a queue that is cleared,
and those before the last offset that it saw by then (``transport`` says what this does to commits;
robinhood/faust pull request 542). A recovery that lacks one of them waits for ever, as when workers
start together, which is a rebalance more for each (faust-streaming issues 21 and 74, and still so
in ``faust/tables/recovery.py`` of 0.15). Here nothing is counted. Faust resumes the stream as soon
as partitions are assigned; the input of each follows when its state has been read back.
"""

from functools import partial
from typing import Any, ClassVar

from aiokafka.errors import IllegalStateError
from faust.tables import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped, logger as faust_logger
from faust.types import TP
from mode import Service

#: No generation of a group.
_NONE = -1


class ReadBackRecovery(Recovery):
    """Resumes the stream after each rebalance, and has the tables' stores read themselves back.

    A store has ``read_back(take_up)``, which calls ``take_up`` with each partition that is ready.
    """

    #: Mode says at the level of information that services start; Faust's loggers don't let it.
    logger: ClassVar[Any] = faust_logger

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Take up nothing more of what is about to go: the group is in a rebalance."""
        self._generation_id = _NONE
        for table in self.tables.values():
            table.data.stop_reading()

    @Service.task  # type: ignore[untyped-decorator]
    async def _restart_recovery(self) -> None:
        while not await self.wait_for_stopped(self.signal_recovery_start):
            self.signal_recovery_start.clear()
            try:
                await self._wait(self._take_up(self._generation_id))
            except (RebalanceAgain, IllegalStateError):
                continue  # what was assigned is so no longer, and the next rebalance comes
            except ServiceStopped:
                break

    async def _take_up(self, generation: int) -> None:
        app: Any = self.app
        consumer = app.consumer
        await app.on_rebalance_complete.send()
        await consumer.perform_seek()
        if generation != self._generation_id:
            return
        # Every partition is paused since it was assigned (faust/app/base.py).
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        self.completed.set()
        for table in self.tables.values():
            await table.data.read_back(partial(self._resume, consumer))

    def _resume(self, consumer: Any, partition: int) -> None:
        """Let the input of a partition flow."""
        consumer.resume_partitions(
            {
                tp
                for tp in consumer.assignment()
                if tp.partition == partition and not self._is_changelog_tp(tp)
            }
        )

    @Service.task  # type: ignore[untyped-decorator]
    async def _slurp_changelogs(self) -> None:
        """Wait for nothing: no changelog is read by the consumer of the stream."""

    @Service.task  # type: ignore[untyped-decorator]
    async def _publish_stats(self) -> None:
        """Publish nothing: there are no offsets to compare."""

    def flush_buffers(self) -> None:
        """Flush nothing."""


class ReadBackTables(TableManager):
    """Faust's tables with that recovery."""

    logger: ClassVar[Any] = faust_logger
    _recovery: Recovery | None = None

    @property
    def recovery(self) -> Recovery:
        """Return the recovery, made at its first use."""
        if self._recovery is None:
            self._recovery = ReadBackRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
