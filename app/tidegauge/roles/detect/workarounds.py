"""Faults of Faust and aiokafka that DETECT works around: the list, and most of the code.

For each entry of :data:`WORKAROUNDS`, ``tests/roles/detect/test_workarounds.py`` shows on the
installed libraries that the fault is still there. A test that fails there after an upgrade says
which code is no longer needed.
"""

import asyncio
import logging
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import aiokafka.consumer.fetcher
import aiokafka.record.memory_records
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.codec import zstd_encode
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import IllegalStateError
from aiokafka.record.default_records import (
    DefaultRecordBatch,
    DefaultRecordBatchBuilder,
    _DefaultRecordBatchPy,
)
from aiokafka.record.memory_records import _MemoryRecordsPy
from faust.transport.drivers.aiokafka import (
    AIOKafkaConsumerThread,
    Consumer,
    ConsumerRebalanceListener,
    Producer,
    Transport,
)
from faust.types import TP

_FAUST = "https://github.com/faust-streaming/faust"
_OLD_FAUST = "https://github.com/robinhood/faust"
_AIOKAFKA = "https://github.com/aio-libs/aiokafka"


class Workaround(NamedTuple):
    """A fault of a library, the places in this package that work around it, and its reports.

    ``places`` are relative to ``tidegauge.roles.detect``. No ``upstream``: no report was found.
    """

    fault: str
    places: tuple[str, ...]
    upstream: tuple[str, ...] = ()


#: By a short name of each fault.
WORKAROUNDS = {
    "read_uncommitted": Workaround(
        "Faust reads uncommitted records, except in its own exactly-once mode.",
        ("workarounds._CommittedThread._create_worker_consumer",),
    ),
    "offsets_left_out": Workaround(
        "After a rebalance Faust leaves records out, then waits forever until they are "
        "acknowledged, and commits nothing more.",
        ("workarounds._CommittedConsumer._new_offset", "intake.Intake.receive"),
        (
            f"{_FAUST}/issues/221",
            f"{_FAUST}/issues/312",
            f"{_FAUST}/issues/318",
            f"{_OLD_FAUST}/pull/542",
        ),
    ),
    "seek_backwards": Workaround(
        "Faust can't start a partition again below its committed offset: it keeps that offset, and "
        "the records that wait for an acknowledgement.",
        ("workarounds._CommittedConsumer.read_from",),
    ),
    "nothing_assigned": Workaround(
        "aiokafka fails an assertion if a consumer without partitions seeks to committed offsets.",
        ("workarounds._CommittedThread._seek_to_committed",),
        (f"{_FAUST}/issues/54",),
    ),
    "recovery_counts_offsets": Workaround(
        "Faust reads changelogs with the consumer of the stream, and waits until it has counted as "
        "many offsets as there are; a record that is left out or was deleted makes that endless.",
        (
            "faust_store.ReadBackRecovery",
            "faust_store.ReadBackTables",
            "workarounds._PausingListener",
            "workarounds._CommittedConsumer.verify_event_path",
        ),
        (f"{_FAUST}/issues/21", f"{_FAUST}/issues/74", f"{_FAUST}/issues/597"),
    ),
    "agent_restarts": Workaround(
        "Faust restarts an agent that has failed, and continues after the record it failed at.",
        ("faust_store.DetectApp._on_agent_error",),
        (f"{_FAUST}/issues/126", f"{_FAUST}/issues/315"),
    ),
    "waits_until_empty": Workaround(
        "By default Faust's rebalance waits until the buffer of the stream is empty, which may "
        "never happen.",
        ("faust_store.make_app",),
        (f"{_OLD_FAUST}/issues/402",),
    ),
    "no_tls_context": Workaround(
        "SSLCredentials() raises TypeError unless it is given a context.",
        ("faust_store._credentials",),
        (f"{_FAUST}/pull/760", f"{_FAUST}/pull/768"),
    ),
    "header_names": Workaround(
        "aiokafka's fetcher fails forever at a record with a header name that is not UTF-8.",
        ("workarounds.TolerantBatch",),
    ),
    "batches_expire": Workaround(
        "aiokafka gives up a batch that is older than the timeout of a request; it has no setting "
        "for that alone.",
        ("workarounds._PatientProducer._new_producer",),
        (f"{_AIOKAFKA}/issues/197",),
    ),
    "one_timeout": Workaround(
        "aiokafka has one timeout for connections and all kinds of requests, which must be longer "
        "than a rebalance; so a frozen broker holds everything up as long.",
        ("workarounds.bound_requests",),
        (f"{_AIOKAFKA}/issues/576",),
    ),
    "compression_level": Workaround(
        "aiokafka compresses with fixed levels: 9 for lz4, 3 for zstd.",
        ("workarounds.zstd_encode", "faust_store.make_app"),
        (f"{_AIOKAFKA}/issues/1028",),
    ),
}


class _Lenient(bytearray):
    """Bytes whose slices can always be decoded."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Lenient(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


class _LenientBatch(_DefaultRecordBatchPy):
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        if not isinstance(self._buffer, _Lenient):
            self._buffer = _Lenient(self._buffer)


class TolerantBatch:
    """A batch of records with header names that may be no text, which Kafka allows.

    aiokafka decodes each name as it unpacks a batch (``_read_msg`` in ``default_records.pyx``). A
    batch at which that fails is unpacked by aiokafka's Python implementation instead, with names in
    which other bytes are replaced.
    """

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer
        self._batch = DefaultRecordBatch(buffer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        done = 0
        try:
            for record in self._batch:
                yield record
                done += 1
        except UnicodeDecodeError:
            for number, record in enumerate(_LenientBatch(self._buffer)):
                if number >= done:
                    yield record


def install() -> None:
    """Make every consumer of this process read tolerantly."""
    vars(aiokafka.record.memory_records)["DefaultRecordBatch"] = TolerantBatch
    vars(aiokafka.consumer.fetcher)["MemoryRecords"] = _MemoryRecordsPy


log = logging.getLogger(__name__)

#: A broker that is there answers within a second or two, with a fetch that found nothing after 1.5;
#: this is for one that is busy. With what it takes others to lead its partitions (9 s by Kafka's
#: default), reports are late by no more than that.
ANSWER_SECONDS = 6.0

# A missing topic is logged a thousand times a second while something is written to it; health
# reports it once.
logging.getLogger("aiokafka.cluster").setLevel(logging.CRITICAL)
# A batch that is tried again is logged ten times a second by each partition.
logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)

# Level 1 of zstd takes half of the time of level 3 for reports and two thirds for cells, and makes
# both smaller.
vars(sys.modules[DefaultRecordBatchBuilder.__module__])["zstd_encode"] = partial(
    zstd_encode, level=1
)

install()


class _CommittedThread(AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Read when the fetcher is made, at start (aiokafka/consumer/consumer.py).
        consumer._isolation_level = "read_committed"
        return consumer

    def _create_consumer(self, *args: Any, **kwargs: Any) -> AIOKafkaConsumer:
        consumer = super()._create_consumer(*args, **kwargs)
        bound_requests(consumer._client, ANSWER_SECONDS)
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        return cast(Mapping[TP, int], await self.call_thread(self._seek_to_committed))

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        # aiokafka fails where nothing is assigned, be it only by now.
        return await consumer.seek_to_committed() if consumer.assignment() else {}

    async def seek_to(self, tp: TP, offset: int) -> None:
        await self.call_thread(self._seek_to, tp, offset)

    async def _seek_to(self, tp: TP, offset: int) -> None:
        self._ensure_consumer().seek(tp, offset)


class _PausingListener(ConsumerRebalanceListener):
    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        # Records that are never taken stay in memory, and delay others from the same broker.
        changelogs = self._thread.app.tables.changelog_topics
        self._thread._ensure_consumer().pause(*(tp for tp in assigned if tp.topic in changelogs))
        await super().on_partitions_assigned(assigned)


class _CommittedConsumer(Consumer):
    RebalanceListener = _PausingListener
    consumer_thread_class = _CommittedThread

    def _new_consumer_thread(self) -> _CommittedThread:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)

    def _new_offset(self, tp: TP) -> int | None:
        # Faust waits until every earlier offset has been acknowledged. But after a rebalance it
        # leaves out records: one that was fetched before it sets the offset that Faust takes for
        # the last one read (transport/consumer.py). DETECT acknowledges a record once the state
        # with it is saved, and that state has the records left out before it too (``intake``).
        acked = self._acked[tp]
        if not acked:
            return None
        offset: int = max(acked) + 1
        self._acked_index[tp].difference_update(acked)
        acked.clear()
        return offset

    async def read_from(self, tp: TP, offset: int) -> None:
        """Deliver a partition from an offset on, which may be below what was delivered before.

        Faust keeps the offsets that it has committed and read, even if they belong to a topic that
        was deleted. Records that are not acknowledged yet belong to it too, and never will be.
        """
        for message in [it for it in self._unacked_messages if it.tp == tp]:
            message.acked = True
            self._unacked_messages.discard(message)
        self._committed_offset[tp] = None
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        try:
            await self._thread.seek_to(tp, offset)
        except IllegalStateError:  # it is not assigned any more
            log.info("partition %d was revoked before it could be read again", tp.partition)
        self._read_offset[tp] = None

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Remember no gaps: ``_new_offset`` doesn't wait for them."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        if not self._is_changelog_tp(tp):  # it is paused, which would be an error in the log
            super().verify_event_path(now, tp)


class _PatientProducer(Producer):
    """Waits as long as a topic can't be written, but not for a broker that doesn't answer."""

    def _new_producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        producer = super()._new_producer(transactional_id)
        # An expired batch would end the process. While replicas are missing or the brokers are
        # away, a new process could not write either; this one waits, and continues in order.
        producer._message_accumulator._batch_ttl = math.inf
        # How long a broker waits for its followers before it reports that they are missing.
        producer._sender._request_timeout_ms = int(ANSWER_SECONDS * 500)
        bound_requests(producer.client, ANSWER_SECONDS)
        return producer


class CommittedTransport(Transport):
    """aiokafka transport whose worker never sees an aborted record."""

    Consumer = _CommittedConsumer
    Producer = _PatientProducer


def bound_requests(client: AIOKafkaClient, seconds: float) -> None:
    """Give up a connection, or a request but for those to coordinators, after ``seconds``.

    aiokafka's one timeout must be longer than a rebalance, since joining a group takes that long. A
    broker that doesn't answer, because it is frozen or its machine is lost, would be waited for as
    long: by fetches, by requests for metadata, which go to a random broker, and by everything that
    waits for a connection. Its partitions have new leaders meanwhile.
    """
    get_conn = client._get_conn

    async def bounded(
        node_id: int,
        *,
        group: ConnectionGroup = ConnectionGroup.DEFAULT,
        no_hint: bool = False,
    ) -> AIOKafkaConnection | None:
        try:
            async with asyncio.timeout(seconds):
                conn: AIOKafkaConnection | None = await get_conn(
                    node_id, group=group, no_hint=no_hint
                )
        except TimeoutError:
            log.warning("no connection to broker %s within %g s", node_id, seconds)
            client.force_metadata_update()
            return None
        if conn is not None and group == ConnectionGroup.DEFAULT:
            conn._request_timeout = seconds
        return conn

    client._get_conn = bounded
