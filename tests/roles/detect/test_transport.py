"""The Faust application: credentials, and settings of which a wrong value would lose data."""

import asyncio
import ssl
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.codec import zstd_decode, zstd_encode
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.structs import BrokerMetadata
from faust.auth import SASLCredentials, SSLCredentials
from faust.types import TP
from faust.types.auth import AuthProtocol
from intervaltree import IntervalTree

from tidegauge.config.settings import Settings
from tidegauge.roles.detect.faust_store import make_app
from tidegauge.roles.detect.workarounds import ANSWER_SECONDS, CommittedTransport, bound_requests


def _app(**kafka: object) -> object:
    return make_app(Settings(kafka=kafka), 4).conf.broker_credentials


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "client.pem", folder / "client.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=client", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_batches_are_compressed_by_the_quick_level_of_zstd() -> None:
    lines = b"".join(b"%d %d " % (i * i, i * i * i % 1009) for i in range(2_000))
    batch = DefaultRecordBatchBuilder(2, DefaultRecordBatch.CODEC_ZSTD, 0, -1, -1, -1, 1 << 20)
    batch.append(0, 0, b"key", lines, [])
    body = bytes(batch.build())[61:]  # after the header of a batch of format 2
    quick, usual = (zstd_encode(zstd_decode(body), level=level) for level in (1, 3))
    assert body == quick != usual


def test_a_plain_connection_has_no_credentials() -> None:
    assert _app() is None


def test_tls_has_a_prepared_context_that_checks_the_broker(certificate: tuple[Path, Path]) -> None:
    found = _app(
        security_protocol="SSL",
        ssl_ca_file=certificate[0],
        ssl_certificate_file=certificate[0],
        ssl_key_file=certificate[1],
    )
    assert isinstance(found, SSLCredentials)
    assert isinstance(found.context, ssl.SSLContext)
    assert found.context.verify_mode is ssl.CERT_REQUIRED
    assert found.context.check_hostname
    [authority] = found.context.get_ca_certs()
    assert dict(part for [part] in authority["subject"])["commonName"] == "client"


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_sasl_carries_the_mechanism_and_over_tls_a_prepared_context(
    mechanism: str, protocol: str
) -> None:
    found = _app(
        security_protocol=protocol,
        sasl_mechanism=mechanism,
        sasl_username="gauge",
        sasl_password="tide",  # noqa: S106 - no secret
    )
    assert isinstance(found, SASLCredentials)
    assert (found.username, found.password) == ("gauge", "tide")
    assert found.mechanism.value == mechanism
    assert isinstance(found.ssl_context, ssl.SSLContext) == (protocol == "SASL_SSL")
    assert found.protocol == AuthProtocol(protocol)


def test_the_application_is_framed_as_its_invariants_need_it() -> None:
    app = make_app(Settings(detect={"app_id": "gauge"}), 4)
    conf = app.conf
    assert conf.id == "gauge" and conf.topic_partitions == 4
    assert conf.table_standby_replicas == 0
    assert conf.producer_acks == -1
    assert not conf.topic_allow_declare and conf.topic_disable_leader
    assert not conf.stream_wait_empty
    assert isinstance(app.transport, CommittedTransport)


def test_several_brokers_are_all_known() -> None:
    app = make_app(Settings(kafka={"bootstrap_servers": "one:9092,two:9093"}), 4)
    assert [(url.host, url.port) for url in app.conf.broker] == [("one", 9092), ("two", 9093)]


def test_the_consumer_of_a_worker_reads_committed_records_only() -> None:
    thread_class = CommittedTransport.Consumer.consumer_thread_class

    class Made:
        _isolation_level = "read_uncommitted"

    base = thread_class.__bases__[0]
    original = base._create_worker_consumer
    base._create_worker_consumer = lambda self, transport: Made()
    try:
        made = thread_class._create_worker_consumer(object.__new__(thread_class), None)
    finally:
        base._create_worker_consumer = original
    assert made._isolation_level == "read_committed"
    # The attribute is aiokafka's own, read when its fetcher is made.
    assert "_isolation_level" in AIOKafkaConsumer.__init__.__code__.co_names


def _acknowledging(tp: TP) -> Any:
    consumer: Any = object.__new__(CommittedTransport.Consumer)
    consumer._committed_offset = {tp: 21}
    consumer._gap = defaultdict(IntervalTree)
    consumer._acked, consumer._acked_index = {tp: []}, {tp: set()}
    return consumer


@pytest.mark.parametrize(
    "records",
    [
        # Each is followed by the marker of its transaction.
        range(21, 60, 2),
        # After a rebalance Faust throws some away, of which it will know nothing.
        range(24, 60),
        [24, 26, 27, 40],
        [24],
    ],
)
def test_offsets_that_faust_passes_over_do_not_hold_up_the_commit(records: Iterable[int]) -> None:
    tp = TP("histograms", 0)
    consumer, acked = _acknowledging(tp), list(records)
    for before, offset in pairwise(acked):
        if offset > before + 1:
            asyncio.run(consumer._add_gap(tp, before + 1, offset))
    assert consumer._new_offset(tp) is None
    consumer._acked[tp] += acked
    consumer._acked_index[tp] |= set(acked)
    assert consumer._new_offset(tp) == acked[-1] + 1
    assert consumer._new_offset(tp) is None
    assert consumer._acked == {tp: []} and consumer._acked_index == {tp: set()}
    assert not consumer._gap


def test_after_it_was_told_to_begin_again_faust_takes_what_is_below_the_offsets_before() -> None:
    tp, other = TP("histograms", 0), TP("histograms", 1)

    class Handed:
        def __init__(self, tp: TP) -> None:
            self.tp, self.acked = tp, False

    consumer, sought = _acknowledging(tp), []
    before, others = Handed(tp), Handed(other)
    consumer._unacked_messages = {before, others}
    consumer._read_offset = {tp: 900}
    consumer._acked[tp], consumer._acked_index[tp] = [899], {899}

    async def seek_to(tp: TP, offset: int) -> None:
        sought.append((tp, offset))

    consumer._thread = SimpleNamespace(seek_to=seek_to)
    asyncio.run(consumer.read_from(tp, 3))
    assert sought == [(tp, 3)]
    assert consumer._read_offset == {tp: None} and consumer._committed_offset == {tp: None}
    assert consumer._new_offset(tp) is None
    # What is acknowledged late of the topic before is not committed any more (consumer.ack).
    assert before.acked and not others.acked and consumer._unacked_messages == {others}


class FakeConsumer:
    """aiokafka's, as far as it is asked here."""

    def __init__(self, assigned: set[TopicPartition]) -> None:
        self.assigned = assigned
        self.paused: set[TopicPartition] = set()
        self._coordinator = SimpleNamespace(generation=7)

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def pause(self, *tps: TopicPartition) -> None:
        assert tps is not None
        self.paused |= set(tps)

    async def seek_to_committed(self) -> dict[TopicPartition, int]:
        assert self.assigned, "No partitions are currently assigned"
        return dict.fromkeys(self.assigned, 3)


@pytest.mark.parametrize("assigned", [set(), {TopicPartition("histograms", 1)}])
def test_a_worker_without_partitions_seeks_nothing(assigned: set[TopicPartition]) -> None:
    thread: Any = object.__new__(CommittedTransport.Consumer.consumer_thread_class)
    thread._consumer = FakeConsumer(assigned)

    async def call_thread(function: Any) -> Any:
        return await function()

    thread.call_thread = call_thread
    assert asyncio.run(thread.seek_to_committed()) == dict.fromkeys(assigned, 3)


def test_changelogs_are_assigned_and_never_fetched_by_the_consumer_of_the_stream() -> None:
    changelog, log = TopicPartition("windows-changelog", 2), TopicPartition("histograms", 2)
    consumer, given = FakeConsumer({changelog, log}), []

    async def assign(assigned: set[TP], generation: int) -> None:
        given.append((assigned, generation, set(consumer.paused)))

    thread = SimpleNamespace(
        app=SimpleNamespace(
            tables=SimpleNamespace(changelog_topics={"windows-changelog"}),
            consumer_generation_id=None,
        ),
        on_partitions_assigned=assign,
        _ensure_consumer=lambda: consumer,
    )
    listener: Any = CommittedTransport.Consumer.RebalanceListener(cast(Any, thread))
    asyncio.run(listener.on_partitions_assigned({changelog, log}))
    assert given == [({TP(*changelog), TP(*log)}, 7, {changelog})]
    # Faust would take a changelog that nobody fetches for a fault, and say so for ever.
    reader: Any = object.__new__(CommittedTransport.Consumer)
    reader.app, seen = thread.app, []
    reader._thread = SimpleNamespace(verify_event_path=lambda now, tp: seen.append(tp))
    for tp in (changelog, log):
        reader.verify_event_path(0.0, TP(*tp))
    assert seen == [TP(*log)]


def test_a_broker_that_takes_connections_and_answers_nothing_is_not_waited_for() -> None:
    async def connect() -> float:
        gone = asyncio.Event()

        async def be_frozen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()  # until it is left
            writer.close()
            await writer.wait_closed()
            gone.set()

        server = await asyncio.start_server(be_frozen, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{port}", request_timeout_ms=60_000)
        client.cluster._brokers = {7: BrokerMetadata(7, "127.0.0.1", port, None)}
        bound_requests(client, 0.2)
        began = asyncio.get_running_loop().time()
        assert not await client.ready(7)
        took = asyncio.get_running_loop().time() - began
        await gone.wait()
        await client.close()
        server.close()
        return took

    assert asyncio.run(connect()) < 10


def test_requests_to_a_coordinator_may_take_as_long_as_a_rebalance() -> None:
    class Connection:
        _request_timeout = 30.0

    class Client:
        async def _get_conn(self, node_id: int, **_: object) -> Connection:
            return Connection()

    async def timeouts() -> list[float]:
        client = Client()
        bound_requests(client, 6.0)
        found = [await client._get_conn(1, group=group) for group in ConnectionGroup]
        return [one._request_timeout for one in found]

    asked = dict(zip(ConnectionGroup, asyncio.run(timeouts()), strict=True))
    assert asked == {ConnectionGroup.DEFAULT: 6.0, ConnectionGroup.COORDINATION: 30.0}


def test_a_batch_that_is_not_taken_is_never_given_up() -> None:
    async def made() -> tuple[float, float]:
        app = make_app(Settings(), 4)
        producer = app.transport.Producer(app.transport)._new_producer()
        try:
            return producer._message_accumulator._batch_ttl, producer._sender._request_timeout_ms
        finally:
            producer._closed = True  # it was never started

    ttl, timeout_ms = asyncio.run(made())
    assert ttl == float("inf")
    # The broker says that replicas are missing before the connection is given up.
    assert timeout_ms < ANSWER_SECONDS * 1000
