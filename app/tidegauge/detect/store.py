"""Faust's table store for DETECT: recovery joins changelog records, it never overwrites with them.

A worker that was paused writes old values over newer ones when it wakes up. Read back by join, in
whatever order, the records give what all of them together know.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from faust.stores.base import Store
from faust.types import TP, EventT

from tidegauge.detect.changelog import Changelog
from tidegauge.detect.partition import PartitionState

log = logging.getLogger(__name__)


class JoinStore(Store):
    """A memory store of :class:`PartitionState`, one for each assigned partition.

    Faust owns its life: partitions come and go with rebalances, and are ready after recovery.
    """

    def __init__(
        self,
        *args: Any,
        make: Callable[[int], PartitionState],
        on_ready: Callable[[PartitionState], None],
        on_restored: Callable[[], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._make = make
        self._on_ready = on_ready
        self._on_restored = on_restored
        self.changelogs: dict[int, Changelog] = {}

    @property
    def partitions(self) -> dict[int, PartitionState]:
        """The state of every assigned partition."""
        return {partition: it.state for partition, it in self.changelogs.items()}

    def apply_changelog_batch(
        self,
        batch: Iterable[EventT],
        to_key: Callable[[Any], Any],
        to_value: Callable[[Any], Any],
    ) -> None:
        """Join changelog records; keys and values are this store's own encoding."""
        self._on_restored()
        for event in batch:
            message = event.message
            changelog = self.changelogs.get(message.partition)
            if changelog is None:
                continue
            try:
                changelog.reached = message.offset + 1
                tags = dict(message.headers)
                changelog.restore(message.key, message.value, int(tags["at"]), tags["log"].decode())
            except Exception as error:
                # Faust only logs a warning, and recovery then never ends.
                log.exception("the changelog can't be read at %s", event)
                self.app._crash(error)
                raise

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Drop what was taken away; what stays is read on from where it was, and joined.

        Faust leaves a topic that isn't there, or that the leader doesn't know yet, out of the
        assignment. Input without a changelog is not taken, nor acknowledged, until it has one.
        """
        ours = {tp.partition for tp in assigned if tp.topic == self.table.changelog_topic_name}
        for partition in self.changelogs.keys() - ours:
            del self.changelogs[partition]
        for partition in ours - self.changelogs.keys():
            self.changelogs[partition] = Changelog(self._make(partition))
        for state in self.partitions.values():
            state.ready = False

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Take up work on the partitions whose changelog has been read."""
        for tp in active_tps:
            changelog = self.changelogs.get(tp.partition)
            if changelog is not None:
                changelog.restored()
                self._on_ready(changelog.state)

    def persisted_offset(self, tp: TP) -> int | None:
        """Nothing outlives the process, so recovery begins at the start of the changelog."""
        return None

    def reset_state(self) -> None:
        """Forget nothing on disk: there is nothing."""

    # The table is read and written through ``partitions``; Faust's mapping of it stays empty.

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("write through PartitionState")

    def __delitem__(self, key: Any) -> None:
        raise TypeError("write through PartitionState")

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0

    async def backup_partition(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the changelog is the backup."""

    def restore_backup(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the changelog is the backup."""
