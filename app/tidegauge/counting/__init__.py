"""From raw records to counts: decoding, the plan of a model version, cells, tenures. Pure.

The role ``ingest`` reads and writes; ``decode`` has one module for each way to read an event.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.counting.admission import (
        Admission as Admission,
        Level as Level,
        Overflow as Overflow,
    )
    from tidegauge.counting.beginning import (
        BREAKS as BREAKS,
        DOUBTFUL as DOUBTFUL,
        Beginning as Beginning,
        Counted as Counted,
        begin_at as begin_at,
        from_metadata as from_metadata,
        known_end as known_end,
        last_known as last_known,
    )
    from tidegauge.counting.counter import Counter as Counter, Promoted as Promoted
    from tidegauge.counting.decode.arrow_rows import COUNTED as COUNTED
    from tidegauge.counting.decode.arrow_size import Limits as Limits
    from tidegauge.counting.decode.arrow_stream import Streams as Streams
    from tidegauge.counting.decode.native import (
        WITHOUT_NATIVE as WITHOUT_NATIVE,
        is_installed as is_installed,
    )
    from tidegauge.counting.decode.reference import (
        LooseEvent as LooseEvent,
        RefusedError as RefusedError,
        check_time as check_time,
        decode_event as decode_event,
        event_or_stream as event_or_stream,
        from_row as from_row,
    )
    from tidegauge.counting.flushes import flush_records as flush_records
    from tidegauge.counting.label_router import LabelRouter as LabelRouter
    from tidegauge.counting.pending import PendingPredictions as PendingPredictions
    from tidegauge.counting.prediction_router import PredictionRouter as PredictionRouter
    from tidegauge.counting.refusals import DEAD_LETTERS as DEAD_LETTERS, as_refused as as_refused
    from tidegauge.counting.tenure import (
        Position as Position,
        Tenure as Tenure,
        last_of as last_of,
        partitions_of as partitions_of,
    )

face(__name__)
