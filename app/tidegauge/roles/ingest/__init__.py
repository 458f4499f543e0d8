"""INGEST: reads prediction events, bins them, and writes mergeable histograms, exactly once.

The only role that touches raw events; what it counts is decided in :mod:`tidegauge.counting`.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.roles.ingest.history import (
        RecordedEvent as RecordedEvent,
        read_events as read_events,
    )
    from tidegauge.roles.ingest.labels import (
        LabelState as LabelState,
        route_labels as route_labels,
    )
    from tidegauge.roles.ingest.session import Combiner as Combiner
    from tidegauge.roles.ingest.state import IngestState as IngestState

face(__name__)
