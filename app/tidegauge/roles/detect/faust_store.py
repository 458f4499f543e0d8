"""The Faust application of DETECT: its settings, its table store, and its recovery.

State is read back by joining the changelog, never overwritten: a worker that was paused writes old
values over newer ones when it wakes up. Read back by join, in whatever order, the records give what
all of them together know.
"""

import asyncio
import logging
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import faust
from aiokafka.errors import IllegalStateError
from faust.auth import SASLCredentials, SSLCredentials
from faust.stores.memory import Store
from faust.tables import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped, logger as faust_logger
from faust.transport.drivers.aiokafka import Transport
from faust.types import TP
from mode import Service

from tidegauge.config import MAX_RECORD_BYTES, KafkaSettings, Settings
from tidegauge.contract import DecodingError
from tidegauge.kafka import KafkaException, LogShorterError, Message, PartitionReader, headers_of
from tidegauge.roles.detect.workarounds import CommittedTransport
from tidegauge.windows import Changelog, PartitionState

log = logging.getLogger(__name__)

#: Joining goes on for so long before others get their turn.
_TURN_SECONDS = 0.02

#: How long to wait before a failed request is repeated: twice as long each time.
_RETRY_SECONDS = (0.5, 5.0)


class JoinStore(Store):
    """A memory store of :class:`PartitionState`, one for each assigned partition.

    Partitions come and go with Faust's rebalances; each is ready once it has been read back. They
    are read and written through ``partitions``; Faust's mapping of the table stays empty.
    """

    def __init__(
        self,
        *args: Any,
        reader: PartitionReader,
        make: Callable[[int], PartitionState],
        on_ready: Callable[[PartitionState], None],
        on_read: Callable[[], None],
        skipped: Callable[[int, int, str], None],
        **kwargs: Any,
    ) -> None:
        """``on_ready`` is called with the state of a partition, ``on_read`` with every reading."""
        super().__init__(*args, **kwargs)
        self._reader = reader
        self._make = make
        self._on_ready = on_ready
        self._on_read = on_read
        self._skipped = skipped
        self.changelogs: dict[int, Changelog] = {}
        #: By partition, offset in the changelog after the last record that was read back.
        self._read: dict[int, int] = {}
        #: Partitions that have been read to their end once.
        self._whole: set[int] = set()
        self._reading: asyncio.Future[None] | None = None
        #: Why reading back doesn't go on just now; empty if it does.
        self.problem = ""

    @property
    def partitions(self) -> dict[int, PartitionState]:
        """The state of every assigned partition."""
        return {partition: it.state for partition, it in self.changelogs.items()}

    @property
    def unread(self) -> list[int]:
        """Assigned partitions that are not ready yet."""
        return sorted(partition for partition, state in self.partitions.items() if not state.ready)

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Drop revoked partitions; the others are read on from where they were, and joined.

        Faust leaves a topic that isn't there, or that the leader doesn't know yet, out of the
        assignment. Input without a changelog is not taken, nor acknowledged, until it has one.
        """
        ours = {tp.partition for tp in assigned if tp.topic == self.table.changelog_topic_name}
        self.stop_reading()
        for partition in self.changelogs.keys() - ours:
            del self.changelogs[partition]
        for partition in ours - self.changelogs.keys():
            self._begin(partition)
        for state in self.partitions.values():
            state.ready = False

    def _begin(self, partition: int) -> None:
        """Begin with nothing: it is all still to be read."""
        self.changelogs[partition] = Changelog(self._make(partition))
        self._read[partition] = 0
        self._whole.discard(partition)

    # -- reading back ----------------------------------------------------------------------------

    async def read_back(self, take_up: Callable[[int], None]) -> None:
        """Read back all that is not ready, each up to where its changelog ends now.

        ``take_up`` is called with each partition once it is ready. Brokers that don't answer are
        asked again. The next rebalance ends it, and what was read by then need not be read again.
        """
        self._reading = reading = asyncio.ensure_future(self._read_all(take_up))
        try:
            await asyncio.wait([reading])
        finally:
            reading.cancel()
        if not reading.cancelled():
            reading.result()

    def stop_reading(self) -> None:
        """End a reading: from here on, nothing is joined and no partition becomes ready by it."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read_all(self, take_up: Callable[[int], None]) -> None:
        wait, longest = _RETRY_SECONDS
        while unread := self.unread:
            try:
                await self._read_once({p: self._read[p] for p in unread}, take_up)
                wait = _RETRY_SECONDS[0]
                continue
            except LogShorterError as error:
                log.warning("changelog: %s", error)
                # Complete state stays: it is written to the new topic. Incomplete state is dropped.
                self._read[error.partition] = 0
                self._begin_again([error.partition])
                continue
            except KafkaException as error:
                self.problem = str(error.args[0])
                log.warning(
                    "the changelog of partitions %s can't be read: %s", self.unread, self.problem
                )
            # By the time that it can be read it may be another topic's.
            self._begin_again(self.unread)
            await asyncio.sleep(wait)
            wait = min(2 * wait, longest)
        self.problem = ""

    def _begin_again(self, partitions: list[int]) -> None:
        for partition in partitions:
            if partition not in self._whole:
                joined = self.changelogs[partition].state.joined
                self._begin(partition)
                self.changelogs[partition].state.joined = joined

    async def _read_once(self, begins: Mapping[int, int], take_up: Callable[[int], None]) -> None:
        async with aclosing(self._reader.read(begins)) as batches:
            async for batch in batches:
                if batch.records or batch.at_end:
                    self.problem = ""
                    self._on_read()
                await self._restore(batch.records)
                for partition in sorted(batch.at_end):
                    self._take_up(partition)
                    take_up(partition)

    async def _restore(self, records: list[Message]) -> None:
        turn = time.monotonic()
        for record in records:
            self._restore_one(record)
            if time.monotonic() - turn > _TURN_SECONDS:
                await asyncio.sleep(0)
                turn = time.monotonic()

    def _restore_one(self, record: Message) -> None:
        """Join a record; one that is none of ours is skipped, and one of ours is never lost so."""
        partition = record.partition()
        changelog = self.changelogs[partition]
        if changelog.state.ready:
            return  # it was written after the end
        changelog.reached = self._read[partition] = record.offset() + 1
        try:
            changelog.take(record.key(), record.value(), headers_of(record))
        except DecodingError as error:
            self._skipped(partition, record.offset(), str(error))

    def _take_up(self, partition: int) -> None:
        """Begin to work on a partition whose changelog has been read."""
        changelog = self.changelogs[partition]
        self._whole.add(partition)
        changelog.restored()
        self._on_ready(changelog.state)


#: No generation of a group.
_NONE = -1


class ReadBackRecovery(Recovery):
    """Resumes the stream after each rebalance, and makes the tables' stores read themselves back.

    Faust's recovery reads changelogs with the consumer of the stream, and counts offsets to know
    when it is done. That consumer leaves records out at a rebalance, and a recovery that lacks one
    waits forever, for example when workers start together, which is one rebalance for each
    (``workarounds``, ``recovery_counts_offsets``). Here nothing is counted. The stream resumes as
    soon as partitions are assigned; the input of each follows when its state has been read back.

    A store has ``read_back(take_up)``, which calls ``take_up`` with each partition that is ready.
    """

    #: Mode logs the start of each service at level INFO; Faust's own loggers suppress that.
    logger: ClassVar[Any] = faust_logger

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop reading back: the group is in a rebalance."""
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
                continue  # the assignment is obsolete, and the next rebalance comes
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


class DetectApp(faust.App):
    """A Faust application that reads committed records only, and ends if its agent fails."""

    def _new_transport(self) -> Transport:
        return CommittedTransport(self.conf.broker_consumer, self)

    async def _on_agent_error(self, agent: object, exc: BaseException) -> None:
        # By default Faust restarts the agent, and continues after the record that it failed at.
        await self.crash(exc)


def make_app(settings: Settings, partitions: int) -> DetectApp:
    """Make the application for a histogram topic of so many partitions."""
    detect = settings.detect
    return DetectApp(
        detect.app_id,
        broker=[f"kafka://{host}" for host in settings.kafka.bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings.kafka),
        store="memory://",
        TableManager=ReadBackTables,
        topic_partitions=partitions,
        # Topics are made by `tidegauge topics create`, with the right compaction and retention.
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_replication_factor=settings.topics.replication_factor,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        # A standby would have every worker read every changelog.
        table_standby_replicas=0,
        # Otherwise a rebalance waits until the stream's buffer is empty, which may never happen.
        stream_wait_empty=False,
        stream_buffer_maxsize=256,
        broker_session_timeout=detect.session_timeout_seconds,
        broker_heartbeat_interval=detect.session_timeout_seconds / 4,
        broker_request_timeout=max(30.0, detect.session_timeout_seconds),
        broker_rebalance_timeout=20.0,
        broker_commit_interval=1.0,
        broker_check_crcs=settings.kafka.check_crcs,
        # Faust creates this directory, though nothing is stored in it.
        datadir=Path(tempfile.gettempdir()) / "tidegauge-faust",
        # A leader that assigns partitions while it knows no topics, because the brokers have just
        # come back, leaves the group without input until the next refresh: by default 5 minutes.
        consumer_metadata_max_age_ms=5_000,
        consumer_max_fetch_size=4 * 1024 * 1024,
        producer_acks=-1,
        producer_linger=0.005,
        producer_max_batch_size=1024 * 1024,
        producer_max_request_size=MAX_RECORD_BYTES,
        # aiokafka's lz4 is that of level 9, without a setting for it: 50 ms for 1 MB of cells, four
        # fifths of the time that merging took. zstd takes 5 ms and leaves a quarter less.
        producer_compression_type="zstd",
        # Logging is configured once for the process.
        logging_config=None,
    )


def _credentials(kafka: KafkaSettings) -> SASLCredentials | SSLCredentials | None:
    context = None
    if kafka.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=kafka.ssl_ca_file)
        if kafka.ssl_certificate_file:
            context.load_cert_chain(kafka.ssl_certificate_file, kafka.ssl_key_file)
    if kafka.security_protocol.startswith("SASL"):
        assert kafka.sasl_password is not None  # noqa: S101 - validated by the settings
        return SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None
