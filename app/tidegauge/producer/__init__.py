"""What a serving node imports: publish predictions and labels, never blocking, never failing it.

Depends on confluent-kafka and msgspec only; ``log_batch`` also on pyarrow (extra ``arrow``).
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.producer.counters import DropReason as DropReason, ProducerStats as ProducerStats
    from tidegauge.producer.logger import PredictionLogger as PredictionLogger
    from tidegauge.producer.outcome_logger import OutcomeLogger as OutcomeLogger

face(__name__)
