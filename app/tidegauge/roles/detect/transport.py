"""The Faust application's frame: settings with their reasons, and reading committed records only.

Faust reads uncommitted records except under its own exactly-once mode, which is not used here. Its
aiokafka driver has one method that makes the worker's consumer; the class below overrides that.
"""

import asyncio
import logging
import math
import ssl
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.codec import zstd_encode
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import IllegalStateError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import (
    AIOKafkaConsumerThread,
    Consumer,
    ConsumerRebalanceListener,
    Producer,
    Transport,
)
from faust.types import TP

from tidegauge.config import MAX_RECORD_BYTES, KafkaSettings, Settings
from tidegauge.roles.detect import header_names
from tidegauge.roles.detect.recovery import ReadBackTables

log = logging.getLogger(__name__)

#: A broker that is there answers within a second or two, with a fetch that found nothing after 1.5;
#: this is for one that is busy. With what it takes others to lead its partitions (9 s by Kafka's
#: default), reports are late by no more than that.
ANSWER_SECONDS = 6.0

# A topic that is missing is told a thousand times a second, for as long as something is written
# to it. Health says it once.
logging.getLogger("aiokafka.cluster").setLevel(logging.CRITICAL)
# The same for a batch that is tried again, by the partition, ten times a second.
logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)

# aiokafka compresses by zstd's level 3 and has no setting for it (aiokafka/codec.py). Level 1 takes
# half of the time for reports and two thirds for cells, and makes both of them smaller.
vars(sys.modules[DefaultRecordBatchBuilder.__module__])["zstd_encode"] = partial(
    zstd_encode, level=1
)


header_names.install()


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
        # What nobody takes stays in memory, and delays what comes from the same broker.
        changelogs = self._thread.app.tables.changelog_topics
        self._thread._ensure_consumer().pause(*(tp for tp in assigned if tp.topic in changelogs))
        await super().on_partitions_assigned(assigned)


class _CommittedConsumer(Consumer):
    RebalanceListener = _PausingListener
    consumer_thread_class = _CommittedThread

    def _new_consumer_thread(self) -> _CommittedThread:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)

    def _new_offset(self, tp: TP) -> int | None:
        # Faust waits until every offset before has been acknowledged. But it passes over some by
        # itself after a rebalance (what it fetched before sets the offset that it takes for the
        # last one read: transport/consumer.py, robinhood/faust pull request 542), and then commits
        # nothing until the next one. DETECT acknowledges a record once the state that it led to is
        # saved, and what was passed over before that is in there too (``intake``).
        acked = self._acked[tp]
        if not acked:
            return None
        offset: int = max(acked) + 1
        self._acked_index[tp].difference_update(acked)
        acked.clear()
        return offset

    async def read_from(self, tp: TP, offset: int) -> None:
        """Hand out a partition from an offset on, which may be below what was handed out before.

        Faust takes nothing below the offset that it has committed or read last, also where that is
        of a topic that is gone. What is not acknowledged yet is of that, and never will be.
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
            log.info("partition %d went before it was read anew", tp.partition)
        self._read_offset[tp] = None

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Remember no offsets that have no record: nobody waits for them."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        if not self._is_changelog_tp(tp):  # it is paused, which would be an error in the log
            super().verify_event_path(now, tp)


class _PatientProducer(Producer):
    """Waits for as long as a topic can't be written, and not for a broker that doesn't answer."""

    def _new_producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        producer = super()._new_producer(transactional_id)
        # aiokafka gives a batch up after its request timeout, counted from when it was made, with
        # an error that ends the process. While replicas are missing, or the brokers are away, a new
        # process could not write either; this one keeps its place, and goes on in order.
        producer._message_accumulator._batch_ttl = math.inf
        # How long a broker waits for its followers before it says that they are missing.
        producer._sender._request_timeout_ms = int(ANSWER_SECONDS * 500)
        bound_requests(producer.client, ANSWER_SECONDS)
        return producer


class CommittedTransport(Transport):
    """aiokafka transport whose worker never sees an aborted record."""

    Consumer = _CommittedConsumer
    Producer = _PatientProducer


def bound_requests(client: AIOKafkaClient, seconds: float) -> None:
    """Give up a connection, or a request but for those to coordinators, after ``seconds``.

    aiokafka has one timeout for all requests. It must be longer than a rebalance, since joining a
    group takes that long, and a broker that is there but doesn't answer (it is frozen, or its
    machine is gone without a word) would be waited for as long: by a fetch, by a request for
    metadata, which asks brokers at random, and by all that wait for a connection to be made. Its
    partitions have new leaders meanwhile.
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
            log.warning("broker %s can't be connected to within %g s", node_id, seconds)
            client.force_metadata_update()
            return None
        if conn is not None and group == ConnectionGroup.DEFAULT:
            conn._request_timeout = seconds
        return conn

    client._get_conn = bounded


class DetectApp(faust.App):
    """A Faust application that reads committed records only, and ends if its agent fails."""

    def _new_transport(self) -> Transport:
        return CommittedTransport(self.conf.broker_consumer, self)

    async def _on_agent_error(self, agent: object, exc: BaseException) -> None:
        # By default Faust starts the agent again, and goes on after the record that it failed at.
        await self.crash(exc)


def make_app(settings: Settings, partitions: int) -> DetectApp:
    """Make the application for a histogram topic of so many partitions."""
    detect = settings.detect
    app = DetectApp(
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
        # Otherwise a rebalance waits until the stream's buffer is empty, while it can't become so.
        stream_wait_empty=False,
        stream_buffer_maxsize=256,
        broker_session_timeout=detect.session_timeout_seconds,
        broker_heartbeat_interval=detect.session_timeout_seconds / 4,
        broker_request_timeout=max(30.0, detect.session_timeout_seconds),
        broker_rebalance_timeout=20.0,
        broker_commit_interval=1.0,
        broker_check_crcs=settings.kafka.check_crcs,
        # Faust makes this directory, though nothing here is kept in it.
        datadir=Path(tempfile.gettempdir()) / "tidegauge-faust",
        # A leader that assigns while it knows no topics, because the brokers come back just then,
        # leaves the group without input until it looks again. The default is five minutes.
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
    app.boot_strategy.enable_web = False
    return app


def _credentials(kafka: KafkaSettings) -> SASLCredentials | SSLCredentials | None:
    # Faust builds no SSL context of its own that works (SSLCredentials() alone raises).
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
