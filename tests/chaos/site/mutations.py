"""Ways to break the product on purpose: a suite that finds none of them proves nothing.

Each switches off one of the things that counting rests on, in one worker process, before it
begins. ``chaos.site.worker`` applies the one that the environment names. Two of them need a hazard
that is too rare to wait for; the hazards alone, ``hazard_…``, are what the product must bear.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any

from chaos.site.label_mutations import LABEL_MUTATIONS
from chaos.site.replacing import WINDOW_SECONDS, offsets_first, replace
from chaos.site.unforeseen import UNFORESEEN

#: Environment variable with the name of the mutation to apply.
VARIABLE = "CHAOS_MUTATION"


def offsets_apart() -> None:
    """INGEST commits its offsets in a transaction before the one with the histograms."""
    from tidegauge.roles.ingest import reader_writer

    replace(reader_writer, "commit", offsets_first(reader_writer.commit))


def endless_tenure() -> None:
    """INGEST goes on with the same tenure, whatever partitions come and go."""
    from tidegauge.counting.tenure import Tenure

    replace(Tenure, "successor", lambda self, now: self)


def cells_of_one_flush() -> None:
    """INGEST's cells hold what was counted since the last flush, not since the tenure began."""
    from tidegauge.counting.tenure import Tenure

    flushed = Tenure.flushed

    def forget(self: Any) -> None:
        flushed(self)
        self.cells.clear()

    replace(Tenure, "flushed", forget)


def hazard_left_out() -> None:
    """Every hundredth record of DETECT's input is left out, as Faust does around a rebalance."""
    from tidegauge.roles.detect.intake import Intake

    receive = Intake.receive
    seen = 0

    async def sometimes(self: Any, partition: int, offset: int, value: bytes) -> Any:
        nonlocal seen
        seen += 1
        if seen % 100 == 0:
            return None
        return await receive(self, partition, offset, value)

    replace(Intake, "receive", sometimes)


def left_out_records() -> None:
    """DETECT takes what it is given and never asks whether something before it is missing."""
    hazard_left_out()
    from tidegauge.roles.detect.intake import Intake
    from tidegauge.windows.partition import PartitionState

    replace(PartitionState, "gaps", lambda self, record: [])
    replace(Intake, "may_lack_records", lambda self, partition: False)


def hazard_stale_writes() -> None:
    """After every checkpoint of DETECT the one before is written again, as by a paused worker."""
    from tidegauge.roles.detect.writer import Writer

    save = Writer.save
    before: dict[int, tuple[dict[str, bytes], list[Any]]] = {}

    async def save_and_repeat(self: Any, changelog: Any, checkpoint: Any) -> bool:
        same: bool = await save(self, changelog, checkpoint)
        partition = changelog.state.partition
        if partition in before:
            headers, values = before[partition]
            own = changelog.reached
            await self._write(changelog, headers, values)
            changelog.reached = own  # somebody else has written, as far as the owner knows
        headers = {"at": str(checkpoint.at).encode(), "log": checkpoint.log.encode()}
        # A name or a tombstone that is written again would mean something else.
        values = [write for write in checkpoint.values if write[0] != b'["log"]' and write[1]]
        before[partition] = (headers, values)
        return same

    replace(Writer, "save", save_and_repeat)


def recovery_overwrites() -> None:
    """DETECT believes the last value of a key, whoever wrote it and whatever vouches for it."""
    hazard_stale_writes()
    from tidegauge.windows import changelog

    restore = changelog.Changelog.restore

    def believe(self: Any, key: bytes, value: bytes | None, at: int, log: str) -> None:
        restore(self, key, value, 0, log)

    replace(changelog.Changelog, "restore", believe)
    for name in ("join_cells", "join_slices"):
        replace(changelog, name, lambda known, read: read)


def progress_first() -> None:
    """DETECT says that a checkpoint is there before it writes it."""
    from tidegauge.roles.detect.writer import Writer

    async def save(self: Any, changelog: Any, checkpoint: Any) -> bool:
        headers = {"at": str(checkpoint.at).encode(), "log": checkpoint.log.encode()}
        names = [write for write in checkpoint.values if write[0] == b'["log"]']
        await self._write(changelog, headers, [*names, *checkpoint.progress])
        await asyncio.sleep(WINDOW_SECONDS)
        return "anew" not in await self._write(changelog, headers, checkpoint.values)

    replace(Writer, "save", save)


def latest_event_is_the_clock() -> None:
    """Event time has come to the latest event, whatever the clock on the wall says."""
    from tidegauge.counting.event_clock import EventClock
    from tidegauge.windows import sources

    replace(EventClock, "time", lambda self: self.latest)
    source_time = sources.source_time

    def unbounded(clock: Any, idle_seconds: float) -> float | None:
        return source_time(clock, idle_seconds) if clock.idle else clock.latest

    replace(sources, "source_time", unbounded)


def hazard_unforeseen() -> None:
    """INGEST's counting fails on one record of the source in a way that nobody foresaw."""
    from tidegauge.counting.counter import Counter

    count = Counter.count

    def fail(self: Any, messages: Any, *rest: Any, **others: Any) -> Any:
        if any(message.value() == UNFORESEEN for message in messages):
            raise LookupError("this was not foreseen")
        return count(self, messages, *rest, **others)

    replace(Counter, "count", fail)


def no_quarantine() -> None:
    """Nobody looks for the record at which session after session fails, nor sets it aside."""
    hazard_unforeseen()
    from tidegauge.kafka.group_session import Quarantine

    replace(Quarantine, "failed", lambda self, begin, records: False)


def topic_id_ignored() -> None:
    """INGEST never asks whether the source is still the topic that was counted."""
    from msgspec.structs import replace as changed

    from tidegauge.roles import source_topic

    begin_at = source_topic.begin_at

    def compare(self: Any, seconds: float) -> None:
        _, self.partitions = self._ask(seconds)

    def begin(counted: Any, *, topic_id: str, **rest: Any) -> Any:
        same = counted and changed(counted, topic_id=topic_id)
        return begin_at(same, topic_id=topic_id, **rest)

    replace(source_topic.SourceTopic, "_compare", compare)
    replace(source_topic, "begin_at", begin)


MUTATIONS: Mapping[str, Callable[[], None]] = {
    mutation.__name__: mutation
    for mutation in (
        offsets_apart,
        endless_tenure,
        cells_of_one_flush,
        left_out_records,
        recovery_overwrites,
        progress_first,
        latest_event_is_the_clock,
        hazard_left_out,
        hazard_stale_writes,
        hazard_unforeseen,
        no_quarantine,
        topic_id_ignored,
        *LABEL_MUTATIONS,
    )
}


def apply_named_mutation() -> None:
    """Apply the mutation that the environment names; raises ``KeyError`` if there is no such."""
    MUTATIONS[os.environ[VARIABLE]]()
