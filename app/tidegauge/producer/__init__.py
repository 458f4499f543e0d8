"""What a serving node imports: publish predictions without ever blocking or failing the serving.

Depends on confluent-kafka and msgspec only; ``log_batch`` also on pyarrow (extra ``arrow``).
"""

from tidegauge.producer.counters import DropReason, ProducerStats
from tidegauge.producer.logger import PredictionLogger

__all__ = ["DropReason", "PredictionLogger", "ProducerStats"]
