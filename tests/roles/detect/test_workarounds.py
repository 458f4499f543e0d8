"""Every fault that is worked around is still in the installed libraries.

A test that fails here after an upgrade is good news: the places that its workaround names can go.
"""

import asyncio
import importlib
import inspect
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import zstd_encode
from aiokafka.record.default_records import DefaultRecordBatch
from faust.auth import SSLCredentials
from faust.tables.recovery import Recovery
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.types import TP
from intervaltree import IntervalTree

from support.wild_headers import WildName, wild_batch
from tidegauge.roles.detect.workarounds import WORKAROUNDS

TP_0 = TP("histograms", 0)


def _consumer(committed: int, acked: list[int]) -> Any:
    """Return Faust's own consumer of one partition, with offsets that were acknowledged."""
    consumer: Any = object.__new__(Consumer)
    consumer.__dict__.update(
        _committed_offset={TP_0: committed},
        _gap=defaultdict(IntervalTree),
        _acked={TP_0: acked},
        _acked_index={TP_0: set(acked)},
        _read_offset={TP_0: None},
        log=SimpleNamespace(dev=lambda *_: None),
    )
    return consumer


def read_uncommitted() -> bool:
    made: list[Any] = []

    async def make() -> None:
        app = faust.App("probe", broker="kafka://127.0.0.1:1", web_enabled=False)
        thread: Any = object.__new__(AIOKafkaConsumerThread)
        thread.app, thread._consumer, thread.consumer = (
            app,
            None,
            SimpleNamespace(in_transaction=False),
        )
        thread._assignor = app.assignor
        thread.tracer = None
        made.append(thread._create_worker_consumer(app.transport))
        made[0]._closed = True  # it was never started

    asyncio.run(make())
    return bool(made[0]._isolation_level == "read_uncommitted")


def offsets_left_out() -> bool:
    return _consumer(21, [24, 25, 26])._new_offset(TP_0) is None


def seek_backwards() -> bool:
    consumer = _consumer(900, [899])

    async def seek(tp: TP, offset: int) -> None:
        pass

    consumer._seek = seek
    asyncio.run(consumer.seek(TP_0, 3))
    return bool(consumer._committed_offset[TP_0] == 900 and consumer._acked[TP_0] == [899])


def nothing_assigned() -> bool:
    consumer: Any = object.__new__(AIOKafkaConsumer)
    consumer._closed = True
    consumer._subscription = SimpleNamespace(assigned_partitions=set)
    try:
        asyncio.run(consumer.seek_to_committed())
    except AssertionError:
        return True
    return False


def recovery_counts_offsets() -> bool:
    recovery: Any = object.__new__(Recovery)
    recovery.active_highwaters = {TP_0: 9}
    recovery.active_offsets = {TP_0: 8}  # the last record is left out, or was deleted
    return bool(recovery.need_recovery())


def agent_restarts() -> bool:
    crashed: list[BaseException] = []

    async def crash(error: BaseException) -> None:
        crashed.append(error)

    async def fail() -> None:
        app: Any = faust.App("probe", broker="kafka://127.0.0.1:1", web_enabled=False)
        app.crash = crash
        await app._on_agent_error(object(), ValueError())

    asyncio.run(fail())
    return not crashed


def waits_until_empty() -> bool:
    return bool(faust.App("probe", broker="kafka://127.0.0.1:1").conf.stream_wait_empty)


def no_tls_context() -> bool:
    try:
        SSLCredentials()
    except TypeError:
        return True
    return False


def header_names() -> bool:
    batch = wild_batch([(b"value", [(WildName("x"), b"1")])], 0)
    try:
        list(DefaultRecordBatch(batch))
    except UnicodeDecodeError:
        return True
    return False


def batches_expire() -> bool:
    async def made() -> float:
        producer = AIOKafkaProducer(request_timeout_ms=7_000)
        producer._closed = True  # it was never started
        ttl: float = producer._message_accumulator._batch_ttl
        return ttl

    return asyncio.run(made()) == 7.0


def one_timeout() -> bool:
    names = inspect.signature(AIOKafkaClient.__init__).parameters
    return [name for name in names if "timeout" in name] == ["request_timeout_ms"]


def compression_level() -> bool:
    text = b"".join(b"%d %d " % (i * i, i * i * i % 1009) for i in range(2_000))
    names = inspect.signature(AIOKafkaProducer.__init__).parameters
    has_setting = any("level" in name for name in names)
    return not has_setting and zstd_encode(text) == zstd_encode(text, level=3)


PROBES: dict[str, Callable[[], bool]] = {
    probe.__name__: probe
    for probe in (
        read_uncommitted,
        offsets_left_out,
        seek_backwards,
        nothing_assigned,
        recovery_counts_offsets,
        agent_restarts,
        waits_until_empty,
        no_tls_context,
        header_names,
        batches_expire,
        one_timeout,
        compression_level,
    )
}


@pytest.mark.parametrize("name", WORKAROUNDS)
def test_the_fault_is_still_there(name: str) -> None:
    fault, places, upstream = WORKAROUNDS[name]
    assert PROBES[name](), (
        f"the installed libraries have this fault no longer: {fault} Remove what works around it, "
        f"{', '.join(places)}, and its entry ({', '.join(upstream) or 'no upstream issue'})"
    )


def test_there_is_no_probe_without_a_workaround() -> None:
    assert PROBES.keys() == WORKAROUNDS.keys()


@pytest.mark.parametrize(
    "place", sorted({place for one in WORKAROUNDS.values() for place in one.places})
)
def test_the_code_of_a_workaround_is_where_the_list_says(place: str) -> None:
    module, *names = place.split(".")
    found: Any = importlib.import_module(f"tidegauge.roles.detect.{module}")
    for name in names:
        found = getattr(found, name)
    assert found is not None
