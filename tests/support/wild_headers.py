"""Records whose header names are no text: Kafka allows them, and most clients can't write them."""

from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator, producer as producer_module
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy


class WildName(str):
    """A name that is written as bytes which are no text."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe" + str(self).encode("latin-1")


def wild_batch(values: list[tuple[bytes, list[tuple[str, bytes | None]]]], codec: int) -> bytes:
    """Return the bytes of a batch of records, each with its headers."""
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, -1, 2**20)
    for offset, (value, headers) in enumerate(values):
        builder.append(offset, 1_700_000_000_000, b"k", value, headers)
    return bytes(builder.build())


async def send_wild(
    bootstrap_servers: str, topic: str, partition: int, value: bytes | None
) -> None:
    """Write a record with such a header."""
    for module in (message_accumulator, producer_module):
        vars(module)["DefaultRecordBatchBuilder"] = _DefaultRecordBatchBuilderPy
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    try:
        headers = [(WildName("content-type"), b"x"), ("at", b"\xff"), ("log", None)]
        await producer.send_and_wait(topic, value, b"wild", partition, headers=headers)
    finally:
        await producer.stop()
