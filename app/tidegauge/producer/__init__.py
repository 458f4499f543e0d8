"""What a serving node imports: publish predictions without ever blocking or failing the serving.

Depends on confluent-kafka and msgspec only; ``log_batch`` also on pyarrow (extra ``arrow``).
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.producer.counters import DropReason as DropReason, ProducerStats as ProducerStats
    from tidegauge.producer.logger import PredictionLogger as PredictionLogger

face(__name__)
