"""What a session writes: histograms, dead letters and source offsets, in one transaction."""

import logging
import math
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from tidegauge.contract import DeadLetter, encode
from tidegauge.counting import Counted, Tenure
from tidegauge.kafka import TopicPartition, commit, ingest_producer
from tidegauge.roles.ingest.reader import BROKER_SECONDS
from tidegauge.roles.ingest.source import SourceTopic
from tidegauge.roles.ingest.state import FallbackLevel, IngestState, to_send

log = logging.getLogger(__name__)


class HistogramWriter:
    """The transactional producer of a session."""

    def __init__(self, state: IngestState, source: SourceTopic) -> None:
        self._state = state
        self._topics = state.settings.topics
        self.source = source
        #: Partitions of the topic of histograms.
        self.destinations = 0
        self.producer = self._new_producer()

    def begin(self) -> None:
        """End the transaction that a predecessor has left open; raises ``KafkaException``."""
        self.producer.init_transactions(BROKER_SECONDS)

    def replace_producer(self) -> None:
        """Go on with another producer, whose first act is to end the transaction of this one.

        What was counted stays, and is committed by the next flush. Raises ``KafkaException``.
        """
        self.producer = self._new_producer()
        self.begin()

    def _new_producer(self) -> Any:
        alone = self._state.letters.level != "full"
        return ingest_producer(self._state.settings, alone=alone)

    def records(self, tenure: Tenure) -> Iterator[tuple[int, bytes]]:
        """Make the records of a tenure, each with the partition that it goes to."""
        age = self._state.baselines_age()
        return tenure.records(
            now=self._state.clock(),
            monotonic=self._state.monotonic(),
            idle_seconds=self._state.settings.ingest.idle_seconds,
            source=self._topics.predictions,
            sources=self.source.partitions,
            destinations=self.destinations,
            baselines_age_seconds=age if math.isfinite(age) else None,
            topic_id=self.source.topic_id,
        )

    def commit(
        self, tenure: Tenure, letters: Sequence[DeadLetter], level: FallbackLevel, group: Any
    ) -> None:
        """Commit a tenure, the letters that wait and its offsets; ``group`` is the membership's.

        Raises as :func:`tidegauge.kafka.commit` does.
        """
        topic_id = self.source.topic_id
        commit(
            self.producer,
            topic=self._topics.histograms,
            records=((partition, None, value) for partition, value in self.records(tenure)),
            letters=[
                encode(replace(letter, topic_id=topic_id)) for letter in to_send(letters, level)
            ],
            letter_topic=self._topics.dead_letters,
            offsets=[
                TopicPartition(
                    self._topics.predictions,
                    p,
                    at.to,
                    metadata=Counted(
                        origin=at.origin,
                        to=at.to,
                        topic_id=topic_id,
                        series=at.series,
                        end=at.least_end,
                    ).metadata(),
                )
                for p, at in tenure.positions.items()
            ],
            group=group,
        )
