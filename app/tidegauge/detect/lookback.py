"""Which offsets the latest data has: looked up in the source topic by the records' timestamps."""

import logging
import threading

from confluent_kafka import Consumer, KafkaException, TopicPartition
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tidegauge.contract import CountedRange, DataRange
from tidegauge.detect.values import Source
from tidegauge.settings import KafkaSettings

log = logging.getLogger(__name__)

#: How much data a retrain action names, seconds.
RETRAIN_SECONDS = 24 * 3600

_TIMEOUT_SECONDS = 10.0

#: A broker that restarts is back within seconds.
_RETRYING = Retrying(
    retry=retry_if_exception_type(KafkaException),
    stop=stop_after_delay(60),
    wait=wait_fixed(1),
    reraise=True,
)


class Lookback:
    """Finds the first offset of each source partition at or after a time. Blocks; thread-safe."""

    def __init__(self, kafka: KafkaSettings, group_id: str) -> None:
        # The group is never joined; librdkafka wants a name all the same.
        self._consumer = Consumer(
            {**kafka.librdkafka(), "group.id": f"{group_id}-lookback"}, logger=log
        )
        self._lock = threading.Lock()

    def data(self, topic: str, source: Source, until: int) -> DataRange:
        """Return the data of the ``RETRAIN_SECONDS`` before ``until``, up to what was counted.

        Raises ``confluent_kafka.KafkaException`` if the brokers don't answer for a minute.
        """
        since = until - RETRAIN_SECONDS
        wanted = [TopicPartition(topic, p, since * 1000) for p in sorted(source.covered)]
        with self._lock:
            found = _RETRYING(self._consumer.offsets_for_times, wanted, timeout=_TIMEOUT_SECONDS)
        offsets = []
        for at in found:
            to = source.covered[at.partition]
            # Below zero: no record is as young as that, so there is nothing to train on.
            start = min(at.offset, to) if at.offset >= 0 else to
            offsets.append(CountedRange(topic=topic, partition=at.partition, start=start, to=to))
        return DataRange(since=since, until=until, offsets=offsets)

    def close(self) -> None:
        """Release the client."""
        self._consumer.close()
