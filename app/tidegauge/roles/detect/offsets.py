"""Requests to the brokers: offsets of the latest data, ends of the input, existing topics."""

import threading
from collections.abc import Iterable

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tidegauge.config import KafkaSettings
from tidegauge.contract import CountedRange, DataRange
from tidegauge.kafka import Admin, KafkaError, KafkaException, TopicPartition, reader
from tidegauge.windows import DataWanted

_TIMEOUT_SECONDS = 10.0

#: Brokers that have no such topic, or no ids of topics.
_NO_ID = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._UNSUPPORTED_FEATURE,
    }
)

#: A broker that restarts is back within seconds.
_RETRYING = Retrying(
    retry=retry_if_exception_type(KafkaException),
    stop=stop_after_delay(60),
    wait=wait_fixed(1),
    reraise=True,
)


class Offsets:
    """Asks the brokers for offsets. Blocks; thread-safe."""

    def __init__(self, kafka: KafkaSettings, group_id: str) -> None:
        self._consumer = reader(kafka, f"{group_id}-offsets")
        self._admin = Admin(kafka)
        self._lock = threading.Lock()

    def data(self, wanted: DataWanted) -> DataRange:
        """Return the data of the ``RETRAIN_SECONDS`` before ``until``, up to what was counted.

        Raises ``confluent_kafka.KafkaException`` if the brokers don't answer for a minute.
        """
        since = wanted.since
        with self._lock:
            cluster = _RETRYING(self._consumer.list_topics, wanted.topic, timeout=_TIMEOUT_SECONDS)
            # A topic that was deleted, or made again with fewer partitions, has none of that data.
            there = sorted(wanted.covered.keys() & cluster.topics[wanted.topic].partitions.keys())
            times = [TopicPartition(wanted.topic, p, since * 1000) for p in there]
            starts = (
                _RETRYING(self._consumer.offsets_for_times, times, timeout=_TIMEOUT_SECONDS)
                if times
                else []
            )
        found = {at.partition: at.offset for at in starts}
        offsets = []
        for partition, to in sorted(wanted.covered.items()):
            # Below zero: no record is as young as that, so there is nothing to train on.
            offset = found.get(partition, -1)
            start = min(offset, to) if offset >= 0 else to
            offsets.append(
                CountedRange(topic=wanted.topic, partition=partition, start=start, to=to)
            )
        return DataRange(since=since, until=wanted.until, offsets=offsets)

    def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return up to where each partition can be read, without records still in a transaction.

        Raises ``confluent_kafka.KafkaException`` if the brokers don't answer.
        """
        return {p: self._range(topic, p)[1] for p in partitions}

    def begin(self, topic: str, partition: int) -> int:
        """Return the first offset that retention has left; raises as :meth:`ends` does."""
        return self._range(topic, partition)[0]

    def _range(self, topic: str, partition: int) -> tuple[int, int]:
        at = TopicPartition(topic, partition)
        with self._lock:
            found: tuple[int, int] = self._consumer.get_watermark_offsets(
                at, timeout=_TIMEOUT_SECONDS
            )
        return found

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has, 0 if there is none; raises as :meth:`ends`."""
        with self._lock:
            found = self._consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
        return len(found.partitions)

    def topic_id(self, topic: str) -> str:
        """Return Kafka's id of a topic, "" if there is none; raises as :meth:`ends` does."""
        with self._lock:
            cluster = self._consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS)
        # The mock cluster of librdkafka has no controller, and no ids of topics.
        if cluster.controller_id not in cluster.brokers:
            return ""
        try:
            return self._admin.describe(topic, _TIMEOUT_SECONDS)[0]
        except KafkaException as error:
            if error.args[0].code() in _NO_ID:
                return ""
            raise

    def close(self) -> None:
        """Release the client."""
        self._consumer.close()
